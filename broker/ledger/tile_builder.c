#include "ledger/tile_builder.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "ledger/bundle.h"
#include "ledger/entry.h"
#include "store/store.h"

/* What aligned memory is allocated in. */
#define BUNDLE_ROOM ROUND_UP(BUNDLE_MAX, FILE_DIRECT_ALIGNMENT)

void tile_builder_init(struct tile_builder *builder, struct store_reader *reader, int tiles)
{
    *builder = (struct tile_builder){ .reader = reader, .writer = { .root = tiles } };
}

void tile_builder_release(struct tile_builder *builder)
{
    free(builder->bundle);
    builder->bundle = NULL;
}

/* Where the hashes of completed tiles go: to files, or nowhere when only the root is asked for. */
struct extension {
    struct tile_builder *builder;
    struct tile_edge *edge;
    bool is_written;
    struct error *error;
};

static bool put_hashes(struct tile_builder *builder, const struct tile_path *path,
                       const struct merkle_hash *hashes, struct error *error)
{
    struct str content = { (const char *)hashes, (size_t)path->width * MERKLE_HASH_LEN };

    return tile_writer_put(&builder->writer, path, content, error);
}

static bool put_full_tile(void *context, unsigned level, uint64_t number,
                          const struct merkle_hash hashes[TILE_WIDTH])
{
    const struct extension *extension = context;
    const struct tile_path path = { level, number, TILE_WIDTH };

    return !extension->is_written ||
           put_hashes(extension->builder, &path, hashes, extension->error);
}

static bool put_partial_tiles(struct tile_builder *builder, const struct tile_edge *edge,
                              struct error *error)
{
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        const struct tile_path path = { level, tile_edge_number(edge, level),
                                        tile_edge_width(edge, level) };

        if (path.width > 0 && !put_hashes(builder, &path, edge->hashes[level], error))
            return false;
    }
    return true;
}

static bool clear_bundle(struct tile_builder *builder, struct error *error)
{
    builder->bundle_len = 0;
    if (builder->bundle == NULL)
        builder->bundle = aligned_alloc(FILE_DIRECT_ALIGNMENT, BUNDLE_ROOM);
    return builder->bundle != NULL || error_set(error, ERROR_MEMORY, "no memory for a bundle");
}

static bool add_to_bundle(struct tile_builder *builder, struct str entry, struct error *error)
{
    char *at = builder->bundle + builder->bundle_len;

    if (entry.len > STORE_ENTRY_MAX)
        return error_set(error, ERROR_INVALID, "an entry is longer than it may be");
    bundle_head(entry, at);
    memcpy(at + BUNDLE_HEAD_LEN, entry.data, entry.len);
    builder->bundle_len += BUNDLE_HEAD_LEN + entry.len;
    return true;
}

/* Entries [start, end), which are of one bundle: its file, and their leaves into the edge. */
static bool extend_bundle(struct extension *extension, uint64_t start, uint64_t end)
{
    struct tile_builder *builder = extension->builder;
    const struct tile_path path = { TILE_ENTRIES, start / TILE_WIDTH, (unsigned)(end - start) };
    struct merkle_hash leaves[TILE_WIDTH];

    if (!clear_bundle(builder, extension->error))
        return false;
    for (uint64_t i = start; i < end; i++) {
        struct str entry = { 0 };

        if (!store_reader_get(builder->reader, i, &entry, NULL, extension->error) ||
            !add_to_bundle(builder, entry, extension->error))
            return false;
        leaves[i - start] = entry_leaf(entry);
    }
    if (extension->is_written &&
        !tile_writer_put(&builder->writer, &path,
                         (struct str){ builder->bundle, builder->bundle_len }, extension->error))
        return false;
    for (uint64_t i = extension->edge->size; i < end; i++) {
        if (!tile_edge_add(extension->edge, &leaves[i - start], put_full_tile, extension))
            return false;
    }
    return true;
}

/* Extend the edge to `size`, bundle by bundle. */
static bool extend(struct extension *extension, uint64_t size)
{
    while (extension->edge->size < size) {
        uint64_t start = extension->edge->size / TILE_WIDTH * TILE_WIDTH;
        uint64_t end = start + TILE_WIDTH < size ? start + TILE_WIDTH : size;

        if (!extend_bundle(extension, start, end))
            return false;
    }
    return true;
}

bool tile_builder_extend(struct tile_builder *builder, struct tile_edge *edge, uint64_t size,
                         struct error *error)
{
    struct extension extension = { builder, edge, false, error };

    return extend(&extension, size);
}

bool tile_builder_write(struct tile_builder *builder, struct tile_edge *edge, uint64_t size,
                        struct error *error)
{
    struct extension extension = { builder, edge, true, error };
    bool is_durable = extend(&extension, size) && put_partial_tiles(builder, edge, error) &&
                      tile_writer_sync(&builder->writer, error);

    tile_writer_release(&builder->writer);
    return is_durable;
}

void tile_builder_remove_replaced(const struct tile_builder *builder, const struct tile_edge *old,
                                  const struct tile_edge *fresh)
{
    struct tile_path bundle = { TILE_ENTRIES, tile_edge_number(old, 0), tile_edge_width(old, 0) };

    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        const struct tile_path path = { level, tile_edge_number(old, level), TILE_WIDTH };

        if (path.number != tile_edge_number(fresh, level))
            tile_writer_remove_partial(&builder->writer, &path);
    }
    if (bundle.number != tile_edge_number(fresh, 0))
        bundle.width = TILE_WIDTH;
    if (bundle.width > 0 && old->size != fresh->size)
        tile_writer_remove_partial(&builder->writer, &bundle);
}
