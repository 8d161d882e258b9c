#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

struct error;

/**
 * Notices that folders or files changed: told by the kernel (inotify) where it can, else by looking
 * every FOLDER_WATCH_POLL_MS.
 *
 * A folder is watched with all in it, links to folders followed, and the folders that links to
 * files lead to, so that a ConfigMap's swap of `..data` is one change. Names that start with one
 * dot are passed over. A folder that is away is noticed when it comes back. A change is given on
 * when nothing more has happened for FOLDER_WATCH_QUIET_MS, or FOLDER_WATCH_LONGEST_MS after the
 * first.
 *
 * That something changed is all that is told: whoever hears it has to look, and may find everything
 * as it was.
 *
 * Threads: confined
 */
struct folder_watch;

#define FOLDER_WATCH_PATHS_MAX 8
#define FOLDER_WATCH_QUIET_MS 500
#define FOLDER_WATCH_LONGEST_MS 5000
#define FOLDER_WATCH_POLL_MS 30000
#define FOLDER_WATCH_DEPTH_MAX 16        /* folders inside one another; deeper ones are not seen */
#define FOLDER_WATCH_ENTRIES_MAX 1000000 /* names that one look goes over */

struct folder_watch_options {
    /* Folders and files, borrowed: what is at the path decides. Bit N of a change is paths[N]. */
    const char *const *paths;
    size_t path_count;
    size_t watches_max; /* folders that the kernel is asked to watch; 0: as many as it lets us */
};

/**
 * Begin to watch; a first look is taken at once, and is no change. Paths need not be there.
 *
 * Errors: ERROR_MEMORY. Where the kernel cannot tell, it polls: see folder_watch_trouble()
 */
bool folder_watch_new(const struct folder_watch_options *options, int64_t now_ms,
                      struct folder_watch **watch, struct error *error) MUST_USE;

void folder_watch_free(struct folder_watch *watch);

OWNED_POINTER(folder_watch_free, struct folder_watch)

/** Readable when there is something to read; -1: there is none, it only polls. */
int folder_watch_descriptor(const struct folder_watch *watch);

/** When folder_watch_take() is due by the clock alone; INT64_MAX: not before something is told. */
int64_t folder_watch_due_ms(const struct folder_watch *watch);

/**
 * Read what was told, look again where it is time, and give the changes that are ready: bits of
 * paths. Whatever is written later is told again.
 */
unsigned folder_watch_take(struct folder_watch *watch, int64_t now_ms);

/** Why it polls, static or living as long as the watch; NULL: the kernel tells everything. */
const char *folder_watch_trouble(const struct folder_watch *watch);
