#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "policy/explain.h"
#include "tests/test.h"
#include "world.h"

#define NOW_S INT64_C(1795341600) /* 2026-11-22T10:00:00Z */

/* One question and its explanation; all of it lives in `arena`. */
struct asked {
    struct arena *arena;
    const char *issuer; /* NULL: github */
    const char *claims;
    const char *stage;
    const char *address;
    unsigned proofs;
    struct explanation explanation;
};

static json_t *parse(struct arena *arena, const char *text)
{
    struct error error = { 0 };
    json_t *json = NULL;

    if (!json_parse_object(str_from(text), JSON_LIMITS_REQUEST, &json, &error) ||
        !json_keep(arena, json, &error))
        fail_msg("%s: %s", text, error.cause);
    return json;
}

static const struct policy_issuer *find_issuer(struct str name)
{
    for (size_t i = 0; i < test_world.issuer_count; i++)
        if (str_eq(test_world.issuers[i].name, name))
            return &test_world.issuers[i];
    fail();
    return NULL;
}

static void explain(const struct policy *policy, struct asked *asked)
{
    struct str issuer = asked->issuer == NULL ? STR("github") : str_from(asked->issuer);
    struct policy_request request = { .stage = str_from(asked->stage) };
    struct policy_facts facts = { .proofs = asked->proofs };
    static struct address address;
    struct error error = { 0 };

    arena_free(asked->arena);
    asked->arena = arena_new((size_t)16 * 1024 * 1024);
    assert_non_null(asked->arena);
    if (asked->address != NULL) {
        assert_true(address_parse(str_from(asked->address), &address));
        facts.address = &address;
    }
    assert_true(policy_facts_read(find_issuer(issuer), parse(asked->arena, asked->claims),
                                  asked->arena, &facts, &error));
    assert_true(explain_decision(policy, &facts, &request, NOW_S, asked->arena, &asked->explanation,
                                 &error));
}

/* ---- a tree as text ---- */

static void add_leaf(const struct explain_leaf *leaf, struct buf *out)
{
    static const char marks[] = {
        [EXPLAIN_FAILS] = '-', [EXPLAIN_HOLDS] = '+', [EXPLAIN_UNKNOWN] = '?'
    };

    buf_printf(out, " %c%s" STR_FMT " [" STR_FMT "] got [" STR_FMT "]", marks[leaf->outcome],
               leaf->is_named ? "!" : "", STR_ARG(leaf->name), STR_ARG(leaf->expected),
               STR_ARG(leaf->got));
    if (leaf->why.len > 0)
        buf_printf(out, " (" STR_FMT ")", STR_ARG(leaf->why));
}

/* "when bad: +ref [main] got [main]; -!event_name ...": a clause with its maps. */
static const char *clause_text(const struct explain_subject *subject, const char *title)
{
    static char text[4096];
    OWNED(buf_release) struct buf out = { 0 };

    buf_init(&out, sizeof(text) - 1);
    for (size_t i = 0; i < subject->clause_count; i++) {
        const struct explain_clause *clause = &subject->clauses[i];

        if (strcmp(clause->title, title) != 0)
            continue;
        buf_add_text(&out, clause->is_good ? "good" : "bad");
        for (size_t k = 0; k < clause->count; k++) {
            buf_add_text(&out, k > 0 ? " |" : ":");
            for (size_t l = 0; l < clause->maps[k].count; l++)
                add_leaf(&clause->maps[k].leaves[l], &out);
        }
    }
    assert_true(buf_is_ok(&out));
    (void)snprintf(text, sizeof(text), "%s", out.len == 0 ? "" : out.data);
    return text;
}

static const char *join(const struct str *names, size_t count)
{
    static char text[1024];
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < count && used < sizeof(text); i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s" STR_FMT, i > 0 ? "," : "",
                                 STR_ARG(names[i]));
    return text;
}

/* ---- what is shown ---- */

#define POLICY                                                                                     \
    "pipeline: p\nowner: me\nidentity: { issuer: github, repository_id: \"1\" }\n"                 \
    "unless: { ci.fork: true }\n"                                                                  \
    "stages:\n"                                                                                    \
    "  build:\n"                                                                                   \
    "    kind: build\n"                                                                            \
    "    when:\n"                                                                                  \
    "      - { ref: { like: \"refs/heads/*\" }, event_name: [push, schedule] }\n"                  \
    "      - { ref: { like: \"refs/tags/*\" }, environment: production, sha: x }\n"                \
    "    unless: { actor: mallory, ci.ref_protected: true }\n"                                     \
    "    proof: [dpop, key]\n"                                                                     \
    "  office:\n"                                                                                  \
    "    kind: test\n"                                                                             \
    "    when: { request.address: { within: 10.0.0.0/8 }, ref_type: { not: tag } }\n"              \
    "    unless: [ { actor: mallory }, { environment: { exists: true } } ]\n"                      \
    "  preview:\n"                                                                                 \
    "    kind: test\n"                                                                             \
    "    when: { ref: { like: \"refs/pull/{pr}/merge\" } }\n"                                      \
    "    grants:\n"                                                                                \
    "      a: { jwt: { audience: a, claims: { b: \"x-${pr}\" } }, ttl: 5m }\n"

