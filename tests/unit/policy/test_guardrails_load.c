#include <stdio.h>
#include <string.h>

#include "guarding.h"
#include "policy/pattern.h"
#include "policy/policy_internal.h"
#include "tests/test.h"
#include "world.h"

/* Guardrails at load, as far as it depends on the time, on several files, and on loads before. */

/* ---- principals ---- */

/* Principals over a small alphabet, with holes: compared in order, and each with each. */
static size_t random_principal(uint64_t *seed, char *out)
{
    static const char *const pieces[] = { "a", "b", "-", "${x}" };
    size_t used = 0;
    bool was_hole = true;

    for (size_t i = 0; i < 4; i++) {
        size_t choice;

        *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        choice = (size_t)(*seed >> 33) % (was_hole ? 3 : 4);
        was_hole = choice == 3;
        used += (size_t)snprintf(out + used, 64 - used, "%s", pieces[choice]);
        if (((*seed >> 40) & 1) == 0)
            break;
    }
    return used;
}

#define STAGES 5

static bool any_meets(struct arena *arena, char names[STAGES][64], const bool *in_staging)
{
    struct pattern patterns[STAGES];
    const char *problem;

    for (size_t i = 0; i < STAGES; i++)
        assert_true(pattern_compile(arena_printf(arena, "%s@ca", names[i]), POLICY_MATCHING_GLOB,
                                    arena, &patterns[i], &problem));
    for (size_t i = 0; i < STAGES; i++)
        for (size_t k = 0; k < i; k++)
            if (in_staging[i] != in_staging[k] && pattern_meets(&patterns[i], &patterns[k]))
                return true;
    return false;
}

static void principals_are_compared_as_if_each_with_each(void **state)
{
    struct guarded *guarded = *state;
    uint64_t seed = 20261122;
    size_t met = 0;

    world_write(guarded->folder, "guardrails.yaml",
                "guardrails: { separate: [ { name: own, principals: true } ] }\n");
    for (size_t run = 0; run < 400; run++) {
        OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
        OWNED(buf_release) struct buf text = { 0 };
        char names[STAGES][64];
        bool in_staging[STAGES];
        bool is_met;

        buf_init(&text, 65536);
        buf_add_text(&text, "pipeline: p\ntenant: payments\nowner: me\n"
                            "identity: { issuer: github, repository_id: \"1\" }\nstages:\n");
        for (size_t i = 0; i < STAGES; i++) {
            (void)random_principal(&seed, names[i]);
            in_staging[i] = ((seed >> 50) & 1) != 0;
            buf_printf(&text,
                       "  s%zu: { kind: deploy, environment: %s, when: { ref: { like: "
                       "\"refs/{x}\" } }, grants: { g: { ssh: { target: %s, principals: [\"%s\"] "
                       "} } } }\n",
                       i, in_staging[i] ? "staging" : "production", in_staging[i] ? "lab" : "fleet",
                       names[i]);
        }
        world_write(guarded->folder, "p.yaml", text.data);
        is_met = any_meets(arena, names, in_staging);
        met += is_met;
        if (guard_load(guarded) == is_met)
            fail_msg("%s: %s", text.data, guarded->said.data);
    }
    assert_in_range(met, 100, 300);
}

#define GIVING(name, where, target)                                                                \
    "  " name ": { kind: deploy, environment: " where ", grants: { g: { ssh: { target: " target    \
    ", principals: [a] } } } }\n"

/* The one with an exception comes first: the others are held against each other all the same. */
static void an_excepted_stage_does_not_stand_for_the_others(void **state)
{
    struct guarded *guarded = *state;

    world_write(guarded->folder, "p.yaml",
                "pipeline: p\ntenant: payments\nowner: me\n"
                "identity: { issuer: github, repository_id: \"1\" }\nstages:\n" GIVING(
                    "a", "production", "fleet") GIVING("b", "staging", "lab")
                    GIVING("c", "production", "fleet"));
    world_write(
        guarded->folder, "guardrails.yaml",
        "guardrails:\n  separate: [ { name: own, principals: true } ]\n"
        "  exceptions: [ { from: own, pipeline: p, stage: a, until: 2026-12-01, why: x } ]\n");
    guard_refuses(guarded, "p.yaml:8:57: error: the principal 'a@ca' is given here and by 'p:b'");
    assert_int_equal(guarded->diagnostics.error_count, 1);
}

