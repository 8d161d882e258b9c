#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jwt.h>

#include "base/error.h"
#include "identity/identity.h"
#include "identity/profile.h"
#include "keys/verifier.h"
#include "tests/test.h"
#include "tests/unit/identity/signer.h"

/* Tokens of an issuer of the profile `generic`, verified without network. */

#define NOW 1790000000
#define LEEWAY 30
#define ISSUER "https://ci.example"
#define AUDIENCE "https://broker.example"

static const struct claim own_claims[] = {
    { "iss", CLAIM_STRING, 0 },
    { "sub", CLAIM_STRING, 0 },
    { "aud", CLAIM_STRINGS, 0 },
    { "exp", CLAIM_INTEGER, 0 },
    { "iat", CLAIM_INTEGER, 0 },
    { "nbf", CLAIM_INTEGER, CLAIM_OPTIONAL },
    { "jti", CLAIM_STRING, CLAIM_OPTIONAL },
    { "project", CLAIM_STRING, CLAIM_ID },
    { "number", CLAIM_INTEGER, CLAIM_OPTIONAL },
    { "tainted", CLAIM_BOOLEAN, CLAIM_OPTIONAL },
    { "groups", CLAIM_STRINGS, CLAIM_OPTIONAL },
};

struct issuer_world {
    struct signer *rsa;
    struct signer *ec;
    struct signer *ed;
    struct signer *p384;
    struct signer *weak;
    char *jwks; /* rsa, ec, ed, p384, weak */
    struct arena *arena;
    json_t *only;
};

static struct issuer_world world;

static char *jwks_of_all(void)
{
    json_t *set = json_pack("{s:[o,o,o,o,o]}", "keys", signer_jwk(world.rsa, "rsa"),
                            signer_jwk(world.ec, "ec"), signer_jwk(world.ed, "ed"),
                            signer_jwk(world.p384, "p384"), signer_jwk(world.weak, "weak"));
    char *text = json_dumps(set, 0);

    json_decref(set);
    return text;
}

static int set_up(void **state)
{
    (void)state;
    world.rsa = signer_new(SIGNER_RSA_2048);
    world.ec = signer_new(SIGNER_EC_P256);
    world.ed = signer_new(SIGNER_ED25519);
    world.p384 = signer_new(SIGNER_EC_P384);
    world.weak = signer_new(SIGNER_RSA_1024);
    world.jwks = jwks_of_all();
    world.only = json_pack("{s:s}", "project", "7");
    world.arena = arena_new((size_t)64 * 1024 * 1024);
    return world.arena == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    signer_free(world.rsa);
    signer_free(world.ec);
    signer_free(world.ed);
    signer_free(world.p384);
    signer_free(world.weak);
    free(world.jwks);
    json_decref(world.only);
    arena_free(world.arena);
    return 0;
}

static struct issuer_options usual_issuer(void)
{
    return (struct issuer_options){
        .name = STR("ci"),
        .profile = profile_find(STR("generic")),
        .url = STR(ISSUER),
        .audience = STR(AUDIENCE),
        .max_age_s = 600,
        .max_lifetime_s = 3600,
        .only = world.only,
        .claims = { own_claims, COUNT(own_claims) },
    };
}

static bool verify_as(const struct issuer_options *issuer, const char *jwks, struct str token,
                      struct verified_token *verified, struct error *error)
{
    struct identity_input input = { .token = token, .now_s = NOW };

    return identity_verify_offline(issuer, str_from(jwks), &input, LEEWAY, world.arena, verified,
                                   error);
}

static bool verify(const char *token, struct error *error)
{
    struct issuer_options issuer = usual_issuer();
    struct verified_token verified = { 0 };

    return verify_as(&issuer, world.jwks, str_from(token), &verified, error);
}

/* The usual payload; `set` is a JSON object of members to set, `removed` one to remove. */
static char *payload_with(const char *set, const char *removed)
{
    json_t *payload = json_pack("{s:s,s:s,s:s,s:i,s:i,s:s}", "iss", ISSUER, "sub", "job:7", "aud",
                                AUDIENCE, "exp", NOW + 300, "iat", NOW - 10, "project", "7");
    json_t *more = json_loads(set, 0, NULL);
    char *text;

    assert_non_null(payload);
    assert_non_null(more);
    json_object_update(payload, more);
    if (removed != NULL)
        assert_int_equal(json_object_del(payload, removed), 0);
    text = json_dumps(payload, JSON_COMPACT);
    json_decref(payload);
    json_decref(more);
    return text;
}