#define JOB(more) "{\"repository_id\":\"1\"" more "}"

static void each_condition_shows_what_was_expected_and_what_came(void **state)
{
    static const struct {
        struct asked asked;
        const char *title;
        const char *text;
    } cases[] = {
        { { .claims = JOB(""), .stage = "build" },
          "identity",
          "good: +issuer [github] got [github] +repository_id [1] got [1]" },
        { { .claims = JOB(""), .stage = "build" },
          "unless of the pipeline",
          "good: -ci.fork [true] got [] (absent)" },
        { { .claims = JOB(",\"ref\":\"refs/heads/x\",\"event_name\":\"pull\""), .stage = "build" },
          "when",
          "bad: +ref [like refs/heads/*] got [refs/heads/x] "
          "-!event_name [one of push, schedule] got [pull] | "
          "-ref [like refs/tags/*] got [refs/heads/x] "
          "-environment [production] got [] (absent) -sha [x] got [] (absent)" },
        { { .claims = JOB(",\"ref\":\"refs/heads/x\",\"event_name\":\"push\""), .stage = "build" },
          "when",
          "good: +ref [like refs/heads/*] got [refs/heads/x] "
          "+event_name [one of push, schedule] got [push] | "
          "-ref [like refs/tags/*] got [refs/heads/x] "
          "-environment [production] got [] (absent) -sha [x] got [] (absent)" },
        { { .claims = JOB(",\"actor\":\"mallory\""), .stage = "build" },
          "unless",
          "bad: +!actor [mallory] got [mallory] "
          "?!ci.ref_protected [true] got [] (the issuer cannot say)" },
        { { .claims = JOB(",\"actor\":\"alice\""), .stage = "build" },
          "unless",
          "good: -actor [mallory] got [alice] "
          "?ci.ref_protected [true] got [] (the issuer cannot say)" },
        { { .claims = JOB(""), .stage = "build" },
          "request",
          "bad: -!proof [one of dpop, key] got [] (none came along)" },
        { { .claims = JOB(""), .stage = "build", .proofs = POLICY_PROOF_MTLS },
          "request",
          "bad: -!proof [one of dpop, key] got [mtls]" },
        { { .claims = JOB(""),
            .stage = "build",
            .proofs = POLICY_PROOF_DPOP | POLICY_PROOF_MTLS | POLICY_PROOF_KEY },
          "request",
          "good: +proof [one of dpop, key] got [one of dpop, mtls, key]" },
        { { .claims = JOB(",\"ref_type\":\"\""), .stage = "office" },
          "when",
          "bad: ?!request.address [within 10.0.0.0/8] got [] (the request's address is not known) "
          "-!ref_type [not tag] got [\"\"] (absent)" },
        { { .claims = JOB(",\"ref_type\":7"), .stage = "office", .address = "10.1.2.3" },
          "when",
          "bad: +request.address [within 10.0.0.0/8] got [10.1.2.3] "
          "?!ref_type [not tag] got [7] (not the text that the issuer's profile says)" },
        { { .claims = JOB(",\"actor\":\"mallory\",\"environment\":\"x\""), .stage = "office" },
          "unless",
          "bad: +!actor [mallory] got [mallory] | +!environment [present] got [x]" },
        { { .claims = JOB(",\"ref\":\"refs/pull/-/merge\""), .stage = "preview" },
          "besides",
          "bad: -!ref [] got [] (its value may not stand in a grant: that takes 1 to 64 of A-Z "
          "a-z 0-9 . _ -, a letter or digit first)" },
        { { .claims = JOB(",\"ref\":\"refs/pull/-/merge\"") },
          "besides",
          "bad: -!ref [] got [] (its value may not stand in a grant: that takes 1 to 64 of A-Z "
          "a-z 0-9 . _ -, a letter or digit first)" },
        { { .claims = JOB(",\"ref\":\"refs/pull/7/merge\",\"event_name\":\"issue_comment\""),
            .stage = "preview" },
          "dangerous trigger",
          "bad: -!event_name [named by its exact value] got [issue_comment]" },
    };
    OWNED(policy_unref) struct policy *policy = world_load_text(POLICY);

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct asked asked = cases[i].asked;

        explain(policy, &asked);
        assert_int_equal(asked.explanation.subject_count, 1);
        assert_string_equal(clause_text(&asked.explanation.subjects[0], cases[i].title),
                            cases[i].text);
        arena_free(asked.arena);
    }
}

