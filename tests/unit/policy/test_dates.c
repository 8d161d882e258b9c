#include "base/error.h"
#include "policy/dates.h"
#include "policy/policy.h"
#include "tests/test.h"
#include "world.h"

#define DAY_S INT64_C(86400)
#define NOW_S (INT64_C(1764028800)) /* 2025-11-25T00:00:00Z */

static const char pipelines[] =
    "pipeline: p\nowner: o\nreview_by: 2025-11-26\n"
    "identity: { issuer: github, repository_id: \"1\" }\nstages:\n"
    "  build: { kind: build, when: { ref: a } }\n"
    "  lab: { kind: test, when: { ref: c }, until: 2025-11-28, grants: {\n"
    "    one: { ssh: { target: bare-host, principals: [x] }, until: 2025-11-27, ttl: 10m },\n"
    "    two: { ssh: { target: bare-host, principals: [y] }, ttl: 10m } } }\n";

static const char other[] = "pipeline: q\nowner: o\nreview_by: 2025-11-01\n"
                            "identity: { issuer: github, repository_id: \"2\" }\nstages:\n"
                            "  build: { kind: build, when: { ref: a }, until: 2025-11-02 }\n";

static const char guardrails[] =
    "guardrails:\n"
    "  require:\n"
    "    - { name: reviewed, for: { kind: test }, when: { ci.ref: other } }\n"
    "  exceptions:\n"
    "    - { from: reviewed, pipeline: p, stage: lab, until: 2025-12-20, why: \"SEC-1\" }\n";

static struct policy *load(void)
{
    struct policy *policy;
    char folder[64];

    world_make_folder(folder);
    world_write(folder, "p.yaml", pipelines);
    world_write(folder, "q.yaml", other);
    world_write(folder, "g.yaml", guardrails);
    policy = world_load(folder);
    return policy;
}

static size_t dates_of(const struct policy *policy, const char *stage, int64_t days,
                       struct policy_date dates[POLICY_DATES_MAX])
{
    const struct policy_stage *found = policy_stage_find(policy, str_from(stage));

    assert_non_null(found);
    return policy_stage_dates(policy, found, NOW_S, NOW_S + days * DAY_S, dates);
}

static void each_kind_of_date_is_told(void **state)
{
    OWNED(policy_unref) struct policy *policy = load();
    struct policy_date dates[POLICY_DATES_MAX];

    (void)state;
    assert_int_equal(dates_of(policy, "p:lab", 30, dates), 4);
    assert_string_equal(policy_date_kind_name(dates[0].kind), "review_by");
    assert_int_equal(dates[0].at_s, NOW_S + DAY_S);
    assert_string_equal(policy_date_kind_name(dates[1].kind), "until");
    assert_int_equal(dates[1].at_s, NOW_S + 3 * DAY_S);
    assert_string_equal(policy_date_kind_name(dates[2].kind), "grant_until");
    assert_true(str_eq(dates[2].name, STR("one")));
    assert_string_equal(policy_date_kind_name(dates[3].kind), "exception");
    assert_true(str_eq(dates[3].name, STR("reviewed")));
    assert_int_equal(dates_of(policy, "p:build", 30, dates), 1);
}

static void what_lies_behind_the_time_is_not_told(void **state)
{
    OWNED(policy_unref) struct policy *policy = load();
    struct policy_date dates[POLICY_DATES_MAX];

    (void)state;
    assert_int_equal(dates_of(policy, "p:lab", 1, dates), 0); /* the very second is not before */
    assert_int_equal(dates_of(policy, "p:lab", 2, dates), 1);
    assert_int_equal(dates_of(policy, "p:lab", 3, dates), 2);
    assert_int_equal(dates_of(policy, "p:lab", 25, dates), 3);
    assert_int_equal(dates_of(policy, "p:lab", 26, dates), 4);
}

static void a_review_stays_due_and_what_is_over_is_over(void **state)
{
    OWNED(policy_unref) struct policy *policy = load();
    struct policy_date dates[POLICY_DATES_MAX];

    (void)state;
    assert_int_equal(dates_of(policy, "q:build", 30, dates), 1);
    assert_int_equal(dates[0].kind, POLICY_DATE_REVIEW);
    assert_true(dates[0].at_s < NOW_S);
}

static void the_first_of_each_kind_is_found(void **state)
{
    OWNED(policy_unref) struct policy *policy = load();
    int64_t first_s[POLICY_DATE_KINDS];

    (void)state;
    policy_first_dates(policy, NOW_S, first_s);
    assert_int_equal(first_s[POLICY_DATE_REVIEW], NOW_S - 24 * DAY_S);
    assert_int_equal(first_s[POLICY_DATE_UNTIL], NOW_S + 3 * DAY_S);
    assert_int_equal(first_s[POLICY_DATE_GRANT], NOW_S + 2 * DAY_S);
    assert_int_equal(first_s[POLICY_DATE_EXCEPTION], NOW_S + 25 * DAY_S);
    policy_first_dates(policy, NOW_S + 100 * DAY_S, first_s);
    assert_int_equal(first_s[POLICY_DATE_REVIEW], NOW_S - 24 * DAY_S);
    assert_int_equal(first_s[POLICY_DATE_UNTIL], 0);
    assert_int_equal(first_s[POLICY_DATE_GRANT], 0);
    assert_int_equal(first_s[POLICY_DATE_EXCEPTION], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_date_is_told),
        cmocka_unit_test(what_lies_behind_the_time_is_not_told),
        cmocka_unit_test(a_review_stays_due_and_what_is_over_is_over),
        cmocka_unit_test(the_first_of_each_kind_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
