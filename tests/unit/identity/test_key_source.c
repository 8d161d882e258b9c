#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "identity/identity.h"
#include "identity/profile.h"
#include "keys/jose.h"
#include "tests/test.h"
#include "tests/unit/identity/ci_issuer.h"
#include "tests/unit/identity/key_world.h"
#include "tests/unit/identity/signer.h"
#include "upstream/upstream.h"

/* Key sets over the network: when they are fetched, from where, and what happens when they are not.
 */

/* Fetching. */

static void keys_are_fetched_once_when_first_needed(void **state)
{
    struct world world;

    (void)state;
    world_open(&world);
    assert_int_equal(ci_issuer_connections(world.ci), 0);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(verify_a(&world), ERROR_NONE);
    assert_int_equal(ci_issuer_discoveries(world.ci), 1);
    assert_int_equal(ci_issuer_key_fetches(world.ci), 1);
    assert_null(identity_degraded(world.identity));
    world_close(&world);
}

static void an_unknown_issuer_causes_no_request(void **state)
{
    struct world world;
    struct attempt attempt;

    (void)state;
    world_open(&world);
    attempt_open(&attempt, token_of(key_a, HEADER_A, "https://other.example"));
    assert_int_equal(enter(&attempt, world.identity), PROGRESS_FAILED);
    assert_int_equal(attempt.error.code, ERROR_TOKEN);
    assert_int_equal(ci_issuer_connections(world.ci), 0);
    attempt_close(&attempt);
    world_close(&world);
}

static void a_token_of_another_algorithm_causes_no_request(void **state)
{
    struct world world;
    struct attempt attempt;

    (void)state;
    world_open(&world);
    attempt_open(&attempt,
                 token_of(key_a, "{\"alg\":\"HS256\",\"kid\":\"a\"}", ci_issuer_url(world.ci)));
    assert_int_equal(enter(&attempt, world.identity), PROGRESS_FAILED);
    assert_int_equal(attempt.error.code, ERROR_TOKEN);
    assert_int_equal(ci_issuer_connections(world.ci), 0);
    attempt_close(&attempt);
    world_close(&world);
}

static void a_slash_behind_the_issuer_is_not_doubled(void **state)
{
    struct world world;
    char url[PEER_URL_MAX];
    struct attempt attempt;
    struct ci_script script = { 0 };

    (void)state;
    world_open(&world);
    ci_issuer_url_as(world.ci, "http://127.0.0.1", "/", url);
    script.issuer = url;
    ci_issuer_play(world.ci, &script);
    identity_unref(world.identity);
    world.issuer.url = str_from(url);
    world.identity = identity_of(&world.issuer, 1, world.upstream, NULL);
    attempt_open(&attempt, token_of(key_a, HEADER_A, url));
    assert_int_equal(finish(&attempt, world.identity), PROGRESS_DONE);
    attempt_close(&attempt);
    world_close(&world);
}

/* Unknown keys. */

static void a_new_key_is_fetched_once_the_last_fetch_is_10_s_ago(void **state)
{
    const struct ci_script rotated = { .jwks = jwks_b };
    struct world world;

    (void)state;
    world_open(&world);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    ci_issuer_play(world.ci, &rotated);
    clock_test_advance(9);
    assert_int_equal(verify(&world, key_b, HEADER_B), ERROR_TOKEN);
    assert_int_equal(ci_issuer_key_fetches(world.ci), 1);
    clock_test_advance(1);
    assert_int_equal(verify(&world, key_b, HEADER_B), ERROR_NONE);
    assert_int_equal(ci_issuer_key_fetches(world.ci), 2);
    assert_int_equal(verify_a(&world), ERROR_TOKEN);
    world_close(&world);
}

static void strangers_keys_cause_one_request_in_10_s(void **state)
{
    struct world world;
    unsigned entered = 0;

    (void)state;
    world_open(&world);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    clock_test_advance(10);
    assert_int_equal(verify_counting(&world, key_b, HEADER_B, &entered), ERROR_TOKEN);
    assert_int_equal(entered, 2);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(verify_counting(&world, key_b, HEADER_B, &entered), ERROR_TOKEN);
        assert_int_equal(entered, 1);
    }
    assert_int_equal(ci_issuer_key_fetches(world.ci), 2);
    world_close(&world);
}

