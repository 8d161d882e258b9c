#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "asking.h"
#include "base/buf.h"
#include "base/file.h"
#include "policy/policy_internal.h"
#include "tests/test.h"
#include "world.h"

/* What a stage says besides conditions, at the boundary second or address of each word. */

#define HEAD                                                                                       \
    "pipeline: p\nowner: me\nidentity: { issuer: github, repository_id: \"1\" }\n"                 \
    "stages:\n"
#define CLAIMS "{\"repository_id\":\"1\",\"ref\":\"refs/pull/17/merge\"}"

static int tear_down(void **state)
{
    (void)state;
    ask_release();
    return 0;
}

static struct policy *load_stage(const char *words)
{
    char text[2048];

    (void)snprintf(text, sizeof(text), HEAD "  a: { kind: build, %s }\n", words);
    return world_load_text(text);
}

static struct answer *ask_at(const struct policy *policy, const char *at)
{
    return ask(policy, &(struct asking){ .claims = CLAIMS, .at = at });
}

/* ---- during ---- */

static void a_window_is_open_to_the_second(void **state)
{
    static const struct {
        const char *during;
        const char *at;
        bool holds;
    } cases[] = {
        /* A Monday in winter; its zone is an hour ahead. */
        { "Mon..Fri 08:00-18:00 Europe/Berlin", "2026-11-23T06:59:59Z", false },
        { "Mon..Fri 08:00-18:00 Europe/Berlin", "2026-11-23T07:00:00Z", true },
        { "Mon..Fri 08:00-18:00 Europe/Berlin", "2026-11-23T16:59:59Z", true },
        { "Mon..Fri 08:00-18:00 Europe/Berlin", "2026-11-23T17:00:00Z", false },
        { "Mon..Fri 08:00-18:00 Europe/Berlin", "2026-11-20T16:59:59Z", true }, /* Friday */
        { "Mon..Fri 08:00-18:00 Europe/Berlin", "2026-11-21T12:00:00Z", false },
        { "Mon..Fri 08:00-18:00 Europe/Berlin", "2026-11-22T12:00:00Z", false },
        /* The same in summer. */
        { "Mon..Fri 08:00-18:00 Europe/Berlin", "2026-07-06T05:59:59Z", false },
        { "Mon..Fri 08:00-18:00 Europe/Berlin", "2026-07-06T06:00:00Z", true },
        { "Mon..Fri 08:00-18:00 Europe/Berlin", "2026-07-06T15:59:59Z", true },
        { "Mon..Fri 08:00-18:00 Europe/Berlin", "2026-07-06T16:00:00Z", false },
        /* A day of the week is one of the zone: Sunday night in Berlin is Monday in Auckland. */
        { "Mon 00:00-24:00 Pacific/Auckland", "2026-11-22T10:59:59Z", false },
        { "Mon 00:00-24:00 Pacific/Auckland", "2026-11-22T11:00:00Z", true },
        { "Mon 00:00-24:00 Pacific/Auckland", "2026-11-23T10:59:59Z", true },
        { "Mon 00:00-24:00 Pacific/Auckland", "2026-11-23T11:00:00Z", false },
        { "Sun 23:00-24:00 UTC", "2026-11-22T23:59:59Z", true },
        { "Sun 23:00-24:00 UTC", "2026-11-23T00:00:00Z", false },
        { "23:59-24:00 UTC", "2026-11-24T23:58:59Z", false },
        { "23:59-24:00 UTC", "2026-11-24T23:59:00Z", true },
        { "00:00-00:01 UTC", "2026-11-24T00:00:59Z", true },
        { "00:00-00:01 UTC", "2026-11-24T00:01:00Z", false },
        { "Sat,Sun 00:00-24:00 UTC", "2026-11-20T23:59:59Z", false },
        { "Sat,Sun 00:00-24:00 UTC", "2026-11-21T00:00:00Z", true },
        { "Sat,Sun 00:00-24:00 UTC", "2026-11-22T23:59:59Z", true },
        { "Sat,Sun 00:00-24:00 UTC", "2026-11-23T00:00:00Z", false },
        /* Over midnight it belongs to the day on which it begins. */
        { "Fri 22:00-06:00 UTC", "2026-11-20T21:59:59Z", false },
        { "Fri 22:00-06:00 UTC", "2026-11-20T22:00:00Z", true },
        { "Fri 22:00-06:00 UTC", "2026-11-21T05:59:59Z", true },
        { "Fri 22:00-06:00 UTC", "2026-11-21T06:00:00Z", false },
        { "Fri 22:00-06:00 UTC", "2026-11-20T05:59:59Z", false }, /* Thursday's would be */
        { "Sun 22:00-06:00 UTC", "2026-11-23T05:59:59Z", true },  /* the week turns */
        { "Mon 22:00-06:00 UTC", "2026-11-23T05:59:59Z", false },
        /* Clocks go forward from 02:00 to 03:00: the hour between is in no day's window. */
        { "Sun 02:00-03:00 Europe/Berlin", "2026-03-29T00:59:59Z", false },
        { "Sun 02:00-03:00 Europe/Berlin", "2026-03-29T01:00:00Z", false },
        { "Sun 01:00-02:30 Europe/Berlin", "2026-03-29T00:59:59Z", true },
        { "Sun 01:00-02:30 Europe/Berlin", "2026-03-29T01:00:00Z", false },
        { "Sun 02:30-04:00 Europe/Berlin", "2026-03-29T01:00:00Z", true },
        { "Sun 02:30-04:00 Europe/Berlin", "2026-03-29T02:00:00Z", false },
        /* Clocks go back from 03:00 to 02:00: the hour comes twice, and so does its window. */
        { "Sun 02:00-03:00 Europe/Berlin", "2026-10-24T23:59:59Z", false },
        { "Sun 02:00-03:00 Europe/Berlin", "2026-10-25T00:00:00Z", true },
        { "Sun 02:00-03:00 Europe/Berlin", "2026-10-25T00:59:59Z", true },
        { "Sun 02:00-03:00 Europe/Berlin", "2026-10-25T01:00:00Z", true },
        { "Sun 02:00-03:00 Europe/Berlin", "2026-10-25T01:59:59Z", true },
        { "Sun 02:00-03:00 Europe/Berlin", "2026-10-25T02:00:00Z", false },
        { "Sun 02:30-02:45 Europe/Berlin", "2026-10-25T00:50:00Z", false },
        { "Sun 02:30-02:45 Europe/Berlin", "2026-10-25T01:40:00Z", true },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        OWNED(policy_unref) struct policy *policy = NULL;
        const struct answer *answer;
        char words[128];

        (void)snprintf(words, sizeof(words), "during: \"%s\"", cases[i].during);
        policy = load_stage(words);
        answer = ask_at(policy, cases[i].at);
        if (answer->is_allowed != cases[i].holds ||
            strcmp(failed_names(answer), cases[i].holds ? "" : "during") != 0)
            fail_msg("%s at %s: %s", cases[i].during, cases[i].at, failed_names(answer));
    }
}