static void a_name_too_long_to_compare_counts_as_everything(void **state)
{
    static const size_t lens[] = { PATTERN_LEN_MAX, PATTERN_LEN_MAX + 1 };
    struct guarded *guarded = *state;

    world_write(guarded->folder, "guardrails.yaml",
                "guardrails: { forbid: [ { name: no-root, ssh: root } ] }\n");
    for (size_t i = 0; i < COUNT(lens); i++) {
        char *name = arena_alloc(guarded->arena, lens[i] + 1);

        assert_non_null(name);
        memset(name, 'a', lens[i]);
        world_write(guarded->folder, "p.yaml",
                    arena_printf(guarded->arena,
                                 HEAD
                                 "  deploy: { kind: deploy, environment: production, grants: { "
                                 "g: { ssh: { target: fleet, principals: [%s] } } } }\n",
                                 name)
                        .data);
        if (i == 0)
            guard_loads(guarded);
        else
            guard_refuses(guarded, "'g' cannot say what it gives, so it counts as everything");
    }
}

/* A principal of 2000 bytes against so many patterns of 2000: neither start nor end is told apart.
 */
static void write_long_names(struct guarded *guarded, size_t count)
{
    OWNED(buf_release) struct buf text = { 0 };
    char name[2001];

    buf_init(&text, (size_t)4 * 1024 * 1024);
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    buf_add_text(&text, "guardrails: { forbid: [ { name: no-root, ssh: [");
    for (size_t i = 0; i < count; i++)
        buf_printf(&text, "\"*b%zu%.1900s*\", ", i, name);
    buf_add_text(&text, "root] } ] }\n");
    assert_true(buf_is_ok(&text));
    world_write(guarded->folder, "guardrails.yaml", text.data);
    world_write(guarded->folder, "p.yaml",
                arena_printf(guarded->arena,
                             HEAD "  deploy: { kind: deploy, environment: production, grants: { "
                                  "g: { ssh: { target: fleet, principals: [%s] } } } }\n",
                             name)
                    .data);
}

static void names_that_take_too_long_to_compare_are_refused(void **state)
{
    struct guarded *guarded = *state;

    write_long_names(guarded, 4);
    guard_loads(guarded);
    write_long_names(guarded, 40);
    guard_refuses(guarded, "p.yaml:5:62: error: what this stage gives takes too long to compare "
                           "with guardrail 'no-root'");
    guard_says(guarded, "hint: give fewer names, or let them start with literal text");
}

/* ---- exceptions and the time ---- */

#define TTL                                                                                        \
    "guardrails:\n  ttl: { deploy: 5m }\n  exceptions: [ { from: ttl, pipeline: p, stage: "        \
    "deploy, until: %s, why: SEC-431 } ]\n"

static bool load_until(struct guarded *guarded, const char *until, int64_t now_s)
{
    char text[512];

    (void)snprintf(text, sizeof(text), TTL, until);
    world_write(guarded->folder, "guardrails.yaml", text);
    world_write(guarded->folder, "p.yaml", HEAD DEPLOY);
    return guard_load_at(guarded, now_s);
}

static void an_exception_lasts_180_days_at_most(void **state)
{
    struct guarded *guarded = *state;

    /* 180 days after the 22nd of November are on the 21st of May. */
    assert_true(load_until(guarded, "\"2027-05-21T10:00:00Z\"", guard_seconds(NOW)));
    assert_int_equal(guarded->diagnostics.count, 0);
    assert_false(load_until(guarded, "\"2027-05-21T10:00:01Z\"", guard_seconds(NOW)));
    guard_says(guarded, "guardrails.yaml:3:17: error: an exception lasts 180 days at most");
    assert_true(load_until(guarded, "\"2099-05-21T10:00:01Z\"", 0));
}

