#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/str.h"

struct arena;
struct error;
struct ledger_source;
struct policy;
struct policy_world;

#define SIMULATION_FLIPS_MAX 10000 /* groups; what is past them is only counted */
#define SIMULATION_DECISIONS_MAX 5 /* ids of a group: the latest */
#define SIMULATION_DECISION_MAX 64 /* bytes of an id; more is cut */

enum flip_kind {
    FLIP_DENIED,  /* it was allowed */
    FLIP_ALLOWED, /* it was denied */
    FLIP_CHANGED, /* it gets something else, or for a shorter time */
    FLIP_KINDS
};

/** The word of a kind: "denied". */
const char *flip_kind_name(enum flip_kind kind);

/** Recorded requests that flip in the same way. */
struct flip {
    enum flip_kind kind;
    struct str stage; /* that decided then; else that decides now; may be empty */
    struct str owner;
    struct str before; /* "allowed", "condition: ref" */
    struct str now;
    const struct str *failed; /* FLIP_DENIED: names of what fails now; FLIP_ALLOWED: what did */
    size_t failed_count;
    int64_t count; /* requests */
    int64_t last_s;
    char *ids[SIMULATION_DECISIONS_MAX]; /* memory of `decisions` */
    struct str decisions[SIMULATION_DECISIONS_MAX];
    size_t decision_count; /* all that there were; no more than the maximum are kept */
};

/** Requests of which nothing can be told, by the reason. */
struct doubt {
    struct str why;
    int64_t count;
};

/** A grant of the new policy that nobody got. */
struct unused_grant {
    struct str stage;
    struct str grant;
    struct str owner;
    int64_t last_s; /* before the time that was looked at; 0: never */
};

struct simulation {
    int64_t request_count; /* that were decided again, or could not be */
    int64_t same_count;
    int64_t other_count;   /* denied for something else than the policy: not decided again */
    int64_t skipped_count; /* entries that are not of a broker's form */
    int64_t flipped_count[FLIP_KINDS]; /* requests */
    int64_t doubt_count;               /* requests */
    struct flip *flips;                /* by kind, then the most frequent first */
    size_t flip_count;
    int64_t lost_count; /* requests that flip past the maximum of groups */
    struct doubt *doubts;
    size_t doubt_kinds;
    struct unused_grant *unused; /* in the order of the policy */
    size_t unused_count;
};

struct simulation_options {
    struct ledger_source *ledger; /* private parts are wanted of it */
    int64_t since_s;              /* requests before it are not decided again */
    const struct policy_world *world;
    const struct policy *policy;
};

/**
 * Decide the requests that a ledger has recorded again, each as it was known and at the time when
 * it came, and tell what comes out otherwise. Several entries of one decision count once.
 *
 * Errors: as ledger_source_walk()
 * Owns:   `*simulation` lives in `arena`
 */
bool simulation_run(const struct simulation_options *options, struct arena *arena,
                    struct simulation *simulation, struct error *error) MUST_USE;

/** As JSON, a new reference; NULL without memory. */
json_t *simulation_json(const struct simulation *simulation) MUST_USE;