static void one_of_several_windows_is_enough(void **state)
{
    OWNED(policy_unref) struct policy *policy =
        load_stage("during: [\"Mon 08:00-09:00 UTC\", \"Tue 08:00-09:00 UTC\"]");

    (void)state;
    assert_true(ask_at(policy, "2026-11-23T08:30:00Z")->is_allowed);
    assert_true(ask_at(policy, "2026-11-24T08:30:00Z")->is_allowed);
    assert_false(ask_at(policy, "2026-11-25T08:30:00Z")->is_allowed);
}

static struct answer *renew_at(const struct policy *policy, const char *at)
{
    return ask(policy, &(struct asking){ .claims = CLAIMS, .at = at, .is_renewal = true });
}

static void what_began_in_time_may_go_on_after_it(void **state)
{
    OWNED(policy_unref) struct policy *policy = load_stage("during: \"Mon 08:00-09:00 UTC\"");

    (void)state;
    assert_true(renew_at(policy, "2026-11-23T08:30:00Z")->is_allowed);
    assert_true(renew_at(policy, "2026-11-23T09:00:00Z")->is_allowed);
    assert_false(ask_at(policy, "2026-11-23T09:00:00Z")->is_allowed);
}

/* Of all that bounds a stage a renewal leaves out `during` and nothing else. */
static void all_else_holds_for_a_renewal_too(void **state)
{
    static const struct {
        const char *words;
        const char *failed;
    } cases[] = {
        { "during: \"Mon 08:00-09:00 UTC\", when: { ref: refs/heads/main }", "ref" },
        { "during: \"Mon 08:00-09:00 UTC\", unless: { ref: { like: \"refs/pull/*/merge\" } }",
          "ref" },
        { "until: 2026-11-23", "until" },
        { "proof: [dpop]", "proof" },
        { "from: [192.0.2.0/24]", "from" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        OWNED(policy_unref) struct policy *policy = load_stage(cases[i].words);
        const struct answer *answer = renew_at(policy, "2026-11-24T12:00:00Z");

        assert_false(answer->is_allowed);
        assert_string_equal(failed_names(answer), cases[i].failed);
    }
}

static void a_grant_that_is_over_is_not_renewed(void **state)
{
    OWNED(policy_unref) struct policy *policy = load_stage(
        "during: \"Mon 08:00-09:00 UTC\", grants: { a: { jwt: { audience: \"https://a.example\" }, "
        "until: 2026-11-24 } }");

    (void)state;
    assert_true(renew_at(policy, "2026-11-23T23:59:59Z")->is_allowed);
    assert_false(renew_at(policy, "2026-11-24T00:00:00Z")->is_allowed);
}

static bool holds_at(const struct policy *policy, int64_t time_s)
{
    const struct policy_stage_rule *stage = policy_rule_of(policy_stage_at(policy, 0));

    return policy_during_holds(stage, time_s);
}

static void any_time_is_inside_or_outside(void **state)
{
    OWNED(policy_unref) struct policy *all = load_stage("during: \"00:00-24:00 Europe/Berlin\"");
    OWNED(policy_unref) struct policy *week =
        load_stage("during: [\"Mon..Wed 00:00-12:00 UTC\", \"Mon..Wed 12:00-24:00 UTC\","
                   " \"Thu 00:00-24:00 UTC\", \"Fri..Sun 06:00-24:00 UTC\", "
                   "\"Fri..Sun 00:00-06:00 UTC\"]");
    static const int64_t times[] = { INT64_MIN + 1, -1, 0, INT64_MAX };

    (void)state;
    for (size_t i = 0; i < COUNT(times); i++) {
        assert_true(holds_at(all, times[i]));
        assert_true(holds_at(week, times[i]));
    }
    for (int64_t time_s = -1000000; time_s < 1000000; time_s += 599)
        assert_true(holds_at(week, time_s));
}

static void without_a_time_no_window_is_shut(void **state)
{
    OWNED(policy_unref) struct policy *policy = load_stage("during: \"Mon 00:00-00:01 UTC\"");
    const struct policy_facts facts = { .issuer = STR("github") };
    const struct policy_stage_rule *stage = policy_rule_of(policy_stage_at(policy, 0));
    const struct policy_linked *linked = policy_linked_of(policy, &stage->shown);

    (void)state;
    assert_true(policy_stage_holds(linked, stage, &facts, POLICY_NO_TIME, NULL));
    assert_false(policy_stage_holds(linked, stage, &facts, 0, NULL));
}

static void a_window_is_written_as_it_was_read(void **state)
{
    static const char *const windows[] = {
        "Mon..Fri 08:00-18:00 Europe/Berlin",
        "Sat..Sun 00:00-24:00 UTC",
        "22:00-06:00 America/New_York",
        "Mon,Wed..Thu,Sun 09:05-10:00 Etc/GMT+12",
        "Sun 00:00-00:01 UTC",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(windows); i++) {
        OWNED(policy_unref) struct policy *policy = NULL;
        OWNED(buf_release) struct buf out = { 0 };
        char words[128];

        (void)snprintf(words, sizeof(words), "during: \"%s\"", windows[i]);
        policy = load_stage(words);
        buf_init(&out, 256);
        policy_window_describe(&policy_rule_of(policy_stage_at(policy, 0))->during[0], &out);
        if (!str_eq(buf_str(&out), str_from(windows[i])))
            fail_msg("%s: " STR_FMT, windows[i], STR_ARG(buf_str(&out)));
    }
}

/* ---- zones of a load ---- */

static struct policy *load_with(const char *folder, const char *zones, const struct policy *before)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
    struct diagnostics diagnostics;
    const struct policy_load_options options = { .folder = folder,
                                                 .world = &test_world,
                                                 .diagnostics = &diagnostics,
                                                 .zone_folder = zones,
                                                 .previous = before };
    struct policy *policy = NULL;
    struct error error = { 0 };

    diagnostics_init(&diagnostics, arena);
    return policy_load(&options, &policy, &error) ? policy : NULL;
}