static void an_exception_that_is_over_is_a_warning_and_excuses_nothing(void **state)
{
    struct guarded *guarded = *state;

    assert_true(load_until(guarded, "\"2026-11-22T10:00:01Z\"", guard_seconds(NOW)));
    assert_int_equal(guarded->diagnostics.count, 0);
    assert_true(load_until(guarded, "\"2026-11-22T10:00:00Z\"", guard_seconds(NOW)));
    assert_int_equal(guarded->diagnostics.count, 2);
    guard_says(guarded, "guardrails.yaml:3:17: warning: this exception is over: its guardrail "
                        "binds the stage again [exception-over]");
    guard_says(guarded, "p.yaml:9:15: warning: the ttl of 'host' is 600 s");
    guard_denies(guarded, (struct asking){ .claims = MAIN }, "ttl");
}

static void exceptions_are_listed_those_that_are_over_too(void **state)
{
    struct guarded *guarded = *state;
    const struct policy_exception *exceptions;
    size_t count;

    world_write(guarded->folder, "p.yaml", HEAD BUILD DEPLOY);
    world_write(guarded->folder, "guardrails.yaml",
                "guardrails:\n  ttl: { deploy: 5m, build: 5m }\n  exceptions:\n"
                "    - { from: ttl, pipeline: p, stage: deploy, until: 2026-12-31, why: SEC-431 }\n"
                "    - { from: ttl, pipeline: p, stage: build, until: 2026-01-31, why: old }\n");
    guard_loads(guarded);
    exceptions = policy_exceptions(guarded->policy, &count);
    assert_int_equal(count, 2);
    assert_true(str_eq(exceptions[0].guardrail, STR("ttl")));
    assert_true(str_eq(exceptions[0].pipeline, STR("p")));
    assert_true(str_eq(exceptions[0].stage, STR("deploy")));
    assert_true(str_eq(exceptions[0].why, STR("SEC-431")));
    assert_int_equal(exceptions[0].until_s, guard_seconds("2026-12-31"));
    assert_int_equal(exceptions[0].at.line, 4);
    assert_true(str_eq(exceptions[1].stage, STR("build")));
}

/* ---- several files, reloads, hashes ---- */

static void mistakes_elsewhere_do_not_make_exceptions_wrong(void **state)
{
    struct guarded *guarded = *state;

    world_write(guarded->folder, "guardrails.yaml",
                "guardrails:\n  ttl: { deploy: 5m }\n  exceptions: [ { from: ttl, pipeline: q, "
                "stage: deploy, until: 2026-12-31, why: x } ]\n");
    world_write(guarded->folder, "p.yaml", HEAD BUILD);
    world_write(guarded->folder, "q.yaml", "pipeline: q\n");
    assert_false(guard_load(guarded));
    if (strstr(guarded->said.data, "an exception of a pipeline") != NULL)
        fail_msg("%s", guarded->said.data);
}

static void a_changed_guardrail_is_held_against_files_that_were_taken_over(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(guarded, "  forbid: [ { name: a, ssh: root } ]", DEPLOY);
    guard_loads(guarded);
    assert_int_equal(policy_parsed_count(guarded->policy), 0);
    world_write(guarded->folder, "guardrails.yaml",
                "guardrails: { forbid: [ { name: a, ssh: admin } ] }\n");
    guard_loads(guarded);
    assert_int_equal(policy_parsed_count(guarded->policy), 1);
    world_write(guarded->folder, "guardrails.yaml",
                "guardrails: { forbid: [ { name: a, ssh: deploy } ] }\n");
    guard_refuses(guarded, "p.yaml:9:15: error: 'host' gives 'deploy': guardrail 'a' forbids");
}

static void warnings_are_said_at_every_load(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(guarded, "  forbid: [ { name: a, mode: warn, ssh: deploy } ]", DEPLOY);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(guarded->diagnostics.count, 1);
        guard_loads(guarded);
    }
    assert_int_equal(policy_parsed_count(guarded->policy), 0);
}

static void an_exception_that_ends_between_two_loads_is_seen(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(guarded, "  forbid: [ { name: a, ssh: deploy } ]" EXCEPT("a"), DEPLOY);
    assert_int_equal(guarded->diagnostics.count, 0);
    assert_true(guard_load_at(guarded, guard_seconds(AFTER)));
    assert_int_equal(policy_parsed_count(guarded->policy), 0);
    assert_int_equal(guarded->diagnostics.count, 2);
}

static void rule_of(const struct guarded *guarded, const char *stage, uint8_t out[SHA256_LEN])
{
    const struct answer *answer =
        ask(guarded->policy, &(struct asking){ .claims = MAIN_PUSH, .stage = stage });

    assert_non_null(answer->decision.rule_sha256);
    memcpy(out, answer->decision.rule_sha256, SHA256_LEN);
}

