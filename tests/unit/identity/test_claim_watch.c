#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/metrics.h"
#include "identity/claim_watch_internal.h"
#include "tests/test.h"

/* What is new about an issuer's claims is told once, in bounded memory. */

static const struct claim rows[] = {
    { "iss", CLAIM_STRING, 0 },
    { "ref", CLAIM_STRING, 0 },
    { "/kubernetes.io/namespace", CLAIM_STRING, 0 },
    { "/kubernetes.io/pod", CLAIM_STRING, CLAIM_OPTIONAL },
};
static const struct claim_table table = { rows, COUNT(rows) };

/* A token with these claims, as it comes out of a verification. */
struct sample {
    struct arena *arena;
    struct verified_token verified;
};

static void sample_open(struct sample *sample, json_t *take_claims)
{
    struct error error = { 0 };

    *sample = (struct sample){ .arena = arena_new(ARENA_REQUEST_MAX) };
    assert_non_null(sample->arena);
    assert_non_null(take_claims);
    assert_true(json_keep(sample->arena, take_claims, &error));
    sample->verified.claims = take_claims;
}

static void sample_close(struct sample *sample)
{
    arena_free(sample->arena);
}

/* How many news the claims (as JSON text) are; the first of them. */
static size_t watch_text(const struct claim_watch *watch, const char *text,
                         struct claim_news *first)
{
    struct sample sample;
    size_t count;

    sample_open(&sample, json_loads(text, 0, NULL));
    claim_watch_token(watch, sample.arena, &sample.verified);
    count = sample.verified.news_count;
    *first = count > 0 ? sample.verified.news[0] : (struct claim_news){ 0 };
    first->claim = (struct str){ 0 }; /* it goes with the arena */
    sample_close(&sample);
    return count;
}

static void claims_of_the_table_are_no_news(void **state)
{
    struct claim_watch watch;
    struct claim_news first;

    (void)state;
    assert_true(claim_watch_init(&watch, &table, NULL));
    assert_int_equal(
        watch_text(&watch, "{\"iss\":\"a\",\"ref\":\"b\",\"kubernetes.io\":{}}", &first), 0);
    claim_watch_release(&watch);
}

static void a_claim_that_is_unknown_is_told_once(void **state)
{
    int64_t before = metric_get(METRIC_CLAIMS_UNKNOWN);
    struct claim_watch watch;
    struct claim_news first;

    (void)state;
    assert_true(claim_watch_init(&watch, &table, NULL));
    assert_int_equal(watch_text(&watch, "{\"iss\":\"a\",\"new\":\"b\"}", &first), 1);
    assert_int_equal(first.kind, CLAIM_NEWS_UNKNOWN);
    assert_string_equal(first.type, "string");
    assert_int_equal(watch_text(&watch, "{\"iss\":\"a\",\"new\":\"c\"}", &first), 0);
    assert_int_equal(metric_get(METRIC_CLAIMS_UNKNOWN), before + 1);
    claim_watch_release(&watch);
}

static void another_type_is_told_once_each(void **state)
{
    static const char *const texts[] = { "{\"new\":7}", "{\"new\":[1]}", "{\"new\":{}}",
                                         "{\"new\":true}", "{\"new\":1.5}" };
    struct claim_watch watch;
    struct claim_news first;

    (void)state;
    assert_true(claim_watch_init(&watch, &table, NULL));
    assert_int_equal(watch_text(&watch, "{\"new\":\"b\"}", &first), 1);
    for (size_t i = 0; i < COUNT(texts); i++) {
        assert_int_equal(watch_text(&watch, texts[i], &first), 1);
        assert_int_equal(first.kind, CLAIM_NEWS_RETYPED);
        assert_int_equal(watch_text(&watch, texts[i], &first), 0);
    }
    assert_int_equal(watch_text(&watch, "{\"new\":false}", &first), 0); /* as true */
    assert_int_equal(watch_text(&watch, "{\"new\":null}", &first), 0);  /* absent */
    claim_watch_release(&watch);
}

static void a_name_is_not_mistaken_for_a_type(void **state)
{
    struct claim_watch watch;
    struct claim_news first;

    (void)state;
    assert_true(claim_watch_init(&watch, &table, NULL));
    assert_int_equal(watch_text(&watch, "{\"astring\":1,\"a\":\"string\",\"\":\"\"}", &first), 3);
    claim_watch_release(&watch);
}

static json_t *many_claims(unsigned from, unsigned count)
{
    json_t *claims = json_object();

    for (unsigned i = from; i < from + count; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "c%u", i);
        assert_true(json_put(claims, name, json_true()));
    }
    return claims;
}

