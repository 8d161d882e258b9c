#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jwt.h>

#include "base/error.h"
#include "identity/identity.h"
#include "identity/profile.h"
#include "keys/verifier.h"
#include "tests/test.h"
#include "tests/unit/identity/signer.h"

/*
 * libjwt, which is not ours, judges the same tokens: it takes every valid one that we take, and of
 * a large number of changed ones we never take one that it refuses.
 */

#define ISSUER "https://ci.example"
#define AUDIENCE "https://broker.example"
#define LEEWAY_S 30
#define ROUNDS 100 /* changed tokens an algorithm and kind of change */
#define TOKEN_TEXT_MAX 8192

static const struct claim own_claims[] = {
    { "iss", CLAIM_STRING, 0 },  { "sub", CLAIM_STRING, 0 },  { "aud", CLAIM_STRINGS, 0 },
    { "exp", CLAIM_INTEGER, 0 }, { "iat", CLAIM_INTEGER, 0 }, { "project", CLAIM_STRING, CLAIM_ID },
};

/* Every algorithm by every name. */
static const struct algorithm {
    const char *name;
    enum signer_kind kind;
    jwt_alg_t oracle;
    bool is_known; /* to libjwt, by this name */
} algorithms[] = {
    { "RS256", SIGNER_RSA_2048, JWT_ALG_RS256, true },
    { "RS384", SIGNER_RSA_2048, JWT_ALG_RS384, true },
    { "RS512", SIGNER_RSA_2048, JWT_ALG_RS512, true },
    { "PS256", SIGNER_RSA_2048, JWT_ALG_PS256, true },
    { "PS384", SIGNER_RSA_2048, JWT_ALG_PS384, true },
    { "PS512", SIGNER_RSA_2048, JWT_ALG_PS512, true },
    { "ES256", SIGNER_EC_P256, JWT_ALG_ES256, true },
    { "ES384", SIGNER_EC_P384, JWT_ALG_ES384, true },
    { "ES512", SIGNER_EC_P521, JWT_ALG_ES512, true },
    { "EdDSA", SIGNER_ED25519, JWT_ALG_EDDSA, true },
    { "Ed25519", SIGNER_ED25519, JWT_ALG_EDDSA, false },
};

static struct {
    struct signer *signers[SIGNER_ED25519 + 1];
    char *jwks[SIGNER_ED25519 + 1];
    json_t *only;
    int64_t now_s;
    uint64_t random; /* xorshift64: the same changes in every run */
} world;

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        enum signer_kind kind = algorithms[i].kind;

        if (world.signers[kind] != NULL)
            continue;
        world.signers[kind] = signer_new(kind);
        world.jwks[kind] = signer_jwks(world.signers[kind], "k");
    }
    world.only = json_pack("{s:s}", "project", "7");
    world.now_s = time(NULL); /* libjwt asks the system's clock */
    world.random = UINT64_C(0x9e3779b97f4a7c15);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(world.signers); i++) {
        signer_free(world.signers[i]);
        free(world.jwks[i]);
    }
    json_decref(world.only);
    return 0;
}

static size_t random_below(size_t bound)
{
    world.random ^= world.random << 13;
    world.random ^= world.random >> 7;
    world.random ^= world.random << 17;
    return (size_t)(world.random >> 11) % bound;
}

static bool we_accept(const struct algorithm *algorithm, const char *jwks, const char *token,
                      struct error *error)
{
    struct issuer_options issuer = {
        .name = STR("ci"),
        .profile = profile_find(STR("generic")),
        .url = STR(ISSUER),
        .audience = STR(AUDIENCE),
        .max_age_s = 600,
        .max_lifetime_s = 3600,
        .only = world.only,
        .claims = { own_claims, COUNT(own_claims) },
        .algorithms = jose_algorithm_from(str_from(algorithm->name)),
    };
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    const struct identity_input input = { .token = str_from(token), .now_s = world.now_s };
    struct verified_token verified = { 0 };

    assert_non_null(arena);
    return identity_verify_offline(&issuer, str_from(jwks), &input, LEEWAY_S, arena, &verified,
                                   error);
}

static bool libjwt_accepts(const struct algorithm *algorithm, const char *jwks, const char *token)
{
    jwk_set_t *set = jwks_load(NULL, jwks);
    jwt_checker_t *checker = jwt_checker_new();
    const jwk_item_t *item;
    bool is_good;

    assert_non_null(set);
    assert_non_null(checker);
    item = jwks_find_bykid(set, "k");
    assert_non_null(item);
    assert_int_equal(jwt_checker_setkey(checker, algorithm->oracle, item), 0);
    assert_int_equal(jwt_checker_claim_set(checker, JWT_CLAIM_ISS, ISSUER), 0);
    assert_int_equal(jwt_checker_time_leeway(checker, JWT_CLAIM_EXP, LEEWAY_S), 0);
    assert_int_equal(jwt_checker_time_leeway(checker, JWT_CLAIM_NBF, LEEWAY_S), 0);
    is_good = jwt_checker_verify(checker, token) == 0;
    jwt_checker_free(checker);
    jwks_free(set);
    return is_good;
}

