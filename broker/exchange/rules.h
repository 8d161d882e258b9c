#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"

struct identity;
struct people_options;
struct resource_server;
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
    int64_t activated_s;   /* when it came into force */
    struct policy *shadow; /* decides besides, for the record only; one reference; NULL: none */
    struct str help;       /* URL for those who are denied; empty: none */
    const struct resource_server *resource_servers; /* who may ask about our tokens */
    size_t resource_server_count;
    const struct target *targets;
    size_t target_count;
    int64_t default_ttl_s;
    int64_t leeway_s;
    bool needs_dpop_nonce;
    int64_t requests_per_address; /* a minute; 0: as many as come */
    int64_t requests_per_issuer;

    void (*release)(void *owner); /* frees what all of the above points into */
    void *owner;
    unsigned reference_count; /* private; guarded by the table's lock */
    struct rules *next;       /* private; the same: among those to be freed */
};

/** The target of that name; NULL where there is none. */
const struct target *rules_target(const struct rules *rules, struct str name);

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

/** Give a reference back. A snapshot without any is freed by the next rules_reap(). */
void rules_put(struct rules_table *table, struct rules *rules);

/**
 * Free the snapshots that nobody has any more. A large policy takes a while, so this is
 * housekeeping's, not that of whoever answers requests.
 */
void rules_reap(struct rules_table *table);

/** Put a new snapshot in force; takes over the reference. */
void rules_swap(struct rules_table *table, struct rules *take_next);