static void the_rules_hash_covers_the_guardrails_that_bind_the_pipeline(void **state)
{
    static const char *const others[] = {
        "  ttl: { deploy: 31m }",
        "  ttl: { deploy: 30m }\n  freeze: [ { name: f, from: 2020-01-01, to: 2020-01-02 } ]",
        "  ttl: { deploy: 30m }" EXCEPT("ttl"),
        "  ttl: [ { name: x, deploy: 30m } ]",
    };
    struct guarded *guarded = *state;
    uint8_t without[SHA256_LEN];
    uint8_t with[SHA256_LEN];
    uint8_t other[SHA256_LEN];

    guard_prepare(
        guarded,
        "  freeze: [ { name: f, for: { kind: agent }, from: 2020-01-01, to: 2020-01-02 } ]",
        DEPLOY);
    rule_of(guarded, "deploy", without);
    guard_prepare(guarded, "  ttl: { deploy: 30m }", DEPLOY);
    rule_of(guarded, "deploy", with);
    assert_memory_not_equal(with, without, SHA256_LEN);
    for (size_t i = 0; i < COUNT(others); i++) {
        guard_prepare(guarded, others[i], DEPLOY);
        rule_of(guarded, "deploy", other);
        assert_memory_not_equal(with, other, SHA256_LEN);
    }
    guard_prepare(guarded, "  ttl: {   deploy:  30m }  # the same", DEPLOY);
    rule_of(guarded, "deploy", other);
    assert_memory_equal(with, other, SHA256_LEN);
}

static void the_rules_hash_covers_the_sets_of_guardrails(void **state)
{
    struct guarded *guarded = *state;
    uint8_t first[SHA256_LEN];
    uint8_t second[SHA256_LEN];

    world_write(guarded->folder, "sets.yaml", "sets: { s: [refs/heads/main] }\n");
    guard_prepare(guarded, "  require: [ { name: a, when: { ci.ref: { in: s } } } ]", DEPLOY);
    rule_of(guarded, "deploy", first);
    world_write(guarded->folder, "sets.yaml", "sets: { s: [refs/heads/main, refs/heads/x] }\n");
    guard_loads(guarded);
    rule_of(guarded, "deploy", second);
    assert_memory_not_equal(first, second, SHA256_LEN);
}

/* Two exceptions of the same stage until different times, and two guardrails in one file. */
static void the_rules_hash_covers_what_an_exception_says(void **state)
{
    struct guarded *guarded = *state;
    uint8_t first[SHA256_LEN];
    uint8_t second[SHA256_LEN];

    guard_prepare(
        guarded,
        "  ttl: { deploy: 30m }\n  exceptions: [ { from: ttl, pipeline: p, stage: deploy, "
        "until: 2026-12-01, why: x } ]",
        DEPLOY);
    rule_of(guarded, "deploy", first);
    guard_prepare(
        guarded,
        "  ttl: { deploy: 30m }\n  exceptions: [ { from: ttl, pipeline: p, stage: deploy, "
        "until: 2026-12-02, why: x } ]",
        DEPLOY);
    rule_of(guarded, "deploy", second);
    assert_memory_not_equal(first, second, SHA256_LEN);
}

static void the_rules_hash_leaves_out_the_sets_of_other_guardrails(void **state)
{
    struct guarded *guarded = *state;
    uint8_t first[SHA256_LEN];
    uint8_t second[SHA256_LEN];

    world_write(guarded->folder, "sets.yaml", "sets: { s: [a], m: [refs/heads/main] }\n");
    guard_prepare(guarded,
                  "  require:\n"
                  "    - { name: agents, for: { kind: agent }, when: { ci.ref: { in: s } } }\n"
                  "    - { name: all, when: { ci.ref: { in: m } } }",
                  DEPLOY);
    rule_of(guarded, "deploy", first);
    world_write(guarded->folder, "sets.yaml", "sets: { s: [b], m: [refs/heads/main] }\n");
    guard_loads(guarded);
    rule_of(guarded, "deploy", second);
    assert_memory_equal(first, second, SHA256_LEN);
}