/* The header of an algorithm, with further members at its end. */
static void write_header(const struct algorithm *algorithm, const char *more, char out[256])
{
    (void)snprintf(out, 256, "{\"alg\":\"%s\",\"kid\":\"k\"%s}", algorithm->name, more);
}

static char *sign(const struct algorithm *algorithm, const char *header, const char *payload)
{
    const struct signer *signer = world.signers[algorithm->kind];

    if (algorithm->kind == SIGNER_RSA_2048)
        return signer_token_as(signer, algorithm->name, header, payload);
    return signer_token(signer, header, payload);
}

/* A valid payload; `set` is a JSON object of members to set, `null` removes one. */
static char *payload_with(const char *set)
{
    json_t *payload =
        json_pack("{s:s,s:s,s:s,s:I,s:I,s:s}", "iss", ISSUER, "sub", "job:7", "aud", AUDIENCE,
                  "exp", world.now_s + 300, "iat", world.now_s - 10, "project", "7");
    json_t *more = json_loads(set, 0, NULL);
    const char *name;
    json_t *value;
    char *text;

    assert_non_null(payload);
    assert_non_null(more);
    json_object_foreach (more, name, value) {
        if (json_is_null(value))
            assert_int_equal(json_object_del(payload, name), 0);
        else
            assert_int_equal(json_object_set(payload, name, value), 0);
    }
    text = json_dumps(payload, JSON_COMPACT);
    json_decref(payload);
    json_decref(more);
    assert_non_null(text);
    return text;
}

static char *valid_token(const struct algorithm *algorithm)
{
    char set[64];
    char header[256];
    char *payload;
    char *token;

    (void)snprintf(set, sizeof(set), "{\"number\":%zu,\"sub\":\"job:%zu\"}",
                   random_below(1000000000), random_below(1000000));
    write_header(algorithm, random_below(2) == 0 ? "" : ",\"typ\":\"JWT\"", header);
    payload = payload_with(set);
    token = sign(algorithm, header, payload);
    free(payload);
    return token;
}

static void both_take_a_valid_token(const struct algorithm *algorithm)
{
    const char *jwks = world.jwks[algorithm->kind];
    char *token = valid_token(algorithm);
    struct error error = { 0 };

    if (!we_accept(algorithm, jwks, token, &error))
        fail_msg("%s: %s", algorithm->name, error.cause);
    if (libjwt_accepts(algorithm, jwks, token) != algorithm->is_known)
        fail_msg("%s: libjwt", algorithm->name);
    free(token);
}

static void both_take_valid_tokens_of_every_algorithm(void **state)
{
    (void)state;
    for (size_t i = 0; i < 20 * COUNT(algorithms); i++)
        both_take_a_valid_token(&algorithms[i % COUNT(algorithms)]);
}

/* RFC 9864: one key and one signature under two names, whichever the issuer and the JWK say. */
static void the_two_names_of_ed25519_are_one(void **state)
{
    static const char *const names[] = { "EdDSA", "Ed25519" };
    char *payload = payload_with("{}");

    (void)state;
    for (size_t i = 0; i < 8; i++) {
        const struct algorithm allowed = { names[i & 1], SIGNER_ED25519, JWT_ALG_EDDSA, true };
        const struct algorithm named = { names[i >> 1 & 1], SIGNER_ED25519, JWT_ALG_EDDSA, true };
        json_t *jwk = signer_jwk(world.signers[SIGNER_ED25519], "k");
        struct error error = { 0 };
        char header[256];
        json_t *set;
        char *jwks;
        char *token;

        assert_int_equal(json_object_set_new(jwk, "alg", json_string(names[i >> 2])), 0);
        set = json_pack("{s:[o]}", "keys", jwk);
        jwks = json_dumps(set, JSON_COMPACT);
        write_header(&named, "", header);
        token = sign(&named, header, payload);
        if (!we_accept(&allowed, jwks, token, &error))
            fail_msg("%zu: %s", i, error.cause);
        free(token);
        free(jwks);
        json_decref(set);
    }
    free(payload);
}

