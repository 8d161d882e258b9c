#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "identity/dpop.h"
#include "tests/test.h"
#include "tests/unit/identity/signer.h"

#define NOW 1790000000
#define LEEWAY 30
#define URL "https://broker.example/token"

struct peers {
    struct signer *ec;
    struct signer *ed;
    struct signer *rsa;
    struct arena *arena;
};

static struct peers peers;

static int set_up(void **state)
{
    (void)state;
    peers.ec = signer_new(SIGNER_EC_P256);
    peers.ed = signer_new(SIGNER_ED25519);
    peers.rsa = signer_new(SIGNER_RSA_2048);
    peers.arena = arena_new(ARENA_REQUEST_MAX);
    return peers.arena == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    signer_free(peers.ec);
    signer_free(peers.ed);
    signer_free(peers.rsa);
    arena_free(peers.arena);
    return 0;
}

/* {"typ", "alg", "jwk"} of a signer, with further members or other values. */
static char *header_of(const struct signer *signer, const char *alg, const char *set)
{
    json_t *header =
        json_pack("{s:s,s:s,s:o}", "typ", "dpop+jwt", "alg", alg, "jwk", signer_jwk(signer, NULL));
    json_t *more = json_loads(set, 0, NULL);
    char *text;

    assert_non_null(header);
    assert_non_null(more);
    json_object_update(header, more);
    text = json_dumps(header, JSON_COMPACT);
    json_decref(header);
    json_decref(more);
    return text;
}

static char *payload_with(const char *set)
{
    json_t *payload = json_pack("{s:s,s:s,s:s,s:i}", "jti", "0123456789abcdef", "htm", "POST",
                                "htu", URL, "iat", NOW);
    json_t *more = json_loads(set, 0, NULL);
    char *text;

    assert_non_null(payload);
    assert_non_null(more);
    json_object_update(payload, more);
    text = json_dumps(payload, JSON_COMPACT);
    json_decref(payload);
    json_decref(more);
    return text;
}

static bool check_text(const char *proof, struct dpop_proof *checked, struct error *error)
{
    const struct dpop_options options = {
        .method = STR("POST"), .url = STR(URL), .now_s = NOW, .leeway_s = LEEWAY
    };

    return dpop_check(str_from(proof), &options, peers.arena, checked, error);
}

static bool check(const struct signer *signer, const char *header, const char *payload,
                  struct error *error)
{
    char *proof = signer_token(signer, header, payload);
    struct dpop_proof checked = { 0 };
    bool is_good = check_text(proof, &checked, error);

    assert_true(!is_good || strlen(checked.thumbprint) == 43);
    free(proof);
    return is_good;
}

struct row {
    const char *name;
    const char *header;  /* members to set */
    const char *payload; /* members to set; null stays null */
    bool is_good;
};

static const struct row rows[] = {
    { "plain", "{}", "{}", true },
    { "a query and a fragment in htu", "{}", "{\"htu\":\"" URL "?a=b#c\"}", true },
    { "the host in capitals", "{}", "{\"htu\":\"https://BROKER.example/token\"}", true },
    { "the default port", "{}", "{\"htu\":\"https://broker.example:443/token\"}", true },
    { "the oldest", "{}", "{\"iat\":1789999940}", true },
    { "the furthest ahead", "{}", "{\"iat\":1790000030}", true },
    { "a fraction", "{}", "{\"iat\":1790000000.5}", true },
    { "more claims", "{}", "{\"ath\":\"x\",\"nonce\":\"y\"}", true },

    { "too old", "{}", "{\"iat\":1789999939}", false },
    { "too far ahead", "{}", "{\"iat\":1790000031}", false },
    { "iat a string", "{}", "{\"iat\":\"1790000000\"}", false },
    { "iat null", "{}", "{\"iat\":null}", false },
    { "iat negative", "{}", "{\"iat\":-1}", false },
    { "iat beyond all", "{}", "{\"iat\":9223372036854775807}", false },
    { "iat below all", "{}", "{\"iat\":-9223372036854775808}", false },
    { "another method", "{}", "{\"htm\":\"GET\"}", false },
    { "the method in another case", "{}", "{\"htm\":\"post\"}", false },
    { "no method", "{}", "{\"htm\":null}", false },
    { "another host", "{}", "{\"htu\":\"https://evil.example/token\"}", false },
    { "a host that continues", "{}", "{\"htu\":\"https://broker.example.evil/token\"}", false },
    { "another path", "{}", "{\"htu\":\"https://broker.example/revoke\"}", false },
    { "a path in another case", "{}", "{\"htu\":\"https://broker.example/Token\"}", false },
    { "a slash behind", "{}", "{\"htu\":\"https://broker.example/token/\"}", false },
    { "another port", "{}", "{\"htu\":\"https://broker.example:8443/token\"}", false },
    { "plain http", "{}", "{\"htu\":\"http://broker.example/token\"}", false },
    { "a user", "{}", "{\"htu\":\"https://u@broker.example/token\"}", false },
    { "htu a path", "{}", "{\"htu\":\"/token\"}", false },
    { "htu empty", "{}", "{\"htu\":\"\"}", false },
    { "htu a list", "{}", "{\"htu\":[\"" URL "\"]}", false },
    { "no jti", "{}", "{\"jti\":null}", false },
    { "jti empty", "{}", "{\"jti\":\"\"}", false },
    { "jti a number", "{}", "{\"jti\":1}", false },
    { "jti with a line feed", "{}", "{\"jti\":\"a\\nb\"}", false },
    { "typ JWT", "{\"typ\":\"JWT\"}", "{}", false },
    { "typ null", "{\"typ\":null}", "{}", false },
    { "no jwk", "{\"jwk\":null}", "{}", false },
    { "jwk a string", "{\"jwk\":\"x\"}", "{}", false },
    { "jwk symmetric", "{\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"}}", "{}", false },
    { "alg none", "{\"alg\":\"none\"}", "{}", false },
    { "alg HS256", "{\"alg\":\"HS256\"}", "{}", false },
    { "alg of another key", "{\"alg\":\"EdDSA\"}", "{}", false },
    { "crit", "{\"crit\":[\"x\"]}", "{}", false },
};

