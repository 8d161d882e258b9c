#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "identity/dpop.h"
#include "identity/dpop_nonce.h"
#include "tests/test.h"
#include "tests/unit/identity/signer.h"

/* What proofs say besides where they are for: token, nonce, id. */

#define NOW INT64_C(1790000000)
#define URL "https://broker.example/token"
/* RFC 9449 7.1: its access token, and its hash. */
#define ACCESS_TOKEN "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
#define ACCESS_HASH "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"

static struct signer *signer;
static struct signer *other_signer;
static struct dpop_nonces *nonces;

static int set_up(void **state)
{
    struct error error = { 0 };

    (void)state;
    signer = signer_new(SIGNER_ED25519);
    other_signer = signer_new(SIGNER_EC_P256);
    return !dpop_nonces_new(STR("a"), &nonces, &error);
}

static int tear_down(void **state)
{
    (void)state;
    signer_free(signer);
    signer_free(other_signer);
    dpop_nonces_free(nonces);
    return 0;
}

static char *proof_with(const struct signer *by, const char *alg, const char *members)
{
    json_t *header =
        json_pack("{s:s,s:s,s:o}", "typ", "dpop+jwt", "alg", alg, "jwk", signer_jwk(by, NULL));
    char *header_text = json_dumps(header, JSON_COMPACT);
    char payload[2048];
    char *proof;

    (void)snprintf(payload, sizeof(payload),
                   "{\"htm\":\"POST\",\"htu\":\"" URL "\",\"iat\":%lld%s%s}", (long long)NOW,
                   members[0] == '\0' ? "" : ",", members);
    proof = signer_token(by, header_text, payload);
    json_decref(header);
    free(header_text);
    return proof;
}

static struct dpop_options usual(void)
{
    return (struct dpop_options){
        .method = STR("POST"), .url = STR(URL), .now_s = NOW, .leeway_s = 30
    };
}

/* The code that a proof with these further members is refused with. */
static enum error_code code_of(const char *members, const struct dpop_options *options)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    char *proof = proof_with(signer, "EdDSA", members);
    struct dpop_proof checked = { 0 };
    struct error error = { 0 };
    bool is_good = dpop_check(str_from(proof), options, arena, &checked, &error);

    free(proof);
    assert_true(is_good == (error.code == ERROR_NONE));
    return error.code;
}

static void beside_an_access_token_a_proof_names_its_hash(void **state)
{
    static const struct {
        const char *members;
        enum error_code code;
    } rows[] = {
        { "\"jti\":\"1\",\"ath\":\"" ACCESS_HASH "\"", ERROR_NONE },
        { "\"jti\":\"1\"", ERROR_DPOP },
        { "\"jti\":\"1\",\"ath\":\"\"", ERROR_DPOP },
        { "\"jti\":\"1\",\"ath\":null", ERROR_DPOP },
        { "\"jti\":\"1\",\"ath\":7", ERROR_DPOP },
        { "\"jti\":\"1\",\"ath\":\"" ACCESS_HASH "=\"", ERROR_DPOP },
        { "\"jti\":\"1\",\"ath\":\"FUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo\"", ERROR_DPOP },
        { "\"jti\":\"1\",\"ath\":\"vg1WaonDVauoDeyJ6fLphirmJ0INRshqzN0GKxT6j-U\"", ERROR_DPOP },
    };
    struct dpop_options options = usual();

    (void)state;
    options.access_token = STR(ACCESS_TOKEN);
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(code_of(rows[i].members, &options), rows[i].code);
    options.access_token = STR(ACCESS_TOKEN "x");
    assert_int_equal(code_of(rows[0].members, &options), ERROR_DPOP);
}

static void a_nonce_is_ours_and_fresh_or_refused(void **state)
{
    static const char *const wrong[] = {
        "\"\"", "null", "7", "[]", "\"n-0S6_WzA2Mj\"", "\"AAAAAAAAAAAAAAAAAAAAAA\""
    };
    struct dpop_options options = usual();
    char nonce[DPOP_NONCE_LEN + 1];
    char members[128];

    (void)state;
    options.nonces = nonces;
    dpop_nonce_make(nonces, NOW, nonce);
    for (int needs = 0; needs < 2; needs++) {
        options.needs_nonce = needs == 1;
        assert_int_equal(code_of("\"jti\":\"1\"", &options),
                         needs == 1 ? ERROR_DPOP_NONCE : ERROR_NONE);
        (void)snprintf(members, sizeof(members), "\"jti\":\"1\",\"nonce\":\"%s\"", nonce);
        assert_int_equal(code_of(members, &options), ERROR_NONE);
        for (size_t i = 0; i < COUNT(wrong); i++) {
            (void)snprintf(members, sizeof(members), "\"jti\":\"1\",\"nonce\":%s", wrong[i]);
            assert_int_equal(code_of(members, &options), ERROR_DPOP_NONCE);
        }
        dpop_nonce_make(nonces, NOW - 3600, nonce);
        (void)snprintf(members, sizeof(members), "\"jti\":\"1\",\"nonce\":\"%s\"", nonce);
        assert_int_equal(code_of(members, &options), ERROR_DPOP_NONCE);
        dpop_nonce_make(nonces, NOW, nonce);
    }
}

/* Asking for a new nonce helps only whose proof is good but for it. */
static void what_else_is_wrong_comes_before_the_nonce(void **state)
{
    struct dpop_options options = usual();

    (void)state;
    options.nonces = nonces;
    options.needs_nonce = true;
    assert_int_equal(code_of("", &options), ERROR_DPOP);
    assert_int_equal(code_of("\"jti\":\"\"", &options), ERROR_DPOP);
    options.method = STR("GET");
    assert_int_equal(code_of("\"jti\":\"1\"", &options), ERROR_DPOP);
}

static void mark_of(const struct signer *by, const char *alg, const char *members,
                    uint8_t mark[SHA256_LEN])
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct dpop_options options = usual();
    struct dpop_proof checked = { 0 };
    char *proof = proof_with(by, alg, members);
    struct error error = { 0 };

    if (!dpop_check(str_from(proof), &options, arena, &checked, &error))
        fail_msg("%s", error.cause);
    memcpy(mark, checked.mark, SHA256_LEN);
    free(proof);
}

static void a_mark_is_of_one_key_and_one_id(void **state)
{
    uint8_t marks[4][SHA256_LEN];

    (void)state;
    mark_of(signer, "EdDSA", "\"jti\":\"1\"", marks[0]);
    mark_of(signer, "EdDSA", "\"jti\":\"1\",\"extra\":true", marks[1]);
    mark_of(signer, "EdDSA", "\"jti\":\"2\"", marks[2]);
    mark_of(other_signer, "ES256", "\"jti\":\"1\"", marks[3]);
    assert_memory_equal(marks[0], marks[1], SHA256_LEN);
    assert_memory_not_equal(marks[0], marks[2], SHA256_LEN);
    assert_memory_not_equal(marks[0], marks[3], SHA256_LEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beside_an_access_token_a_proof_names_its_hash),
        cmocka_unit_test(a_nonce_is_ours_and_fresh_or_refused),
        cmocka_unit_test(what_else_is_wrong_comes_before_the_nonce),
        cmocka_unit_test(a_mark_is_of_one_key_and_one_id),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