/* A token of one algorithm is none of another's, however the key and the header lie. */
static void a_false_name_is_refused(const struct algorithm *signed_with,
                                    const struct algorithm *said)
{
    char *payload = payload_with("{}");
    struct error error = { 0 };
    char header[256];
    char *token;

    write_header(said, "", header);
    token = sign(signed_with, header, payload);
    if (we_accept(said, world.jwks[signed_with->kind], token, &error))
        fail_msg("%s signed, %s said", signed_with->name, said->name);
    assert_true(error.code == ERROR_TOKEN || error.code == ERROR_INVALID);
    free(token);
    free(payload);
}

static void no_algorithm_passes_for_another(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(algorithms); i++)
        for (size_t j = 0; j < COUNT(algorithms); j++)
            if (algorithms[i].oracle != algorithms[j].oracle)
                a_false_name_is_refused(&algorithms[i], &algorithms[j]);
}

/* Changes of a token's text: at random places, or of its form. All leave room for one byte. */

static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
                                 "+/=. \n{}\"\x7f\xc3";

static char random_character(void)
{
    return characters[random_below(sizeof(characters) - 1)];
}

static void replace_one(char *token)
{
    token[random_below(strlen(token))] = random_character();
}

static void insert_one(char *token)
{
    size_t at = random_below(strlen(token) + 1);

    memmove(token + at + 1, token + at, strlen(token + at) + 1);
    token[at] = random_character();
}

static void remove_one(char *token)
{
    size_t at = random_below(strlen(token));

    memmove(token + at, token + at + 1, strlen(token + at));
}

static void flip_a_bit(char *token)
{
    size_t at = random_below(strlen(token));
    char flipped = (char)(token[at] ^ (1 << random_below(7)));

    if (flipped != '\0')
        token[at] = flipped;
}

static void swap_two(char *token)
{
    size_t a = random_below(strlen(token));
    size_t b = random_below(strlen(token));
    char kept = token[a];

    token[a] = token[b];
    token[b] = kept;
}

static void cut_the_end(char *token)
{
    token[random_below(strlen(token))] = '\0';
}

/* The last character has spare bits: the same bytes would have several texts. */
static void change_the_last(char *token)
{
    token[strlen(token) - 1] = characters[random_below(64)];
}

static void append_one(char *token)
{
    size_t len = strlen(token);

    token[len] = random_character();
    token[len + 1] = '\0';
}

static void use_the_other_alphabet(char *token)
{
    for (char *at = strrchr(token, '.'); *at != '\0'; at++)
        *at = (char)(*at == '-' ? '+' : *at == '_' ? '/' : *at);
}

static const struct {
    const char *name;
    void (*change)(char *token);
} changes[] = {
    { "a character replaced", replace_one },
    { "a character inserted", insert_one },
    { "a character removed", remove_one },
    { "a bit flipped", flip_a_bit },
    { "two characters swapped", swap_two },
    { "cut", cut_the_end },
    { "the last character changed", change_the_last },
    { "a character appended", append_one },
    { "the alphabet with + and /", use_the_other_alphabet },
};

/* A token of each kind is changed over and over; returns how many libjwt took and we did not. */
static size_t change_and_compare(const struct algorithm *algorithm, size_t change)
{
    const char *jwks = world.jwks[algorithm->kind];
    char *valid = valid_token(algorithm);
    size_t laxer = 0;

    assert_true(strlen(valid) + 2 <= TOKEN_TEXT_MAX);
    for (size_t round = 0; round < ROUNDS; round++) {
        char token[TOKEN_TEXT_MAX];
        struct error error = { 0 };
        bool is_ours;
        bool is_theirs;

        memcpy(token, valid, strlen(valid) + 1);
        changes[change].change(token);
        if (strcmp(token, valid) == 0)
            continue;
        is_ours = we_accept(algorithm, jwks, token, &error);
        is_theirs = libjwt_accepts(algorithm, jwks, token);
        if (is_ours)
            fail_msg("%s, %s: taken: %s", algorithm->name, changes[change].name, token);
        assert_int_equal(error.code, ERROR_TOKEN);
        laxer += is_theirs;
    }
    free(valid);
    return laxer;
}

static void a_changed_text_is_refused_whatever_libjwt_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(changes); i++) {
        size_t laxer = 0;

        for (size_t j = 0; j < COUNT(algorithms); j++)
            laxer += change_and_compare(&algorithms[j], i);
        print_message("# %s: libjwt takes %zu of %zu, we none\n", changes[i].name, laxer,
                      COUNT(algorithms) * ROUNDS);
    }
}