#define TIMED                                                                                      \
    "pipeline: p\nowner: me\nidentity: { issuer: github, repository_id: \"1\" }\n"                 \
    "stages:\n"                                                                                    \
    "  build:\n"                                                                                   \
    "    kind: test\n"                                                                             \
    "    from: [10.0.0.0/8, 192.0.2.1]\n"                                                          \
    "    during: [\"Mon..Fri 08:00-18:00 Europe/Berlin\", \"22:00-02:00 UTC\"]\n"                  \
    "    until: 2026-11-22\n"                                                                      \
    "  open:\n"                                                                                    \
    "    kind: test\n"                                                                             \
    "    from: 10.0.0.0/8\n"                                                                       \
    "    during: \"Sun 08:00-18:00 America/New_York\"\n"                                           \
    "    until: 2026-11-23\n"                                                                      \
    "  over: { kind: test, grants: { a: { jwt: { audience: a }, until: 2026-11-22 } } }\n"

static void words_of_a_stage_show_what_came(void **state)
{
    static const struct {
        struct asked asked;
        const char *title;
        const char *text;
    } cases[] = {
        { { .claims = JOB(""), .stage = "build", .address = "192.0.2.2" },
          "request",
          "bad: -!from [within 10.0.0.0/8, 192.0.2.1/32] got [192.0.2.2] "
          "-!during [Mon..Fri 08:00-18:00 Europe/Berlin, or 22:00-02:00 UTC] got [Sun 11:00 "
          "Europe/Berlin] "
          "-!until [before 2026-11-22T00:00:00Z] got [2026-11-22T10:00:00Z]" },
        { { .claims = JOB(""), .stage = "open", .address = "10.0.0.1" },
          "request",
          "bad: +from [within 10.0.0.0/8] got [10.0.0.1] "
          "-!during [Sun 08:00-18:00 America/New_York] got [Sun 05:00 America/New_York] "
          "+until [before 2026-11-23T00:00:00Z] got [2026-11-22T10:00:00Z]" },
        { { .claims = JOB(""), .stage = "open" },
          "request",
          "bad: -!from [within 10.0.0.0/8] got [] (the request's address is not known) "
          "-!during [Sun 08:00-18:00 America/New_York] got [Sun 05:00 America/New_York] "
          "+until [before 2026-11-23T00:00:00Z] got [2026-11-22T10:00:00Z]" },
        { { .claims = JOB(""), .stage = "over" },
          "besides",
          "bad: -!until [] got [] (what was asked for is over: a grant has an 'until' of its "
          "own)" },
    };
    OWNED(policy_unref) struct policy *policy = world_load_text(TIMED);

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct asked asked = cases[i].asked;

        explain(policy, &asked);
        assert_string_equal(clause_text(&asked.explanation.subjects[0], cases[i].title),
                            cases[i].text);
        arena_free(asked.arena);
    }
}

#define RAILS                                                                                      \
    "guardrails:\n"                                                                                \
    "  require:\n"                                                                                 \
    "    - { name: hosted, when: { ci.runner: hosted }, proof: [dpop], from: 10.0.0.0/8 }\n"       \
    "  ttl: [ { name: short, test: 1m, mode: warn } ]\n"                                           \
    "  forbid: [ { name: no-jwt, mode: warn, jwt: [\"a*\", b] } ]\n"                               \
    "  separate: [ { name: apart, principals: true, mode: warn } ]\n"                              \
    "  freeze:\n"                                                                                  \
    "    - { name: frozen, for: { environment: production }, from: 2026-11-22, to: 2026-11-23 }\n" \
    "    - { name: thawed, from: 2026-11-20, to: 2026-11-21, mode: warn }\n"                       \
    "  exceptions:\n"                                                                              \
    "    - { from: hosted, pipeline: p, stage: build, until: 2026-11-22, why: x }\n"               \
    "    - { from: hosted, pipeline: p, stage: prod, until: 2026-11-23, why: x }\n"
#define RAILED                                                                                     \
    "pipeline: p\nowner: me\nidentity: { issuer: github, repository_id: \"1\" }\n"                 \
    "stages:\n"                                                                                    \
    "  build: { kind: test, grants: { a: { jwt: { audience: a }, ttl: 5m } } }\n"                  \
    "  prod: { kind: deploy, environment: production }\n"

