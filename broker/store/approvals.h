#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "store/store.h"

/**
 * The approvals that the store keeps, found by id, by code and by digest.
 *
 * All-zero is a valid empty one.
 *
 * Threads: confined
 */
enum approval_key {
    APPROVAL_BY_ID,     /* ID_LEN characters */
    APPROVAL_BY_CODE,   /* 32 bytes */
    APPROVAL_BY_DIGEST, /* the same, of several: approvals_of_digest() */
    APPROVAL_KEY_COUNT
};

struct approval_table;

struct approvals {
    struct approval_table *table; /* NULL until there is one */
    size_t count;
    size_t elsewhere_count; /* kept, but not here: of a database */
};

void approvals_release(struct approvals *approvals);

/** The approval of an id, or a code; version 0: there is none. */
struct store_approval approvals_find(const struct approvals *approvals, enum approval_key by,
                                     const void *key);

/** Those of a digest that serve at `now_s`, the one that does longest first: at most `max`. */
size_t approvals_of_digest(const struct approvals *approvals, const uint8_t digest[32],
                           int64_t now_s, struct store_approval *rows, size_t max);

/**
 * What a change that came with entry `index` of time `entry_s` makes of an approval, as
 * STORE_PUT_APPROVAL says; version 0 is none, before and after. One that has expired is none.
 */
void approval_change(struct store_approval *approval, const struct store_approval *change,
                     uint64_t index, int64_t entry_s);

/** Apply it. False without memory, or room. */
bool approvals_apply(struct approvals *approvals, const struct store_approval *change,
                     uint64_t index, int64_t entry_s) MUST_USE;

/** Put one as it was kept. False without memory or room, or where it makes no sense. */
bool approvals_restore(struct approvals *approvals, const struct store_approval *approval) MUST_USE;

/** How long expired ones are kept where there is room: a job that asks hears that it came late. */
#define APPROVALS_TOLD_S 600

/** Remove those that have expired at `now_s`. */
void approvals_sweep(struct approvals *approvals, int64_t now_s);

/** How many have not expired at `now_s`; those elsewhere count. */
size_t approvals_count(const struct approvals *approvals, int64_t now_s);

/** Those at place `*place` and behind it, at most `max` of them, whatever their state. */
size_t approvals_read(const struct approvals *approvals, size_t *place, struct store_approval *rows,
                      size_t max);

/** The first entry of the oldest that has not expired; UINT64_MAX: there is none. */
uint64_t approvals_oldest(const struct approvals *approvals, int64_t now_s);

/** Whether it is pending or granted, and has not expired. */
bool approval_is_open(const struct store_approval *approval, int64_t now_s);

/** Sort by the first entry, the oldest first. */
void approvals_sort(struct store_approval *rows, size_t count);
