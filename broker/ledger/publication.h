#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"
#include "ledger/merkle.h"
#include "ledger/tile.h"

struct error;
struct key;

/**
 * A signed checkpoint and the right edge of its tree.
 *
 * Threads: immutable once it is shared, with a reference count
 */
struct publication {
    atomic_uint references;
    uint64_t size;
    struct merkle_hash root;
    char *note; /* of note_len bytes; NULL until it is signed */
    size_t note_len;
    struct tile_edge edge;
};

/** A publication of the tree that `edge` is the edge of, without a note yet. NULL without memory.
 */
struct publication *publication_new(const struct tile_edge *edge, struct error *error) MUST_USE;
struct publication *publication_ref(struct publication *publication);
void publication_put(struct publication *publication);

OWNED_POINTER(publication_put, struct publication)

/** Set its note, once. Errors: ERROR_MEMORY */
bool publication_set_note(struct publication *publication, struct str note, struct error *error)
    MUST_USE;

/** Sign size and root with all of a log's keys, as its note. */
bool publication_sign(struct publication *publication, struct str origin, struct key *const *keys,
                      size_t key_count, struct error *error) MUST_USE;

struct str publication_note(const struct publication *publication);

/** A `merkle_lookup` for proofs in a publication's tree: its edge, else full tiles. */
struct publication_hashes {
    const struct publication *publication;
    int tiles;           /* the folder "tile" */
    struct error *error; /* why a tile could not be read */
};
bool publication_lookup(void *context, unsigned level, uint64_t index, struct merkle_hash *hash);