/* ---- lines that are read again ---- */

static void a_line_is_shown_only_of_the_file_that_was_compiled(void **state)
{
    struct guarded *guarded = *state;
    struct position at = { .line = 2, .column = 1 };

    guard_prepare(guarded, "  ttl: { deploy: 30m }", DEPLOY);
    at.file = arena_printf(guarded->arena, "%s/p.yaml", guarded->folder);
    assert_true(str_eq(policy_source_line(guarded->policy, at, guarded->arena), STR("owner: me")));
    at.line = 100;
    assert_int_equal(policy_source_line(guarded->policy, at, guarded->arena).len, 0);
    at.line = 2;
    world_write(guarded->folder, "p.yaml", "pipeline: p\nowner: you\n");
    assert_int_equal(policy_source_line(guarded->policy, at, guarded->arena).len, 0);
    at.file = arena_printf(guarded->arena, "%s/q.yaml", guarded->folder);
    assert_int_equal(policy_source_line(guarded->policy, at, guarded->arena).len, 0);
}

/* ---- limits ---- */

static void write_many(struct guarded *guarded, size_t guardrails, size_t exceptions)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, (size_t)1024 * 1024);
    buf_add_text(&text, "guardrails:\n  freeze:\n");
    for (size_t i = 0; i < guardrails; i++)
        buf_printf(&text, "  - { name: f%zu, from: 2026-12-20, to: 2026-12-21 }\n", i);
    if (exceptions > 0)
        buf_add_text(&text, "  exceptions:\n");
    for (size_t i = 0; i < exceptions; i++)
        buf_printf(&text, "  - { from: f%zu, pipeline: p, stage: %s, until: 2026-12-20, why: x }\n",
                   i % 600, i < 600 ? "build" : "deploy");
    world_write(guarded->folder, "guardrails.yaml", text.data);
}

static void a_folder_has_at_most_1000_guardrails(void **state)
{
    struct guarded *guarded = *state;

    world_write(guarded->folder, "p.yaml", HEAD BUILD);
    write_many(guarded, 1000, 0);
    guard_loads(guarded);
    write_many(guarded, 1001, 0);
    guard_refuses(guarded,
                  "guardrails.yaml:1003:13: error: a folder has at most 1000 guardrails, not 1001");
    write_many(guarded, 1000, 0);
    world_write(guarded->folder, "more.yaml", "guardrails: { ttl: { build: 15m } }\n");
    guard_refuses(guarded, "more.yaml:1:15: error: a folder has at most 1000 guardrails");
}

static void a_folder_has_at_most_1000_exceptions(void **state)
{
    struct guarded *guarded = *state;

    world_write(guarded->folder, "p.yaml", HEAD BUILD DEPLOY);
    write_many(guarded, 600, 1000);
    guard_loads(guarded);
    write_many(guarded, 600, 1001);
    guard_refuses(guarded, "error: a folder has at most 1000 exceptions, not 1001");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GUARDED(principals_are_compared_as_if_each_with_each),
        GUARDED(a_name_too_long_to_compare_counts_as_everything),
        GUARDED(names_that_take_too_long_to_compare_are_refused),
        GUARDED(an_excepted_stage_does_not_stand_for_the_others),
        GUARDED(an_exception_lasts_180_days_at_most),
        GUARDED(an_exception_that_is_over_is_a_warning_and_excuses_nothing),
        GUARDED(exceptions_are_listed_those_that_are_over_too),
        GUARDED(mistakes_elsewhere_do_not_make_exceptions_wrong),
        GUARDED(a_changed_guardrail_is_held_against_files_that_were_taken_over),
        GUARDED(warnings_are_said_at_every_load),
        GUARDED(an_exception_that_ends_between_two_loads_is_seen),
        GUARDED(the_rules_hash_covers_the_guardrails_that_bind_the_pipeline),
        GUARDED(the_rules_hash_covers_the_sets_of_guardrails),
        GUARDED(a_line_is_shown_only_of_the_file_that_was_compiled),
        GUARDED(the_rules_hash_leaves_out_the_sets_of_other_guardrails),
        GUARDED(the_rules_hash_covers_what_an_exception_says),
        GUARDED(a_folder_has_at_most_1000_guardrails),
        GUARDED(a_folder_has_at_most_1000_exceptions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
