#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/workers.h"
#include "remote.h"
#include "targets/stage_token.h"
#include "tests/assert_str.h"
#include "tests/test.h"

#define PATIENCE_MS 30000
#define AUDIENCE "https://cloud.example"

static int set_up(void **state)
{
    static struct remote_fixture fixture;

    remote_init(&fixture);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    remote_release(*state);
    return 0;
}

/* A kind that does nothing but sign what the test wants. */
static struct stage_token wanted;
static struct str token;

static enum progress sign(struct mint *mint, struct error *error)
{
    struct stage_signing *signing = mint->state;
    enum progress progress = stage_token_sign(mint, &wanted, &signing, &token, error);

    mint->state = signing;
    return progress;
}

static const struct target_kind kind = { .mint = sign };

static enum progress sign_as(struct remote_fixture *fixture, struct stage_token asked)
{
    struct fixture *base = &fixture->base;

    fixture_again(base);
    token = (struct str){ 0 };
    wanted = asked;
    base->target.kind = &kind;
    assert_true(stage_token_start(&base->tools, asked.algorithm, &base->error));
    return remote_mint(fixture);
}

static const json_t *claims_of(struct remote_fixture *fixture, struct stage_token asked,
                               const char *alg)
{
    if (sign_as(fixture, asked) != PROGRESS_DONE)
        fail_msg("%s", fixture->base.error.cause);
    return remote_claims(fixture, token.data, alg);
}

static void it_says_who_asks_whom_and_for_how_long(void **state)
{
    struct remote_fixture *fixture = *state;
    const json_t *claims =
        claims_of(fixture, (struct stage_token){ .audience = STR(AUDIENCE) }, "ES256");

    assert_str(fixture_text(claims, NULL, "iss"), FIXTURE_ISSUER);
    assert_str(fixture_text(claims, NULL, "sub"), FIXTURE_STAGE);
    assert_str(fixture_text(claims, NULL, "aud"), AUDIENCE);
    assert_int_equal(json_integer_value(json_object_get(claims, "iat")), FIXTURE_NOW_S);
    assert_int_equal(json_integer_value(json_object_get(claims, "nbf")), FIXTURE_NOW_S);
    assert_int_equal(json_integer_value(json_object_get(claims, "exp")), FIXTURE_NOW_S + 300);
    assert_int_equal(fixture_text(claims, NULL, "jti").len, 26);
    assert_str(fixture_text(claims, NULL, "stage"), FIXTURE_STAGE);
    assert_str(fixture_text(claims, NULL, "pipeline"), "acme/payments");
    assert_str(fixture_text(claims, NULL, "lease"), FIXTURE_LEASE);
    assert_str(fixture_text(claims, NULL, "run"), "8817263541");
    assert_int_equal(json_object_size(claims), 11);
}

static void each_target_chooses_its_algorithm(void **state)
{
    struct remote_fixture *fixture = *state;
    struct stage_token asked = { .audience = STR(AUDIENCE), .algorithm = STAGE_TOKEN_RS256 };

    (void)claims_of(fixture, asked, "RS256");
    asked.algorithm = STAGE_TOKEN_ES256;
    (void)claims_of(fixture, asked, "ES256");
    asked.algorithm = STAGE_TOKEN_OWN;
    (void)claims_of(fixture, asked, "ES256");
}

static void no_two_have_one_id(void **state)
{
    struct remote_fixture *fixture = *state;
    struct stage_token asked = { .audience = STR(AUDIENCE) };
    const json_t *one = claims_of(fixture, asked, "ES256");
    const json_t *other = claims_of(fixture, asked, "ES256");

    assert_false(str_eq(fixture_text(one, NULL, "jti"), fixture_text(other, NULL, "jti")));
}

static void more_claims_stand_beside_ours_and_never_for_them(void **state)
{
    struct remote_fixture *fixture = *state;
    JSON_OWNED json_t *more = json_pack("{s:s, s:s, s:s}", "tag", "a", "sub", "admin", "aud", "b");
    struct stage_token asked = { .audience = STR(AUDIENCE), .claims = more };
    const json_t *claims = claims_of(fixture, asked, "ES256");

    assert_str(fixture_text(claims, NULL, "tag"), "a");
    assert_str(fixture_text(claims, NULL, "sub"), FIXTURE_STAGE);
    assert_str(fixture_text(claims, NULL, "aud"), AUDIENCE);
}

static void a_job_without_a_run_says_none(void **state)
{
    struct remote_fixture *fixture = *state;

    fixture->base.mint.run = STR("");
    assert_null(json_object_get(
        claims_of(fixture, (struct stage_token){ .audience = STR(AUDIENCE) }, "ES256"), "run"));
}

static void a_subject_may_be_the_run_s(void **state)
{
    struct remote_fixture *fixture = *state;
    struct stage_token asked = {
        .audience = STR(AUDIENCE),
        .subject = stage_token_run_subject(&fixture->base.mint),
    };

    assert_str(fixture_text(claims_of(fixture, asked, "ES256"), NULL, "sub"),
               FIXTURE_STAGE ":run:8817263541");
}

static void a_subject_has_127_bytes_at_most(void **state)
{
    static char text[128];
    struct remote_fixture *fixture = *state;
    struct stage_token asked = { .audience = STR(AUDIENCE), .subject = { text, 127 } };

    memset(text, 'a', sizeof(text));
    (void)claims_of(fixture, asked, "ES256");
    asked.subject.len = 128;
    assert_int_equal(sign_as(fixture, asked), PROGRESS_FAILED);
    assert_int_equal(fixture->base.error.code, ERROR_MINT);
}

/* A worker's job that ends when the test says so. */
struct held {
    struct worker_job job;
    pthread_mutex_t until;
    _Atomic bool is_begun;
};

static void hold(struct worker_job *job)
{
    struct held *held = (struct held *)job;

    atomic_store(&held->is_begun, true);
    pthread_mutex_lock(&held->until);
    pthread_mutex_unlock(&held->until);
}

static void workers_that_are_all_busy_are_a_failure_at_once(void **state)
{
    struct remote_fixture *fixture = *state;
    struct fixture *base = &fixture->base;
    static struct held held[9];

    for (size_t i = 0; i < COUNT(held); i++) {
        held[i].job.run = hold;
        pthread_mutex_init(&held[i].until, NULL);
        pthread_mutex_lock(&held[i].until);
    }
    for (size_t i = 0; i < COUNT(held); i++) {
        assert_true(workers_submit(base->tools.workers, &held[i].job, &base->error));
        for (int64_t end_ms = clock_monotonic_ms() + PATIENCE_MS;
             i == 0 && !atomic_load(&held[0].is_begun);)
            assert_true(clock_monotonic_ms() < end_ms); /* until the first is begun */
    }
    assert_int_equal(sign_as(fixture, (struct stage_token){ .audience = STR(AUDIENCE),
                                                            .algorithm = STAGE_TOKEN_RS256 }),
                     PROGRESS_FAILED);
    assert_int_equal(base->error.code, ERROR_MINT);
    for (size_t i = 0; i < COUNT(held); i++)
        pthread_mutex_unlock(&held[i].until);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_says_who_asks_whom_and_for_how_long),
        TEST(each_target_chooses_its_algorithm),
        TEST(no_two_have_one_id),
        TEST(more_claims_stand_beside_ours_and_never_for_them),
        TEST(a_job_without_a_run_says_none),
        TEST(a_subject_may_be_the_run_s),
        TEST(a_subject_has_127_bytes_at_most),
        TEST(workers_that_are_all_busy_are_a_failure_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
