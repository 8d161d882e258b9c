#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"
#include "ledger/merkle.h"

struct error;

/**
 * Tiles: the tree's hashes in files of 256, and its right edge in memory.
 *
 * Tile N of level L holds the hashes of the complete subtrees of 256^L entries from N * 256 on.
 *
 * Source: C2SP tlog-tiles
 */
#define TILE_WIDTH 256
#define TILE_LEVELS 8 /* 256^8 entries are more than there can be */
#define TILE_LEN ((size_t)TILE_WIDTH * MERKLE_HASH_LEN)
#define TILE_PATH_MAX 64

/** The level of an entry bundle's path. */
#define TILE_ENTRIES UINT32_MAX

struct tile_path {
    uint32_t level; /* or TILE_ENTRIES */
    uint64_t number;
    unsigned width; /* 1 to 255: partial; TILE_WIDTH: full */
};

/** "0/x001/234.p/17", relative to "tile/"; NUL-terminated. */
void tile_path_write(const struct tile_path *path, char out[TILE_PATH_MAX]);

/** Only the canonical form is one. */
bool tile_path_parse(struct str text, struct tile_path *path) MUST_USE;

/** The right edge: of each level the last tile, as far as it goes. All-zero is the empty tree. */
struct tile_edge {
    uint64_t size;
    struct merkle_hash hashes[TILE_LEVELS][TILE_WIDTH]; /* of level L (size / 256^L) % 256 */
};

/** How many hashes of its level's last tile are in the edge; the number of that tile. */
unsigned tile_edge_width(const struct tile_edge *edge, unsigned level);
uint64_t tile_edge_number(const struct tile_edge *edge, unsigned level);

/**
 * Add a leaf. `on_full` is called for each tile that this completes, lower levels first; where it
 * fails the edge is left unusable.
 */
bool tile_edge_add(struct tile_edge *edge, const struct merkle_hash *leaf,
                   bool (*on_full)(void *context, unsigned level, uint64_t number,
                                   const struct merkle_hash hashes[TILE_WIDTH]),
                   void *context) MUST_USE;

struct merkle_hash tile_edge_root(const struct tile_edge *edge);

/** The root of `1 << level` hashes, level at most 8. */
struct merkle_hash tile_subtree(const struct merkle_hash *hashes, unsigned level);

/** The complete subtree at `level` and `index`, if it is in the edge. */
bool tile_edge_lookup(const struct tile_edge *edge, unsigned level, uint64_t index,
                      struct merkle_hash *hash) MUST_USE;

/**
 * Read a tile's hashes; a partial one also from the full tile that took its place.
 *
 * Errors: ERROR_NOT_FOUND, ERROR_INVALID (not as long as it should be), ERROR_IO
 */
bool tile_read(int folder, const struct tile_path *path, struct merkle_hash hashes[TILE_WIDTH],
               struct error *error) MUST_USE;

/** Read the right edge of a tree of `size` from its tiles. Errors: those of tile_read() */
bool tile_edge_read(int folder, uint64_t size, struct tile_edge *edge, struct error *error)
    MUST_USE;
