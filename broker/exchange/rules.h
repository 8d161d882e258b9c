#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"

struct identity;
struct people_options;
struct policy;
struct target;

/**
 * What exchanges are decided by: one immutable snapshot of configuration, issuers and policy.
 *
 * A reload makes a new one and swaps it in; requests keep theirs until they end.
 *
 * Threads: immutable; reference-counted
 */
struct rules {
    struct identity *identity; /* of runs; one reference */
    /* People's provider is verified by an identity of its own: no token fits both. NULL: none. */
    struct identity *people_identity; /* one reference */
    const struct people_options *people;
    struct policy *policy; /* one reference */
    struct str help;       /* URL for those who are denied; empty: none */
    const struct target *targets;
    size_t target_count;
    int64_t default_ttl_s;
    int64_t leeway_s;
    bool needs_dpop_nonce;

    void (*release)(void *owner); /* frees what all of the above points into */
    void *owner;
    unsigned reference_count; /* private; guarded by the table's lock */
};

/**
 * Where the snapshot in force stands.
 *
 * Threads: shared
 */
struct rules_table;

/** A table with its first snapshot, whose reference it takes over. NULL without memory. */
struct rules_table *rules_table_new(struct rules *take_first) MUST_USE;
void rules_table_free(struct rules_table *table);

/** The snapshot in force, with a reference for the caller. */
struct rules *rules_get(struct rules_table *table);

/** Give a reference back; the last one frees the snapshot. */
void rules_put(struct rules_table *table, struct rules *rules);

/** Put a new snapshot in force; takes over the reference. */
void rules_swap(struct rules_table *table, struct rules *take_next);
