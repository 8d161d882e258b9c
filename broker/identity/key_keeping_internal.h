#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/error.h"
#include "base/macros.h"
#include "identity/identity.h"
#include "identity/key_fetch_internal.h"
#include "identity/key_set_internal.h"

/** A set that an issuer gave, and when. */
struct key_snapshot {
    struct key_set *set;
    int64_t fetched_s;  /* wall-clock time */
    int64_t lifetime_s; /* as the issuer said, clamped */
};

/**
 * What is remembered of an issuer's keys: the last good set in a file, for the next start, and
 * which keys were told of, so that a change is told once.
 *
 * The file is believed only where nobody else can have written it, and only for the same issuer,
 * asked in the same way.
 *
 * Threads: confined to the thread that makes sources and calls identity_tend()
 * Source:  security-rules.md 3.4
 */
struct key_keeping {
    char *path;      /* of the file; NULL: nothing is kept */
    char place[65];  /* what the keys depend on, digested: lower-case hex */
    json_t *known;   /* key_set_names() of what was told last; NULL: no set was known yet */
    bool has_told;   /* since the start */
    int64_t told_ms; /* monotonic, of the last change told */
    int64_t seen_s;  /* `fetched_s` of the last snapshot looked at */
    bool is_due;     /* what was seen is not all told */
    struct error load_failure; /* until it is told */
};

/** Between two tellings of one issuer's changes: what flaps is told in one. */
#define KEY_CHANGE_INTERVAL_S 600
/** Names past this many bytes are not listed: a last name "*" stands for them. */
#define KEY_CHANGE_NAMES_MAX ((size_t)2 * 1024)
/** A file of more is neither written nor read. */
#define KEY_FILE_MAX ((size_t)1024 * 1024)

/** Prepare it; with a folder, read what was kept of this location: `*kept` has a set then. */
bool key_keeping_init(struct key_keeping *keeping, const struct key_location *location,
                      const char *folder, struct key_snapshot *kept, struct error *error) MUST_USE;
void key_keeping_release(struct key_keeping *keeping);

/** Whether there is something to do about this snapshot. */
bool key_keeping_is_due(const struct key_keeping *keeping, const struct key_snapshot *snapshot);

/** Tell what changed, and keep the set. Blocks: a file is written and synced. */
void key_keeping_update(struct key_keeping *keeping, const struct key_location *location,
                        const struct key_snapshot *snapshot, struct str issuer,
                        const struct identity_listener *listener);