/* Copy a zone of the system into a folder under another name. */
static void copy_zone(const char *folder, const char *from, const char *to)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)256 * 1024);
    struct error error = { 0 };
    struct str bytes = { 0 };

    assert_true(file_read(arena, file_join(arena, TIME_ZONE_FOLDER, from), TIME_ZONE_BYTES_MAX,
                          &bytes, &error));
    assert_true(file_replace(file_join(arena, folder, to), bytes, 0644, &error));
}

static const struct time_zone *zone_of(const struct policy *policy, size_t stage)
{
    return policy_rule_of(policy_stage_at(policy, stage))->during[0].zone;
}

static void a_zone_is_read_once_for_all_files_of_a_load(void **state)
{
    static const char text[] =
        "pipeline: %c\nowner: me\nidentity: { issuer: github, repository_id: \"1\" }\n"
        "stages: { a: { kind: build, during: [\"08:00-09:00 Home\", \"10:00-11:00 Home\"] } }\n";
    OWNED(policy_unref) struct policy *policy = NULL;
    char policies[64];
    char zones[64];

    (void)state;
    world_make_folder(policies);
    world_make_folder(zones);
    copy_zone(zones, "Europe/Berlin", "Home");
    for (int name = 'a'; name <= 'c'; name++) {
        char file[16];
        char content[512];

        (void)snprintf(file, sizeof(file), "%c.yaml", name);
        (void)snprintf(content, sizeof(content), text, name);
        world_write(policies, file, content);
    }
    policy = load_with(policies, zones, NULL);
    assert_non_null(policy);
    assert_ptr_equal(zone_of(policy, 0), zone_of(policy, 1));
    assert_ptr_equal(zone_of(policy, 0), zone_of(policy, 2));
    world_remove(policies);
    world_remove(zones);
}

