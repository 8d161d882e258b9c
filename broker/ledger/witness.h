#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/progress.h"
#include "base/str.h"
#include "ledger/note.h"
#include "ledger/watcher.h"
#include "upstream/upstream.h"

struct error;
struct key;
struct publication;

/**
 * Witnesses: others who cosign our checkpoints after they saw that each continues the one before.
 *
 * Each gets the newest checkpoint with a consistency proof from the size that it saw last; nobody
 * waits for an answer but the publisher, and it no longer than WATCHER_TIMEOUT_MS. Whoever fails is
 * asked again later, at most every WITNESS_PAUSE_MAX_MS.
 *
 * Threads: confined to the publisher's, but where it says otherwise
 * Source:  C2SP tlog-witness, tlog-cosignature
 */
struct witnesses;

#define WITNESS_PAUSE_MS 1000
#define WITNESS_PAUSE_MAX_MS 300000
/** A cosignature of a log that does not grow is renewed after this long. */
#define WITNESS_RENEW_MS ((int64_t)3600 * 1000)
/** How far a cosignature's time may be from ours. */
#define WITNESS_SKEW_S 300

struct witness_options {
    struct str name;
    const char *url; /* "/add-checkpoint" is put behind it */
    struct note_verifier verifier;
    struct upstream_peer peer;
};

struct witnesses_options {
    const struct witness_options *list; /* outlives them */
    size_t count;                       /* at most NOTE_WITNESSES_MAX */
    struct upstream *upstream;
    struct waker answered; /* called on the upstream thread */
    /* Whether the store has so many entries: other brokers may have shown a witness more than we
     * have signed. On the publisher's thread. */
    bool (*has_entries)(void *context, uint64_t size);
    void *context;
};

/** Errors: ERROR_MEMORY */
bool witnesses_new(const struct witnesses_options *options, struct witnesses **witnesses,
                   struct error *error) MUST_USE;
/** After witnesses_stop() and the end of the upstream thread, which may still hold answers. */
void witnesses_free(struct witnesses *witnesses);

/** Send nothing any more. Threads: any */
void witnesses_stop(struct witnesses *witnesses);

/**
 * Ask each for its size with the checkpoint of the empty tree, which is the beginning of every log
 * and so can be no fork. `empty` is that note.
 */
void witnesses_probe(struct witnesses *witnesses, struct str empty);

/**
 * Give the newest checkpoint to all who have not cosigned it and are due. `tiles` is the folder
 * "tile", for proofs.
 */
void witnesses_ask(struct witnesses *witnesses, struct publication *newest, int tiles,
                   int64_t now_ms);

/** Take in what was answered. True when there are cosignatures that were not there before. */
bool witnesses_take(struct witnesses *witnesses, int64_t now_ms, int64_t wall_s);

/** Take up the cosignatures that an earlier run has published in `note`, of a tree of `size`. */
void witnesses_take_up(struct witnesses *witnesses, struct str note, uint64_t size);

/** How many have cosigned the checkpoint of `size`. */
size_t witnesses_cosigned(const struct witnesses *witnesses, uint64_t size);

/** Append their lines of that checkpoint. */
void witnesses_write(const struct witnesses *witnesses, uint64_t size, struct buf *note);

/** Whether an answer is awaited from one that answered last time, or with `any` from anybody. */
bool witnesses_are_asked(const struct witnesses *witnesses, bool any);

/** When the next one is due who has not cosigned `size`, in ms of the clock; INT64_MAX: nobody. */
int64_t witnesses_due_ms(const struct witnesses *witnesses, uint64_t size);

/** How many have told their size, and the largest one told, with whose it is. */
size_t witnesses_sizes(const struct witnesses *witnesses, uint64_t *largest, struct str *whose);

/** The first that says we are not the log it knows; NULL where none does. */
const char *witnesses_conflict(const struct witnesses *witnesses);

/** Threads: any */
size_t witnesses_status(struct witnesses *witnesses,
                        struct watcher_status status[NOTE_WITNESSES_MAX]);
