#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

struct error;
struct ledger;
struct policy;
struct policy_world;

/** A policy that is to come into force. */
struct activation {
    const char *folder; /* where policies are kept by hash */
    struct ledger *ledger;
    const struct policy *policy;
    const struct policy *previous;    /* in force until then; NULL: the broker starts */
    const struct policy_world *world; /* that the policy was loaded with */
    int64_t now_s;
};

/**
 * Keep the policy's files and record `policy.activated` with what it widens, unless at a start it
 * is the one that was activated last: both are durable when it returns, and only then may the
 * policy decide.
 * `*activated_s` is when it came into force.
 *
 * A crash behind the entry can make the next start record it once more.
 *
 * Errors: ERROR_INVALID (files that changed since the policy was loaded), ERROR_LEDGER, ERROR_IO,
 *         ERROR_MEMORY
 * Source: design.md 3.5
 */
bool activation_record(const struct activation *activation, int64_t *activated_s,
                       struct error *error) MUST_USE;
