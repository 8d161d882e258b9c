#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"
#include "ledger/note.h"
#include "ledger/publication.h"

struct error;
struct key;
struct store;
struct tile_builder;

/**
 * What brokers that share a store agree on: which signed checkpoint is the newest. None publishes
 * one that is smaller than what another one has published, or of the same size and other.
 *
 * Where the store is one broker's there is nobody to agree with: all of it costs nothing.
 */
struct agreement {
    const struct store *store;
    struct str origin;
    struct key *const *keys; /* of the log: whatever any of them has signed counts */
    size_t key_count;        /* at most NOTE_LOGS_MAX */
};

/** Read a note that one of the log's keys has signed. Errors: as checkpoint_check() */
bool agreement_read(const struct agreement *agreement, struct str note, struct arena *arena,
                    struct checkpoint *checkpoint, struct error *error) MUST_USE;

/**
 * The newest one that any broker has published; an empty note of size 0 where there is none.
 *
 * Errors: ERROR_LEDGER (the store cannot be asked), ERROR_INVALID (it is not of this log)
 */
bool agreement_newest(const struct agreement *agreement, struct arena *arena, struct str *note,
                      struct checkpoint *checkpoint, struct error *error) MUST_USE;

/**
 * Before an edge is extended to `size`: extend it, tiles and all, to what another broker has
 * published on the way, and compare.
 *
 * Errors: ERROR_INVALID (that was of another log), those of tile_builder_write(), ERROR_LEDGER
 */
bool agreement_pass(const struct agreement *agreement, struct tile_builder *builder,
                    struct tile_edge *edge, uint64_t size, struct error *error) MUST_USE;

/**
 * Offer a signed publication. `*is_agreed` is false where a larger one is out already: it is not to
 * be published. Where one of the same size is out, its note is taken.
 *
 * Errors: ERROR_INVALID (another root is out for this size), ERROR_LEDGER, ERROR_MEMORY
 */
bool agreement_offer(const struct agreement *agreement, struct publication *publication,
                     bool *is_agreed, struct error *error) MUST_USE;
