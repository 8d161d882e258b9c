#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "policy/diff.h"
#include "tests/test.h"
#include "world.h"

#define ARENA_BYTES ((size_t)16 * 1024 * 1024)

static const char pipeline[] =
    "pipeline: p\nowner: o\nreview_by: 2026-01-01\n"
    "identity: { issuer: github, repository_id: \"1\" }\nstages:\n"
    "  build: { kind: build, when: { ref: a } }\n"
    "  deploy: { kind: deploy, environment: production, when: { ref: b }, proof: mtls }\n";

static struct policy *load(const char *guardrails)
{
    struct policy *policy;
    char folder[64];

    world_make_folder(folder);
    world_write(folder, "p.yaml", pipeline);
    if (guardrails != NULL)
        world_write(folder, "g.yaml", guardrails);
    policy = world_load(folder);
    world_remove(folder);
    return policy;
}

static void write_changes(const struct policy_change *changes, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s%s%s %s", i > 0 ? "; " : "", policy_way_name(changes[i].way),
                   changes[i].is_undecided ? "?" : "", changes[i].subject);
}

static void assert_diff(const char *old, const char *new, const char *expected)
{
    OWNED(policy_unref) struct policy *before = load(old);
    OWNED(policy_unref) struct policy *after = load(new);
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_BYTES);
    const struct policy_diff_options options = { .before = before, .after = after };
    OWNED(buf_release) struct buf found = { 0 };
    struct error error = { 0 };
    struct policy_diff diff;

    assert_true(policy_diff(&options, arena, &diff, &error));
    buf_init(&found, 4096);
    write_changes(diff.guardrails, diff.guardrail_count, &found);
    if (strcmp(found.data == NULL ? "" : found.data, expected) != 0)
        fail_msg("'%s', not '%s', from %s to %s", found.data == NULL ? "" : found.data, expected,
                 old == NULL ? "nothing" : old, new == NULL ? "nothing" : new);
}