static struct policy *load_railed(void)
{
    struct policy *policy;
    char folder[64];

    world_make_folder(folder);
    world_write(folder, "a.yaml", RAILED);
    world_write(folder, "b.yaml", RAILS);
    policy = world_load(folder);
    world_remove(folder);
    return policy;
}

static void each_guardrail_says_what_it_asks_and_whether_it_is_met(void **state)
{
    static const struct {
        struct asked asked;
        const char *text;
    } cases[] = {
        { { .claims = JOB(""), .stage = "prod" },
          "good: +hosted [an exception until 2026-11-23T00:00:00Z] got [2026-11-22T10:00:00Z]"
          "bad: -!frozen [before 2026-11-22T00:00:00Z, or from 2026-11-23T00:00:00Z on] got "
          "[2026-11-22T10:00:00Z]"
          "good: +thawed [before 2026-11-20T00:00:00Z, or from 2026-11-21T00:00:00Z on] got "
          "[2026-11-22T10:00:00Z]" },
        { { .claims = JOB(""), .stage = "build", .address = "192.0.2.1" },
          "bad: -!ci.runner [hosted] got [self-hosted]"
          "bad: -!hosted [proof: [dpop]] got [] (the stage does not ask for it) "
          "-!hosted [from: [10.0.0.0/8]] got [] (the stage does not ask for it) "
          "-!hosted [proof: dpop] got [] (none came along) "
          "-!hosted [from: within 10.0.0.0/8] got [192.0.2.1]"
          "good: +thawed [before 2026-11-20T00:00:00Z, or from 2026-11-21T00:00:00Z on] got "
          "[2026-11-22T10:00:00Z]" },
    };
    OWNED(policy_unref) struct policy *policy = load_railed();

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct asked asked = cases[i].asked;

        explain(policy, &asked);
        assert_string_equal(clause_text(&asked.explanation.subjects[0], "guardrail"),
                            cases[i].text);
        arena_free(asked.arena);
    }
}

static void a_guardrail_that_only_warns_is_shown_and_denies_nothing(void **state)
{
    OWNED(policy_unref) struct policy *policy = world_load_text(RAILED);
    struct asked asked = { .claims = JOB(""), .stage = "build" };
    char folder[64];

    (void)state;
    explain(policy, &asked);
    assert_string_equal(clause_text(&asked.explanation.subjects[0], "guardrail"), "");
    policy_unref(policy);
    world_make_folder(folder);
    world_write(folder, "a.yaml", RAILED);
    world_write(folder, "b.yaml",
                "guardrails:\n"
                "  ttl: [ { name: short, test: 1m, mode: warn } ]\n"
                "  forbid: [ { name: no-jwt, mode: warn, jwt: [\"a*\", b] }, { name: no-root, ssh: "
                "[root] } ]\n"
                "  require: [ { name: hosted, mode: warn, when: { ci.runner: hosted } } ]\n"
                "  separate: [ { name: apart, kinds: [test], from: { environment: production }, "
                "mode: warn } ]\n");
    policy = world_load(folder);
    world_remove(folder);
    explain(policy, &asked);
    assert_true(asked.explanation.is_allowed);
    assert_string_equal(clause_text(&asked.explanation.subjects[0], "guardrail"),
                        "bad: -ci.runner [hosted] got [self-hosted]"
                        "bad: -short [credentials of at most 1m for test] got []"
                        "bad: -no-jwt [nothing of jwt a*, jwt b] got []"
                        "good: +no-root [nothing of ssh root] got []"
                        "bad: -apart [a token that fits no stage of the other side] got []");
    arena_free(asked.arena);
}

static void a_long_value_is_cut_between_characters(void **state)
{
    OWNED(policy_unref) struct policy *policy = world_load_text(POLICY);
    OWNED(buf_release) struct buf claims = { 0 };
    struct asked asked = { .stage = "office" };
    struct str got;

    (void)state;
    buf_init(&claims, 1024);
    buf_add_text(&claims, "{\"repository_id\":\"1\",\"ref_type\":\"");
    for (size_t i = 0; i < 300; i++)
        buf_add_text(&claims, i % 2 == 0 ? "a" : "\xC3\xA4");
    buf_add_text(&claims, "\"}");
    asked.claims = claims.data;
    explain(policy, &asked);
    got = asked.explanation.subjects[0].clauses[2].maps[0].leaves[1].got;
    assert_true(str_is_utf8(got));
    assert_int_equal(got.len, 1 + 199 + 99 + 3); /* a quote, 199 characters, three dots */
    arena_free(asked.arena);
}

/* ---- which stages are shown ---- */

