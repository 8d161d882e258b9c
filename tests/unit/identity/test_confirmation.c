#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "identity/identity.h"
#include "tests/test.h"
#include "tests/unit/identity/key_world.h"

/* Tokens that name the key of their holder (RFC 7800): good in that holder's hands only. */

#define KEY "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
#define OTHER "--6IM5l0OosLj9yWskISYhUA3n_3CURQkmrYMSha_ck"

static char *token_with(const char *confirmation, const char *issuer)
{
    char payload[1024];

    (void)snprintf(payload, sizeof(payload),
                   "{\"iss\":\"%s\",\"sub\":\"job\",\"aud\":\"%s\",\"iat\":%d,\"exp\":%d%s%s}",
                   issuer, AUDIENCE, NOW, NOW + 300,
                   confirmation[0] == '\0' ? "" : ",\"cnf\":", confirmation);
    return signer_token(key_a, HEADER_A, payload);
}

/* What becomes of a token with this `cnf` (JSON) that comes with these keys. */
static enum error_code outcome(struct world *world, const char *confirmation, const char *key,
                               const char *certificate)
{
    struct identity_input input = { .now_s = NOW, .thumbprint = key, .certificate = certificate };
    struct attempt attempt;
    enum error_code code;

    attempt_open(&attempt, token_with(confirmation, ci_issuer_url(world->ci)));
    input.token = str_from(attempt.token);
    assert_int_not_equal(identity_verify(world->identity, &input, attempt.arena,
                                         (struct waker){ 0 }, &attempt.state, &attempt.verified,
                                         &attempt.error),
                         PROGRESS_WAIT);
    code = attempt.error.code;
    attempt_close(&attempt);
    return code;
}

static void a_token_that_names_a_key_must_come_with_it(void **state)
{
    static const struct {
        const char *confirmation;
        const char *key;
        const char *certificate;
        bool is_good;
    } rows[] = {
        { "", NULL, NULL, true },
        { "", KEY, OTHER, true },
        { "null", NULL, NULL, true },
        { "{\"jkt\":\"" KEY "\"}", KEY, NULL, true },
        { "{\"jkt\":\"" KEY "\"}", KEY, OTHER, true },
        { "{\"x5t#S256\":\"" KEY "\"}", NULL, KEY, true },
        { "{\"jkt\":\"" KEY "\",\"x5t#S256\":\"" OTHER "\"}", KEY, OTHER, true },
        { "{\"jkt\":\"" KEY "\"}", NULL, NULL, false },
        { "{\"jkt\":\"" KEY "\"}", OTHER, NULL, false },
        { "{\"jkt\":\"" KEY "\"}", NULL, KEY, false },
        { "{\"x5t#S256\":\"" KEY "\"}", NULL, NULL, false },
        { "{\"x5t#S256\":\"" KEY "\"}", NULL, OTHER, false },
        { "{\"x5t#S256\":\"" KEY "\"}", KEY, NULL, false },
        { "{\"jkt\":\"" KEY "\",\"x5t#S256\":\"" OTHER "\"}", KEY, NULL, false },
        { "{\"jkt\":\"" KEY "\",\"x5t#S256\":\"" OTHER "\"}", NULL, OTHER, false },
        { "{\"jkt\":\"\"}", NULL, NULL, false },
        { "{\"jkt\":\"\"}", "", NULL, false },
        { "{\"jkt\":null}", NULL, NULL, false },
        { "{\"jkt\":[\"" KEY "\"]}", KEY, NULL, false },
        /* what we cannot look at may be another's */
        { "{}", KEY, KEY, false },
        { "[]", KEY, KEY, false },
        { "\"" KEY "\"", KEY, KEY, false },
        { "{\"kid\":\"a\"}", KEY, KEY, false },
        { "{\"jkt\":\"" KEY "\",\"kid\":\"a\"}", KEY, KEY, false },
    };
    struct world world;

    (void)state;
    world_open(&world);
    assert_int_equal(verify_a(&world), ERROR_NONE); /* its keys are there from now on */
    for (size_t i = 0; i < COUNT(rows); i++) {
        enum error_code code =
            outcome(&world, rows[i].confirmation, rows[i].key, rows[i].certificate);

        if (code != (rows[i].is_good ? ERROR_NONE : ERROR_TOKEN))
            fail_msg("%s, row %zu: %d", rows[i].confirmation, i, (int)code);
    }
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_that_names_a_key_must_come_with_it),
    };

    return cmocka_run_group_tests(tests, key_world_set_up, key_world_tear_down);
}
