#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/network.h"
#include "base/str.h"
#include "policy/policy.h"

struct arena;
struct error;
struct ledger_source;

#define RECORDED_SCOPE_MAX 64 /* words of a request's scope */

/** A decision as the ledger has it, and what it was made of. */
struct recorded {
    struct str decision; /* its id */
    struct str issuer;
    int64_t time_s;
    bool is_allowed;
    bool is_of_policy;    /* it was the policy that decided; else a replay, a bad actor token ... */
    struct str reason;    /* of a denial */
    const json_t *failed; /* names of the conditions that failed; may be NULL */
    struct str stage;     /* full name; empty: none */
    struct str owner;
    struct str policy;         /* "sha256:..." */
    const json_t *credentials; /* of what was allowed; may be NULL */
    int64_t count;             /* how many requests the entry stands for, at least 1 */

    /* What to decide again; only where `cannot` is NULL. */
    const char *cannot; /* why it cannot be had */
    struct policy_facts facts;
    struct policy_request request;
    struct address address;
    struct policy_unknown unknown;
};

/**
 * Whether it was refused for what the stage asked for besides, by its names: leases and people of
 * that moment decided, and no policy can tell how they would now.
 */
bool recorded_is_of_moment(const struct recorded *recorded);

#define RECORDED_OF_MOMENT                                                                         \
    "it was refused for what the stage asks for besides, which leases and people of that moment "  \
    "decided"

/** Whether an entry is of a type that a decision makes. */
bool recorded_is_decision(const json_t *entry);

/**
 * Read an entry of such a type. Personal values come from its private part (NULL: it has none);
 * what was erased, dropped or never recorded is in `out->unknown`, which `out->facts` points at.
 *
 * Errors: ERROR_INVALID (it is not of the form that a broker writes), ERROR_MEMORY
 * Owns:   lives in `arena`; borrows from `world`, the entry and the private part
 * Source: design.md 3.5
 */
bool recorded_read(const struct policy_world *world, const json_t *entry,
                   const json_t *private_part, struct arena *arena, struct recorded *out,
                   struct error *error) MUST_USE;

/**
 * Find the first such entry of a decision in a ledger. `*private_part` is NULL where it has none,
 * or none that can be read.
 *
 * Errors: ERROR_NOT_FOUND, ERROR_USAGE (no id), and as ledger_source_walk()
 * Owns:   both live in `arena`
 */
bool recorded_find(struct ledger_source *ledger, struct str decision, struct arena *arena,
                   const json_t **entry, const json_t **private_part, struct error *error) MUST_USE;