static void a_zone_that_changed_is_read_again_and_one_that_is_gone_is_a_mistake(void **state)
{
    OWNED(policy_unref) struct policy *first = NULL;
    OWNED(policy_unref) struct policy *same = NULL;
    OWNED(policy_unref) struct policy *changed = NULL;
    char policies[64];
    char zones[64];
    char path[128];

    (void)state;
    world_make_folder(policies);
    world_make_folder(zones);
    copy_zone(zones, "Europe/Berlin", "Home");
    world_write(policies, "p.yaml", HEAD "  a: { kind: build, during: \"08:00-09:00 Home\" }\n");
    first = load_with(policies, zones, NULL);
    assert_non_null(first);
    assert_int_equal(policy_parsed_count(first), 1);
    same = load_with(policies, zones, first);
    assert_non_null(same);
    assert_int_equal(policy_parsed_count(same), 0);
    copy_zone(zones, "America/New_York", "Home");
    changed = load_with(policies, zones, same);
    assert_non_null(changed);
    assert_int_equal(policy_parsed_count(changed), 1);
    assert_int_equal(time_zone_offset_s(zone_of(changed, 0), 0), -5 * 3600);
    (void)snprintf(path, sizeof(path), "%s/Home", zones);
    assert_int_equal(unlink(path), 0);
    assert_null(load_with(policies, zones, changed));
    world_write(zones, "Home", "TZif, or so it says");
    assert_null(load_with(policies, zones, changed));
    policy_unref(first);
    first = NULL;
    assert_int_equal(time_zone_offset_s(zone_of(same, 0), 0), 3600); /* it has its own hold */
    world_remove(policies);
    world_remove(zones);
}

static void more_zones_than_are_kept_are_read_all_the_same(void **state)
{
    static struct policy_zones cache;
    char zones[64];

    (void)state;
    world_make_folder(zones);
    cache.folder = zones;
    for (int i = 0; i < POLICY_ZONES_MAX + 2; i++) {
        OWNED(time_zone_unref) struct time_zone *zone = NULL;
        OWNED(time_zone_unref) struct time_zone *again = NULL;
        struct error error = { 0 };
        char path[128];
        char name[16];

        (void)snprintf(name, sizeof(name), "Z%d", i);
        (void)snprintf(path, sizeof(path), "%s/%s", zones, name);
        assert_int_equal(symlink(TIME_ZONE_FOLDER "/Etc/UTC", path), 0);
        assert_true(policy_zones_find(&cache, str_from(name), &zone, &error));
        assert_true(policy_zones_find(&cache, str_from(name), &again, &error));
        assert_int_equal(zone == again, i < POLICY_ZONES_MAX);
    }
    policy_zones_release(&cache);
    world_remove(zones);
}

/* ---- from ---- */

