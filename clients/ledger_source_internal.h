#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "clients/ledger_source.h"
#include "clients/log_trust.h"
#include "ledger/note.h"

/** A way to read one kind of ledger. `reader` of the source is its own. */
struct ledger_ways {
    bool (*refresh)(struct ledger_source *source, struct error *error);
    bool (*get)(struct ledger_source *source, uint64_t index, struct ledger_item *item,
                struct error *error);
    /* The first index at or behind one that is there; NULL: all are. */
    uint64_t (*next)(const struct ledger_source *source, uint64_t index);
    /* NULL: there are no tiles. */
    bool (*prove)(struct ledger_source *source, uint64_t index, struct tlog_proof *proof,
                  struct error *error);
    void (*close)(void *reader);
};

struct ledger_source {
    const struct ledger_source_options *options; /* while it is opened */
    struct arena *arena;
    struct ledger_facts facts;
    struct log_trust trust; /* the caller's: of keys of the log only */
    bool wants_private;
    uint64_t size;
    const struct ledger_ways *ways;
    void *reader;
};

/** Bytes of a checkpoint's note. */
#define LEDGER_NOTE_MAX ((size_t)16 * 1024)

/**
 * Open each kind: facts, size, ways and reader are filled in. On failure ledger_source_close() of
 * what there is.
 */
bool ledger_source_open_store(struct ledger_source *source, struct error *error) MUST_USE;
bool ledger_source_open_mirror(struct ledger_source *source, struct error *error) MUST_USE;
bool ledger_source_open_broker(struct ledger_source *source, struct error *error) MUST_USE;
bool ledger_source_open_export(struct ledger_source *source, struct error *error) MUST_USE;

/**
 * Read a checkpoint: verified where the caller gave a key, else taken at its word.
 *
 * Errors: ERROR_INVALID
 * Owns:   borrows from `note`
 */
bool ledger_source_read_note(const struct ledger_source *source, struct str note,
                             struct checkpoint *checkpoint, struct error *error) MUST_USE;

/** Put it into the facts; `note` is copied. */
bool ledger_source_put_note(struct ledger_source *source, struct str note,
                            const struct checkpoint *checkpoint, struct error *error) MUST_USE;
