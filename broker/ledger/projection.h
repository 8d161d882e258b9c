#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"
#include "ledger/query.h"
#include "store/index.h"
#include "store/store.h"

struct error;

/**
 * The one fold of entries into an index: by what they are found, and what follows from all of them.
 *
 *   postings  a space a field of ledger/query.h; a value's key is projection_key()
 *   uses      what a stage had of a grant at a target: how often, when first and last
 *   seen      which repository or subject came for a stage: how often, and was refused how often
 *
 * The same entries give the same rows, in whatever batches they come: an index can be thrown away.
 */

/** Of the rows' forms; a change makes every index anew. */
#define PROJECTION_VERSION 2

/** Entries that are taken in before they are written. */
#define PROJECTION_BATCH_MAX 16384

/** The key of a value. Two values may share one: whoever finds an entry by it looks at the entry.
 */
uint64_t projection_key(struct str value);

/** A batch of entries that are being taken in. Threads: confined */
struct projection;

/** `index` is where rows so far are read from; it must outlive the projection. */
bool projection_new(struct store_index *index, struct projection **projection, struct error *error)
    MUST_USE;
void projection_free(struct projection *projection);

OWNED_POINTER(projection_free, struct projection)

/** Only fold what was used and who was seen: for an index that is made for an inventory. */
void projection_only_count(struct projection *projection);

/** An entry as it stands in the log. */
struct projection_entry {
    uint64_t index;
    struct str bytes;
    struct str private_part; /* may be empty */
    bool has_place;
    struct store_place place;
};

/**
 * Take in an entry, in the order of the log, between store_index_begin() and projection_write().
 * One that does not parse (nobody but a damaged log has one) is passed over.
 *
 * Errors: ERROR_MEMORY, and those of reading the index
 */
bool projection_add(struct projection *projection, const struct projection_entry *entry,
                    struct error *error) MUST_USE;

size_t projection_count(const struct projection *projection);

/** Write all that was taken in, and commit. Afterwards it is empty, also on failure. */
bool projection_write(struct projection *projection, struct error *error) MUST_USE;

/** Forget what was taken in. */
void projection_clear(struct projection *projection);

/**
 * Forget the values of a private part that is erased: by nothing of it is the entry found any more.
 * Between store_index_begin() and store_index_commit().
 */
bool projection_forget(struct store_index *index, uint64_t entry_index, struct str entry,
                       struct str private_part, struct error *error) MUST_USE;

/* ---- the rows ---- */

/** What a stage had of a grant. */
struct ledger_use {
    struct str stage;
    struct str target; /* empty: none, as of a token that we sign */
    struct str grant;  /* empty: the stage's own token */

    /* as of the latest use */
    struct str pipeline;
    struct str owner;
    struct str tenant;
    struct str environment;
    struct str kind; /* of the stage */
    struct str type; /* of the credential */

    int64_t count;  /* times issued */
    int64_t failed; /* times it could not be, or nobody knows */
    int64_t first_ms;
    int64_t last_ms; /* times of the first and the latest time issued; 0: never */
    int64_t last_index;
};

/** Who came for a stage. */
struct ledger_seen {
    struct str stage; /* empty: for none that they were told of */
    struct str issuer;
    struct str name; /* a repository, else the token's subject; empty where that is personal */
    int64_t count;   /* times let in */
    int64_t denied;  /* times refused */
    int64_t first_ms;
    int64_t last_ms;
};

/**
 * Visit rows in the order of stage, target and grant, from the first behind `after` (its stage,
 * target and grant count; NULL: all). Borrowed for the call; until `visit` says false.
 */
bool projection_each_use(struct store_index *index, const struct ledger_use *after,
                         bool (*visit)(const struct ledger_use *use, void *context), void *context,
                         struct error *error) MUST_USE;

/** Visit who came for a stage, in the order of issuer and name; NULL data: for all stages. */
bool projection_each_seen(struct store_index *index, struct str stage,
                          bool (*visit)(const struct ledger_seen *seen, void *context),
                          void *context, struct error *error) MUST_USE;

/** Who came for a stage, at most, as projection_put_identities() lists them. */
#define PROJECTION_IDENTITIES_MAX 10

/** Put `identities` of a stage into a JSON object, and `identities_more` where there are more. */
bool projection_put_identities(struct store_index *index, struct str stage, json_t *object,
                               struct error *error) MUST_USE;