static const char *shown(const struct asked *asked)
{
    static char text[1024];
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < asked->explanation.subject_count; i++) {
        const struct explain_subject *subject = &asked->explanation.subjects[i];

        used +=
            (size_t)snprintf(text + used, sizeof(text) - used, "%s" STR_FMT "%s", i > 0 ? " " : "",
                             STR_ARG(subject->stage ? subject->stage->id : subject->pipeline),
                             subject->is_open ? "+" : "");
    }
    return text;
}

#define PIPELINE(name, id)                                                                         \
    "pipeline: " name "\nowner: me\nidentity: { issuer: github, repository_id: " id " }\n"         \
    "stages:\n"
#define STAGE(name, when) "  " name ": { kind: test, when: { " when " } }\n"

static struct policy *load_many(void)
{
    struct policy *policy;
    char folder[64];

    world_make_folder(folder);
    world_write(folder, "a.yaml",
                PIPELINE("a", "\"1\"") STAGE("one", "ref: x, sha: y") STAGE("two", "ref: z")
                    STAGE("open", "event_name: push") STAGE("both", "event_name: tag")
                        STAGE("three", "ref: z, sha: y, actor: w") STAGE("four", "sha: y"));
    world_write(folder, "b.yaml",
                PIPELINE("b", "[1, 2]") STAGE("one", "ref: x") STAGE("both", "event_name: tag")
                    STAGE("also", "event_name: push, ref: w"));
    world_write(folder, "c.yaml", PIPELINE("c/d", "\"3\"") STAGE("one", "ref: x"));
    world_write(folder, "d.yaml",
                "pipeline: d\nowner: me\nidentity: { issuer: gitlab, project_id: \"1\" }\n"
                "stages:\n" STAGE("one", "ref: x"));
    policy = world_load(folder);
    world_remove(folder);
    return policy;
}

static void the_stages_that_matter_are_shown(void **state)
{
    static const struct {
        struct asked asked;
        enum error_code code;
        const char *shown;
    } cases[] = {
        { { .claims = JOB(",\"event_name\":\"push\"") }, ERROR_NONE, "a:open+" },
        { { .claims = JOB(",\"event_name\":\"push\""), .stage = "open" }, ERROR_NONE, "a:open+" },
        { { .claims = JOB(",\"event_name\":\"x\""), .stage = "a:open" },
          ERROR_CONDITION,
          "a:open" },
        /* None fits: the nearest, in the order of the policy where they are as near. */
        { { .claims = JOB("") }, ERROR_CONDITION, "a:two a:open a:both a:four b:one" },
        { { .claims = JOB(",\"ref\":\"q\",\"sha\":\"y\",\"actor\":\"w\"") },
          ERROR_NONE,
          "a:four+" },
        /* Several fit: these. */
        { { .claims = JOB(",\"event_name\":\"tag\"") }, ERROR_STAGE, "a:both+ b:both+" },
        { { .claims = JOB(",\"event_name\":\"tag\""), .stage = "b:both" }, ERROR_NONE, "b:both+" },
        /* Several have the name, whether they fit or not. */
        { { .claims = JOB(""), .stage = "one" }, ERROR_STAGE, "b:one a:one" },
        /* None has it. */
        { { .claims = "{\"repository_id\":\"2\"}", .stage = "tow" },
          ERROR_CONDITION,
          "b:one b:both b:also" },
        { { .claims = "{\"repository_id\":\"2\"}", .stage = "b:tow" },
          ERROR_CONDITION,
          "b:one b:both b:also" },
        /* Nor is there such a pipeline. */
        { { .claims = "{\"repository_id\":\"2\"}", .stage = "z:one" },
          ERROR_NO_PIPELINE,
          "b:one b:both b:also" },
        /* No identity fits: the nearest; the stage, where one is named. */
        { { .claims = "{\"repository_id\":\"9\"}" }, ERROR_NO_PIPELINE, "a b c/d" },
        { { .claims = "{\"repository_id\":\"9\"}", .stage = "three" },
          ERROR_NO_PIPELINE,
          "a:three" },
        { { .claims = "{\"repository_id\":\"2\"}", .stage = "a:one" }, ERROR_NO_PIPELINE, "a:one" },
        { { .claims = "{\"repository_id\":\"9\"}", .stage = "none" },
          ERROR_NO_PIPELINE,
          "a b c/d" },
        { { .claims = "{\"project_id\":\"9\"}", .issuer = "gitlab" }, ERROR_NO_PIPELINE, "d a b" },
    };
    OWNED(policy_unref) struct policy *policy = load_many();

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct asked asked = cases[i].asked;

        explain(policy, &asked);
        assert_string_equal(shown(&asked), cases[i].shown);
        assert_int_equal(asked.explanation.code, cases[i].code);
        assert_int_equal(asked.explanation.is_allowed, cases[i].code == ERROR_NONE);
        arena_free(asked.arena);
    }
}

