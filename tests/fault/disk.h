#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/fault/shim.h"

/**
 * What a folder may look like after a loss of power, from the journal of what was done to it.
 *
 * What was synced is there. Of what was not, anything may be: writes in part and in any order,
 * names without their content, content without its name, and what a sync failed for may be gone
 * whatever is synced later.
 *
 * Threads: confined
 */
struct disk;

/** An empty folder; NULL without memory. */
struct disk *disk_new(void);
void disk_free(struct disk *disk);

/** One more record has happened. Borrows its data, which must stay. False without memory. */
bool disk_apply(struct disk *disk, const struct fault_record *record);

/** What remains of what was not synced. */
enum disk_rest {
    DISK_ALL,     /* all of it: what a killed process leaves */
    DISK_NOTHING, /* none of it */
    DISK_NAMES,   /* names, but no content */
    DISK_CONTENT, /* content, but no names */
    DISK_SOME,    /* by the seed: sectors of writes, and names */
    DISK_REST_COUNT,
};

const char *disk_rest_name(enum disk_rest rest);

/** Whether anything is not synced, so that not all states are the same. */
bool disk_is_dirty(const struct disk *disk);

/**
 * Put one of the states into `folder`, which is emptied before. `torn` (or NULL) is a write that
 * was under way: `torn_len` bytes of it are there.
 */
bool disk_restore(const struct disk *disk, enum disk_rest rest, uint64_t seed,
                  const struct fault_record *torn, size_t torn_len, const char *folder);