/* One guardrail each; `back` is the other way round. */
static const struct {
    const char *before;
    const char *after;
    const char *expected;
    const char *back;
} rows[] = {
    { "guardrails: { ttl: { build: 15m } }", "guardrails: { ttl: { build: 15m } }", "", "" },
    { "guardrails: { ttl: { build: 15m } }", "guardrails: { ttl: { build: 30m } }",
      "wider guardrail", "narrower guardrail" },
    { "guardrails: { ttl: { build: 15m } }", "guardrails: { ttl: { deploy: 15m } }",
      "wider guardrail; narrower guardrail", "narrower guardrail; wider guardrail" },
    { "guardrails: { ttl: { build: 15m } }", NULL, "wider guardrail", "narrower guardrail" },
    { "guardrails: { forbid: [ { name: a, ssh: [root, admin] } ] }",
      "guardrails: { forbid: [ { name: a, ssh: [root] } ] }", "wider guardrail",
      "narrower guardrail" },
    { "guardrails: { forbid: [ { name: a, ssh: ['r*'] } ] }",
      "guardrails: { forbid: [ { name: a, ssh: [root] } ] }", "wider guardrail",
      "narrower guardrail" },
    { "guardrails: { forbid: [ { name: a, ssh: [root] } ] }",
      "guardrails: { forbid: [ { name: b, ssh: [root] } ] }", "wider guardrail; narrower guardrail",
      "wider guardrail; narrower guardrail" },
    { "guardrails: { forbid: [ { name: a, ssh: [root] } ] }",
      "guardrails: { forbid: [ { name: a, mode: warn, ssh: [root] } ] }", "wider guardrail",
      "narrower guardrail" },
    { "guardrails: { forbid: [ { name: a, mode: warn, ssh: [root, x] } ] }",
      "guardrails: { forbid: [ { name: a, mode: warn, ssh: [root] } ] }", "even guardrail",
      "even guardrail" },
    { "guardrails: { forbid: [ { name: a, ssh: [root] } ] }",
      "guardrails: { forbid: [ { name: a, for: { environment: production }, ssh: [root] } ] }",
      "wider guardrail", "narrower guardrail" },
    { "guardrails: { forbid: [ { name: a, ssh: [root] } ] }",
      "guardrails: { forbid: [ { name: a, ssh: [root], except: { kind: maintenance } } ] }",
      "wider guardrail", "narrower guardrail" },
    { "guardrails: { separate: [ { name: a, kinds: [build, test], from: { kind: deploy } } ] }",
      "guardrails: { separate: [ { name: a, kinds: [build], from: { kind: deploy } } ] }",
      "wider guardrail", "narrower guardrail" },
    { "guardrails: { separate: [ { name: a, kinds: [build], from: { kind: deploy } } ] }",
      "guardrails: { separate: [ { name: a, kinds: [build],"
      " from: { kind: deploy, environment: production } } ] }",
      "wider guardrail", "narrower guardrail" },
    { "guardrails: { freeze: [ { name: a, from: 2026-12-20, to: 2027-01-03 } ] }",
      "guardrails: { freeze: [ { name: a, from: 2026-12-21, to: 2027-01-03 } ] }",
      "wider guardrail", "narrower guardrail" },
    { "guardrails: { require: [ { name: a, for: { kind: deploy }, proof: [mtls] } ] }",
      "guardrails: { require: [ { name: a, for: { kind: deploy }, proof: [mtls, dpop] } ] }",
      "wider guardrail", "narrower guardrail" },
    { "guardrails: { require: [ { name: a, for: { kind: deploy }, review_by: { grace: 5d } } ] }",
      "guardrails: { require: [ { name: a, for: { kind: deploy }, review_by: { grace: 9d } } ] }",
      "wider guardrail", "narrower guardrail" },
    { "guardrails: { require: [ { name: a, for: { kind: deploy }, when: { ci.runner: hosted } } ] "
      "}",
      "guardrails: { require: [ { name: a, for: { kind: deploy }, proof: mtls } ] }",
      "wider guardrail; narrower guardrail", "narrower guardrail; wider guardrail" },
    { "guardrails: { require: [ { name: a, for: { kind: deploy }, when: { ci.runner: hosted } } ] "
      "}",
      "guardrails: { require: [ { name: a, for: { kind: deploy }, when: { ci.runner: x } } ] }",
      "wider? guardrail", "wider? guardrail" },
    { "guardrails: { forbid: [ { name: a, ssh: [root] } ] }",
      "guardrails: { forbid: [ { name: a, ssh: [root] } ],"
      " exceptions: [ { from: a, pipeline: p, stage: deploy, until: 2026-01-01, why: w } ] }",
      "wider exception", "narrower exception" },
    { "guardrails: { forbid: [ { name: a, ssh: [root] } ],"
      " exceptions: [ { from: a, pipeline: p, stage: deploy, until: 2026-01-01, why: w } ] }",
      "guardrails: { forbid: [ { name: a, ssh: [root] } ],"
      " exceptions: [ { from: a, pipeline: p, stage: deploy, until: 2026-01-02, why: w } ] }",
      "wider exception", "narrower exception" },
    { "guardrails: { forbid: [ { name: a, ssh: [root] } ],"
      " exceptions: [ { from: a, pipeline: p, stage: deploy, until: 2026-01-01, why: w } ] }",
      "guardrails: { forbid: [ { name: a, ssh: [root] } ],"
      " exceptions: [ { from: a, pipeline: p, stage: deploy, until: 2026-01-01, why: v } ] }",
      "even exception", "even exception" },
};

static void guardrails_that_say_less_are_wider(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_diff(rows[i].before, rows[i].after, rows[i].expected);
        assert_diff(rows[i].after, rows[i].before, rows[i].back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guardrails_that_say_less_are_wider),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