static void a_bad_signature_causes_no_request(void **state)
{
    struct world world;

    (void)state;
    world_open(&world);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    clock_test_advance(20);
    assert_int_equal(verify(&world, key_b, HEADER_A), ERROR_TOKEN);
    assert_int_equal(ci_issuer_key_fetches(world.ci), 1);
    world_close(&world);
}

/* Life of a set. */

struct life_row {
    const char *headers;
    int64_t lifetime_s;
};

static const struct life_row lives[] = {
    { "", 300 },
    { "Cache-Control: max-age=100\r\n", 100 },
    { "Cache-Control: max-age=0\r\n", 30 },
    { "Cache-Control: no-store\r\n", 30 },
    { "Cache-Control: max-age=29\r\n", 30 },
    { "Cache-Control: max-age=600\r\n", 600 },
    { "Cache-Control: max-age=601\r\n", 600 },
    { "Cache-Control: max-age=31536000\r\n", 600 },
};

static void a_set_is_refreshed_in_the_last_fifth_of_its_life(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(lives); i++) {
        const struct ci_script script = { .headers = lives[i].headers };
        struct world world;
        unsigned entered = 0;

        world_open(&world);
        ci_issuer_play(world.ci, &script);
        assert_int_equal(verify_a(&world), ERROR_NONE);
        clock_test_advance(lives[i].lifetime_s / 5 * 4 - 2);
        assert_int_equal(verify_a(&world), ERROR_NONE);
        assert_int_equal(ci_issuer_key_fetches(world.ci), 1);
        clock_test_advance(2);
        assert_int_equal(verify_counting(&world, key_a, HEADER_A, &entered), ERROR_NONE);
        assert_int_equal(entered, 1); /* served meanwhile */
        await(ci_issuer_key_fetches, world.ci, 2);
        world_close(&world);
    }
}

static void a_set_whose_life_is_over_is_waited_for(void **state)
{
    const struct ci_script rotated = { .jwks = jwks_b };
    struct world world;
    unsigned entered = 0;

    (void)state;
    world_open(&world);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    ci_issuer_play(world.ci, &rotated);
    clock_test_advance(300);
    assert_int_equal(verify_counting(&world, key_a, HEADER_A, &entered), ERROR_TOKEN);
    assert_int_equal(entered, 2);
    world_close(&world);
}

static const struct ci_script failures[] = {
    { .discovery_status = 500 },
    { .discovery_status = 302 },
    { .discovery_status = 404 },
    { .keys_status = 500 },
    { .keys_status = 302 },
    { .keys_status = 204 },
    { .discovery = "" },
    { .discovery = "[]" },
    { .discovery = "<html>" },
    { .discovery = "{}" },
    { .issuer = "http://127.0.0.1" },
    { .issuer = "https://evil.example" },
    { .keys_url = "" },
    { .keys_url = "/jwks" },
    { .keys_url = "http://127.0.0.1:1/jwks" },
    { .keys_url = "https://evil.example/jwks" },
    { .keys_url = "http://localhost/jwks" },
    { .keys_url = "file:///etc/passwd" },
    { .keys_url = "gopher://127.0.0.1/" },
    { .filler_bytes = (size_t)512 * 1024 },
    { .jwks = "" },
    { .jwks = "{\"keys\":[]}" },
    { .jwks = "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"AAAA\"}]}" },
    { .jwks = "[]" },
};

static void without_a_whole_valid_answer_there_are_no_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(failures); i++) {
        struct world world;
        enum error_code code;

        world_open(&world);
        ci_issuer_play(world.ci, &failures[i]);
        code = verify_a(&world);
        if (code != ERROR_KEYS_UNAVAILABLE)
            fail_msg("script %zu: code %d", i, code);
        assert_string_equal(identity_degraded(world.identity), "ci");
        world_close(&world);
    }
}