/* Claims. */

struct claims_row {
    const char *name;
    const char *set;
    const char *removed;
    enum error_code code;
};

#define OK ERROR_NONE
#define BAD ERROR_TOKEN
#define EXPIRED ERROR_TOKEN_EXPIRED
#define TOO_OLD ERROR_TOKEN_TOO_OLD
#define AUDIENCES ERROR_TOKEN_AUDIENCE

static const struct claims_row claims_rows[] = {
    { "plain", "{}", NULL, OK },

    { "the last second", "{\"exp\":1789999971,\"iat\":1789999900}", NULL, OK },
    { "the second it expires", "{\"exp\":1789999970,\"iat\":1789999900}", NULL, EXPIRED },
    { "long expired", "{\"exp\":1789999000,\"iat\":1789998900}", NULL, EXPIRED },
    { "exp with a fraction", "{\"exp\":1790000300.75}", NULL, OK },
    { "exp with a fraction, rounded down", "{\"exp\":1789999970.9,\"iat\":1789999900}", NULL,
      EXPIRED },
    { "exp with an exponent", "{\"exp\":1.7900003e9}", NULL, OK },
    { "no exp", "{}", "exp", BAD },
    { "exp a string", "{\"exp\":\"1790000300\"}", NULL, BAD },
    { "exp null", "{\"exp\":null}", NULL, BAD },
    { "exp true", "{\"exp\":true}", NULL, BAD },
    { "exp a list", "{\"exp\":[1790000300]}", NULL, BAD },
    { "exp 0", "{\"exp\":0}", NULL, BAD },
    { "exp negative", "{\"exp\":-1}", NULL, BAD },
    { "exp 2^62", "{\"exp\":4611686018427387904}", NULL, BAD },
    { "exp 2^63-1", "{\"exp\":9223372036854775807}", NULL, BAD },
    { "exp 1e300", "{\"exp\":1e300}", NULL, BAD },
    { "exp in milliseconds", "{\"exp\":1790000300000}", NULL, BAD },
    { "exp at iat", "{\"exp\":1789999990}", NULL, BAD },
    { "exp before iat", "{\"exp\":1789999980}", NULL, BAD },

    { "the longest life", "{\"iat\":1790000000,\"exp\":1790003600}", NULL, OK },
    { "a longer life", "{\"iat\":1790000000,\"exp\":1790003601}", NULL, BAD },
    { "the greatest age", "{\"iat\":1789999370}", NULL, OK },
    { "a greater age", "{\"iat\":1789999369}", NULL, TOO_OLD },
    { "iat as far ahead as may be", "{\"iat\":1790000030}", NULL, OK },
    { "iat further ahead", "{\"iat\":1790000031}", NULL, BAD },
    { "no iat", "{}", "iat", BAD },
    { "iat a string", "{\"iat\":\"1789999990\"}", NULL, BAD },
    { "iat negative", "{\"iat\":-9223372036854775808}", NULL, BAD },
    { "iat beyond all", "{\"iat\":9223372036854775807}", NULL, BAD },

    { "nbf now", "{\"nbf\":1790000000}", NULL, OK },
    { "nbf as far ahead as may be", "{\"nbf\":1790000030}", NULL, OK },
    { "nbf further ahead", "{\"nbf\":1790000031}", NULL, BAD },
    { "nbf long ago", "{\"nbf\":0}", NULL, OK },
    { "nbf a string", "{\"nbf\":\"1\"}", NULL, BAD },
    { "nbf null", "{\"nbf\":null}", NULL, BAD },
    { "nbf beyond all", "{\"nbf\":9223372036854775807}", NULL, BAD },

    { "our audience in a list", "{\"aud\":[\"" AUDIENCE "\"]}", NULL, OK },
    { "our audience twice", "{\"aud\":[\"" AUDIENCE "\",\"" AUDIENCE "\"]}", NULL, OK },
    { "another audience", "{\"aud\":\"https://other.example\"}", NULL, AUDIENCES },
    { "another audience besides", "{\"aud\":[\"" AUDIENCE "\",\"sts.amazonaws.com\"]}", NULL,
      AUDIENCES },
    { "another audience in front", "{\"aud\":[\"sts.amazonaws.com\",\"" AUDIENCE "\"]}", NULL,
      AUDIENCES },
    { "an audience that continues", "{\"aud\":\"" AUDIENCE "/\"}", NULL, AUDIENCES },
    { "an audience in another case", "{\"aud\":\"https://BROKER.example\"}", NULL, AUDIENCES },
    { "an audience that is cut", "{\"aud\":\"https://broker.exampl\"}", NULL, AUDIENCES },
    { "an empty audience", "{\"aud\":\"\"}", NULL, AUDIENCES },
    { "a glob", "{\"aud\":\"*\"}", NULL, AUDIENCES },
    { "no audience", "{}", "aud", BAD },
    { "no audience in the list", "{\"aud\":[]}", NULL, BAD },
    { "aud null", "{\"aud\":null}", NULL, BAD },
    { "aud a number", "{\"aud\":1}", NULL, BAD },
    { "aud an object", "{\"aud\":{\"" AUDIENCE "\":1}}", NULL, BAD },
    { "a number among audiences", "{\"aud\":[\"" AUDIENCE "\",1]}", NULL, BAD },
    { "a list among audiences", "{\"aud\":[[\"" AUDIENCE "\"]]}", NULL, BAD },

    { "an issuer with a slash", "{\"iss\":\"" ISSUER "/\"}", NULL, BAD },
    { "an issuer in another case", "{\"iss\":\"https://CI.example\"}", NULL, BAD },
    { "an issuer with its port", "{\"iss\":\"https://ci.example:443\"}", NULL, BAD },
    { "an issuer with a path", "{\"iss\":\"" ISSUER "/evil\"}", NULL, BAD },
    { "an issuer over http", "{\"iss\":\"http://ci.example\"}", NULL, BAD },
    { "an issuer with a space", "{\"iss\":\" " ISSUER "\"}", NULL, BAD },
    { "another issuer", "{\"iss\":\"https://evil.example\"}", NULL, BAD },
    { "no issuer", "{}", "iss", BAD },
    { "an empty issuer", "{\"iss\":\"\"}", NULL, BAD },
    { "a list of issuers", "{\"iss\":[\"" ISSUER "\"]}", NULL, BAD },

    { "no subject", "{}", "sub", BAD },
    { "an empty subject", "{\"sub\":\"\"}", NULL, BAD },
    { "a subject that is a number", "{\"sub\":7}", NULL, BAD },
    { "jti a number", "{\"jti\":7}", NULL, BAD },
    { "jti empty", "{\"jti\":\"\"}", NULL, BAD },

    { "a line's end in a claim", "{\"sub\":\"a\\nb\"}", NULL, BAD },
    { "DEL in a claim", "{\"sub\":\"a\\u007fb\"}", NULL, BAD },
    { "an escape in a claim that nobody knows", "{\"x\":{\"y\":[\"\\u001b[2J\"]}}", NULL, BAD },
    { "a control character in a name", "{\"a\\u0001\":1}", NULL, BAD },
    { "what nobody knows", "{\"x\":{\"y\":[1,null,true,\"z\"]}}", NULL, OK },

    { "every type", "{\"number\":1,\"tainted\":false,\"groups\":[\"a\"]}", NULL, OK },
    { "one group", "{\"groups\":\"a\"}", NULL, OK },
    { "an optional null", "{\"number\":null}", NULL, OK },
    { "an integer as text", "{\"number\":\"1\"}", NULL, BAD },
    { "an integer with a fraction", "{\"number\":1.0}", NULL, BAD },
    { "a boolean as text", "{\"tainted\":\"false\"}", NULL, BAD },
    { "a boolean as a number", "{\"tainted\":0}", NULL, BAD },
    { "groups with a number", "{\"groups\":[\"a\",1]}", NULL, BAD },
    { "groups as an object", "{\"groups\":{\"a\":1}}", NULL, BAD },

    { "only: another project", "{\"project\":\"8\"}", NULL, BAD },
    { "only: a project that continues", "{\"project\":\"77\"}", NULL, BAD },
    { "only: a number", "{\"project\":7}", NULL, BAD },
    { "only: no project", "{}", "project", BAD },
    { "only: null", "{\"project\":null}", NULL, BAD },
    { "only: a list", "{\"project\":[\"7\"]}", NULL, BAD },
    { "only comes before expiry", "{\"project\":\"8\",\"exp\":1789999000,\"iat\":1789998900}", NULL,
      BAD },
    { "only comes before the audience", "{\"project\":\"8\",\"aud\":\"x\"}", NULL, BAD },
    { "expiry comes before the audience", "{\"aud\":\"x\",\"exp\":1789999000,\"iat\":1789998900}",
      NULL, EXPIRED },
};

