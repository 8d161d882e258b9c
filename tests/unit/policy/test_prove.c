#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "proving.h"
#include "tests/test.h"
#include "world.h"

/*
 * What the prover says of small policies. Each example that it gives is also fed to the evaluation
 * of stages (proving.c), so that a case here says only what the answer is and how the example
 * looks.
 */

#define IDENTITY "identity: { issuer: github, repository_id: \"1\" }\n"
#define OLD_CI "identity: { issuer: old-ci, project_id: \"1\" }\n"

/* The claims of an example, as JSON with sorted keys. */
static const char *claims_of(const struct proof_example *example)
{
    static char text[2048];
    size_t len = json_dumpb(example->claims, text, sizeof(text) - 1, JSON_SORT_KEYS | JSON_COMPACT);

    assert_in_range(len, 2, sizeof(text) - 1);
    text[len] = '\0';
    return text;
}

/* Two stages of one pipeline, and what is proven of them. */
struct pair {
    const char *identity;
    const char *a;
    const char *b;
    enum proof_answer both;   /* a request fits both */
    enum proof_answer only_a; /* one fits a and not b */
    const char *claims;       /* of the example that fits a and not b; NULL: not looked at */
};

static struct policy *load_pair(const struct pair *pair)
{
    char text[4096];
    int len = snprintf(text, sizeof(text),
                       "pipeline: p\nowner: me\n%sstages:\n  a: { kind: build, %s }\n"
                       "  b: { kind: build, %s }\n",
                       pair->identity != NULL ? pair->identity : IDENTITY, pair->a, pair->b);

    assert_in_range(len, 1, sizeof(text) - 1);
    return world_load_text(text);
}

static void check_pair(const struct pair *pair)
{
    OWNED(policy_unref) struct policy *policy = load_pair(pair);
    const char *const both[] = { "p:a", "p:b", NULL };
    const char *const only_a[] = { "p:a", "!p:b", NULL };
    struct proof_example example;
    enum proof_answer answer = ask_prover(policy, both, &example);

    if (answer != pair->both)
        fail_msg("%s | %s: both: %d", pair->a, pair->b, (int)answer);
    answer = ask_prover(policy, only_a, &example);
    if (answer != pair->only_a)
        fail_msg("%s | %s: only the first: %d", pair->a, pair->b, (int)answer);
    if (pair->claims != NULL && strcmp(claims_of(&example), pair->claims) != 0)
        fail_msg("%s | %s: %s", pair->a, pair->b, claims_of(&example));
}

static void check_pairs(const struct pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_pair(&pairs[i]);
}

#define WHEN(conditions) "when: { " conditions " }"
#define UNLESS(conditions) "unless: { " conditions " }"

static void exact_values_meet_where_they_are_the_same(void **state)
{
    static const struct pair pairs[] = {
        { NULL, WHEN("ref: main"), WHEN("ref: main"), PROOF_YES, PROOF_NO, NULL },
        { NULL, WHEN("ref: main"), WHEN("ref: dev"), PROOF_NO, PROOF_YES,
          "{\"ref\":\"main\",\"repository_id\":\"1\"}" },
        { NULL, WHEN("ref: [main, dev]"), WHEN("ref: [dev, rc]"), PROOF_YES, PROOF_YES,
          "{\"ref\":\"main\",\"repository_id\":\"1\"}" },
        { NULL, WHEN("ref: [main, dev]"), WHEN("ref: [dev, main]"), PROOF_YES, PROOF_NO, NULL },
        { NULL, WHEN("ref: main"), WHEN("ref: main, actor: bob"), PROOF_YES, PROOF_YES, NULL },
        { NULL, WHEN("ref: main, actor: bob"), WHEN("ref: main"), PROOF_YES, PROOF_NO, NULL },
        { NULL, WHEN("ref: { not: main }"), WHEN("ref: main"), PROOF_NO, PROOF_YES, NULL },
        { NULL, WHEN("ref: { exists: true }"), WHEN("ref: main"), PROOF_YES, PROOF_YES,
          "{\"ref\":\"x\",\"repository_id\":\"1\"}" },
        { NULL, WHEN("ref: { exists: true }"), WHEN("ref: { not: [main, dev] }"), PROOF_YES,
          PROOF_YES, "{\"ref\":\"dev\",\"repository_id\":\"1\"}" },
        { NULL, WHEN("ref: { exists: false }"), WHEN("ref: { not: main }"), PROOF_NO, PROOF_YES,
          "{\"repository_id\":\"1\"}" },
    };

    (void)state;
    check_pairs(pairs, COUNT(pairs));
}