static void a_failed_fetch_keeps_the_keys_that_are_there(void **state)
{
    struct world world;

    (void)state;
    world_open(&world);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    for (size_t i = 0; i < COUNT(failures); i++) {
        ci_issuer_play(world.ci, &failures[i]);
        clock_test_advance(10);
        assert_int_equal(verify(&world, key_b, HEADER_B), ERROR_KEYS_UNAVAILABLE);
        assert_int_equal(verify_a(&world), ERROR_NONE);
    }
    world_close(&world);
}

static void old_keys_serve_for_an_hour_after_their_life(void **state)
{
    const struct ci_script broken = { .discovery_status = 500 };
    const struct ci_script whole = { 0 };
    struct identity_health health = { 0 };
    struct identity_health after = { 0 };
    struct world world;

    (void)state;
    world_open(&world);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    ci_issuer_play(world.ci, &broken);
    clock_test_advance(300);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    assert_string_equal(identity_degraded(world.identity), "ci");
    clock_test_advance(3590);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    await_degraded(world.identity, true);
    identity_measure(world.identity, &health);
    assert_int_equal(health.failing, 1);
    assert_true(health.longest_s >= 3590 && health.longest_s < 3800);
    clock_test_advance(10);
    assert_int_equal(verify_a(&world), ERROR_KEYS_UNAVAILABLE);
    ci_issuer_play(world.ci, &whole);
    clock_test_advance(1);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    assert_null(identity_degraded(world.identity));
    identity_measure(world.identity, &after);
    assert_int_equal(after.failing, 0);
    assert_int_equal(after.longest_s, 0);
    world_close(&world);
}

/* A fetch that failed long before is no reason to serve what is over without asking. */
static void keys_whose_life_is_over_are_asked_for_although_a_fetch_failed_before(void **state)
{
    const struct ci_script broken = { .discovery_status = 500 };
    const struct ci_script rotated = { .jwks = jwks_b };
    struct world world;
    unsigned entered = 0;

    (void)state;
    world_open(&world);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    ci_issuer_play(world.ci, &broken);
    clock_test_advance(10);
    assert_int_equal(verify(&world, key_b, HEADER_B), ERROR_KEYS_UNAVAILABLE);
    ci_issuer_play(world.ci, &rotated);
    clock_test_advance(300);
    assert_int_equal(verify_counting(&world, key_a, HEADER_A, &entered), ERROR_TOKEN);
    assert_int_equal(entered, 2);
    world_close(&world);
}

/* Its refresh failed just before: nobody is turned away until the next one may start. */
static void a_refresh_that_failed_at_the_end_of_their_life_lets_keys_serve(void **state)
{
    const struct ci_script broken = { .discovery_status = 500 };
    struct world world;

    (void)state;
    world_open(&world);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    ci_issuer_play(world.ci, &broken);
    clock_test_advance(299);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    await_degraded(world.identity, true);
    clock_test_advance(1);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    assert_int_equal(ci_issuer_discoveries(world.ci), 2);
    world_close(&world);
}

static void a_key_that_is_refused_does_not_keep_an_old_set_in_force(void **state)
{
    const struct ci_script broken = { .discovery_status = 500 };
    struct signer *other = signer_new(SIGNER_EC_P256);
    char *jwks = signer_jwks(other, "a");
    const struct ci_script changed = { .jwks = jwks };
    const char *header = "{\"alg\":\"ES256\",\"kid\":\"a\"}";
    struct world world;

    (void)state;
    world_open(&world);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    ci_issuer_play(world.ci, &broken);
    clock_test_advance(300);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    ci_issuer_play(world.ci, &changed);
    clock_test_advance(10);
    assert_int_equal(verify(&world, other, header), ERROR_TOKEN);
    await(ci_issuer_key_fetches, world.ci, 2);
    await_degraded(world.identity, false);
    assert_int_equal(verify(&world, other, header), ERROR_NONE);
    world_close(&world);
    free(jwks);
    signer_free(other);
}

