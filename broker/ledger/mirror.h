#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"
#include "ledger/against.h"
#include "ledger/merkle.h"
#include "ledger/note.h"

struct error;

/** Where a log's files come from, by their path below it: "checkpoint", "tile/0/000.p/5". */
struct log_reader {
    /** The bytes live until the next call. ERROR_NOT_FOUND where there is no such file. */
    bool (*read)(void *context, const char *path, size_t max_bytes, struct str *bytes,
                 struct error *error);
    void *context;
};

struct mirror_options {
    struct log_reader from;
    const char *folder; /* made where it is missing; NULL: check all of `from`, write nothing */
    const struct note_trust *trust;
    bool has_entries; /* also bundles, as always where the folder has some: `from` must give them */
    struct against against; /* what others have kept; for a check only */
    void (*progress)(uint64_t done, uint64_t total, void *context); /* of entries; or NULL */
    void *context;
};

struct mirror_report {
    uint64_t old_size; /* of the mirror before; 0: there was none */
    uint64_t size;
    struct merkle_hash root;
    struct note_cosigned cosigned;
    uint64_t bad_index; /* where it does not hold: an entry near it */
    bool is_fork;       /* the log does not go on from what the mirror has */
};

/**
 * Bring a static copy of a log up to date: checkpoint and tiles, and bundles if asked for.
 *
 * Every hash is computed, from level 0 up, and must come to the signed root; it must go on from
 * what the mirror had. Else nothing of the mirror is changed, and where the log is another one than
 * it was both notes are kept in "evidence". Tiles are durable before the checkpoint names them. A
 * tile is asked for once, however often it is brought up to date. Files are readable by all (tiles
 * tell nothing), but bundles.
 *
 * Without a folder all tiles of all levels are compared, and with entries their members and times.
 *
 * Errors: ERROR_INVALID (what does not hold), ERROR_NOT_FOUND (a file is missing: a live log may
 *         have moved on meanwhile; ask again), ERROR_BUSY (another one is at work in the folder),
 *         ERROR_IO, ERROR_MEMORY, those of `from`
 * Source: C2SP tlog-tiles
 */
bool mirror_update(const struct mirror_options *options, struct mirror_report *report,
                   struct error *error) MUST_USE;
