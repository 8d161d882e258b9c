#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/network.h"
#include "base/str.h"

/**
 * Budgets of requests: whoever has a key may make so many a minute, and a minute's worth at once.
 *
 * Of each key one number is kept, when its budget will be whole again. The table has a fixed size:
 * where it is full the one that has spent least is forgotten, so that strangers who come in great
 * numbers neither shut others out nor get their own budgets back.
 *
 * Threads: shared
 */
struct budgets;

/** Room for `count` keys, a power of two and at least 8. NULL without memory. */
struct budgets *budgets_new(size_t count) MUST_USE;
void budgets_free(struct budgets *budgets);

OWNED_POINTER(budgets_free, struct budgets)

/** Of an address: the whole of IPv4, the /64 of IPv6, which one host usually has for itself. */
uint64_t budget_address_key(const struct address *address);

/** Of a name. */
uint64_t budget_name_key(struct str name);

/**
 * Spend one request of a key's budget of `per_minute`; 0: there is none. False where it is spent:
 * `*wait_s` is after how many seconds there is one again, at least 1. What is refused costs
 * nothing.
 */
bool budget_spend(struct budgets *budgets, uint64_t key, int64_t per_minute, int64_t now_ms,
                  int64_t *wait_s) MUST_USE;

/** The same, but nothing is spent: whether one could be. */
bool budget_has(struct budgets *budgets, uint64_t key, int64_t per_minute, int64_t now_ms,
                int64_t *wait_s) MUST_USE;