static void a_dead_issuer_is_asked_once_a_second_for_its_first_keys(void **state)
{
    const struct ci_script broken = { .discovery_status = 500 };
    struct world world;

    (void)state;
    world_open(&world);
    ci_issuer_play(world.ci, &broken);
    assert_int_equal(verify_a(&world), ERROR_KEYS_UNAVAILABLE);
    assert_int_equal(verify_a(&world), ERROR_KEYS_UNAVAILABLE);
    assert_int_equal(ci_issuer_discoveries(world.ci), 1);
    clock_test_advance(1);
    assert_int_equal(verify_a(&world), ERROR_KEYS_UNAVAILABLE);
    assert_int_equal(ci_issuer_discoveries(world.ci), 2);
    world_close(&world);
}

/* Where keys may be. */

static void keys_on_a_host_that_is_configured_are_fetched(void **state)
{
    struct world world;
    char keys_url[PEER_URL_MAX];
    char host[PEER_URL_MAX];
    struct str hosts[2] = { STR("other.example") };
    struct ci_script script = { .keys_url = keys_url };

    (void)state;
    world_open(&world);
    ci_issuer_url_as(world.ci, "http://localhost", "/jwks", keys_url);
    hosts[1] = str_from(ci_issuer_url_as(world.ci, "localhost", "", host));
    ci_issuer_play(world.ci, &script);
    assert_int_equal(verify_a(&world), ERROR_KEYS_UNAVAILABLE);
    identity_unref(world.identity);
    world.issuer.key_hosts = hosts;
    world.issuer.key_host_count = 2;
    world.identity = identity_of(&world.issuer, 1, world.upstream, NULL);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    world_close(&world);
}

static void an_issuer_on_an_address_that_is_not_public_is_not_asked(void **state)
{
    static const char *const hosts[] = { "https://127.0.0.1", "https://localhost", "https://127.1",
                                         "https://[::1]" };
    struct world world;

    (void)state;
    world_open(&world);
    for (size_t i = 0; i < COUNT(hosts); i++) {
        char url[PEER_URL_MAX];
        struct attempt attempt;

        ci_issuer_url_as(world.ci, hosts[i], "", url);
        identity_unref(world.identity);
        world.issuer = issuer_at("ci", url);
        world.issuer.may_use_http = false;
        world.identity = identity_of(&world.issuer, 1, world.upstream, NULL);
        attempt_open(&attempt, token_of(key_a, HEADER_A, url));
        assert_int_equal(finish(&attempt, world.identity), PROGRESS_FAILED);
        assert_int_equal(attempt.error.code, ERROR_KEYS_UNAVAILABLE);
        attempt_close(&attempt);
    }
    assert_int_equal(ci_issuer_connections(world.ci), 0);
    world_close(&world);
}

/* Many at once. */

static void an_issuer_that_hangs_delays_no_other(void **state)
{
    const struct ci_script hanging = { .is_hanging = true };
    struct world world;
    struct ci_issuer *slow = ci_issuer_start(jwks_b);
    struct issuer_options both[2];
    struct attempt waiting;

    (void)state;
    world_open(&world);
    ci_issuer_play(slow, &hanging);
    both[0] = issuer_at("slow", ci_issuer_url(slow));
    both[1] = world.issuer;
    identity_unref(world.identity);
    world.identity = identity_of(both, 2, world.upstream, NULL);
    attempt_open(&waiting, token_of(key_b, HEADER_B, ci_issuer_url(slow)));
    assert_int_equal(enter(&waiting, world.identity), PROGRESS_WAIT);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    assert_int_equal(waiting.wake_count, 0);
    ci_issuer_play(slow, &(struct ci_script){ 0 });
    ci_issuer_release(slow);
    assert_true(is_woken(&waiting, 1));
    assert_int_equal(enter(&waiting, world.identity), PROGRESS_DONE);
    attempt_close(&waiting);
    world_close(&world);
    ci_issuer_stop(slow);
}