static void a_token_tells_at_most_16_and_the_next_one_more(void **state)
{
    const size_t expected[] = { 16, 1, 0 };
    struct claim_watch watch;

    (void)state;
    assert_true(claim_watch_init(&watch, &table, NULL));
    for (size_t i = 0; i < COUNT(expected); i++) {
        struct sample sample;

        sample_open(&sample, many_claims(0, 17));
        claim_watch_token(&watch, sample.arena, &sample.verified);
        assert_int_equal(sample.verified.news_count, expected[i]);
        sample_close(&sample);
    }
    claim_watch_release(&watch);
}

static void memory_is_bounded_and_its_end_is_told_once(void **state)
{
    int64_t before = metric_get(METRIC_CLAIMS_UNWATCHED);
    struct claim_watch watch;
    size_t told = 0;

    (void)state;
    assert_true(claim_watch_init(&watch, &table, NULL));
    for (unsigned i = 0; i < 2 * WATCH_MAX; i += 16) {
        struct sample sample;

        sample_open(&sample, many_claims(i, 16));
        claim_watch_token(&watch, sample.arena, &sample.verified);
        told += sample.verified.news_count;
        sample_close(&sample);
    }
    assert_int_equal(told, WATCH_MAX / 2 + 1); /* a claim takes a name and a type */
    assert_int_equal(metric_get(METRIC_CLAIMS_UNWATCHED), before + 1);
    claim_watch_release(&watch);
}

static void a_watch_holds_as_many_as_it_says_and_no_more(void **state)
{
    struct watch *watch = watch_new();

    (void)state;
    for (unsigned i = 0; i < WATCH_MAX + 2; i++) {
        char text[16];
        struct str part = { text, (size_t)snprintf(text, sizeof(text), "%u", i) };
        enum watch_sight expected = i < WATCH_MAX    ? WATCH_NEW
                                    : i == WATCH_MAX ? WATCH_FULL
                                                     : WATCH_SEEN;

        assert_int_equal(watch_note(watch, &part, 1), expected);
    }
    watch_unref(watch);
}

static void a_reload_remembers_what_was_seen(void **state)
{
    struct claim_watch before;
    struct claim_watch after;
    struct claim_news first;

    (void)state;
    assert_true(claim_watch_init(&before, &table, NULL));
    assert_int_equal(watch_text(&before, "{\"new\":\"b\"}", &first), 1);
    assert_true(claim_watch_init(&after, &table, &before));
    claim_watch_release(&before);
    assert_int_equal(watch_text(&after, "{\"new\":\"b\"}", &first), 0);
    claim_watch_release(&after);
}

static void a_workflow_is_new_once_a_stage(void **state)
{
    json_t *ci = json_pack("{s:s,s:s}", "workflow_repository", "acme/ci", "workflow_path", "a.yml");
    json_t *other =
        json_pack("{s:s,s:s}", "workflow_repository", "acme/cia", "workflow_path", ".yml");
    json_t *silent = json_pack("{s:n,s:n}", "workflow_repository", "workflow_path");
    struct claim_watch watch;

    (void)state;
    assert_true(claim_watch_init(&watch, &table, NULL));
    assert_true(claim_watch_workflow(&watch, ci, STR("acme/p:prod")));
    assert_false(claim_watch_workflow(&watch, ci, STR("acme/p:prod")));
    assert_true(claim_watch_workflow(&watch, ci, STR("acme/q:prod")));
    assert_true(claim_watch_workflow(&watch, other, STR("acme/p:prod")));
    assert_false(claim_watch_workflow(&watch, silent, STR("acme/p:prod")));
    claim_watch_release(&watch);
    json_decref(ci);
    json_decref(other);
    json_decref(silent);
}

#define THREADS 4
#define THINGS 500

static struct watch *shared;
static atomic_uint told_new;

static void *note_all(void *context)
{
    (void)context;
    for (unsigned i = 0; i < THINGS; i++) {
        char text[16];
        struct str part = { text, (size_t)snprintf(text, sizeof(text), "%u", i) };

        if (watch_note(shared, &part, 1) == WATCH_NEW)
            atomic_fetch_add(&told_new, 1);
    }
    return NULL;
}

static void of_many_threads_one_is_told(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    shared = watch_new();
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, note_all, NULL), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(told_new, THINGS);
    watch_unref(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims_of_the_table_are_no_news),
        cmocka_unit_test(a_claim_that_is_unknown_is_told_once),
        cmocka_unit_test(another_type_is_told_once_each),
        cmocka_unit_test(a_name_is_not_mistaken_for_a_type),
        cmocka_unit_test(a_token_tells_at_most_16_and_the_next_one_more),
        cmocka_unit_test(memory_is_bounded_and_its_end_is_told_once),
        cmocka_unit_test(a_watch_holds_as_many_as_it_says_and_no_more),
        cmocka_unit_test(a_reload_remembers_what_was_seen),
        cmocka_unit_test(a_workflow_is_new_once_a_stage),
        cmocka_unit_test(of_many_threads_one_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
