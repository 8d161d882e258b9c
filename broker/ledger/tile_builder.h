#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "ledger/tile.h"
#include "ledger/tile_writer.h"

struct error;
struct store_reader;

/**
 * Makes tiles and bundles from a store's entries.
 *
 * Threads: confined
 */
struct tile_builder {
    struct store_reader *reader; /* borrowed */
    struct tile_writer writer;
    char *bundle; /* room for any, aligned; made when it is first needed */
    size_t bundle_len;
};

/** `tiles` is the folder "tile", borrowed like the reader. */
void tile_builder_init(struct tile_builder *builder, struct store_reader *reader, int tiles);
void tile_builder_release(struct tile_builder *builder);

/** Extend an edge to `size` and write nothing. Errors: those of the reader */
bool tile_builder_extend(struct tile_builder *builder, struct tile_edge *edge, uint64_t size,
                         struct error *error) MUST_USE;

/** Extend an edge, and make all tiles and bundles durable that a checkpoint of it needs. */
bool tile_builder_write(struct tile_builder *builder, struct tile_edge *edge, uint64_t size,
                        struct error *error) MUST_USE;

/** Remove partial tiles that a full one has replaced, and the bundle that a longer one has. */
void tile_builder_remove_replaced(const struct tile_builder *builder, const struct tile_edge *old,
                                  const struct tile_edge *fresh);