static void a_forgotten_waker_is_not_called(void **state)
{
    const struct ci_script hanging = { .is_hanging = true };
    struct world world;
    struct attempt gone;
    struct attempt waiting;

    (void)state;
    world_open(&world);
    ci_issuer_play(world.ci, &hanging);
    attempt_open(&gone, token_of(key_a, HEADER_A, ci_issuer_url(world.ci)));
    attempt_open(&waiting, token_of(key_a, HEADER_A, ci_issuer_url(world.ci)));
    assert_int_equal(enter(&gone, world.identity), PROGRESS_WAIT);
    assert_int_equal(enter(&waiting, world.identity), PROGRESS_WAIT);
    assert_true(identity_forget(world.identity, &gone));
    assert_false(identity_forget(world.identity, &gone));
    ci_issuer_play(world.ci, &(struct ci_script){ 0 });
    ci_issuer_release(world.ci);
    assert_true(is_woken(&waiting, 1));
    assert_int_equal(enter(&waiting, world.identity), PROGRESS_DONE);
    assert_int_equal(gone.wake_count, 0);
    assert_false(identity_forget(world.identity, &waiting));
    attempt_close(&gone);
    attempt_close(&waiting);
    world_close(&world);
}

static void stopping_wakes_those_that_wait(void **state)
{
    const struct ci_script hanging = { .is_hanging = true };
    struct world world;
    struct attempt waiting;

    (void)state;
    world_open(&world);
    ci_issuer_play(world.ci, &hanging);
    attempt_open(&waiting, token_of(key_a, HEADER_A, ci_issuer_url(world.ci)));
    assert_int_equal(enter(&waiting, world.identity), PROGRESS_WAIT);
    upstream_stop(world.upstream);
    world.upstream = NULL;
    assert_int_equal(waiting.wake_count, 1);
    assert_int_equal(enter(&waiting, world.identity), PROGRESS_FAILED);
    assert_int_equal(waiting.error.code, ERROR_KEYS_UNAVAILABLE);
    attempt_close(&waiting);
    world_close(&world);
}

#define THREADS 8
#define ROUNDS 50

static void *verify_often(void *context)
{
    struct world *world = context;

    for (size_t i = 0; i < ROUNDS; i++) {
        struct attempt attempt;
        enum progress progress;

        attempt_open(&attempt, token_of(key_a, HEADER_A, ci_issuer_url(world->ci)));
        progress = finish(&attempt, world->identity);
        attempt_close(&attempt);
        if (progress != PROGRESS_DONE)
            return world;
    }
    return NULL;
}

static void many_at_once_cause_one_fetch(void **state)
{
    struct world world;
    pthread_t threads[THREADS];

    (void)state;
    world_open(&world);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, verify_often, &world), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *failed = NULL;

        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(ci_issuer_discoveries(world.ci), 1);
    assert_int_equal(ci_issuer_key_fetches(world.ci), 1);
    world_close(&world);
}

static void sets_are_replaced_while_they_are_used(void **state)
{
    struct world world;
    pthread_t threads[THREADS];

    (void)state;
    world_open(&world);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, verify_often, &world), 0);
    for (size_t i = 0; i < 5; i++) {
        clock_test_advance(10);
        assert_int_equal(verify(&world, key_b, HEADER_B), ERROR_TOKEN);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *failed = NULL;

        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_true(ci_issuer_key_fetches(world.ci) >= 5);
    world_close(&world);
}

/* Reload. */

static void a_reload_keeps_the_keys_of_an_issuer_that_stayed(void **state)
{
    struct world world;
    struct issuer_options again;
    struct identity *next;

    (void)state;
    world_open(&world);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    again = world.issuer;
    again.max_age_s = 60;
    next = identity_of(&again, 1, world.upstream, world.identity);
    identity_unref(world.identity);
    world.identity = next;
    assert_int_equal(verify_a(&world), ERROR_NONE);
    assert_int_equal(ci_issuer_discoveries(world.ci), 1);
    world_close(&world);
}

static void a_reload_fetches_anew_where_the_issuer_changed(void **state)
{
    static struct str hosts[] = { { "other.example", 13 } };
    struct network network = { 0 };
    struct world world;
    struct issuer_options changed[4];

    (void)state;
    world_open(&world);
    assert_true(network_parse(STR("127.0.0.0/8"), &network));
    for (size_t i = 0; i < COUNT(changed); i++)
        changed[i] = world.issuer;
    changed[0].key_hosts = hosts;
    changed[0].key_host_count = 1;
    changed[1].networks = &network;
    changed[1].network_count = 1;
    changed[2].ca_file = "/dev/null";
    changed[3].algorithms = JOSE_EDDSA;
    for (size_t i = 0; i < COUNT(changed); i++) {
        struct identity *next = identity_of(&changed[i], 1, world.upstream, world.identity);

        identity_unref(world.identity);
        world.identity = next;
        assert_int_equal(verify_a(&world), ERROR_NONE);
        assert_int_equal(ci_issuer_discoveries(world.ci), i + 1);
    }
    world_close(&world);
}

