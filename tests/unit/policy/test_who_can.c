#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "policy/policy.h"
#include "policy/who_can.h"
#include "tests/test.h"
#include "world.h"

#define ARENA_BYTES ((size_t)4 * 1024 * 1024)
#define DAY_S INT64_C(86400)
#define START_S (INT64_C(1764028800)) /* 2025-11-25T00:00:00Z */

static const char pipelines[] =
    "pipeline: p\nowner: o\nreview_by: 2025-11-20\n"
    "identity: { issuer: github, repository_id: \"1\" }\nstages:\n"
    "  build: { kind: build, when: { ref: a } }\n"
    "  host: { kind: deploy, environment: production, when: { ref: b }, grants: {\n"
    "    one: { ssh: { target: fleet, principals: [web, \"pr-x\"] }, ttl: 10m },\n"
    "    two: { ssh: { target: fleet, principals: [root] }, ttl: 10m } } }\n"
    "  lab: { kind: test, when: { ref: { like: \"c{pr}\" } }, grants: {\n"
    "    one: { ssh: { target: bare-host, principals: [\"pr-${pr}\"] }, ttl: 10m } } }\n";

static const char guardrails[] =
    "guardrails:\n"
    "  freeze: [ { name: closed, for: { environment: production }, from: 2025-11-25,"
    " to: 2025-11-26 } ]\n"
    "  require: [ { name: reviewed, for: { environment: production }, review_by: { grace: 2d } } "
    "]\n";

static struct policy *load(void)
{
    struct policy *policy;
    char text[4096];
    char folder[64];

    (void)snprintf(text, sizeof(text), "%s", pipelines);
    world_make_folder(folder);
    world_write(folder, "p.yaml", text);
    world_write(folder, "g.yaml", guardrails);
    policy = world_load(folder);
    world_remove(folder);
    return policy;
}

static const struct policy_grant_kind *kind(const char *name)
{
    for (size_t i = 0; i < test_world.kind_count; i++)
        if (strcmp(test_world.kinds[i]->name, name) == 0)
            return test_world.kinds[i];
    fail_msg("there is no kind %s", name);
    return NULL;
}

/* "host: one two?; lab: one": stages with their grants; `?`: it may. */
static void write_found(const struct who_stage *stages, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "%s" STR_FMT, i > 0 ? "; " : "", STR_ARG(stages[i].stage->name));
        for (size_t k = 0; k < stages[i].grant_count; k++)
            buf_printf(out, "%s" STR_FMT "%s", k > 0 ? " " : ": ",
                       STR_ARG(stages[i].grants[k].grant->name),
                       stages[i].grants[k].is_certain ? "" : "?");
        for (size_t k = 0; k < stages[i].closed_count; k++)
            buf_printf(out, " -" STR_FMT, STR_ARG(stages[i].closed[k]));
    }
}

static void assert_can(const struct who_question *question, const char *expected)
{
    OWNED(policy_unref) struct policy *policy = load();
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_BYTES);
    OWNED(buf_release) struct buf found = { 0 };
    struct who_stage *stages;
    struct error error = { 0 };
    size_t count;

    if (!policy_who_can(policy, question, arena, &stages, &count, &error))
        fail_msg("%s", error.cause);
    buf_init(&found, 4096);
    write_found(stages, count, &found);
    if (strcmp(found.data == NULL ? "" : found.data, expected) != 0)
        fail_msg("'%s', not '%s'", found.data == NULL ? "" : found.data, expected);
}

static void without_a_question_all_stages_can(void **state)
{
    (void)state;
    assert_can(&(struct who_question){ 0 }, "build; host: one two; lab: one");
}

