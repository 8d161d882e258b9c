#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"
#include "policy/policy.h"
#include "policy/prove.h"

struct error;

/** What a change makes of what is possible. */
enum policy_way {
    POLICY_WAY_EVEN,     /* nothing: a note for people */
    POLICY_WAY_NARROWER, /* less */
    POLICY_WAY_WIDER,    /* more; also what cannot be compared */
};

const char *policy_way_name(enum policy_way way);

/** One difference. Its texts live in the arena of the diff. */
struct policy_change {
    enum policy_way way;
    const char *subject; /* a stable word: "stage", "conditions", "grant", "ttl", "gives", ... */
    struct str grant;    /* its name, where it is of one */
    struct str text;     /* a sentence: "'site' lives 1h, not 15m" */
    bool is_undecided;   /* it counts as wider since nobody can tell */
    const struct proof_example *example; /* what is possible now (wider), or was; NULL: none */
};

/** A stage that differs. */
struct policy_stage_diff {
    struct str id;
    const struct policy_stage *before; /* NULL: it is new */
    const struct policy_stage *after;  /* NULL: it is removed */
    enum policy_way way;               /* wider where one of its changes is */
    bool is_narrower;                  /* one of its changes is, whatever the others are */
    const struct policy_change *changes;
    size_t change_count;
    /* What it asked for and does not any more, and what it asks for now: lines of stage_lines(). */
    const struct str *lines_before;
    size_t line_before_count;
    const struct str *lines_after;
    size_t line_after_count;
};

/** How two policies differ. */
struct policy_diff {
    enum policy_way way;                    /* of all of it */
    const struct policy_stage_diff *stages; /* by name; those that are the same are left out */
    size_t stage_count;
    const struct policy_change *guardrails; /* and exceptions */
    size_t guardrail_count;
    size_t same_count; /* stages that are the same */
};

/** How many of its stages are what; one that is wider and narrower is wider. */
struct policy_diff_counts {
    size_t wider; /* of those that both sides have */
    size_t narrower;
    size_t even;
    size_t added;
    size_t removed;
};

struct policy_diff_counts policy_diff_count(const struct policy_diff *diff);

struct policy_diff_options {
    const struct policy *before;
    const struct policy *after; /* of the same world, or one with targets of the same names */
    int64_t now_s;              /* what was possible before does not count; 0: it does */
    /** As of struct policy_load_options. NULL: one after the other. */
    void (*run_jobs)(size_t count, void (*job)(void *jobs, size_t index), void *jobs,
                     void *context);
    void *run_jobs_context;
    /** Told how many of the stages are compared, from the calling thread. NULL: nobody asks. */
    void (*progress)(size_t done, size_t total, void *context);
    void *progress_context;
};

/**
 * Compare two policies, stage by stage; a stage of another name is another stage.
 *
 * What a stage lets in is compared by proof, for every request that there can be; what its grants
 * give, by the patterns of their kinds; the rest by value. What cannot be told counts as wider.
 *
 * Errors:  ERROR_MEMORY
 * Owns:    the result lives in `arena`, and borrows from both policies
 * Threads: any; only what `run_jobs` makes
 */
bool policy_diff(const struct policy_diff_options *options, struct arena *arena,
                 struct policy_diff *diff, struct error *error) MUST_USE;