static void check_claims_row(const struct claims_row *row)
{
    char *payload = payload_with(row->set, row->removed);
    char *token = signer_token(world.ed, "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}", payload);
    struct error error = { 0 };
    bool is_good = verify(token, &error);

    free(payload);
    free(token);
    if (is_good != (row->code == ERROR_NONE) || error.code != row->code)
        fail_msg("%s: code %d, not %d: %s", row->name, error.code, row->code, error.cause);
}

static void claims_are_accepted_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(claims_rows); i++)
        check_claims_row(&claims_rows[i]);
}

/* A subject (or URL) of `len` bytes. */
static bool verify_with_text(const char *start, size_t len)
{
    char text[4096] = { 0 };
    char *set = malloc(sizeof(text) + 64);
    char *payload;
    char *token;
    struct error error = { 0 };
    bool is_good;

    assert_non_null(set);
    memset(text, 'x', len);
    memcpy(text, start, strlen(start));
    (void)snprintf(set, sizeof(text) + 64, "{\"other\":\"%s\"}", text);
    payload = payload_with(set, NULL);
    token = signer_token(world.ed, "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}", payload);
    is_good = verify(token, &error);
    assert_true(is_good || error.code == ERROR_TOKEN);
    free(set);
    free(payload);
    free(token);
    return is_good;
}

