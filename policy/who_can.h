#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"
#include "policy/policy.h"

struct error;

/** What is asked: all that is not empty must be met. All-zero asks for every stage. */
struct who_question {
    struct str issuer;                    /* one of the pipeline's */
    struct str pipeline;                  /* the stage's */
    struct str environment;               /* the stage's */
    struct str target;                    /* of a grant */
    const struct policy_grant_kind *kind; /* a grant of this kind; NULL: of any */
    struct str name;                      /* that it gives: a pattern of `kind`'s matching */
    struct str account;                   /* that it is in */
    bool has_time;
    int64_t at_s; /* which stages are closed then is said; with `has_time` only */
};

/** A grant that meets the question. */
struct who_grant {
    const struct policy_grant *grant;
    struct policy_given given;
    struct str *met; /* of `given.names`, those that meet what was asked for */
    size_t met_count;
    bool is_certain; /* else it cannot say: it may */
    bool is_over;    /* its `until` has come by the time that was asked for */
};

#define WHO_CLOSED_MAX 8

/** A stage that can. */
struct who_stage {
    const struct policy_stage *stage;
    struct who_grant *grants; /* none where no grant was asked for and it has none */
    size_t grant_count;
    bool is_certain; /* one of its grants is */
    /* What closes it at the time that was asked for: "until", "during", "review_by", names of
     * guardrails. */
    struct str closed[WHO_CLOSED_MAX];
    size_t closed_count;
    const struct policy_exception **exceptions; /* of this stage, those that are over too */
    size_t exception_count;
};

/**
 * Every stage that can, in the order of files.
 *
 * A grant that cannot say what it gives may give what is asked for, so it is listed, and told
 * apart.
 *
 * Errors:  ERROR_USAGE (`name` is no pattern), ERROR_MEMORY
 * Owns:    `*stages` lives in `arena`, and borrows from `policy`
 * Threads: any
 */
bool policy_who_can(const struct policy *policy, const struct who_question *question,
                    struct arena *arena, struct who_stage **stages, size_t *count,
                    struct error *error) MUST_USE;
