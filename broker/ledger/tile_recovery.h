#pragma once

#include <stdbool.h>

#include "base/macros.h"

struct checkpoint;
struct error;
struct tile_builder;
struct tile_edge;

/**
 * The edge of a published checkpoint from its tiles, compared with the entries behind the last full
 * one. Tiles that are missing or damaged are made again from all entries.
 *
 * Errors: ERROR_INVALID (the store is shorter than the checkpoint, or has another root there),
 *         ERROR_IO
 */
bool tile_take_up(struct tile_builder *builder, const struct checkpoint *published,
                  struct tile_edge *edge, struct error *error) MUST_USE;
