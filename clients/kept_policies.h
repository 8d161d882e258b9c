#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"
#include "base/str.h"

struct error;
struct policy;
struct policy_source;

/** How many are loaded at a time: a ledger's neighbours are decided by the same few. */
#define KEPT_POLICIES_MAX 16
#define KEPT_POLICY_HASH_MAX 80
#define KEPT_POLICY_WHY_MAX 256

/** One that was looked up, and what came of it. */
struct kept_policy {
    char hash[KEPT_POLICY_HASH_MAX]; /* as entries have it; empty: free */
    struct policy *policy;           /* NULL: it cannot be had */
    char why[KEPT_POLICY_WHY_MAX];   /* then */
    size_t used_at;
};

/**
 * Policies that are kept with a ledger, loaded as they are asked for. Fill in the first two.
 *
 * Threads: confined
 */
struct kept_policies {
    struct policy_source *source; /* whose world they are loaded in; outlives them */
    const char *folder;           /* NULL: none are kept */
    struct kept_policy list[KEPT_POLICIES_MAX];
    size_t clock;
};

/**
 * Look one up by its hash, "sha256:HEX". One that cannot be had is no failure: `why` says what is
 * in the way.
 *
 * Errors: ERROR_MEMORY
 * Owns:   `*kept` stays until so many others have been looked up
 */
bool kept_policies_find(struct kept_policies *policies, struct str hash,
                        const struct kept_policy **kept, struct error *error) MUST_USE;

void kept_policies_release(struct kept_policies *policies);

OWNED_VALUE(kept_policies_release, struct kept_policies)