static void an_address_is_in_one_of_the_networks(void **state)
{
    static const struct {
        const char *address;
        bool holds;
    } cases[] = {
        { "10.0.0.0", true },
        { "10.255.255.255", true },
        { "9.255.255.255", false },
        { "11.0.0.0", false },
        { "192.0.2.7", true },
        { "192.0.2.8", false },
        { "192.0.2.6", false },
        { "2001:db8::1", true },
        { "2001:db7:ffff::1", false },
        { "2001:db9::", false },
        { "::ffff:10.0.0.1", true } /* is IPv4 */,
        { "::10.0.0.1", false },
        { NULL, false },
    };
    OWNED(policy_unref) struct policy *policy =
        load_stage("from: [10.0.0.0/8, 192.0.2.7, \"2001:db8::/32\"]");

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct answer *answer =
            ask(policy, &(struct asking){ .claims = CLAIMS, .address = cases[i].address });

        if (answer->is_allowed != cases[i].holds ||
            strcmp(failed_names(answer), cases[i].holds ? "" : "from") != 0)
            fail_msg("%s", cases[i].address == NULL ? "unknown" : cases[i].address);
    }
}

/* ---- until ---- */

static void a_stage_is_closed_from_its_until_on(void **state)
{
    OWNED(policy_unref) struct policy *date = load_stage("until: 2026-12-24");
    OWNED(policy_unref) struct policy *time = load_stage("until: \"2026-12-24T12:30:00Z\"");

    (void)state;
    assert_true(ask_at(date, "2026-12-23T23:59:59Z")->is_allowed);
    assert_false(ask_at(date, "2026-12-24T00:00:00Z")->is_allowed);
    assert_string_equal(failed_names(ask_at(date, "2030-01-01T00:00:00Z")), "until");
    assert_true(ask_at(time, "2026-12-24T12:29:59Z")->is_allowed);
    assert_false(ask_at(time, "2026-12-24T12:30:00Z")->is_allowed);
    assert_int_equal(ask_at(time, "2026-12-24T12:30:00Z")->error.code, ERROR_CONDITION);
}

#define GRANTS                                                                                     \
    "grants: { old: { jwt: { audience: x }, ttl: 5m, until: 2026-12-01 },"                         \
    " older: { jwt: { audience: [y, z] }, ttl: 5m, until: 2026-11-01 },"                           \
    " new: { jwt: { audience: y }, ttl: 5m } }"

static void a_grant_that_is_over_is_left_out_of_all(void **state)
{
    OWNED(policy_unref) struct policy *policy = load_stage(GRANTS);
    const struct answer *answer = ask_at(policy, "2026-11-30T23:59:59Z");

    (void)state;
    assert_int_equal(answer->decision.grant_count, 2);
    assert_true(str_eq(answer->decision.grants[0].grant->name, STR("old")));
    answer = ask_at(policy, "2026-12-01T00:00:00Z");
    assert_true(answer->is_allowed);
    assert_int_equal(answer->decision.grant_count, 1);
    assert_true(str_eq(answer->decision.grants[0].grant->name, STR("new")));
}

static void a_grant_that_is_over_is_refused_to_whoever_names_it(void **state)
{
    static const struct {
        const char *grants[4];
        const char *audience;
        const char *at;
        enum error_code code;
        size_t grant_count;
    } cases[] = {
        { { "old" }, NULL, "2026-11-30T23:59:59Z", ERROR_NONE, 1 },
        { { "old" }, NULL, "2026-12-01T00:00:00Z", ERROR_CONDITION, 0 },
        { { "old", "new" }, NULL, "2026-12-01T00:00:00Z", ERROR_CONDITION, 0 },
        { { "new" }, NULL, "2026-12-01T00:00:00Z", ERROR_NONE, 1 },
        { { "old", "nope" }, NULL, "2026-12-01T00:00:00Z", ERROR_SCOPE, 0 },
        { { NULL }, "x", "2026-11-30T23:59:59Z", ERROR_NONE, 1 },
        { { NULL }, "x", "2026-12-01T00:00:00Z", ERROR_CONDITION, 0 },
        { { NULL }, "z", "2026-12-01T00:00:00Z", ERROR_CONDITION, 0 },
        /* Two have the audience until one of them is over. */
        { { NULL }, "y", "2026-10-31T23:59:59Z", ERROR_TARGET, 0 },
        { { NULL }, "y", "2026-11-01T00:00:00Z", ERROR_NONE, 1 },
        { { NULL }, "w", "2026-12-01T00:00:00Z", ERROR_TARGET, 0 },
    };
    OWNED(policy_unref) struct policy *policy = load_stage(GRANTS);

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct asking asking = { .claims = CLAIMS,
                                 .audience = cases[i].audience,
                                 .at = cases[i].at };
        const struct answer *answer;

        memcpy(asking.grants, cases[i].grants, sizeof(asking.grants));
        answer = ask(policy, &asking);
        if (answer->error.code != cases[i].code ||
            answer->decision.grant_count != cases[i].grant_count ||
            strcmp(failed_names(answer), cases[i].code == ERROR_CONDITION ? "until" : "") != 0)
            fail_msg("case %zu: %d, %s", i, (int)answer->error.code, answer->error.cause);
    }
}

