#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "base/macros.h"

/**
 * Heartbeats that wait to be written together: of each lease the latest.
 *
 * Threads: shared
 */
#define BEATS_MAX ((size_t)65536)

struct beat {
    char id[ID_LEN];
    int64_t at_s;
};

struct beats {
    pthread_mutex_t lock;
    struct beat *rows; /* guarded by lock; BEATS_MAX, in the order in which they came */
    uint32_t *slots;   /* guarded by lock; by id: a place among `rows` + 1 */
    size_t count;      /* guarded by lock */
};

/** False without memory. */
bool beats_init(struct beats *beats) MUST_USE;
void beats_release(struct beats *beats);

/** Add one, unless a later one waits; false where BEATS_MAX other leases do. */
bool beats_add(struct beats *beats, const char id[ID_LEN], int64_t at_s);

/** Take those out that wait longest: how many, at most `max`. */
size_t beats_take(struct beats *beats, struct beat *taken, size_t max);
