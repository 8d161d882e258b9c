#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "store/leases.h"

/*
 * The chains of leases under one key: a row has one for each kind of key that it has. The latest is
 * the first; it knows how many of its chain live.
 *
 * Threads: confined
 */

/** Put a row where it belongs in the chains of its keys; false without memory. */
bool lease_chains_add(struct leases *leases, uint32_t number) MUST_USE;

/** Take it out of all that it is in. */
void lease_chains_remove(struct leases *leases, uint32_t number);

/** Whether it lives has just become `is_live`. */
void lease_chains_count(struct leases *leases, uint32_t number, bool is_live);

/**
 * The first row under a key, which is the latest; the others follow by their `next`. 0: there is
 * none.
 */
uint32_t lease_chains_first(const struct leases *leases, enum store_lease_key kind,
                            const uint8_t key[STORE_KEY_LEN]);

/** How many under a key live, as far as the wheel knows. */
size_t lease_chains_live(const struct leases *leases, enum store_lease_key kind,
                         const uint8_t key[STORE_KEY_LEN]);