static void patterns_meet_where_some_text_fits_both(void **state)
{
    static const struct pair pairs[] = {
        { NULL, WHEN("ref: refs/heads/main"), WHEN("ref: { like: \"refs/heads/*\" }"), PROOF_YES,
          PROOF_NO, NULL },
        { NULL, WHEN("ref: { like: \"refs/heads/*\" }"), WHEN("ref: refs/heads/main"), PROOF_YES,
          PROOF_YES, "{\"ref\":\"refs/heads/x\",\"repository_id\":\"1\"}" },
        { NULL, WHEN("ref: { like: \"refs/heads/*\" }"), WHEN("ref: { like: \"refs/heads/**\" }"),
          PROOF_YES, PROOF_NO, NULL },
        { NULL, WHEN("ref: { like: \"refs/heads/**\" }"), WHEN("ref: { like: \"refs/heads/*\" }"),
          PROOF_YES, PROOF_YES, NULL },
        { NULL, WHEN("ref: { like: \"refs/heads/*\" }"), WHEN("ref: { like: \"refs/tags/*\" }"),
          PROOF_NO, PROOF_YES, NULL },
        { NULL, WHEN("ref: { like: \"a*\" }"), WHEN("ref: { like: \"*b\" }"), PROOF_YES, PROOF_YES,
          NULL },
        { NULL, WHEN("ref: { like: \"a*\" }"), WHEN("ref: { like: \"*/b\" }"), PROOF_NO, PROOF_YES,
          NULL },
        { NULL, WHEN("ref: { like: \"v*\", not: { like: \"v*-rc*\" } }"),
          WHEN("ref: { like: \"*-rc1\" }"), PROOF_NO, PROOF_YES, NULL },
        { NULL, WHEN("ref: { like: \"refs/pull/{pr}/merge\" }"),
          WHEN("ref: { like: \"refs/pull/*/merge\" }"), PROOF_YES, PROOF_NO, NULL },
        { NULL, WHEN("ref: { like: \"refs/pull/{pr}/merge\" }"), WHEN("ref: main"), PROOF_NO,
          PROOF_YES, "{\"ref\":\"refs/pull/1/merge\",\"repository_id\":\"1\"}" },
        { NULL, WHEN("ref: { like: \"**\" }"), WHEN("ref: { exists: true }"), PROOF_YES, PROOF_NO,
          NULL },
        { NULL, WHEN("ref: { exists: true }"), WHEN("ref: { like: \"**\" }"), PROOF_YES, PROOF_YES,
          NULL }, /* what holds an '@' */
    };

    (void)state;
    check_pairs(pairs, COUNT(pairs));
}

static void what_unless_refuses_is_not_let_in(void **state)
{
    static const struct pair pairs[] = {
        { NULL, WHEN("ref: main"), "when: { ref: main }, unless: { actor: bob }", PROOF_YES,
          PROOF_YES, "{\"actor\":\"bob\",\"ref\":\"main\",\"repository_id\":\"1\"}" },
        { NULL, UNLESS("ref: main"), WHEN("ref: main"), PROOF_NO, PROOF_YES, NULL },
        { NULL, UNLESS("ref: main, actor: bob"), WHEN("ref: main"), PROOF_YES, PROOF_YES, NULL },
        { NULL, UNLESS("ref: main, actor: bob"), WHEN("ref: main, actor: bob"), PROOF_NO, PROOF_YES,
          NULL },
        { NULL, "when: { ref: main }, unless: [ { actor: bob }, { actor: eve } ]",
          WHEN("ref: main, actor: [bob, eve]"), PROOF_NO, PROOF_YES, NULL },
        /* what the issuer cannot say counts as held */
        { NULL, UNLESS("ci.runner: self-hosted"), WHEN("ci.runner: { exists: false }"), PROOF_YES,
          PROOF_YES, NULL },
        { NULL, UNLESS("ci.runner: hosted"),
          "when: [ { ci.runner: { not: hosted } }, { ci.runner: { exists: false } } ]", PROOF_YES,
          PROOF_NO, NULL },
    };

    (void)state;
    check_pairs(pairs, COUNT(pairs));
}

static void numbers_booleans_and_times_are_intervals(void **state)
{
    static const struct pair pairs[] = {
        { OLD_CI, WHEN("build_number: 7"), WHEN("build_number: { not: 7 }"), PROOF_NO, PROOF_YES,
          NULL },
        { OLD_CI, WHEN("build_number: { exists: true }"), WHEN("build_number: { not: [7, 8] }"),
          PROOF_YES, PROOF_YES, NULL },
        { OLD_CI, WHEN("is_manual: true"), WHEN("is_manual: false"), PROOF_NO, PROOF_YES, NULL },
        { OLD_CI, WHEN("is_manual: { exists: true }"), WHEN("is_manual: [true, false]"), PROOF_YES,
          PROOF_NO, NULL },
        { OLD_CI, WHEN("started: { before: 2026-01-01 }"), WHEN("started: { after: 2026-01-01 }"),
          PROOF_NO, PROOF_YES, NULL },
        { OLD_CI, WHEN("started: { before: 2026-01-02 }"), WHEN("started: { after: 2026-01-01 }"),
          PROOF_YES, PROOF_YES, NULL },
        { OLD_CI, WHEN("started: { exists: true }"),
          "when: [ { started: { before: 2026-01-01 } }, { started: { after: 2026-01-01 } } ]",
          PROOF_YES, PROOF_NO, NULL },
        { OLD_CI, WHEN("deadline: { before: 2026-01-01 }"), WHEN("deadline: { after: 2026-01-01 }"),
          PROOF_NO, PROOF_YES, NULL },
        { OLD_CI, WHEN("deadline: { before: 2026-01-02 }"), WHEN("deadline: { after: 2026-01-01 }"),
          PROOF_YES, PROOF_YES, NULL },
        /* a text that is no time is neither */
        { OLD_CI, WHEN("deadline: { exists: true }"),
          "when: [ { deadline: { before: 2026-01-01 } }, { deadline: { after: 2026-01-01 } } ]",
          PROOF_YES, PROOF_YES, NULL },
    };

    (void)state;
    check_pairs(pairs, COUNT(pairs));
}