/* Well signed, ill made: what libjwt lets pass, and what it does not. */
static const struct {
    const char *name;
    const char *header;  /* further members */
    const char *payload; /* members to set; NULL: `text` is all of it */
    const char *text;    /* in place of the payload's last brace */
} ill_made[] = {
    { "crit", ",\"crit\":[\"exp\"]", "{}", NULL },
    { "an empty crit", ",\"crit\":[]", "{}", NULL },
    { "b64 false", ",\"b64\":false", "{}", NULL },
    { "b64 false and crit", ",\"b64\":false,\"crit\":[\"b64\"]", "{}", NULL },
    { "zip", ",\"zip\":\"DEF\"", "{}", NULL },
    { "nested", ",\"cty\":\"JWT\"", "{}", NULL },
    { "encrypted", ",\"enc\":\"A128GCM\"", "{}", NULL },
    { "another typ", ",\"typ\":\"at+jwt\"", "{}", NULL },
    { "a typ that is no string", ",\"typ\":1", "{}", NULL },
    { "alg twice", ",\"alg\":\"none\"", "{}", NULL },
    { "alg twice behind an escape", ",\"\\u0061lg\":\"none\"", "{}", NULL },
    { "kid twice", ",\"kid\":\"k\"", "{}", NULL },
    { "text behind the header", "} {", "{}", NULL },
    { "no exp", "", "{\"exp\":null}", NULL },
    { "exp as text", "", "{\"exp\":\"9999999999\"}", NULL },
    { "exp past", "", "{\"exp\":1}", NULL },
    { "exp too large", "", "{\"exp\":9223372036854775807}", NULL },
    { "exp below zero", "", "{\"exp\":-1}", NULL },
    { "nbf ahead", "", "{\"nbf\":9999999999}", NULL },
    { "nbf as text", "", "{\"nbf\":\"1\"}", NULL },
    { "no iat", "", "{\"iat\":null}", NULL },
    { "iat ahead", "", "{\"iat\":9999999999}", NULL },
    { "no iss", "", "{\"iss\":null}", NULL },
    { "another iss", "", "{\"iss\":\"https://ci.example/\"}", NULL },
    { "no aud", "", "{\"aud\":null}", NULL },
    { "another aud", "", "{\"aud\":\"https://other.example\"}", NULL },
    { "a second aud", "", "{\"aud\":[\"" AUDIENCE "\",\"https://other.example\"]}", NULL },
    { "no sub", "", "{\"sub\":null}", NULL },
    { "an array", "", NULL, "[1]" },
    { "a number", "", NULL, "7" },
    { "nothing", "", NULL, "" },
    { "iss twice", "", "{}", ",\"iss\":\"" ISSUER "\"}" },
    { "sub twice behind an escape", "", "{}", ",\"\\u0073ub\":\"x\"}" },
    { "text behind the claims", "", "{}", "} x" },
    { "an escaped NUL", "", "{}", ",\"x\":\"\\u0000\"}" },
    { "a lone surrogate", "", "{}", ",\"x\":\"\\ud800\"}" },
    { "a comma behind the last", "", "{}", ",}" },
    { "a byte order mark", "", NULL, "\xef\xbb\xbf{}" },
};

static char *ill_made_payload(size_t row)
{
    char text[TOKEN_TEXT_MAX];
    char *payload;
    size_t kept;

    if (ill_made[row].payload == NULL)
        return strdup(ill_made[row].text);
    payload = payload_with(ill_made[row].payload);
    if (ill_made[row].text == NULL)
        return payload;
    kept = strlen(payload) - 1;
    (void)snprintf(text, sizeof(text), "%.*s%s", (int)kept, payload, ill_made[row].text);
    free(payload);
    return strdup(text);
}

static void what_is_signed_but_ill_made_is_refused_whatever_libjwt_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ill_made) * COUNT(algorithms); i++) {
        const struct algorithm *algorithm = &algorithms[i % COUNT(algorithms)];
        const size_t row = i / COUNT(algorithms);
        char *payload = ill_made_payload(row);
        struct error error = { 0 };
        char header[256];
        char *token;

        write_header(algorithm, ill_made[row].header, header);
        token = sign(algorithm, header, payload);
        if (we_accept(algorithm, world.jwks[algorithm->kind], token, &error))
            fail_msg("%s, %s", algorithm->name, ill_made[row].name);
        (void)libjwt_accepts(algorithm, world.jwks[algorithm->kind], token);
        free(token);
        free(payload);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_take_valid_tokens_of_every_algorithm),
        cmocka_unit_test(the_two_names_of_ed25519_are_one),
        cmocka_unit_test(no_algorithm_passes_for_another),
        cmocka_unit_test(a_changed_text_is_refused_whatever_libjwt_says),
        cmocka_unit_test(what_is_signed_but_ill_made_is_refused_whatever_libjwt_says),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
