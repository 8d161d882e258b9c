#pragma once

#include "policy/explain.h"
#include "policy/policy_internal.h"

/** What a tree is made with. */
struct explain_job {
    const struct policy *policy;
    const struct policy_facts *facts;
    int64_t now_s;
    struct arena *arena;
};

/** A tree that grows. Threads: confined */
struct explain_planter {
    const struct explain_job *job;
    const struct policy_linked *linked;
    const struct policy_stage_rule *stage; /* NULL: only the identity */
    struct explain_clause *clauses;
    size_t count;
    size_t max; /* private */
    bool is_out_of_memory;
};

/** The texts of expectations and values, before they are cut, bytes. */
#define EXPLAIN_TEXT_MAX ((size_t)256 * 1024)

/** Keep what was written, in the tree's memory. */
struct str explain_tree_keep(struct explain_planter *planter, const struct buf *text);

/** Add a clause of so many maps, which is good; NULL without memory. */
struct explain_clause *explain_tree_clause(struct explain_planter *planter, const char *title,
                                           size_t maps);

/** Fill a map whose conditions must hold, and which stands in `file`. */
void explain_tree_map(struct explain_planter *planter, const struct policy_map *map,
                      struct str file, struct explain_map *out);

/** Where a clause is not good, mark what a denial names of it: what fails in the nearest map. */
void explain_tree_name(struct explain_clause *clause);

/** Add a clause of which a map must hold; NULL where it is not written, or without memory. */
struct explain_clause *explain_tree_when(struct explain_planter *planter, const char *title,
                                         const struct policy_clause *clause, struct str file);

/** Add a clause of which no map may hold; nothing where it is not written. */
void explain_tree_unless(struct explain_planter *planter, const char *title,
                         const struct policy_clause *clause, struct str file);

/**
 * Add a clause of one map with room for `max` leaves, none of them there yet; NULL without memory.
 * explain_tree_leaf() adds to the clause that was added last; whether the leaf is good and a reason
 * follows from its outcome.
 */
struct explain_clause *explain_tree_list(struct explain_planter *planter, const char *title,
                                         size_t max);
void explain_tree_leaf(struct explain_planter *planter, struct explain_leaf leaf);

/** Write the request's address, or that it is not known. */
void explain_tree_see_address(struct explain_planter *planter, struct explain_leaf *leaf);

/** A time as text. */
struct str explain_tree_time(struct explain_planter *planter, int64_t time_s);

/** "one of dpop, mtls" */
struct str explain_stage_proofs(struct explain_planter *planter, unsigned proofs);

/**
 * The tree of a stage, or where `stage` is NULL of the pipeline's identity. A reason that deciding
 * gives and that stands nowhere in it has a clause of its own: none goes unexplained.
 *
 * False without memory.
 */
bool explain_stage_make(const struct explain_job *job, const struct policy_linked *linked,
                        const struct policy_stage_rule *stage, struct explain_subject *subject)
    MUST_USE;

/** Add what stands only in the decision about the tree's stage. False without memory. */
bool explain_stage_complete(const struct explain_job *job, const struct policy_linked *linked,
                            const struct explanation *explanation, struct explain_subject *subject)
    MUST_USE;

/** Add the guardrails that look at the request and the time. */
void explain_rails_plant(struct explain_planter *planter);

/** Add those that look at what a decision gives, where it came so far. */
void explain_rails_judge(struct explain_planter *planter, const struct policy_decision *decision,
                         bool is_allowed);