static void an_array_fits_by_one_element_and_refuses_by_one(void **state)
{
    static const struct pair pairs[] = {
        { OLD_CI, WHEN("groups: a"), WHEN("groups: b"), PROOF_YES, PROOF_YES, NULL },
        { OLD_CI, WHEN("groups: a"), WHEN("groups: { not: a }"), PROOF_NO, PROOF_YES, NULL },
        { OLD_CI, WHEN("groups: { not: a }"), WHEN("groups: { exists: true }"), PROOF_YES, PROOF_NO,
          NULL },
        { OLD_CI, WHEN("groups: { like: \"a*\", not: ab }"), WHEN("groups: ab"), PROOF_NO,
          PROOF_YES, NULL },
        { OLD_CI, WHEN("groups: { like: \"a*\", not: ab }"), WHEN("groups: b"), PROOF_YES,
          PROOF_YES, NULL },
        { OLD_CI, WHEN("groups: a"), UNLESS("groups: b"), PROOF_YES, PROOF_YES,
          "{\"groups\":[\"a\",\"b\"],\"project_id\":\"1\"}" },
        { OLD_CI, WHEN("groups: [a, b]"), UNLESS("groups: [b, c]"), PROOF_YES, PROOF_YES,
          "{\"groups\":\"b\",\"project_id\":\"1\"}" },
        { OLD_CI, WHEN("\"/groups/1\": a"), WHEN("groups: a"), PROOF_YES, PROOF_NO, NULL },
        { OLD_CI, WHEN("groups: a"), WHEN("\"/groups/1\": a"), PROOF_YES, PROOF_YES, NULL },
        { OLD_CI, WHEN("\"/groups/0\": a, \"/groups/1\": b"), WHEN("groups: { not: b }"), PROOF_NO,
          PROOF_YES, "{\"groups\":[\"a\",\"b\"],\"project_id\":\"1\"}" },
        { OLD_CI, WHEN("\"/groups/2000\": a"), WHEN("groups: a"), PROOF_NO, PROOF_NO, NULL },
    };

    (void)state;
    check_pairs(pairs, COUNT(pairs));
}

static void pointers_lead_through_one_tree(void **state)
{
    static const char cluster[] =
        "identity: { issuer: cluster, \"/kubernetes.io/serviceaccount/uid\": u }\n";
    static const struct pair pairs[] = {
        { cluster, WHEN("\"/kubernetes.io/namespace\": a"), WHEN("\"/kubernetes.io/namespace\": b"),
          PROOF_NO, PROOF_YES, NULL },
        { cluster, WHEN("\"/kubernetes.io/namespace\": a"),
          WHEN("\"/kubernetes.io\": { exists: true }"), PROOF_YES, PROOF_NO, NULL },
        { cluster, WHEN("\"/x\": { exists: true }"), WHEN("\"/x/y\": a"), PROOF_YES, PROOF_YES,
          NULL },
        { cluster, WHEN("\"/x\": a"), WHEN("\"/x/y\": a"), PROOF_NO, PROOF_YES, NULL },
        { cluster, WHEN("\"/x/y\": a"), WHEN("\"/x/z\": a"), PROOF_YES, PROOF_YES, NULL },
        { cluster, WHEN("\"/x/0\": a"), WHEN("\"/x/z\": a"), PROOF_YES, PROOF_YES, NULL },
        { cluster, WHEN("\"/x/0\": a, \"/x\": b"), WHEN("\"/x/z\": a"), PROOF_NO, PROOF_YES,
          "{\"kubernetes.io\":{\"serviceaccount\":{\"uid\":\"u\"}},\"x\":[\"a\",\"b\"]}" },
        { cluster, WHEN("\"/x\": 7"), WHEN("\"/x\": \"7\""), PROOF_NO, PROOF_YES, NULL },
        { cluster, UNLESS("\"/x\": 7"), WHEN("\"/x\": \"7\""), PROOF_NO, PROOF_YES, NULL },
        { cluster, UNLESS("\"/x\": { exists: true }"), WHEN("\"/x\": \"7\""), PROOF_NO, PROOF_YES,
          NULL },
        { cluster, WHEN("\"/label_a\": b"), WHEN("label_a: b"), PROOF_YES, PROOF_NO, NULL },
        { cluster, WHEN("label_tier: 1"), WHEN("label_tier: { not: 2 }"), PROOF_YES, PROOF_NO,
          NULL },
        { cluster, WHEN("\"/label_tier\": \"1\""), WHEN("label_a: b"), PROOF_NO, PROOF_NO, NULL },
    };

    (void)state;
    check_pairs(pairs, COUNT(pairs));
}

static void a_copied_fact_is_its_claim(void **state)
{
    static const struct pair pairs[] = {
        { NULL, WHEN("ref: main"), WHEN("ci.ref: main"), PROOF_YES, PROOF_NO, NULL },
        { NULL, WHEN("ci.ref: main"), WHEN("ref: main"), PROOF_YES, PROOF_NO, NULL },
        { NULL, WHEN("ref: main"), WHEN("ci.ref: dev"), PROOF_NO, PROOF_YES, NULL },
        { NULL, WHEN("ref: { exists: false }"), WHEN("ci.ref: { exists: false }"), PROOF_YES,
          PROOF_NO, NULL },
        { NULL, WHEN("event_name: push"), WHEN("ci.event: push"), PROOF_YES, PROOF_NO, NULL },
        { "identity: { issuer: gitlab, project_id: \"1\" }\n", WHEN("ref: main"),
          UNLESS("ci.ref: dev"), PROOF_NO, PROOF_YES, NULL }, /* it fills no facts */
    };

    (void)state;
    check_pairs(pairs, COUNT(pairs));
}

