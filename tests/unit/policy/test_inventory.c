#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "policy/inventory.h"
#include "policy/policy.h"
#include "tests/test.h"
#include "world.h"

#define ARENA_BYTES ((size_t)4 * 1024 * 1024)
#define DAY_S INT64_C(86400)
#define NOW_S (INT64_C(1764028800)) /* 2025-11-25T00:00:00Z */

static const char pipelines[] =
    "pipeline: p\nowner: o\nreview_by: 2025-11-26\n"
    "identity: { issuer: github, repository_id: \"1\" }\nstages:\n"
    "  build: { kind: build, when: { ref: a } }\n"
    "  host: { kind: deploy, environment: production, when: { ref: b }, grants: {\n"
    "    one: { ssh: { target: fleet, principals: [web] }, ttl: 10m },\n"
    "    two: { ssh: { target: fleet, principals: [db] }, ttl: 10m } } }\n"
    "  lab: { kind: test, when: { ref: c }, until: 2025-11-27, grants: {\n"
    "    one: { ssh: { target: bare-host, principals: [x] }, ttl: 10m } } }\n";

static const struct inventory_use uses[] = {
    { .stage = STR_INIT("p:host"), .grant = STR_INIT(""), .count = 9, .last_s = NOW_S },
    { .stage = STR_INIT("p:host"),
      .target = STR_INIT("fleet"),
      .grant = STR_INIT("gone"),
      .owner = STR_INIT("before"),
      .environment = STR_INIT("production"),
      .count = 1,
      .first_s = NOW_S - 100 * DAY_S,
      .last_s = NOW_S - 100 * DAY_S },
    { .stage = STR_INIT("p:host"),
      .target = STR_INIT("fleet"),
      .grant = STR_INIT("one"),
      .owner = STR_INIT("before"),
      .count = 3,
      .failed = 2,
      .first_s = NOW_S - 9 * DAY_S,
      .last_s = NOW_S - 2 * DAY_S },
    { .stage = STR_INIT("q:old"),
      .target = STR_INIT("bare-host"),
      .grant = STR_INIT("one"),
      .tenant = STR_INIT("t"),
      .count = 1,
      .first_s = NOW_S - DAY_S,
      .last_s = NOW_S - DAY_S },
};

static struct policy *load(void)
{
    struct policy *policy;
    char folder[64];

    world_make_folder(folder);
    world_write(folder, "p.yaml", pipelines);
    policy = world_load(folder);
    world_remove(folder);
    return policy;
}

static const char *const may_names[] = {
    [INVENTORY_MAY_UNKNOWN] = "unknown",
    [INVENTORY_MAY] = "yes",
    [INVENTORY_MAY_CLOSED] = "closed",
    [INVENTORY_MAY_NOT] = "no",
};

/* "p:host fleet one yes 3; ...", with `u` for unused, `o` for overdue, and what closes it. */
static void write_rows(const struct inventory_row *rows, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        const struct inventory_row *row = &rows[i];

        buf_printf(out, "%s" STR_FMT " " STR_FMT " " STR_FMT " %s %d%s%s", i > 0 ? "; " : "",
                   STR_ARG(row->stage), STR_ARG(row->target), STR_ARG(row->grant),
                   may_names[row->may], row->use ? (int)row->use->count : 0,
                   row->is_unused ? " u" : "", row->is_overdue ? " o" : "");
        for (size_t k = 0; k < row->closed_count; k++)
            buf_printf(out, " -" STR_FMT, STR_ARG(row->closed[k]));
    }
}

static void assert_rows(struct inventory_question question, const char *expected)
{
    OWNED(policy_unref) struct policy *policy = load();
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_BYTES);
    OWNED(buf_release) struct buf found = { 0 };
    struct inventory_row *rows = NULL;
    struct error error = { 0 };
    size_t count = 0;

    question.policy = policy;
    question.uses = uses;
    question.use_count = COUNT(uses);
    buf_init(&found, 4096);
    if (!inventory_make(&question, arena, &rows, &count, &error))
        fail_msg("%s", error.cause);
    write_rows(rows, count, &found);
    assert_string_equal(found.len > 0 ? found.data : "", expected);
}

static void may_and_does_stand_side_by_side(void **state)
{
    (void)state;
    assert_rows((struct inventory_question){ .at_s = NOW_S },
                "p:host fleet gone no 1; p:host fleet one yes 3; p:host fleet two yes 0; "
                "p:lab bare-host one yes 0; q:old bare-host one no 1");
}

static void what_is_closed_then_and_overdue_is_said(void **state)
{
    (void)state;
    assert_rows((struct inventory_question){ .at_s = NOW_S + 3 * DAY_S, .pipeline = STR("p") },
                "p:host fleet one yes 3 o; p:host fleet two yes 0 o; "
                "p:lab bare-host one closed 0 o -until");
}

