#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"

struct policy;
struct policy_stage;

/** Most values of a list that a line shows. */
#define STAGE_LINES_VALUES_MAX 6

/**
 * All that a stage asks of a request, a line each, as a person reads it:
 *
 *   identity issuer: github
 *   identity repository_id: 4242
 *   when ref: refs/heads/main
 *   when either {event_name: push} or {event_name: schedule}
 *   unless {ci.fork: true}
 *   proof: dpop or mtls
 *   from: 10.0.0.0/8
 *   during: Mon..Fri 08:00-18:00 Europe/Berlin
 *   until: 2026-12-31T00:00:00Z
 *   production requires ci.runner: hosted
 *
 * Two stages with the same lines ask for the same, unless long lists differ behind what is shown.
 * False without memory.
 *
 * Owns: `*lines` lives in `arena`
 */
bool stage_lines(const struct policy *policy, const struct policy_stage *stage, struct arena *arena,
                 struct str **lines, size_t *count) MUST_USE;

/**
 * What must hold besides, and is seen to when a request comes, a line each:
 *
 *   after: build, in the same run
 *   approval: 2 of payments-oncall, serves 4h, with plan
 *   limits: 1 a job, 3 at a time, 20 an hour
 *   lease: 1h with its renewals, a heartbeat each 60s
 *   instance: ${pr}
 *
 * False without memory.
 *
 * Owns: `*lines` lives in `arena`
 */
bool stage_duties(const struct policy_stage *stage, struct arena *arena, struct str **lines,
                  size_t *count) MUST_USE;

/** A duration as it is written: "15m", "90s"; "unbounded" for 0. */
#define STAGE_DURATION_MAX 24
const char *stage_duration(int64_t duration_s, char out[STAGE_DURATION_MAX]);