static void of_an_identity_that_does_not_fit_it_is_said_what_differs(void **state)
{
    OWNED(policy_unref) struct policy *policy = load_many();
    struct asked asked = { .claims = "{\"project_id\":\"9\"}", .issuer = "gitlab" };

    (void)state;
    explain(policy, &asked);
    assert_string_equal(clause_text(&asked.explanation.subjects[0], "identity"),
                        "bad: +issuer [gitlab] got [gitlab] -!project_id [1] got [9]");
    assert_string_equal(clause_text(&asked.explanation.subjects[1], "identity"),
                        "bad: -!issuer [github] got [gitlab]");
    arena_free(asked.arena);
}

/* ---- random policies: the tree never says something else than the decision ---- */

#define POLICIES 60
#define JOBS 40

static unsigned pick(unsigned count)
{
    static uint64_t random_state = 20261122;

    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(random_state >> 33) % count;
}

static const char *const pool[][6] = {
    { "ref", "a", "b", "refs/heads/a", "refs/heads/b", "-" },
    { "sha", "a", "b", "c", "d", "e" },
    { "environment", "a", "b", "", "c", "d" },
    { "event_name", "push", "issue_comment", "tag", "a", "b" },
    { "actor", "a", "b", "c", "d", "" },
    { "runner_environment", "github-hosted", "x", "", "self-hosted", "y" },
    { "ref_type", "a", "b", "tag", "7", "" },
};

static void add_condition(struct buf *out, unsigned row)
{
    const char *name = pool[row][0];
    const char *a = pool[row][1 + pick(2)];
    const char *b = pool[row][3];

    switch (pick(7)) {
    case 0:
        buf_printf(out, "%s: { exists: %s }", name, pick(2) ? "true" : "false");
        return;
    case 1:
        buf_printf(out, "%s: { like: \"%s*\" }", name, a);
        return;
    case 2:
        buf_printf(out, "%s: { not: %s, exists: true }", name, a);
        return;
    case 3:
        buf_printf(out, "%s: [%s, \"%s\"]", name, a, *b == '\0' ? "z" : b);
        return;
    default:
        buf_printf(out, "%s: %s", name, a);
    }
}

static void add_map(struct buf *out)
{
    static const char *const others[] = { "ci.runner: hosted", "ci.ref_protected: true",
                                          "ci.fork: true", "request.address: 10.0.0.0/8",
                                          "ci.event: push" };
    unsigned first = pick(COUNT(pool));

    buf_add_text(out, "{ ");
    add_condition(out, first);
    for (unsigned i = 1; i <= pick(3); i++) {
        buf_add_text(out, ", ");
        add_condition(out, (first + i) % COUNT(pool));
    }
    if (pick(4) == 0)
        buf_printf(out, ", %s", others[pick(COUNT(others))]);
    buf_add_text(out, " }");
}

static void add_clause(struct buf *out, const char *indent, const char *word)
{
    unsigned count = 1 + (pick(3) == 0 ? 1 + pick(2) : 0);

    buf_printf(out, "%s%s: ", indent, word);
    buf_add_text(out, count > 1 ? "[ " : "");
    for (unsigned i = 0; i < count; i++) {
        buf_add_text(out, i > 0 ? ", " : "");
        add_map(out);
    }
    buf_add_text(out, count > 1 ? " ]\n" : "\n");
}

static void add_stage(struct buf *out, unsigned index)
{
    buf_printf(out, "  s%u:\n    kind: %s\n", index,
               pick(4) == 0 ? "deploy\n    environment: production" : "test");
    if (pick(8) == 0) {
        buf_add_text(out,
                     "    when: { ref: { like: \"refs/heads/{x}\" } }\n    grants: { a: { jwt: "
                     "{ audience: a, claims: { x: \"x-${x}\" } } } }\n");
        return;
    }
    if (pick(6) != 0)
        add_clause(out, "    ", "when");
    if (pick(3) == 0)
        add_clause(out, "    ", "unless");
    if (pick(6) == 0)
        buf_add_text(out, "    proof: [dpop, mtls]\n");
    if (pick(8) == 0)
        buf_printf(out, "    from: %s\n", pick(2) ? "10.0.0.0/8" : "192.0.2.0/24");
    if (pick(8) == 0)
        buf_printf(out, "    during: \"%s Europe/Berlin\"\n",
                   pick(2) ? "Sun 08:00-18:00" : "08:00-09:00");
    if (pick(8) == 0)
        buf_printf(out, "    until: %s\n", pick(2) ? "2026-11-22" : "2026-11-23");
}