static void a_text_has_1024_bytes_a_url_2048_and_not_one_more(void **state)
{
    (void)state;
    assert_true(verify_with_text("", 1024));
    assert_false(verify_with_text("", 1025));
    assert_true(verify_with_text("https://", 2048));
    assert_false(verify_with_text("https://", 2049));
    assert_false(verify_with_text("ftp://", 1025));
}

/* Keys and signatures. */

struct key_row {
    const char *name;
    const char *header;
    struct signer *const *signer;
    bool is_good;
};

static const struct key_row key_rows[] = {
    { "RS256", "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", &world.rsa, true },
    { "ES256", "{\"alg\":\"ES256\",\"kid\":\"ec\"}", &world.ec, true },
    { "EdDSA", "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}", &world.ed, true },
    { "the only key of its kind", "{\"alg\":\"ES256\"}", &world.ec, true },
    { "members that are never looked at",
      "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"jku\":\"https://evil.example/jwks\"}", &world.rsa,
      true },

    { "a kid of another key", "{\"alg\":\"RS256\",\"kid\":\"ec\"}", &world.rsa, false },
    { "a kid of nobody", "{\"alg\":\"RS256\",\"kid\":\"nobody\"}", &world.rsa, false },
    { "an empty kid", "{\"alg\":\"RS256\",\"kid\":\"\"}", &world.rsa, false },
    { "a kid in another case", "{\"alg\":\"RS256\",\"kid\":\"RSA\"}", &world.rsa, false },
    { "a kid with a path", "{\"alg\":\"RS256\",\"kid\":\"../rsa\"}", &world.rsa, false },
    { "ES256 by an RSA key", "{\"alg\":\"ES256\",\"kid\":\"rsa\"}", &world.rsa, false },
    { "RS256 by an EC key", "{\"alg\":\"RS256\",\"kid\":\"ec\"}", &world.ec, false },
    { "EdDSA by an EC key", "{\"alg\":\"EdDSA\",\"kid\":\"ec\"}", &world.ec, false },
    { "ES384", "{\"alg\":\"ES384\",\"kid\":\"p384\"}", &world.p384, false },
    { "ES256 on P-384", "{\"alg\":\"ES256\",\"kid\":\"p384\"}", &world.p384, false },
    { "an RSA key that is too small", "{\"alg\":\"RS256\",\"kid\":\"weak\"}", &world.weak, false },
    { "another's signature", "{\"alg\":\"ES256\",\"kid\":\"ec\"}", &world.rsa, false },
    { "a raw signature of another length", "{\"alg\":\"ES256\",\"kid\":\"ec\"}", &world.p384,
      false },
};

static void keys_fit_or_are_refused(void **state)
{
    char *payload = payload_with("{}", NULL);

    (void)state;
    for (size_t i = 0; i < COUNT(key_rows); i++) {
        char *token = signer_token(*key_rows[i].signer, key_rows[i].header, payload);
        struct error error = { 0 };
        bool is_good = verify(token, &error);

        free(token);
        if (is_good != key_rows[i].is_good || (!is_good && error.code != ERROR_TOKEN))
            fail_msg("%s: code %d: %s", key_rows[i].name, error.code, error.cause);
    }
    free(payload);
}