static void a_stage_whose_grants_are_all_over_is_closed(void **state)
{
    OWNED(policy_unref) struct policy *policy =
        load_stage("grants: { a: { jwt: { audience: x }, ttl: 5m, until: 2026-12-01 } }");
    const struct answer *answer = ask_at(policy, "2026-12-01");

    (void)state;
    assert_int_equal(answer->error.code, ERROR_CONDITION);
    assert_string_equal(failed_names(answer), "until");
    assert_string_equal(answer->error.cause, "p:a: until");
    assert_non_null(answer->decision.stage);
    assert_true(ask_at(policy, "2026-11-30T23:59:59Z")->is_allowed);
}

/* ---- instance ---- */

static void an_instance_is_filled_from_the_claims(void **state)
{
    OWNED(policy_unref) struct policy *holes =
        load_stage("when: { ref: { like: \"refs/pull/{pr}/merge\" } }, instance: \"pr-${pr}/x\"");
    OWNED(policy_unref) struct policy *plain = load_stage("instance: eu-1");
    OWNED(policy_unref) struct policy *none = load_stage("unless: { ref: main }");

    (void)state;
    assert_true(str_eq(ask_at(holes, NULL)->decision.instance, STR("pr-17/x")));
    assert_true(str_eq(ask_at(plain, NULL)->decision.instance, STR("eu-1")));
    assert_int_equal(ask_at(none, NULL)->decision.instance.len, 0);
}

static void a_value_that_may_not_fill_an_instance_denies(void **state)
{
    static const char *const refs[] = { "refs/pull/-17/merge", "refs/pull/a b/merge",
                                        "refs/pull//merge", "refs/pull/.x/merge" };
    OWNED(policy_unref) struct policy *policy =
        load_stage("when: { ref: { like: \"refs/pull/{pr}/merge\" } }, instance: \"pr-${pr}\","
                   " grants: { a: { jwt: { audience: x }, ttl: 5m } }");

    (void)state;
    for (size_t i = 0; i < COUNT(refs); i++) {
        const struct answer *answer;
        char claims[128];

        (void)snprintf(claims, sizeof(claims), "{\"repository_id\":\"1\",\"ref\":\"%s\"}", refs[i]);
        answer = ask(policy, &(struct asking){ .claims = claims });
        assert_int_equal(answer->error.code, ERROR_CONDITION);
        assert_string_equal(failed_names(answer), "ref");
        assert_int_equal(answer->decision.grant_count, 0);
        assert_int_equal(answer->decision.instance.len, 0);
    }
}

/* ---- obligations ---- */

static void a_decision_gives_on_what_its_stage_asks_for(void **state)
{
    OWNED(policy_unref) struct policy *policy = world_load_text(
        HEAD "  build: { kind: build, when: { ref: x } }\n"
             "  test: { kind: test, when: { ref: x } }\n"
             "  a:\n"
             "    kind: deploy\n"
             "    after: [test, { stage: build, same: commit, within: 7d, outcome: issued }]\n"
             "    approval: { by: oncall, count: 2, within: 4h, wait: 45m, bind: [plan, image],\n"
             "                self_approval: unchecked }\n"
             "    limits: { per_job: 1, concurrent: 2, full: replace, per_hour: 20 }\n"
             "    lease: { max: 2h, heartbeat: 60s }\n");
    const struct policy_obligations *all = &ask_at(policy, NULL)->decision.obligations;

    (void)state;
    assert_int_equal(all->after_count, 2);
    assert_true(str_eq(all->after[0].stage, STR("test")));
    assert_false(all->after[0].is_of_commit);
    assert_false(all->after[0].issued_is_enough);
    assert_int_equal(all->after[0].within_s, POLICY_AFTER_WITHIN_S);
    assert_true(str_eq(all->after[1].stage, STR("build")));
    assert_true(all->after[1].is_of_commit);
    assert_true(all->after[1].issued_is_enough);
    assert_int_equal(all->after[1].within_s, 7 * 86400);
    assert_true(str_eq(all->approval->by, STR("oncall")));
    assert_int_equal(all->approval->count, 2);
    assert_int_equal(all->approval->within_s, 4 * 3600);
    assert_int_equal(all->approval->wait_s, 45 * 60);
    assert_int_equal(all->approval->bind_count, 2);
    assert_true(str_eq(all->approval->bind[0], STR("plan")));
    assert_true(str_eq(all->approval->bind[1], STR("image")));
    assert_true(all->approval->self_is_unchecked);
    assert_int_equal(all->limits.per_job, 1);
    assert_int_equal(all->limits.concurrent, 2);
    assert_int_equal(all->limits.per_hour, 20);
    assert_int_equal(all->limits.full, POLICY_FULL_REPLACE);
    assert_int_equal(all->lease.max_s, 7200);
    assert_int_equal(all->lease.heartbeat_s, 60);
}