static void a_fact_that_follows_from_a_claim_is_decided_by_it(void **state)
{
    static const char forge[] = "identity: { issuer: forge, project_id: \"1\" }\n";
    static const struct pair pairs[] = {
        { forge, WHEN("ci.runner: hosted"), WHEN("pool: hosted"), PROOF_YES, PROOF_NO, NULL },
        { forge, WHEN("pool: hosted"), WHEN("ci.runner: hosted"), PROOF_YES, PROOF_NO, NULL },
        { forge, WHEN("ci.runner: a"), WHEN("pool: a"), PROOF_YES, PROOF_YES,
          "{\"pool\":\"b\",\"project_id\":\"1\"}" },
        { forge, WHEN("ci.runner: a"), WHEN("pool: [b, a]"), PROOF_YES, PROOF_NO, NULL },
        { forge, WHEN("ci.runner: b"), WHEN("pool: b"), PROOF_NO, PROOF_NO, NULL },
        { forge, WHEN("ci.runner: { exists: true }"), WHEN("ci.runner: [a, hosted]"), PROOF_YES,
          PROOF_NO, NULL },
        { forge, WHEN("ci.runner: { exists: false }"), WHEN("pool: x"), PROOF_NO, PROOF_NO, NULL },
        { forge, UNLESS("ci.runner: x"), WHEN("pool: { not: [hosted, a, b] }"), PROOF_NO, PROOF_YES,
          NULL }, /* what nobody can say counts as held */
        { forge, WHEN("ci.runner: { like: \"ho*\" }"), WHEN("pool: { like: \"*ed\" }"), PROOF_YES,
          PROOF_NO, NULL },
        { forge, WHEN("ci.ref_protected: true"), WHEN("is_safe: true"), PROOF_YES, PROOF_NO, NULL },
        { forge, WHEN("is_safe: false"), UNLESS("ci.ref_protected: true"), PROOF_YES, PROOF_NO,
          NULL },
        { forge, WHEN("ci.ref_protected: { not: true }"), WHEN("is_safe: true"), PROOF_NO,
          PROOF_YES, NULL },
    };

    (void)state;
    check_pairs(pairs, COUNT(pairs));
}

static void other_facts_stand_for_themselves_and_say_so(void **state)
{
    const struct pair pair = {
        NULL, WHEN("ci.fork: false"), WHEN("ci.fork: true"), PROOF_NO, PROOF_YES, NULL
    };
    OWNED(policy_unref) struct policy *policy = load_pair(&pair);
    const char *const names[] = { "p:a", NULL };
    struct proof_example example;

    (void)state;
    check_pair(&pair);
    assert_int_equal(ask_prover(policy, names, &example), PROOF_YES);
    assert_true(example.is_of_facts);
    assert_true(json_is_false(json_object_get(example.ci, "fork")));
}

static void an_example_that_the_issuers_own_rules_bear_out_is_without_doubt(void **state)
{
    const struct pair pair = { NULL,      WHEN("ref: main"), UNLESS("ci.runner: hosted"),
                               PROOF_YES, PROOF_YES,         NULL };
    OWNED(policy_unref) struct policy *policy = load_pair(&pair);
    const char *const plain[] = { "p:a", NULL };
    const char *const self_hosted[] = { "p:b", NULL };
    const char *const hosted[] = { "p:a", "!p:b", NULL };
    struct proof_example example;

    (void)state;
    assert_int_equal(ask_prover(policy, plain, &example), PROOF_YES);
    assert_false(example.is_of_facts);
    assert_int_equal(ask_prover(policy, self_hosted, &example), PROOF_YES);
    assert_false(example.is_of_facts); /* what nobody says is hosted is not, at this issuer */
    assert_int_equal(ask_prover(policy, hosted, &example), PROOF_YES);
    assert_true(example.is_of_facts);
    assert_string_equal(json_string_value(json_object_get(example.ci, "runner")), "hosted");
}

static void a_danger_that_no_exact_value_names_is_not_let_in(void **state)
{
    static const struct pair pairs[] = {
        { NULL, WHEN("event_name: issue_comment"), WHEN("event_name: { exists: true }"), PROOF_NO,
          PROOF_YES, "{\"event_name\":\"issue_comment\",\"repository_id\":\"1\"}" },
        { NULL, WHEN("event_name: { like: \"issue_*\" }"), WHEN("event_name: issue_comment"),
          PROOF_NO, PROOF_YES, NULL },
        { NULL, WHEN("event_name: [push, issue_comment]"), WHEN("ci.event: issue_comment"),
          PROOF_YES, PROOF_YES, "{\"event_name\":\"push\",\"repository_id\":\"1\"}" },
        { NULL, "when: [ { event_name: issue_comment, ref: main }, { ref: dev } ]",
          WHEN("event_name: issue_comment, ref: dev"), PROOF_NO, PROOF_YES, NULL },
        { NULL, WHEN("ci.fork: true"), WHEN("ref: { exists: true }"), PROOF_NO, PROOF_YES, NULL },
        { NULL, WHEN("ref: main"), WHEN("ref: main, ci.fork: true"), PROOF_NO, PROOF_YES, NULL },
    };

    (void)state;
    check_pairs(pairs, COUNT(pairs));
}

static void addresses_are_sets_of_networks(void **state)
{
    static const struct pair pairs[] = {
        { NULL, WHEN("request.address: 10.0.0.0/8"), WHEN("request.address: 10.1.0.0/16"),
          PROOF_YES, PROOF_YES, NULL },
        { NULL, WHEN("request.address: 10.1.0.0/16"), WHEN("request.address: 10.0.0.0/8"),
          PROOF_YES, PROOF_NO, NULL },
        { NULL, WHEN("request.address: [10.0.0.0/9, 10.128.0.0/9]"),
          WHEN("request.address: 10.0.0.0/8"), PROOF_YES, PROOF_NO, NULL },
        { NULL, WHEN("request.address: 10.0.0.0/8"),
          WHEN("request.address: [10.0.0.0/9, 10.128.0.0/9]"), PROOF_YES, PROOF_NO, NULL },
        { NULL, WHEN("request.address: 10.0.0.0/8"), WHEN("request.address: \"2001:db8::/32\""),
          PROOF_NO, PROOF_YES, NULL },
        { NULL, WHEN("ref: main"), WHEN("request.address: [0.0.0.0/0, \"::/0\"]"), PROOF_YES,
          PROOF_NO, NULL }, /* every request has an address */
        { NULL, WHEN("request.address: [0.0.0.0/0, \"::/0\"], ref: main"), WHEN("ref: main"),
          PROOF_YES, PROOF_NO, NULL },
        { NULL, UNLESS("request.address: 10.0.0.0/8"), WHEN("request.address: 10.1.1.1"), PROOF_NO,
          PROOF_YES, NULL },
        /* ::ffff:0:0/96 is IPv4 */
        { NULL, WHEN("request.address: { within: \"::fffe:0:0/95\", not: \"::fffe:0:0/96\" }"),
          WHEN("ref: main"), PROOF_NO, PROOF_NO, NULL },
    };

    (void)state;
    check_pairs(pairs, COUNT(pairs));
}