static void other_digests_and_paddings_are_refused(void **state)
{
    static const char *const algorithms[] = { "RS384", "RS512", "PS256", "PS512" };
    char *payload = payload_with("{}", NULL);

    (void)state;
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        char header[64];
        char *honest;
        char *lying = signer_token_as(world.rsa, algorithms[i],
                                      "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", payload);
        struct error error = { 0 };
        struct error other = { 0 };

        (void)snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"rsa\"}", algorithms[i]);
        honest = signer_token_as(world.rsa, algorithms[i], header, payload);
        assert_false(verify(honest, &error));
        assert_false(verify(lying, &other));
        assert_int_equal(error.code, ERROR_TOKEN);
        assert_int_equal(other.code, ERROR_TOKEN);
        free(honest);
        free(lying);
    }
    free(payload);
}

static void a_public_key_is_no_hmac_key(void **state)
{
    char *payload = payload_with("{}", NULL);
    char *pem = signer_pem(world.rsa);
    static const char *const headers[] = { "{\"alg\":\"HS256\",\"kid\":\"rsa\"}",
                                           "{\"alg\":\"RS256\",\"kid\":\"rsa\"}",
                                           "{\"alg\":\"none\"}" };

    (void)state;
    for (size_t i = 0; i < COUNT(headers); i++) {
        char *token = signer_hmac_token(str_from(pem), headers[i], payload);
        struct error error = { 0 };

        assert_false(verify(token, &error));
        assert_int_equal(error.code, ERROR_TOKEN);
        free(token);
    }
    free(pem);
    free(payload);
}

/* Every character of a valid token matters: no second spelling of it is accepted. */
static void a_token_with_one_character_changed_is_refused(void **state)
{
    static const char alphabet[] = "Aa0-_Qgw";
    char *payload = payload_with("{}", NULL);
    char *token = signer_token(world.ed, "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}", payload);
    size_t len = strlen(token);

    (void)state;
    for (size_t i = 0; i < len * (sizeof(alphabet) - 1); i++) {
        char kept = token[i % len];
        char other = alphabet[i / len];
        struct error error = { 0 };

        if (kept == other || kept == '.')
            continue;
        token[i % len] = other;
        if (verify(token, &error))
            fail_msg("character %zu as '%c' is accepted", i % len, other);
        assert_int_equal(error.code, ERROR_TOKEN);
        token[i % len] = kept;
    }
    free(token);
    free(payload);
}

static void a_token_with_text_around_it_is_refused(void **state)
{
    static const char *const ends[] = { "=", "==", "A", "AAAA", ".", ".AAAA", " ", "\n", "\t" };
    char *payload = payload_with("{}", NULL);
    char *token = signer_token(world.rsa, "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", payload);
    size_t len = strlen(token);
    char *longer = malloc(len + 16);

    (void)state;
    assert_non_null(longer);
    for (size_t i = 0; i < COUNT(ends); i++) {
        struct error error = { 0 };

        (void)snprintf(longer, len + 16, "%s%s", token, ends[i]);
        assert_false(verify(longer, &error));
        assert_int_equal(error.code, ERROR_TOKEN);
    }
    free(longer);
    free(token);
    free(payload);
}

/* Key sets. */

static bool verify_with_set(json_t *take_set, const char *header, const struct signer *signer,
                            struct error *error)
{
    struct issuer_options issuer = usual_issuer();
    struct verified_token verified = { 0 };
    char *jwks = json_dumps(take_set, 0);
    char *payload = payload_with("{}", NULL);
    char *token = signer_token(signer, header, payload);
    bool is_good = verify_as(&issuer, jwks, str_from(token), &verified, error);

    json_decref(take_set);
    free(jwks);
    free(payload);
    free(token);
    return is_good;
}

#define EC_HEADER "{\"alg\":\"ES256\",\"kid\":\"ec\"}"

static void a_kid_of_two_usable_keys_is_refused(void **state)
{
    struct error error = { 0 };

    (void)state;
    assert_false(verify_with_set(
        json_pack("{s:[o,o]}", "keys", signer_jwk(world.ec, "ec"), signer_jwk(world.ed, "ec")),
        EC_HEADER, world.ec, &error));
    assert_int_equal(error.code, ERROR_TOKEN);
    assert_non_null(strstr(error.cause, "two keys"));
}