static void each_part_of_a_question_must_be_met(void **state)
{
    (void)state;
    assert_can(&(struct who_question){ .environment = STR("production") }, "host: one two");
    assert_can(&(struct who_question){ .environment = STR("prod") }, "");
    assert_can(&(struct who_question){ .target = STR("fleet") }, "host: one two");
    assert_can(&(struct who_question){ .target = STR("bare-host") }, "lab: one");
    assert_can(&(struct who_question){ .target = STR("prod-aws") }, "");
    assert_can(&(struct who_question){ .kind = kind("ssh") }, "host: one two; lab: one");
    assert_can(&(struct who_question){ .kind = kind("jwt") }, "");
    assert_can(
        &(struct who_question){ .environment = STR("production"), .target = STR("bare-host") }, "");
    assert_can(&(struct who_question){ .issuer = STR("github") }, "build; host: one two; lab: one");
    assert_can(&(struct who_question){ .issuer = STR("gitlab") }, "");
    assert_can(&(struct who_question){ .pipeline = STR("p"), .target = STR("fleet") },
               "host: one two");
    assert_can(&(struct who_question){ .pipeline = STR("q") }, "");
}

static void names_are_read_in_the_matching_of_their_kind(void **state)
{
    static const struct {
        const char *name;
        const char *expected;
    } rows[] = {
        { "root", "host: two" },
        { "web", "host: one" },
        { "*", "host: one two; lab: one" },
        { "pr-*", "host: one; lab: one" },
        { "pr-7", "lab: one" },
        { "ROOT", "" },
        { "r?ot", "" },
        { "ro", "" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_can(&(struct who_question){ .kind = kind("ssh"), .name = str_from(rows[i].name) },
                   rows[i].expected);
}

static void a_name_that_is_no_pattern_is_refused(void **state)
{
    OWNED(policy_unref) struct policy *policy = load();
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_BYTES);
    static char text[4096];
    const struct who_question question = { .kind = kind("ssh"), .name = { text, sizeof(text) } };
    struct who_stage *stages;
    struct error error = { 0 };
    size_t count;

    (void)state;
    memset(text, 'a', sizeof(text));
    assert_false(policy_who_can(policy, &question, arena, &stages, &count, &error));
    assert_int_equal(error.code, ERROR_USAGE);
}

static void what_is_closed_at_a_time_says_by_what(void **state)
{
    static const struct {
        int64_t at_s;
        const char *expected;
    } rows[] = {
        { START_S - 3 * DAY_S - 1, "host: one two" },
        { START_S - 3 * DAY_S, "host: one two -review_by" },
        { START_S - 1, "host: one two -review_by" },
        { START_S, "host: one two -review_by -closed" },
        { START_S + DAY_S - 1, "host: one two -review_by -closed" },
        { START_S + DAY_S, "host: one two -review_by" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_can(&(struct who_question){ .environment = STR("production"),
                                           .has_time = true,
                                           .at_s = rows[i].at_s },
                   rows[i].expected);
}

static void a_stage_is_closed_out_of_its_hours_and_after_its_end(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_BYTES);
    OWNED(policy_unref) struct policy *policy = world_load_text(
        "pipeline: p\nowner: o\nidentity: { issuer: github, repository_id: \"1\" }\nstages:\n"
        "  s: { kind: build, when: { ref: a }, until: 2025-11-29,\n"
        "    during: \"Mon..Fri 08:00-18:00 UTC\" }\n");
    static const struct {
        int64_t at_s;
        const char *expected;
    } rows[] = {
        { START_S + 8 * 3600, "s" }, /* a Tuesday */
        { START_S + 8 * 3600 - 1, "s -during" },
        { START_S + 18 * 3600, "s -during" },
        { START_S + 4 * DAY_S + 8 * 3600, "s -until -during" },
        { START_S + 6 * DAY_S + 8 * 3600, "s -until" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct who_question question = { .has_time = true, .at_s = rows[i].at_s };
        OWNED(buf_release) struct buf found = { 0 };
        struct who_stage *stages;
        struct error error = { 0 };
        size_t count;

        assert_true(policy_who_can(policy, &question, arena, &stages, &count, &error));
        buf_init(&found, 4096);
        write_found(stages, count, &found);
        assert_string_equal(found.data, rows[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_question_all_stages_can),
        cmocka_unit_test(each_part_of_a_question_must_be_met),
        cmocka_unit_test(names_are_read_in_the_matching_of_their_kind),
        cmocka_unit_test(a_name_that_is_no_pattern_is_refused),
        cmocka_unit_test(what_is_closed_at_a_time_says_by_what),
        cmocka_unit_test(a_stage_is_closed_out_of_its_hours_and_after_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
