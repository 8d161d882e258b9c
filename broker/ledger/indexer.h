#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"

struct error;
struct store;

/**
 * Keeps a log's index up to date: one thread of low priority, behind the commits, with a reader and
 * a file of its own. Nobody who appends ever waits for it.
 *
 * An index that is missing, damaged, or of another log is made anew, from the first entry on. What
 * cannot be done now (no space) is tried again.
 *
 * Threads: shared
 */
struct indexer;

struct indexer_options {
    const struct store *store;
    const char *path; /* the index's file */
    /** Told after each step, on the indexer's thread. NULL: nobody asks. */
    void (*progressed)(void *context);
    void *context;
};

/** Errors: ERROR_MEMORY. What stops it later does not stop the start. */
bool indexer_start(const struct indexer_options *options, struct indexer **indexer,
                   struct error *error) MUST_USE;

/** Stop after the step under way and one more, which mostly is the last. Accepts NULL. */
void indexer_stop(struct indexer *indexer);

/** The log has now `size` entries; `context` is the indexer. Cheap: for the store's thread. */
void indexer_commit(uint64_t size, void *context);

/** An entry whose private part was erased, as it was before. */
struct indexer_erased {
    uint64_t index;
    struct str entry;
    struct str private_part;
};

/**
 * Forget the values of private parts that are erased in the store by now: by none of them is an
 * entry found any more. Waits for the indexer, which makes the file anew where it cannot change it.
 *
 * Errors: ERROR_INDEX (it took too long)
 */
bool indexer_forget(struct indexer *indexer, const struct indexer_erased *erased, size_t count,
                    struct error *error) MUST_USE;

/** Entries that the index has seen. */
uint64_t indexer_size(const struct indexer *indexer);

/** Somebody waits: do not collect entries before the next step. */
void indexer_hurry(struct indexer *indexer);

/** Another number each time the file was made anew: readers open it again. */
unsigned indexer_generation(const struct indexer *indexer);

/** A reader found the file damaged: make it anew. */
void indexer_renew(struct indexer *indexer);