static void a_kid_of_one_usable_and_one_unusable_key_is_good(void **state)
{
    struct error error = { 0 };

    (void)state;
    assert_true(verify_with_set(
        json_pack("{s:[o,o]}", "keys", signer_jwk(world.weak, "ec"), signer_jwk(world.ec, "ec")),
        EC_HEADER, world.ec, &error));
}

static void without_a_kid_two_fitting_keys_are_refused(void **state)
{
    struct signer *other = signer_new(SIGNER_EC_P256);
    struct error error = { 0 };

    (void)state;
    assert_false(verify_with_set(
        json_pack("{s:[o,o]}", "keys", signer_jwk(world.ec, "a"), signer_jwk(other, "b")),
        "{\"alg\":\"ES256\"}", world.ec, &error));
    assert_int_equal(error.code, ERROR_TOKEN);
    signer_free(other);
}

static void what_is_no_key_in_a_set_is_skipped(void **state)
{
    struct error error = { 0 };
    json_t *private_key = signer_jwk(world.ed, "private");
    json_t *encryption = signer_jwk(world.ed, "encryption");

    (void)state;
    json_object_set_new(private_key, "d", json_string("AAAA"));
    json_object_set_new(encryption, "use", json_string("enc"));
    assert_true(
        verify_with_set(json_pack("{s:[n,s,[],{},{s:s,s:s},{s:s,s:i},o,o,o],s:s}", "keys", "key",
                                  "kty", "oct", "k", "AAAA", "kty", "RSA", "kid", 7, private_key,
                                  encryption, signer_jwk(world.ec, "ec"), "other", "member"),
                        EC_HEADER, world.ec, &error));
}

static json_t *set_of_keys(size_t count)
{
    json_t *keys = json_array();

    for (size_t i = 1; i < count; i++)
        json_array_append_new(keys, json_object());
    json_array_append_new(keys, signer_jwk(world.ec, "ec"));
    return json_pack("{s:o}", "keys", keys);
}

static void a_set_has_a_hundred_keys_and_not_one_more(void **state)
{
    struct error error = { 0 };

    (void)state;
    assert_true(verify_with_set(set_of_keys(100), EC_HEADER, world.ec, &error));
    assert_false(verify_with_set(set_of_keys(101), EC_HEADER, world.ec, &error));
    assert_int_equal(error.code, ERROR_INVALID);
}

static void what_is_no_key_set_is_refused(void **state)
{
    static const char *const sets[] = {
        "",
        "[]",
        "{}",
        "{\"keys\":{}}",
        "{\"keys\":[]}",
        "{\"keys\":[{}]}",
        "{\"keys\":null}",
        "{\"keys\":[],\"keys\":[]}",
        "<html>",
    };
    struct issuer_options issuer = usual_issuer();
    char *payload = payload_with("{}", NULL);
    char *token = signer_token(world.ec, EC_HEADER, payload);

    (void)state;
    for (size_t i = 0; i < COUNT(sets); i++) {
        struct verified_token verified = { 0 };
        struct error error = { 0 };

        assert_false(verify_as(&issuer, sets[i], str_from(token), &verified, &error));
        assert_int_equal(error.code, ERROR_INVALID);
    }
    free(payload);
    free(token);
}

/* What comes out. */

static void verify_well(const struct issuer_options *issuer, const struct signer *signer,
                        const char *header, const char *payload, struct verified_token *verified)
{
    char *token = signer_token(signer, header, payload);
    struct error error = { 0 };

    if (!verify_as(issuer, world.jwks, str_from(token), verified, &error))
        fail_msg("%s", error.cause);
    free(token);
}

static void a_verified_token_says_who_until_when(void **state)
{
    struct issuer_options issuer = usual_issuer();
    char *payload = payload_with("{\"exp\":1790000300.9}", NULL);
    struct verified_token verified = { 0 };

    (void)state;
    verify_well(&issuer, world.ec, EC_HEADER, payload, &verified);
    assert_ptr_equal(verified.issuer, &issuer);
    assert_true(str_eq(verified.subject, STR("job:7")));
    assert_true(str_eq(verified.kid, STR("ec")));
    assert_int_equal(verified.issued_s, NOW - 10);
    assert_int_equal(verified.expires_s, NOW + 300);
    assert_true(json_is_integer(json_object_get(verified.claims, "exp")));
    assert_int_equal(json_object_size(verified.ci), profile_ci_facts.count);
    free(payload);
}