static void proofs_are_sets_of_which_one_must_be_there(void **state)
{
    static const struct pair pairs[] = {
        { NULL, "proof: dpop", "proof: mtls", PROOF_YES, PROOF_YES, NULL },
        { NULL, "proof: [dpop, mtls]", "proof: mtls", PROOF_YES, PROOF_YES, NULL },
        { NULL, "proof: mtls", "proof: [dpop, mtls]", PROOF_YES, PROOF_NO, NULL },
        { NULL, "proof: key", "proof: dpop", PROOF_YES, PROOF_NO, NULL }, /* a key is shown so */
        { NULL, "proof: dpop", "proof: key", PROOF_YES, PROOF_YES, NULL },
        { NULL, "proof: dpop", WHEN("ref: { exists: true }"), PROOF_YES, PROOF_YES, NULL },
    };

    (void)state;
    check_pairs(pairs, COUNT(pairs));
}

static void what_a_stage_is_open_from_is_a_set_of_networks(void **state)
{
    static const struct pair pairs[] = {
        { NULL, "from: 10.0.0.0/8", "from: 10.1.0.0/16", PROOF_YES, PROOF_YES, NULL },
        { NULL, "from: 10.1.0.0/16", "from: [192.0.2.0/24, 10.0.0.0/8]", PROOF_YES, PROOF_NO,
          NULL },
        { NULL, "from: 10.0.0.0/8", WHEN("request.address: { not: 10.0.0.0/8 }"), PROOF_NO,
          PROOF_YES, NULL },
        { NULL, "from: \"2001:db8::/32\"", "from: 10.0.0.0/8", PROOF_NO, PROOF_YES, NULL },
    };

    (void)state;
    check_pairs(pairs, COUNT(pairs));
}

#define DURING(windows) "during: " windows

static void times_are_spans_and_windows(void **state)
{
    static const struct pair pairs[] = {
        { NULL, "until: 2027-01-01", "until: 2027-01-02", PROOF_YES, PROOF_NO, NULL },
        { NULL, "until: 2027-01-02", "until: 2027-01-01", PROOF_YES, PROOF_YES, NULL },
        { NULL, DURING("08:00-18:00 UTC"), DURING("18:00-19:00 UTC"), PROOF_NO, PROOF_YES, NULL },
        { NULL, DURING("08:00-18:00 UTC"), DURING("17:59-19:00 UTC"), PROOF_YES, PROOF_YES, NULL },
        { NULL, DURING("Mon 00:00-24:00 UTC"), DURING("Mon 00:00-12:00 UTC"), PROOF_YES, PROOF_YES,
          NULL },
        { NULL, DURING("Mon 00:00-12:00 UTC"), DURING("Mon 00:00-24:00 UTC"), PROOF_YES, PROOF_NO,
          NULL },
        { NULL, DURING("Mon..Fri 00:00-24:00 UTC"), DURING("Sat..Sun 00:00-24:00 UTC"), PROOF_NO,
          PROOF_YES, NULL },
        /* over midnight, and over the week's end */
        { NULL, DURING("Sun 22:00-06:00 UTC"), DURING("Mon 00:00-24:00 UTC"), PROOF_YES, PROOF_YES,
          NULL },
        { NULL, DURING("Sun 22:00-06:00 UTC"), DURING("[Sun 22:00-24:00 UTC, Mon 00:00-06:00 UTC]"),
          PROOF_YES, PROOF_NO, NULL },
        { NULL, DURING("[Sun 22:00-24:00 UTC, Mon 00:00-06:00 UTC]"), DURING("Sun 22:00-06:00 UTC"),
          PROOF_YES, PROOF_NO, NULL },
        { NULL, DURING("00:00-24:00 UTC"), DURING("00:00-24:00 Europe/Berlin"), PROOF_YES, PROOF_NO,
          NULL },
        { NULL, WHEN("ref: { exists: true }"),
          "when: { ref: { exists: true } }, during: [00:00-12:00 UTC, 12:00-24:00 UTC]", PROOF_YES,
          PROOF_NO, NULL },
        /* nine in Berlin is eight or seven in UTC */
        { NULL, DURING("09:00-10:00 Europe/Berlin"), DURING("09:00-10:00 UTC"), PROOF_NO, PROOF_YES,
          NULL },
        { NULL, DURING("09:00-10:00 Europe/Berlin"), DURING("08:00-09:00 UTC"), PROOF_YES,
          PROOF_YES, NULL },
        { NULL, DURING("09:00-10:00 Europe/Berlin"), DURING("[08:00-09:00 UTC, 07:00-08:00 UTC]"),
          PROOF_YES, PROOF_NO, NULL },
        /* with both on the same rules, London is always an hour behind */
        { NULL, DURING("09:00-10:00 Europe/Berlin"), DURING("09:00-10:00 Europe/London"), PROOF_NO,
          PROOF_YES, NULL },
        /* five hours apart for some weeks of each year, else six */
        { NULL, DURING("12:00-12:01 Europe/Berlin"), DURING("07:00-07:01 America/New_York"),
          PROOF_YES, PROOF_YES, NULL },
        { NULL, DURING("12:00-12:01 Europe/Berlin"),
          DURING("[07:00-07:01 America/New_York, 06:00-06:01 America/New_York]"), PROOF_YES,
          PROOF_NO, NULL },
        /* an hour that clocks show twice a year, and once not at all */
        { NULL, DURING("02:30-02:31 Europe/Berlin"), DURING("00:30-00:31 UTC"), PROOF_YES,
          PROOF_YES, NULL },
        { NULL, "during: 02:30-02:31 Europe/Berlin, until: 2026-03-30",
          DURING("[00:30-00:31 UTC, 01:30-01:31 UTC]"), PROOF_YES, PROOF_NO, NULL },
    };

    (void)state;
    check_pairs(pairs, COUNT(pairs));
}

