#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "asking.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/diagnostic.h"
#include "policy/policy.h"

/* A pipeline `p` to put under guardrails, and times around the end of an exception. */
#define HEAD "pipeline: p\nowner: me\nidentity: { issuer: github, repository_id: \"1\" }\nstages:\n"
#define DEPLOY                                                                                     \
    "  deploy:\n    kind: deploy\n    environment: production\n"                                   \
    "    when: { ref: refs/heads/main }\n"                                                         \
    "    grants: { host: { ssh: { target: fleet, principals: [deploy] }, ttl: 10m } }\n"
#define BUILD "  build: { kind: build, when: { event_name: push } }\n"
#define MAIN "{\"repository_id\": \"1\", \"ref\": \"refs/heads/main\"}"
#define MAIN_PUSH                                                                                  \
    "{\"repository_id\": \"1\", \"ref\": \"refs/heads/main\", \"event_name\": \"push\"}"
#define NOW "2026-11-22T10:00:00Z"

#define EXCEPT(name)                                                                               \
    "\n  exceptions: [ { from: " name ", pipeline: p, stage: deploy, until: 2026-12-01, why: x } " \
    "]"
#define BEFORE "2026-11-30T23:59:59Z"
#define AFTER "2026-12-01T00:00:00Z"

/** A folder, and what loading it gave last: cmocka's state. */
struct guarded {
    char folder[64];
    struct arena *arena;
    struct diagnostics diagnostics;
    struct buf said; /* what was reported, as text */
    struct policy *policy;
};

int guard_set_up(void **state);
int guard_tear_down(void **state);

/** A test with such a state. */
#define GUARDED(test) cmocka_unit_test_setup_teardown(test, guard_set_up, guard_tear_down)

/** A time as text, in seconds. */
int64_t guard_seconds(const char *text);

/** Load what is in the folder, with what was loaded before as the previous policy. */
bool guard_load_at(struct guarded *guarded, int64_t now_s);

/** The same at NOW. */
bool guard_load(struct guarded *guarded);

/** What was reported has a fragment. */
void guard_says(const struct guarded *guarded, const char *fragment);

/** It loads; it does not, and says a fragment. */
void guard_loads(struct guarded *guarded);
void guard_refuses(struct guarded *guarded, const char *fragment);

/** Write the stages as the pipeline `p`, and what stands under `guardrails`; it loads. */
void guard_prepare(struct guarded *guarded, const char *guardrails, const char *stages);

/** A request is allowed; it is denied for exactly these names, joined with ','. */
void guard_allows(const struct guarded *guarded, struct asking asking);
void guard_denies(const struct guarded *guarded, struct asking asking, const char *failed);