/* Whoever holds a key may leave its name out: it is that key's token all the same. */
static void a_token_without_a_kid_has_that_of_its_key(void **state)
{
    struct issuer_options issuer = usual_issuer();
    char *payload = payload_with("{}", NULL);
    char *token = signer_token(world.ec, "{\"alg\":\"ES256\"}", payload);
    char *unnamed = signer_jwks(world.ec, NULL);
    struct verified_token verified = { 0 };
    struct error error = { 0 };

    (void)state;
    verify_well(&issuer, world.ec, "{\"alg\":\"ES256\"}", payload, &verified);
    assert_true(str_eq(verified.kid, STR("ec")));
    assert_true(verify_as(&issuer, unnamed, str_from(token), &verified, &error));
    assert_int_equal(verified.kid.len, 0);
    free(unnamed);
    free(token);
    free(payload);
}

static struct profile by_id(void)
{
    struct profile profile = *profile_find(STR("generic"));

    profile.replay = PROFILE_REPLAY_JTI;
    return profile;
}

static void mark_of(const struct profile *profile, const char *set, uint8_t mark[SHA256_LEN])
{
    struct issuer_options issuer = usual_issuer();
    char *payload = payload_with(set, NULL);
    struct verified_token verified = { 0 };

    issuer.profile = profile;
    verify_well(&issuer, world.ec, EC_HEADER, payload, &verified);
    memcpy(mark, verified.mark, SHA256_LEN);
    free(payload);
}

static void a_mark_by_id_is_the_same_for_two_tokens_of_one_id(void **state)
{
    struct profile profile = by_id();
    uint8_t first[SHA256_LEN];
    uint8_t again[SHA256_LEN];
    uint8_t other[SHA256_LEN];

    (void)state;
    mark_of(&profile, "{\"jti\":\"a\",\"number\":1}", first);
    mark_of(&profile, "{\"jti\":\"a\",\"number\":2}", again);
    mark_of(&profile, "{\"jti\":\"b\",\"number\":1}", other);
    assert_memory_equal(first, again, SHA256_LEN);
    assert_memory_not_equal(first, other, SHA256_LEN);
}

/* ES256 signatures are random, so these are two texts of one header and payload. */
static void a_mark_by_digest_does_not_depend_on_the_signature(void **state)
{
    const struct profile *profile = profile_find(STR("generic"));
    uint8_t first[SHA256_LEN];
    uint8_t again[SHA256_LEN];
    uint8_t other[SHA256_LEN];

    (void)state;
    mark_of(profile, "{\"jti\":\"a\"}", first);
    mark_of(profile, "{\"jti\":\"a\"}", again);
    mark_of(profile, "{\"jti\":\"a\",\"number\":1}", other);
    assert_memory_equal(first, again, SHA256_LEN);
    assert_memory_not_equal(first, other, SHA256_LEN);
}

static void without_its_id_a_token_that_is_counted_by_it_is_refused(void **state)
{
    struct profile profile = by_id();
    struct issuer_options issuer = usual_issuer();
    char *payload = payload_with("{}", NULL);
    char *token = signer_token(world.ec, EC_HEADER, payload);
    struct verified_token verified = { 0 };
    struct error error = { 0 };

    (void)state;
    issuer.profile = &profile;
    assert_false(verify_as(&issuer, world.jwks, str_from(token), &verified, &error));
    assert_int_equal(error.code, ERROR_TOKEN);
    free(payload);
    free(token);
}

static void an_algorithm_that_the_issuer_may_not_use_is_refused(void **state)
{
    struct issuer_options issuer = usual_issuer();
    char *payload = payload_with("{}", NULL);
    char *token = signer_token(world.ec, EC_HEADER, payload);
    struct verified_token verified = { 0 };
    struct error error = { 0 };

    (void)state;
    issuer.algorithms = JOSE_RS256 | JOSE_EDDSA;
    assert_false(verify_as(&issuer, world.jwks, str_from(token), &verified, &error));
    assert_int_equal(error.code, ERROR_TOKEN);
    free(payload);
    free(token);
}