static void proofs_are_accepted_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *header = header_of(peers.ec, "ES256", rows[i].header);
        char *payload = payload_with(rows[i].payload);
        struct error error = { 0 };
        bool is_good = check(peers.ec, header, payload, &error);

        free(header);
        free(payload);
        if (is_good != rows[i].is_good)
            fail_msg("%s: %s", rows[i].name, is_good ? "accepted" : error.cause);
        if (!is_good && error.code != ERROR_DPOP)
            fail_msg("%s: code %d", rows[i].name, error.code);
    }
}

static void an_ed25519_proof_is_accepted_by_both_names(void **state)
{
    static const char *const names[] = { "EdDSA", "Ed25519" };
    char *payload = payload_with("{}");

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        char *header = header_of(peers.ed, names[i], "{}");
        struct error error = { 0 };

        assert_true(check(peers.ed, header, payload, &error));
        free(header);
    }
    free(payload);
}

static void an_rsa_proof_is_refused(void **state)
{
    char *header = header_of(peers.rsa, "RS256", "{}");
    char *payload = payload_with("{}");
    struct error error = { 0 };

    (void)state;
    assert_false(check(peers.rsa, header, payload, &error));
    assert_int_equal(error.code, ERROR_DPOP);
    free(header);
    free(payload);
}

static void a_proof_that_another_key_signed_is_refused(void **state)
{
    struct signer *other = signer_new(SIGNER_EC_P256);
    char *header = header_of(peers.ec, "ES256", "{}");
    char *payload = payload_with("{}");
    struct error error = { 0 };

    (void)state;
    assert_false(check(other, header, payload, &error));
    assert_int_equal(error.code, ERROR_DPOP);
    signer_free(other);
    free(header);
    free(payload);
}

static void a_jwk_with_a_private_part_is_refused(void **state)
{
    json_t *jwk = signer_jwk(peers.ec, NULL);
    json_t *set = json_pack("{s:o}", "jwk", jwk);
    char *set_text;
    char *header;
    char *payload = payload_with("{}");
    struct error error = { 0 };

    (void)state;
    json_object_set_new(jwk, "d", json_string("AAAA"));
    set_text = json_dumps(set, 0);
    header = header_of(peers.ec, "ES256", set_text);
    assert_false(check(peers.ec, header, payload, &error));
    assert_int_equal(error.code, ERROR_DPOP);
    json_decref(set);
    free(set_text);
    free(header);
    free(payload);
}

static void a_proof_id_has_256_bytes_and_not_one_more(void **state)
{
    char *header = header_of(peers.ec, "ES256", "{}");

    (void)state;
    for (size_t len = 256; len <= 257; len++) {
        char id[258] = { 0 };
        json_t *set;
        char *set_text;
        char *payload;
        struct error error = { 0 };

        memset(id, 'x', len);
        set = json_pack("{s:s}", "jti", id);
        set_text = json_dumps(set, 0);
        payload = payload_with(set_text);
        assert_int_equal(check(peers.ec, header, payload, &error), len == 256);
        json_decref(set);
        free(set_text);
        free(payload);
    }
    free(header);
}

/* RFC 9449 4.1 and 6.1: its own example, with its endpoint, time and thumbprint. */
static void the_example_of_the_standard_is_accepted(void **state)
{
    static const char proof[] =
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6Ik"
        "VDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR"
        "nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JE"
        "QSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIj"
        "oiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwia"
        "WF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg"
        "4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
    const struct dpop_options options = { .method = STR("POST"),
                                          .url = STR("https://server.example.com/token"),
                                          .now_s = 1562262616,
                                          .leeway_s = 0 };
    struct dpop_proof checked = { 0 };
    struct error error = { 0 };

    (void)state;
    if (!dpop_check(str_from(proof), &options, peers.arena, &checked, &error))
        fail_msg("%s", error.cause);
    assert_int_equal(checked.expires_s, 1562262616 + DPOP_AGE_MAX_S + 1);
    assert_string_equal(checked.thumbprint, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
}

static void texts_that_are_no_proof_are_refused(void **state)
{
    static const char *const texts[] = { "", "a.b.c", "..", "eyJhbGciOiJSUzI1NiJ9.e30.AAAA" };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct dpop_proof checked = { 0 };
        struct error error = { 0 };

        assert_false(check_text(texts[i], &checked, &error));
        assert_int_equal(error.code, ERROR_DPOP);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proofs_are_accepted_or_refused),
        cmocka_unit_test(an_ed25519_proof_is_accepted_by_both_names),
        cmocka_unit_test(an_rsa_proof_is_refused),
        cmocka_unit_test(a_proof_that_another_key_signed_is_refused),
        cmocka_unit_test(a_jwk_with_a_private_part_is_refused),
        cmocka_unit_test(a_proof_id_has_256_bytes_and_not_one_more),
        cmocka_unit_test(the_example_of_the_standard_is_accepted),
        cmocka_unit_test(texts_that_are_no_proof_are_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