static void times_that_are_over_do_not_count_where_somebody_says_so(void **state)
{
    OWNED(policy_unref) struct policy *policy = world_load_text(
        "pipeline: p\nowner: me\n" IDENTITY "stages: { a: { kind: build, until: 2026-06-01 } }\n");
    const struct proof_term term = { .policy = policy,
                                     .stage = policy_stage_find(policy, STR("p:a")) };
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
    struct prover *prover = prover_new(arena);
    struct proof_example example;
    struct error error = { 0 };
    enum proof_answer answer;

    (void)state;
    prover_since(prover, 1780271999); /* the last second */
    assert_true(prove(prover, &term, 1, &answer, &example, &error));
    assert_int_equal(answer, PROOF_YES);
    assert_int_equal(example.time_s, 1780271999);
    prover_since(prover, 1780272000);
    assert_true(prove(prover, &term, 1, &answer, &example, &error));
    assert_int_equal(answer, PROOF_NO);
}

/* ---- guardrails ---- */

#define OPEN "  a: { kind: deploy, when: { ref: main } }\n"
#define STRICT "  b: { kind: build, when: { ref: main, "

/* Guardrails on deploy, and what stage b is beside a, which they bind. */
struct rail {
    const char *guardrails;
    const char *stages;
    enum proof_answer both;
    enum proof_answer only_a;
    enum proof_answer only_b;
};

static void check_rail(const struct rail *rail)
{
    OWNED(policy_unref) struct policy *policy = NULL;
    const char *const questions[][3] = { { "p:a", "p:b", NULL },
                                         { "p:a", "!p:b", NULL },
                                         { "!p:a", "p:b", NULL } };
    const enum proof_answer answers[] = { rail->both, rail->only_a, rail->only_b };
    struct proof_example example;
    char folder[64];
    char text[2048];

    (void)snprintf(text, sizeof(text),
                   "pipeline: p\nowner: me\nreview_by: 2026-06-01\n" IDENTITY "stages:\n%s",
                   rail->stages);
    world_make_folder(folder);
    world_write(folder, "p.yaml", text);
    world_write(folder, "g.yaml", rail->guardrails);
    policy = world_load(folder);
    world_remove(folder);
    for (size_t i = 0; i < COUNT(questions); i++) {
        enum proof_answer answer = ask_prover(policy, questions[i], &example);

        if (answer != answers[i])
            fail_msg("%s%s: question %zu: %d", rail->guardrails, rail->stages, i, (int)answer);
    }
}

static void guardrails_bound_what_a_stage_lets_in(void **state)
{
    static const struct rail rails[] = {
        { "guardrails:\n  require: [ { name: r, for: { kind: deploy }, when: { ci.runner: hosted } "
          "} "
          "]\n",
          OPEN STRICT "ci.runner: hosted } }\n", PROOF_YES, PROOF_NO, PROOF_NO },
        { "guardrails:\n  require: [ { name: r, for: { kind: deploy }, when: { ci.runner: hosted } "
          "} "
          "]\n",
          OPEN STRICT "ci.runner: { not: hosted } } }\n", PROOF_NO, PROOF_YES, PROOF_YES },
        { "guardrails:\n  require: [ { name: r, for: { kind: deploy }, when: { ci.runner: hosted "
          "}, "
          "mode: warn } ]\n",
          OPEN STRICT "ci.runner: { not: hosted } } }\n", PROOF_YES, PROOF_YES, PROOF_NO },
        { "guardrails:\n  freeze: [ { name: f, for: { kind: deploy }, from: 2026-12-20, to: "
          "2027-01-03 } ]\n",
          OPEN "  b: { kind: build, when: { ref: main }, until: 2026-12-20 }\n", PROOF_YES,
          PROOF_YES, PROOF_NO },
        { "guardrails:\n  freeze: [ { name: f, for: { kind: deploy }, from: 2026-12-20, to: "
          "2027-01-03 } ]\n",
          OPEN "  b: { kind: build, when: { ref: main }, until: 2026-12-21 }\n", PROOF_YES,
          PROOF_YES, PROOF_YES },
        /* an exception lets it be, until it ends */
        { "guardrails:\n  freeze: [ { name: f, for: { kind: deploy }, from: 2026-12-20, to: "
          "2027-01-03 } ]\n  exceptions: [ { from: f, pipeline: p, stage: a, until: 2026-12-21, "
          "why: w "
          "} ]\n",
          OPEN "  b: { kind: build, when: { ref: main }, until: 2026-12-21 }\n", PROOF_YES,
          PROOF_YES, PROOF_NO },
        { "guardrails:\n  require: [ { name: r, for: { kind: deploy }, review_by: { grace: 10d } } "
          "]\n",
          OPEN "  b: { kind: build, when: { ref: main }, until: 2026-06-11 }\n", PROOF_YES,
          PROOF_NO, PROOF_NO },
        { "guardrails:\n  require: [ { name: r, for: { kind: deploy }, review_by: { grace: 10d } } "
          "]\n",
          OPEN "  b: { kind: build, when: { ref: main }, until: 2026-06-12 }\n", PROOF_YES,
          PROOF_NO, PROOF_YES },
        { "guardrails:\n  require: [ { name: r, for: { kind: deploy }, proof: dpop, from: "
          "10.0.0.0/8 } "
          "]\n  exceptions: [ { from: r, pipeline: p, stage: a, until: 2026-12-21, why: w } ]\n",
          OPEN "  b: { kind: build, when: { ref: main }, until: 2026-12-21 }\n", PROOF_YES,
          PROOF_NO, PROOF_NO }, /* what it says nothing of at load denies after that */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rails); i++)
        check_rail(&rails[i]);
}

