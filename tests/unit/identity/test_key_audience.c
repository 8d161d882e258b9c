#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "identity/identity.h"
#include "identity/profile.h"
#include "tests/test.h"
#include "tests/unit/identity/signer.h"

/* Tokens whose audience names a key: good only beside a proof of that key. */

#define NOW 1790000000
#define ISSUER "https://ci.example"
#define AUDIENCE "https://broker.example"
#define KEY "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
#define OTHER_KEY "--6IM5l0OosLj9yWskISYhUA3n_3CURQkmrYMSha_ck"
#define BOUND AUDIENCE "#jkt=" KEY

static struct signer *signer;
static char *jwks;

static int set_up(void **state)
{
    json_t *set;

    (void)state;
    signer = signer_new(SIGNER_ED25519);
    set = json_pack("{s:[o]}", "keys", signer_jwk(signer, "ed"));
    jwks = json_dumps(set, 0);
    json_decref(set);
    return jwks == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    signer_free(signer);
    free(jwks);
    return 0;
}

/* Verify a token of this `aud` (JSON) that comes with a proof of `key`, or with none. */
static bool verify(const char *audience, const char *key, struct verified_token *verified,
                   struct error *error)
{
    const struct profile *profile = profile_find(STR("generic"));
    struct issuer_options issuer = {
        .name = STR("ci"),
        .profile = profile,
        .url = STR(ISSUER),
        .audience = STR(AUDIENCE),
        .claims = profile->claims,
    };
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct identity_input input = { .now_s = NOW, .thumbprint = key };
    char payload[1024];
    char *token;
    bool is_good;

    (void)snprintf(payload, sizeof(payload),
                   "{\"iss\":\"" ISSUER "\",\"sub\":\"job\",\"jti\":\"1\",\"aud\":%s,\"iat\":%d,"
                   "\"exp\":%d}",
                   audience, NOW, NOW + 300);
    token = signer_token(signer, "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}", payload);
    input.token = str_from(token);
    is_good = identity_verify_offline(&issuer, str_from(jwks), &input, 30, arena, verified, error);
    free(token);
    return is_good;
}

static void a_key_in_the_audience_must_come_with_the_token(void **state)
{
    static const struct {
        const char *name;
        const char *audience;
        const char *key;
        bool is_good;
        bool is_bound;
    } rows[] = {
        { "ours, without a key", "\"" AUDIENCE "\"", NULL, true, false },
        { "ours, with a key", "\"" AUDIENCE "\"", KEY, true, false },
        { "bound, with its key", "\"" BOUND "\"", KEY, true, true },
        { "bound, in a list", "[\"" BOUND "\"]", KEY, true, true },
        { "ours and bound, with its key", "[\"" AUDIENCE "\",\"" BOUND "\"]", KEY, true, true },
        { "bound, without a key", "\"" BOUND "\"", NULL, false, false },
        { "bound, with another key", "\"" BOUND "\"", OTHER_KEY, false, false },
        { "ours and bound, without a key", "[\"" AUDIENCE "\",\"" BOUND "\"]", NULL, false, false },
        { "bound to two keys", "[\"" BOUND "\",\"" AUDIENCE "#jkt=" OTHER_KEY "\"]", KEY, false,
          false },
        { "no thumbprint, without a key", "\"" AUDIENCE "#jkt=\"", NULL, false, false },
        { "no thumbprint, an empty key", "\"" AUDIENCE "#jkt=\"", "", false, false },
        { "a cut thumbprint", "\"" AUDIENCE "#jkt=0ZcO\"", KEY, false, false },
        { "more behind the thumbprint", "\"" BOUND "x\"", KEY, false, false },
        { "another member", "\"" AUDIENCE "#kid=" KEY "\"", KEY, false, false },
        { "jkt in another case", "\"" AUDIENCE "#JKT=" KEY "\"", KEY, false, false },
        { "two fragments", "\"" AUDIENCE "#jkt=" OTHER_KEY "#jkt=" KEY "\"", KEY, false, false },
        { "another's audience, our key", "\"https://other.example#jkt=" KEY "\"", KEY, false,
          false },
        { "a longer audience, our key", "\"" AUDIENCE "/#jkt=" KEY "\"", KEY, false, false },
        { "only the key", "\"#jkt=" KEY "\"", KEY, false, false },
        { "bound, and another's besides", "[\"" BOUND "\",\"sts.amazonaws.com\"]", KEY, false,
          false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct verified_token verified = { 0 };
        struct error error = { 0 };
        bool is_good = verify(rows[i].audience, rows[i].key, &verified, &error);

        if (is_good != rows[i].is_good || verified.is_key_bound != rows[i].is_bound)
            fail_msg("%s: %d %d %s", rows[i].name, is_good, verified.is_key_bound, error.cause);
        if (!is_good)
            assert_int_equal(error.code, ERROR_TOKEN_AUDIENCE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_in_the_audience_must_come_with_the_token),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