static void what_is_not_said_of_an_obligation_is_the_strict_thing(void **state)
{
    OWNED(policy_unref) struct policy *policy = world_load_text(
        HEAD "  a: { kind: deploy, approval: { by: oncall }, limits: { concurrent: 1 } }\n");
    const struct policy_obligations *all = &ask_at(policy, NULL)->decision.obligations;

    (void)state;
    assert_int_equal(all->approval->count, 1);
    assert_int_equal(all->approval->within_s, 3600);
    assert_int_equal(all->approval->wait_s, 1800);
    assert_int_equal(all->approval->bind_count, 0);
    assert_false(all->approval->self_is_unchecked);
    assert_int_equal(all->limits.full, POLICY_FULL_REFUSE);
}

static void a_denial_has_no_obligations(void **state)
{
    OWNED(policy_unref) struct policy *policy =
        world_load_text(HEAD "  a: { kind: deploy, when: { ref: x }, approval: { by: oncall } }\n");
    const struct answer *answer = ask_at(policy, NULL);

    (void)state;
    assert_false(answer->is_allowed);
    assert_null(answer->decision.obligations.approval);
}

/* How long leases of a stage must be remembered. */
static int64_t kept_s(const struct policy *policy, const char *stage)
{
    const struct policy_stage *found = policy_stage_find(policy, str_from(stage));

    assert_non_null(found);
    return found->obligations.kept_s;
}

static void leases_are_remembered_for_who_asks_for_them(void **state)
{
    OWNED(policy_unref) struct policy *policy = world_load_text(
        HEAD "  deploy: { kind: deploy, after: [build, { stage: scan, within: 90d }], limits: { "
             "concurrent: 1 } }\n"
             "  verify: { kind: test, after: { stage: build, within: 8d } }\n"
             "  build: { kind: build, limits: { per_hour: 5 } }\n"
             "  scan: { kind: test, limits: { per_job: 1 } }\n"
             "  job: { kind: test, limits: { per_job: 1, per_hour: 1 } }\n"
             "  hour: { kind: test, limits: { per_hour: 1 } }\n");

    (void)state;
    assert_int_equal(kept_s(policy, "p:deploy"), 0);
    assert_int_equal(kept_s(policy, "p:verify"), 0);
    assert_int_equal(kept_s(policy, "p:build"), 8 * 86400);
    assert_int_equal(kept_s(policy, "p:scan"), 90 * 86400);
    assert_int_equal(kept_s(policy, "p:job"), 5 * 86400);
    assert_int_equal(kept_s(policy, "p:hour"), 3600);
}

static void a_decision_says_which_instance_comes_before(void **state)
{
    OWNED(policy_unref) struct policy *policy = world_load_text(
        HEAD "  a: { kind: deploy, when: { ref: { like: \"refs/pull/{pr}/merge\" } },\n"
             "    after: [build, test, lint] }\n"
             "  build: { kind: build, when: { event_name: x, head_ref: { like: \"{pr}\" } },\n"
             "    instance: \"pr-${pr}/b\" }\n"
             "  test: { kind: test, when: { event_name: x }, instance: all }\n"
             "  lint: { kind: test, when: { event_name: x } }\n");
    const struct answer *answer = ask_at(policy, NULL);
    const struct policy_after *after = answer->decision.obligations.after;

    (void)state;
    assert_true(answer->is_allowed);
    assert_int_equal(answer->decision.obligations.after_count, 3);
    assert_true(str_eq(after[0].instance, STR("pr-17/b")));
    assert_true(str_eq(after[1].instance, STR("all")));
    assert_int_equal(after[2].instance.len, 0);
}

