#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diagnostic.h"
#include "base/macros.h"
#include "policy/policy.h"

struct error;

/** What an analysis is of and with. All-zero is good but for the first two. */
struct policy_analysis_options {
    const struct policy *policy;
    struct diagnostics *diagnostics;
    int64_t now_s; /* what was possible before does not count; 0: it does */
    /** Only what makes it false: what a broker must know before it takes a policy into force. */
    bool is_for_errors;
    const char *const *ignored; /* rules whose warnings are not looked for */
    size_t ignored_count;
    /** As of struct policy_load_options. NULL: one after the other. */
    void (*run_jobs)(size_t count, void (*job)(void *jobs, size_t index), void *jobs,
                     void *context);
    void *run_jobs_context;
};

/**
 * Look for what is wrong with a policy that loads: what `policy check` says besides.
 *
 * Errors are pairs of stages that a guardrail wants apart and one token fits both; they make it
 * false. Warnings, each with its rule: "overlapping-stages", "unreachable-stage",
 * "ended-stage", "unreachable-map", "useless-unless", "dead-value",
 * "production-without-conditions", "production-by-names", "production-by-danger", and those of the
 * issuers' profiles (struct claim_lint). What can be shown by an example has one in the hint. What
 * cannot be decided counts as the worse, and says so.
 *
 * The places' lines are read again from the files; where these have changed they are not shown.
 *
 * Errors:  ERROR_CONFIG (see diagnostics), ERROR_MEMORY
 * Threads: any; only what `run_jobs` makes
 */
bool policy_analyse(const struct policy_analysis_options *options, struct error *error) MUST_USE;