static void what_may_but_was_not_used_is_found(void **state)
{
    struct inventory_question question = { .at_s = NOW_S, .unused_since_s = NOW_S - DAY_S };

    (void)state;
    question.only_unused = true;
    assert_rows(question, "p:host fleet one yes 3 u; p:host fleet two yes 0 u; "
                          "p:lab bare-host one yes 0 u");
    question.unused_since_s = NOW_S - 3 * DAY_S;
    assert_rows(question, "p:host fleet two yes 0 u; p:lab bare-host one yes 0 u");
    question.only_unused = false;
    question.target = STR("bare-host");
    assert_rows(question, "p:lab bare-host one yes 0 u; q:old bare-host one no 1");
}

static bool is_of_t(struct str tenant, struct str owner, void *context)
{
    (void)owner;
    (void)context;
    return str_eq(tenant, STR("t"));
}

static void a_question_narrows(void **state)
{
    (void)state;
    assert_rows((struct inventory_question){ .at_s = NOW_S, .environment = STR("production") },
                "p:host fleet gone no 1; p:host fleet one yes 3; p:host fleet two yes 0");
    /* Whose it is says the policy where it gives it, else the ledger. */
    assert_rows((struct inventory_question){ .at_s = NOW_S, .owner = STR("before") },
                "p:host fleet gone no 1");
    assert_rows((struct inventory_question){ .at_s = NOW_S, .stage = STR("p:lab") },
                "p:lab bare-host one yes 0");
    assert_rows((struct inventory_question){ .at_s = NOW_S, .tenant = STR("t") },
                "q:old bare-host one no 1");
    assert_rows((struct inventory_question){ .at_s = NOW_S, .may_see = is_of_t },
                "q:old bare-host one no 1");
    assert_rows((struct inventory_question){ .at_s = NOW_S, .target = STR("nowhere") }, "");
}

static void without_a_policy_there_is_what_was_done(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_BYTES);
    struct inventory_question question = { .uses = uses, .use_count = COUNT(uses), .at_s = NOW_S };
    struct inventory_row *rows = NULL;
    struct error error = { 0 };
    size_t count = 0;

    (void)state;
    assert_true(inventory_make(&question, arena, &rows, &count, &error));
    assert_int_equal(count, 3);
    assert_int_equal(rows[0].may, INVENTORY_MAY_UNKNOWN);
}

static void as_json_it_says_what_is_known(void **state)
{
    OWNED(policy_unref) struct policy *policy = load();
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_BYTES);
    struct inventory_question question = {
        .policy = policy,
        .uses = uses,
        .use_count = COUNT(uses),
        .at_s = NOW_S + 3 * DAY_S,
        .unused_since_s = NOW_S,
    };
    struct inventory_row *rows = NULL;
    struct error error = { 0 };
    size_t count = 0;
    JSON_OWNED json_t *used = NULL;
    JSON_OWNED json_t *closed = NULL;

    (void)state;
    assert_true(inventory_make(&question, arena, &rows, &count, &error));
    used = inventory_json(&rows[1]);
    closed = inventory_json(&rows[3]);
    assert_string_equal(
        json_text(arena, used).data,
        "{\"environment\":\"production\",\"failed\":2,\"first_used\":\"2025-11-16T00:00:00Z\","
        "\"grant\":\"one\",\"kind\":\"deploy\",\"last_used\":\"2025-11-23T00:00:00Z\","
        "\"may\":\"yes\",\"overdue\":true,\"owner\":\"o\",\"pipeline\":\"p\","
        "\"review_by\":\"2025-11-26T00:00:00Z\",\"stage\":\"p:host\",\"target\":\"fleet\","
        "\"ttl_s\":600,\"type\":\"ssh\",\"unused\":true,\"used\":3}");
    assert_string_equal(
        json_text(arena, closed).data,
        "{\"closed\":[\"until\"],\"grant\":\"one\",\"kind\":\"test\",\"may\":\"closed\","
        "\"overdue\":true,\"owner\":\"o\",\"pipeline\":\"p\","
        "\"review_by\":\"2025-11-26T00:00:00Z\",\"stage\":\"p:lab\",\"target\":\"bare-host\","
        "\"ttl_s\":600,\"type\":\"ssh\",\"until\":\"2025-11-27T00:00:00Z\",\"unused\":true,"
        "\"used\":0}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(may_and_does_stand_side_by_side),
        cmocka_unit_test(what_is_closed_then_and_overdue_is_said),
        cmocka_unit_test(what_may_but_was_not_used_is_found),
        cmocka_unit_test(a_question_narrows),
        cmocka_unit_test(without_a_policy_there_is_what_was_done),
        cmocka_unit_test(as_json_it_says_what_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