static void what_may_not_fill_the_instance_before_denies(void **state)
{
    OWNED(policy_unref) struct policy *policy = world_load_text(
        HEAD "  a: { kind: deploy, when: { ref: { like: \"refs/{pr}/17/merge\" }, head_ref: { "
             "like: \"{branch}\" } }, after: build }\n"
             "  build: { kind: build, when: { ref: { like: \"{branch}\" } }, instance: "
             "\"${branch}\" }\n");
    const struct answer *answer =
        ask(policy,
            &(struct asking){ .claims = "{\"repository_id\":\"1\",\"ref\":\"refs/pull/17/merge\","
                                        "\"head_ref\":\"a b\"}",
                              .stage = "a" });

    (void)state;
    assert_false(answer->is_allowed);
    assert_string_equal(failed_names(answer), "head_ref");
    assert_int_equal(answer->decision.obligations.after_count, 0);
    assert_int_equal(answer->decision.obligations.kept_s, 0);
}

/* ---- together ---- */

static void every_word_that_fails_is_named(void **state)
{
    OWNED(policy_unref) struct policy *policy =
        load_stage("when: { ref: main }, proof: dpop, from: 10.0.0.0/8,"
                   " during: \"Mon 00:00-00:01 UTC\", until: 2026-01-01");
    const struct answer *answer = ask_at(policy, NULL);

    (void)state;
    assert_string_equal(failed_names(answer), "during,from,proof,ref,until");
    assert_int_equal(answer->decision.grant_count, 0);
}

static void a_stage_that_is_shut_does_not_hide_the_one_that_is_open(void **state)
{
    OWNED(policy_unref) struct policy *policy =
        world_load_text(HEAD "  day: { kind: build, during: \"08:00-20:00 UTC\" }\n"
                             "  night: { kind: build, during: \"20:00-08:00 UTC\" }\n");

    (void)state;
    assert_true(str_eq(ask_at(policy, "2026-11-22T19:59:59Z")->decision.stage->name, STR("day")));
    assert_true(str_eq(ask_at(policy, "2026-11-22T20:00:00Z")->decision.stage->name, STR("night")));
    assert_true(str_eq(ask_at(policy, "2026-11-22T07:59:59Z")->decision.stage->name, STR("night")));
    assert_true(str_eq(ask_at(policy, "2026-11-22T08:00:00Z")->decision.stage->name, STR("day")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_is_open_to_the_second),
        cmocka_unit_test(one_of_several_windows_is_enough),
        cmocka_unit_test(what_began_in_time_may_go_on_after_it),
        cmocka_unit_test(all_else_holds_for_a_renewal_too),
        cmocka_unit_test(a_grant_that_is_over_is_not_renewed),
        cmocka_unit_test(any_time_is_inside_or_outside),
        cmocka_unit_test(without_a_time_no_window_is_shut),
        cmocka_unit_test(a_window_is_written_as_it_was_read),
        cmocka_unit_test(a_zone_is_read_once_for_all_files_of_a_load),
        cmocka_unit_test(a_zone_that_changed_is_read_again_and_one_that_is_gone_is_a_mistake),
        cmocka_unit_test(more_zones_than_are_kept_are_read_all_the_same),
        cmocka_unit_test(an_address_is_in_one_of_the_networks),
        cmocka_unit_test(a_stage_is_closed_from_its_until_on),
        cmocka_unit_test(a_grant_that_is_over_is_left_out_of_all),
        cmocka_unit_test(a_grant_that_is_over_is_refused_to_whoever_names_it),
        cmocka_unit_test(a_stage_whose_grants_are_all_over_is_closed),
        cmocka_unit_test(an_instance_is_filled_from_the_claims),
        cmocka_unit_test(a_value_that_may_not_fill_an_instance_denies),
        cmocka_unit_test(a_decision_gives_on_what_its_stage_asks_for),
        cmocka_unit_test(what_is_not_said_of_an_obligation_is_the_strict_thing),
        cmocka_unit_test(a_denial_has_no_obligations),
        cmocka_unit_test(leases_are_remembered_for_who_asks_for_them),
        cmocka_unit_test(a_decision_says_which_instance_comes_before),
        cmocka_unit_test(what_may_not_fill_the_instance_before_denies),
        cmocka_unit_test(every_word_that_fails_is_named),
        cmocka_unit_test(a_stage_that_is_shut_does_not_hide_the_one_that_is_open),
    };

    return cmocka_run_group_tests(tests, NULL, tear_down);
}