static void an_actor_is_nobody_or_of_one_issuer(void **state)
{
    static const struct pair pairs[] = {
        { NULL, WHEN("actor.issuer: old-ci, actor.project_id: \"7\""),
          WHEN("actor.issuer: gitlab, actor.project_id: \"7\""), PROOF_NO, PROOF_YES, NULL },
        { NULL, WHEN("actor.issuer: old-ci, actor.project_id: \"7\""), WHEN("actor.issuer: old-ci"),
          PROOF_YES, PROOF_NO, NULL },
        { NULL, UNLESS("actor.issuer: { exists: true }"), WHEN("actor.issuer: people"), PROOF_NO,
          PROOF_YES, NULL },
        { NULL, WHEN("actor.issuer: people, actor.groups: a"),
          WHEN("actor.issuer: people, actor.groups: b"), PROOF_YES, PROOF_YES, NULL },
        { NULL, WHEN("actor.issuer: people, actor.email: a@b"),
          WHEN("actor.issuer: people, actor.email: { exists: true }"), PROOF_YES, PROOF_NO, NULL },
        /* an address that nobody verified says nothing */
        { NULL, WHEN("actor.issuer: people"),
          "when: { actor.issuer: people }, unless: { actor.issuer: people, actor.email: a@b }",
          PROOF_YES, PROOF_YES, NULL },
    };

    (void)state;
    check_pairs(pairs, COUNT(pairs));
}

static void identities_are_of_issuers(void **state)
{
    static const struct pair pairs[] = {
        { "identity:\n  - { issuer: github, repository_id: \"1\" }\n"
          "  - { issuer: gitlab, project_id: \"1\" }\n",
          WHEN("environment: a"), WHEN("environment: b"), PROOF_NO, PROOF_YES, NULL },
    };

    (void)state;
    check_pairs(pairs, COUNT(pairs));
}

static void pipelines_of_other_identities_never_meet(void **state)
{
    OWNED(policy_unref) struct policy *policy = NULL;
    const char *const others[][4] = { { "a:s", "b:s", NULL },
                                      { "a:s", "c:s", NULL },
                                      { "b:s", "c:s", NULL } };
    const char *const same[] = { "a:s", "d:s", NULL };
    const char *const none[] = { "!a:s", "!b:s", "!c:s", "!d:s", NULL };
    struct proof_example example;
    char folder[64];

    (void)state;
    world_make_folder(folder);
    world_write(folder, "a.yaml",
                "pipeline: a\nowner: me\n" IDENTITY "stages: { s: { kind: build } }\n");
    world_write(folder, "b.yaml",
                "pipeline: b\nowner: me\nidentity: { issuer: github, "
                "repository_id: \"2\" }\nstages: { s: { kind: build } }\n");
    world_write(folder, "c.yaml",
                "pipeline: c\nowner: me\nidentity: { issuer: gitlab, "
                "project_id: \"1\" }\nstages: { s: { kind: build } }\n");
    world_write(folder, "d.yaml",
                "pipeline: d\nowner: me\nidentity: { issuer: [github], "
                "repository_owner_id: \"9\" }\nstages: { s: { kind: build } }\n");
    policy = world_load(folder);
    world_remove(folder);
    for (size_t i = 0; i < COUNT(others); i++)
        assert_int_equal(ask_prover(policy, others[i], &example), PROOF_NO);
    assert_int_equal(ask_prover(policy, same, &example), PROOF_YES);
    assert_string_equal(claims_of(&example),
                        "{\"repository_id\":\"1\",\"repository_owner_id\":\"9\"}");
    assert_int_equal(ask_prover(policy, none, &example), PROOF_YES);
}

static void parts_of_a_stage_can_be_asked_about(void **state)
{
    OWNED(policy_unref) struct policy *policy = world_load_text(
        "pipeline: p\nowner: me\n"
        "identity:\n  - { issuer: github, repository_id: \"1\" }\n"
        "  - { issuer: github, repository_id: \"1\", ref: main }\n"
        "when: [ { actor: a }, { actor: [a, b] } ]\n"
        "unless: [ { environment: a }, { environment: b } ]\n"
        "stages:\n  s:\n    kind: build\n    when: [ { ref: x }, { ref: [x, y] } ]\n"
        "    unless: [ { sha: a }, { sha: [a, b] } ]\n");
    const struct policy_stage *stage = policy_stage_find(policy, STR("p:s"));
    const struct proof_term whole = { .policy = policy, .stage = stage, .is_negated = true };
    /* a part, and whether it lets in what the whole does not */
    const struct {
        struct proof_term part;
        enum proof_answer answer;
    } cases[] = {
        { { .only_identity = 1 }, PROOF_NO },
        { { .only_identity = 2 }, PROOF_NO },
        { { .only_pipeline_when = 1 }, PROOF_NO },
        { { .only_when = 1 }, PROOF_NO },
        { { .without_pipeline_unless = 1 }, PROOF_YES },
        { { .without_pipeline_unless = 2 }, PROOF_YES },
        { { .without_unless = 1 }, PROOF_NO }, /* the second refuses it too */
        { { .without_unless = 2 }, PROOF_YES },
    };
    struct proof_example example;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct proof_term terms[2] = { cases[i].part, whole };

        terms[0].policy = policy;
        terms[0].stage = stage;
        assert_int_equal(ask_prover_terms(terms, 2, &example), cases[i].answer);
    }
}