/* Guardrails that a policy can be loaded with: what stages do not meet has an exception. */
static void write_guardrails(const char *folder, const unsigned stages[3])
{
    OWNED(buf_release) struct buf text = { 0 };
    const char *until = pick(2) ? "2026-01-01" : "2027-01-01";

    buf_init(&text, (size_t)64 * 1024);
    buf_add_text(&text,
                 "guardrails:\n  require:\n    - { name: hosted, for: { kind: test }, when: ");
    buf_add_text(&text, pick(2) ? "{ ci.runner: hosted }"
                                : "[{ ci.runner: hosted }, { ci.event: push, ci.ref: [a, b] }]");
    buf_printf(&text,
               " }\n    - { name: asked, mode: %s, proof: [dpop], approval: { count: 2 }, from: "
               "10.0.0.0/8, review_by: { grace: 1d } }\n",
               pick(2) ? "warn" : "enforce");
    buf_printf(&text, "  ttl:\n    - { name: short, test: 1m, mode: %s }\n",
               pick(2) ? "warn" : "enforce");
    buf_add_text(
        &text,
        "  separate:\n    - { name: apart, kinds: [test], from: { environment: production } }\n");
    if (pick(3) == 0)
        buf_printf(&text, "  freeze:\n    - { name: frozen, mode: %s, from: 2026-11-01, to: %s }\n",
                   pick(2) ? "warn" : "enforce", pick(2) ? "2026-11-22" : "2026-11-23");
    buf_add_text(&text, "  exceptions:\n");
    for (unsigned i = 0; i < 3; i++)
        for (unsigned k = 0; k < stages[i]; k++)
            buf_printf(&text,
                       "    - { from: asked, pipeline: p%u, stage: s%u, until: %s, why: x }\n"
                       "    - { from: short, pipeline: p%u, stage: s%u, until: %s, why: x }\n",
                       i, k, until, i, k, until);
    world_write(folder, "guardrails.yaml", text.data);
}

static struct policy *random_policy(void)
{
    struct policy *policy;
    unsigned stages[3];
    char folder[64];

    world_make_folder(folder);
    for (unsigned i = 0; i < 3; i++) {
        OWNED(buf_release) struct buf text = { 0 };
        char name[16];

        stages[i] = 1 + pick(4);

        buf_init(&text, (size_t)64 * 1024);
        buf_printf(&text,
                   "pipeline: p%u\nowner: me\nidentity: { issuer: github, repository_id: "
                   "[\"%u\", \"9\"]%s }\n",
                   i, i, pick(3) == 0 ? ", sha: [a, b, c]" : "");
        if (pick(4) == 0)
            add_clause(&text, "", "when");
        if (pick(4) == 0)
            add_clause(&text, "", "unless");
        buf_add_text(&text, "stages:\n");
        for (unsigned k = 0; k < stages[i]; k++)
            add_stage(&text, k);
        (void)snprintf(name, sizeof(name), "p%u.yaml", i);
        world_write(folder, name, text.data);
    }
    if (pick(2))
        write_guardrails(folder, stages);
    policy = world_load(folder);
    world_remove(folder);
    return policy;
}

static void add_claims(struct buf *out)
{
    static const char *const ids[] = { "0", "1", "2", "9", "9", "9", "7" };

    buf_printf(out, "{\"repository_id\":\"%s\"", ids[pick(COUNT(ids))]);
    for (size_t i = 0; i < COUNT(pool); i++) {
        const char *value = pool[i][1 + pick(5)];

        if (pick(5) == 0)
            continue;
        buf_printf(out, strcmp(value, "7") == 0 ? ",\"%s\":%s" : ",\"%s\":\"%s\"", pool[i][0],
                   value);
    }
    buf_add_text(out, "}");
}

