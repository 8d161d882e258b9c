#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/diagnostic.h"
#include "base/macros.h"
#include "base/str.h"
#include "policy/analyse.h"
#include "policy/policy_internal.h"

struct proof_example;
struct prover;

/** Something found. Its texts live in the arena of the findings. */
struct finding {
    enum diagnostic_severity severity;
    const char *rule;
    struct position at;
    struct str message;
    struct str hint;
    struct position related; /* line 0: none */
    struct str related_note;
};

/**
 * What one job has found, in order; what is past DIAGNOSTICS_MAX is only counted.
 *
 * Threads: confined
 */
struct findings {
    const struct policy_analysis_options *options; /* which rules are ignored */
    struct arena *arena;                           /* made with the first */
    struct finding *list;
    size_t count;
    size_t error_count; /* those that were dropped, too */
    size_t dropped_count;
    bool is_out_of_memory;
};

void findings_release(struct findings *findings);

OWNED_VALUE(findings_release, struct findings)

/** Add one, whose texts are copied. */
void findings_add(struct findings *findings, const struct finding *finding);

/** Add copies of another job's, in their order. */
void findings_join(struct findings *findings, const struct findings *from);

/** A stage with what surrounds it. */
struct analysed {
    const struct policy *policy;
    const struct policy_linked *linked;
    const struct policy_stage_rule *stage;
};

/** The place of a condition that counts for a stage. */
struct position analysed_place(const struct analysed *stage,
                               const struct policy_condition *condition);

/** Conditions that say less than they seem to, in all stages of a pipeline. */
void analyse_lints(const struct policy *policy, const struct policy_linked *linked,
                   struct findings *findings);

/** Values of lists that other conditions of the same stage never let in. */
void analyse_values(const struct policy *policy, const struct policy_linked *linked,
                    struct findings *findings);

/** What no token reaches, and stages of a pipeline that one token fits both. */
void analyse_reach(const struct policy *policy, const struct policy_linked *linked,
                   struct prover *prover, struct findings *findings);

/**
 * Guardrails that keep stages apart: whether a token fits both sides.
 *
 * Errors: ERROR_MEMORY
 */
bool analyse_separate(const struct policy_analysis_options *options, struct findings *findings,
                      struct error *error) MUST_USE;