static void only_reads_a_value_as_its_claims_type(void **state)
{
    static const struct {
        const char *only;
        const char *set;
        bool is_good;
    } rows[] = {
        { "{\"number\":\"12\"}", "{\"number\":12}", true },
        { "{\"number\":\"12\"}", "{\"number\":13}", false },
        { "{\"number\":\"12\"}", "{}", false },
        { "{\"tainted\":\"false\"}", "{\"tainted\":false}", true },
        { "{\"tainted\":\"false\"}", "{\"tainted\":true}", false },
        { "{\"groups\":\"a\"}", "{\"groups\":[\"b\",\"a\"]}", true },
        { "{\"groups\":\"a\"}", "{\"groups\":\"a\"}", true },
        { "{\"groups\":\"a\"}", "{\"groups\":[\"b\"]}", false },
        { "{\"groups\":\"a\"}", "{\"groups\":[]}", false },
        { "{\"project\":\"7\",\"number\":\"1\"}", "{}", false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct issuer_options issuer = usual_issuer();
        json_t *only = json_loads(rows[i].only, 0, NULL);
        char *payload = payload_with(rows[i].set, NULL);
        char *token = signer_token(world.ec, EC_HEADER, payload);
        struct verified_token verified = { 0 };
        struct error error = { 0 };

        issuer.only = only;
        if (verify_as(&issuer, world.jwks, str_from(token), &verified, &error) != rows[i].is_good)
            fail_msg("only %s of %s: %s", rows[i].only, rows[i].set, error.cause);
        json_decref(only);
        free(payload);
        free(token);
    }
}

/* libjwt takes what we take: it agrees on every valid token. */
static bool oracle_accepts(const char *token, const char *kid, jwt_alg_t algorithm)
{
    jwk_set_t *set = jwks_load(NULL, world.jwks);
    jwt_checker_t *checker = jwt_checker_new();
    const jwk_item_t *item;
    bool is_good;

    assert_non_null(set);
    assert_non_null(checker);
    item = jwks_find_bykid(set, kid);
    assert_non_null(item);
    assert_int_equal(jwt_checker_setkey(checker, algorithm, item), 0);
    assert_int_equal(jwt_checker_time_leeway(checker, JWT_CLAIM_EXP, -1), 0);
    assert_int_equal(jwt_checker_time_leeway(checker, JWT_CLAIM_NBF, -1), 0);
    is_good = jwt_checker_verify(checker, token) == 0;
    jwt_checker_free(checker);
    jwks_free(set);
    return is_good;
}

static void libjwt_agrees_on_valid_tokens(void **state)
{
    const struct {
        const struct signer *signer;
        const char *kid;
        const char *header;
        jwt_alg_t algorithm;
    } rows[] = {
        { world.rsa, "rsa", "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", JWT_ALG_RS256 },
        { world.ec, "ec", EC_HEADER, JWT_ALG_ES256 },
        { world.ed, "ed", "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}", JWT_ALG_EDDSA },
    };
    char *payload = payload_with("{}", NULL);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *token = signer_token(rows[i].signer, rows[i].header, payload);
        struct error error = { 0 };

        if (!verify(token, &error))
            fail_msg("%s: %s", rows[i].kid, error.cause);
        if (!oracle_accepts(token, rows[i].kid, rows[i].algorithm))
            fail_msg("%s: libjwt refuses", rows[i].kid);
        free(token);
    }
    free(payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims_are_accepted_or_refused),
        cmocka_unit_test(a_text_has_1024_bytes_a_url_2048_and_not_one_more),
        cmocka_unit_test(keys_fit_or_are_refused),
        cmocka_unit_test(other_digests_and_paddings_are_refused),
        cmocka_unit_test(a_public_key_is_no_hmac_key),
        cmocka_unit_test(a_token_with_one_character_changed_is_refused),
        cmocka_unit_test(a_token_with_text_around_it_is_refused),
        cmocka_unit_test(a_kid_of_two_usable_keys_is_refused),
        cmocka_unit_test(a_kid_of_one_usable_and_one_unusable_key_is_good),
        cmocka_unit_test(without_a_kid_two_fitting_keys_are_refused),
        cmocka_unit_test(what_is_no_key_in_a_set_is_skipped),
        cmocka_unit_test(a_set_has_a_hundred_keys_and_not_one_more),
        cmocka_unit_test(what_is_no_key_set_is_refused),
        cmocka_unit_test(a_verified_token_says_who_until_when),
        cmocka_unit_test(a_token_without_a_kid_has_that_of_its_key),
        cmocka_unit_test(a_mark_by_id_is_the_same_for_two_tokens_of_one_id),
        cmocka_unit_test(a_mark_by_digest_does_not_depend_on_the_signature),
        cmocka_unit_test(without_its_id_a_token_that_is_counted_by_it_is_refused),
        cmocka_unit_test(an_algorithm_that_the_issuer_may_not_use_is_refused),
        cmocka_unit_test(only_reads_a_value_as_its_claims_type),
        cmocka_unit_test(libjwt_agrees_on_valid_tokens),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