static int compare_names(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* The names of the leaves that are reasons, as a denial would have them. */
static size_t named(const struct explain_subject *subject, struct str names[256])
{
    size_t count = 0;
    size_t unique = 0;

    for (size_t i = 0; i < subject->clause_count; i++)
        for (size_t k = 0; k < subject->clauses[i].count; k++)
            for (size_t l = 0; l < subject->clauses[i].maps[k].count && count < 256; l++)
                if (subject->clauses[i].maps[k].leaves[l].is_named)
                    names[count++] = subject->clauses[i].maps[k].leaves[l].name;
    if (count > 0)
        qsort(names, count, sizeof(names[0]), compare_names);
    for (size_t i = 0; i < count; i++)
        if (unique == 0 || !str_eq(names[unique - 1], names[i]))
            names[unique++] = names[i];
    return unique;
}

static bool all_clauses_are_good(const struct explain_subject *subject)
{
    bool are_good = true;

    for (size_t i = 0; i < subject->clause_count; i++)
        are_good &= subject->clauses[i].is_good || subject->clauses[i].is_warning;
    return are_good;
}

/* Of what is allowed, each guardrail that warned is seen to. */
static void check_warnings(const struct explanation *got)
{
    const struct explain_subject *subject = &got->subjects[0];
    size_t warned = 0;

    for (size_t i = 0; got->is_allowed && i < subject->clause_count; i++)
        if (!subject->clauses[i].is_good &&
            (i == 0 || !str_eq(subject->clauses[i].name, subject->clauses[i - 1].name)))
            warned++;
    if (got->is_allowed)
        assert_int_equal(warned, got->decision->warned_count);
}

/* A stage's tree must come to what deciding the stage by its full name comes to. */
static void check_subject(const struct policy *policy, const struct asked *job,
                          const struct explain_subject *subject)
{
    struct asked alone = *job;
    struct str names[256];
    char stage[64];
    char text[1024];

    (void)snprintf(stage, sizeof(stage), STR_FMT, STR_ARG(subject->stage->id));
    alone.arena = NULL;
    alone.stage = stage;
    explain(policy, &alone);
    subject = &alone.explanation.subjects[0];
    (void)snprintf(
        text, sizeof(text), "%s",
        join(alone.explanation.decision->failed, alone.explanation.decision->failed_count));
    assert_string_equal(join(names, named(subject, names)), text);
    assert_int_equal(alone.explanation.is_allowed, all_clauses_are_good(subject));
    if (!subject->is_open)
        assert_string_equal(join(subject->failed, subject->failed_count), text);
    if (!subject->is_open || strcmp(text, "ref") != 0) /* else a hole that could not be filled */
        assert_string_equal(clause_text(subject, "besides"), "");
    check_warnings(&alone.explanation);
    arena_free(alone.arena);
}

static void try_job(const struct policy *policy, unsigned outcomes[ERROR_CODE_COUNT])
{
    static const unsigned proofs[] = { 0, POLICY_PROOF_DPOP, POLICY_PROOF_KEY };
    static const char *const stages[] = { NULL, NULL, "s0", "s1", "p1:s0", "p7:s0", "s9" };
    OWNED(buf_release) struct buf claims = { 0 };
    struct asked job = { .stage = stages[pick(COUNT(stages))],
                         .address = pick(2) ? "10.1.2.3" : NULL,
                         .proofs = proofs[pick(COUNT(proofs))] };
    const struct explanation *got = &job.explanation;

    buf_init(&claims, (size_t)16 * 1024);
    add_claims(&claims);
    job.claims = claims.data;
    explain(policy, &job);
    outcomes[got->code]++;
    assert_true(got->subject_count >= 1);
    for (size_t i = 0; i < got->subject_count; i++)
        if (got->subjects[i].clauses[0].is_good)
            check_subject(policy, &job, &got->subjects[i]);
        else
            assert_int_equal(got->code, ERROR_NO_PIPELINE);
    if (got->is_allowed || (job.stage == NULL && got->code == ERROR_CONDITION))
        assert_ptr_equal(got->subjects[0].stage, got->decision->stage);
    arena_free(job.arena);
}

static void an_explanation_never_disagrees_with_the_decision(void **state)
{
    unsigned outcomes[ERROR_CODE_COUNT] = { 0 };

    (void)state;
    for (size_t i = 0; i < POLICIES; i++) {
        OWNED(policy_unref) struct policy *policy = random_policy();

        for (size_t k = 0; k < JOBS; k++)
            try_job(policy, outcomes);
    }
    assert_true(outcomes[ERROR_NONE] > POLICIES);
    assert_true(outcomes[ERROR_CONDITION] > POLICIES);
    assert_true(outcomes[ERROR_STAGE] > POLICIES);
    assert_true(outcomes[ERROR_NO_PIPELINE] > POLICIES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_condition_shows_what_was_expected_and_what_came),
        cmocka_unit_test(words_of_a_stage_show_what_came),
        cmocka_unit_test(each_guardrail_says_what_it_asks_and_whether_it_is_met),
        cmocka_unit_test(a_guardrail_that_only_warns_is_shown_and_denies_nothing),
        cmocka_unit_test(a_long_value_is_cut_between_characters),
        cmocka_unit_test(the_stages_that_matter_are_shown),
        cmocka_unit_test(of_an_identity_that_does_not_fit_it_is_said_what_differs),
        cmocka_unit_test(an_explanation_never_disagrees_with_the_decision),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