static void a_fetch_outlives_the_identity_that_started_it(void **state)
{
    const struct ci_script hanging = { .is_hanging = true };
    struct world world;
    struct attempt waiting;

    (void)state;
    world_open(&world);
    ci_issuer_play(world.ci, &hanging);
    attempt_open(&waiting, token_of(key_a, HEADER_A, ci_issuer_url(world.ci)));
    assert_int_equal(enter(&waiting, world.identity), PROGRESS_WAIT);
    assert_true(identity_forget(world.identity, &waiting));
    identity_unref(world.identity);
    world.identity = NULL;
    attempt_close(&waiting);
    world_close(&world);
}

/* Static sets. */

static const char *write_set(char path[64], const char *text)
{
    int fd;

    (void)snprintf(path, 64, "/tmp/stagepass-jwks-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
    return path;
}

static void a_set_in_a_file_is_used_without_any_request(void **state)
{
    struct world world;
    char path[64];

    (void)state;
    world_open(&world);
    identity_unref(world.identity);
    world.issuer.jwks_file = write_set(path, jwks_a);
    world.identity = identity_of(&world.issuer, 1, world.upstream, NULL);
    assert_int_equal(unlink(path), 0);
    clock_test_advance(86400);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    assert_int_equal(verify(&world, key_b, HEADER_B), ERROR_TOKEN);
    assert_int_equal(ci_issuer_connections(world.ci), 0);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_fetched_once_when_first_needed),
        cmocka_unit_test(an_unknown_issuer_causes_no_request),
        cmocka_unit_test(a_token_of_another_algorithm_causes_no_request),
        cmocka_unit_test(a_slash_behind_the_issuer_is_not_doubled),
        cmocka_unit_test(a_new_key_is_fetched_once_the_last_fetch_is_10_s_ago),
        cmocka_unit_test(strangers_keys_cause_one_request_in_10_s),
        cmocka_unit_test(a_bad_signature_causes_no_request),
        cmocka_unit_test(a_set_is_refreshed_in_the_last_fifth_of_its_life),
        cmocka_unit_test(a_set_whose_life_is_over_is_waited_for),
        cmocka_unit_test(without_a_whole_valid_answer_there_are_no_keys),
        cmocka_unit_test(a_failed_fetch_keeps_the_keys_that_are_there),
        cmocka_unit_test(old_keys_serve_for_an_hour_after_their_life),
        cmocka_unit_test(keys_whose_life_is_over_are_asked_for_although_a_fetch_failed_before),
        cmocka_unit_test(a_refresh_that_failed_at_the_end_of_their_life_lets_keys_serve),
        cmocka_unit_test(a_key_that_is_refused_does_not_keep_an_old_set_in_force),
        cmocka_unit_test(a_dead_issuer_is_asked_once_a_second_for_its_first_keys),
        cmocka_unit_test(keys_on_a_host_that_is_configured_are_fetched),
        cmocka_unit_test(an_issuer_on_an_address_that_is_not_public_is_not_asked),
        cmocka_unit_test(an_issuer_that_hangs_delays_no_other),
        cmocka_unit_test(a_forgotten_waker_is_not_called),
        cmocka_unit_test(stopping_wakes_those_that_wait),
        cmocka_unit_test(many_at_once_cause_one_fetch),
        cmocka_unit_test(sets_are_replaced_while_they_are_used),
        cmocka_unit_test(a_reload_keeps_the_keys_of_an_issuer_that_stayed),
        cmocka_unit_test(a_reload_fetches_anew_where_the_issuer_changed),
        cmocka_unit_test(a_fetch_outlives_the_identity_that_started_it),
        cmocka_unit_test(a_set_in_a_file_is_used_without_any_request),
    };

    return cmocka_run_group_tests(tests, key_world_set_up, key_world_tear_down);
}