/* ---- limits ---- */

static void more_terms_than_there_may_be_are_undecided(void **state)
{
    const struct pair pair = {
        NULL, WHEN("ref: main"), WHEN("ref: dev"), PROOF_NO, PROOF_YES, NULL
    };
    OWNED(policy_unref) struct policy *policy = load_pair(&pair);
    static struct proof_term terms[PROOF_TERMS_MAX + 1];
    struct proof_example example;

    (void)state;
    for (size_t i = 0; i < COUNT(terms); i++)
        terms[i] =
            (struct proof_term){ .policy = policy, .stage = policy_stage_find(policy, STR("p:a")) };
    assert_int_equal(ask_prover_terms(terms, PROOF_TERMS_MAX, &example), PROOF_YES);
    terms[PROOF_TERMS_MAX - 1].stage = policy_stage_find(policy, STR("p:b"));
    assert_int_equal(ask_prover_terms(terms, PROOF_TERMS_MAX, &example), PROOF_NO);
    assert_int_equal(ask_prover_terms(terms, PROOF_TERMS_MAX + 1, &example), PROOF_UNDECIDED);
}

/* Pigeons, one more than holes: each claim has one of so many values, and no two the same. */
static const char *const pigeons_claims[] = {
    "repository",
    "ref",
    "ref_type",
    "sha",
    "environment",
    "event_name",
    "actor",
    "head_ref",
    "job_workflow_ref",
    "job_workflow_sha",
    "runner_environment",
};

static void load_pigeons(char *text, size_t size, size_t pigeons)
{
    size_t len = (size_t)snprintf(text, size,
                                  "pipeline: p\nowner: me\n" IDENTITY
                                  "stages:\n  s:\n    kind: build\n    when: { ");

    for (size_t i = 0; i < pigeons; i++) {
        len += (size_t)snprintf(text + len, size - len, "%s%s: [", i > 0 ? ", " : "",
                                pigeons_claims[i]);
        for (size_t k = 0; k + 1 < pigeons; k++)
            len += (size_t)snprintf(text + len, size - len, "%sh%zu", k > 0 ? ", " : "", k);
        len += (size_t)snprintf(text + len, size - len, "]");
    }
    len += (size_t)snprintf(text + len, size - len, " }\n");
    for (size_t i = 0; i < pigeons; i++)
        for (size_t k = i + 1; k < pigeons; k++) {
            len += (size_t)snprintf(text + len, size - len,
                                    "  s%zu-%zu:\n    kind: build\n    when:", i, k);
            for (size_t hole = 0; hole + 1 < pigeons; hole++)
                len += (size_t)snprintf(text + len, size - len, "\n      - { %s: h%zu, %s: h%zu }",
                                        pigeons_claims[i], hole, pigeons_claims[k], hole);
            len += (size_t)snprintf(text + len, size - len, "\n");
        }
    assert_in_range(len, 1, size - 1);
}

static enum proof_answer ask_pigeons(size_t pigeons)
{
    static char text[65536];
    static struct proof_term terms[PROOF_TERMS_MAX];
    OWNED(policy_unref) struct policy *policy = NULL;
    struct proof_example example;
    size_t count;

    load_pigeons(text, sizeof(text), pigeons);
    policy = world_load_text(text);
    count = policy_stage_count(policy);
    for (size_t i = 0; i < count; i++)
        terms[i] = (struct proof_term){ .policy = policy,
                                        .stage = policy_stage_at(policy, i),
                                        .is_negated = i > 0 };
    return ask_prover_terms(terms, count, &example);
}

static void what_takes_too_many_steps_is_undecided(void **state)
{
    (void)state;
    assert_int_equal(ask_pigeons(4), PROOF_NO);
    assert_int_equal(ask_pigeons(COUNT(pigeons_claims)), PROOF_UNDECIDED);
}

static int tear_down(void **state)
{
    (void)state;
    ask_prover_release();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_values_meet_where_they_are_the_same),
        cmocka_unit_test(patterns_meet_where_some_text_fits_both),
        cmocka_unit_test(what_unless_refuses_is_not_let_in),
        cmocka_unit_test(numbers_booleans_and_times_are_intervals),
        cmocka_unit_test(an_array_fits_by_one_element_and_refuses_by_one),
        cmocka_unit_test(pointers_lead_through_one_tree),
        cmocka_unit_test(a_copied_fact_is_its_claim),
        cmocka_unit_test(a_fact_that_follows_from_a_claim_is_decided_by_it),
        cmocka_unit_test(other_facts_stand_for_themselves_and_say_so),
        cmocka_unit_test(an_example_that_the_issuers_own_rules_bear_out_is_without_doubt),
        cmocka_unit_test(a_danger_that_no_exact_value_names_is_not_let_in),
        cmocka_unit_test(addresses_are_sets_of_networks),
        cmocka_unit_test(proofs_are_sets_of_which_one_must_be_there),
        cmocka_unit_test(what_a_stage_is_open_from_is_a_set_of_networks),
        cmocka_unit_test(times_are_spans_and_windows),
        cmocka_unit_test(times_that_are_over_do_not_count_where_somebody_says_so),
        cmocka_unit_test(guardrails_bound_what_a_stage_lets_in),
        cmocka_unit_test(more_terms_than_there_may_be_are_undecided),
        cmocka_unit_test(what_takes_too_many_steps_is_undecided),
        cmocka_unit_test(an_actor_is_nobody_or_of_one_issuer),
        cmocka_unit_test(identities_are_of_issuers),
        cmocka_unit_test(pipelines_of_other_identities_never_meet),
        cmocka_unit_test(parts_of_a_stage_can_be_asked_about),
    };

    return cmocka_run_group_tests(tests, NULL, tear_down);
}
