#include "ledger/tile_recovery.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "ledger/entry.h"
#include "ledger/note.h"
#include "ledger/tile_builder.h"
#include "store/store.h"

static bool refuse_root(const struct checkpoint *published, struct error *error)
{
    return error_set(error, ERROR_INVALID,
                     "the store is not the one whose checkpoint of size %" PRIu64 " was published",
                     published->size);
}

/* Tiles do not fit the checkpoint: make them again from the entries, if these fit it. */
static bool rebuild(struct tile_builder *builder, const struct checkpoint *published,
                    struct tile_edge *edge, struct error *error)
{
    struct merkle_hash root;

    memset(edge, 0, sizeof(*edge));
    if (!tile_builder_extend(builder, edge, published->size, error))
        return false;
    root = tile_edge_root(edge);
    if (!merkle_hash_eq(&root, &published->root))
        return refuse_root(published, error);
    memset(edge, 0, sizeof(*edge));
    return tile_builder_write(builder, edge, published->size, error);
}

/* The entries behind the last full tile, or of it where nothing is behind it, against its leaves.
 */
static bool check_tail(struct tile_builder *builder, const struct checkpoint *published,
                       const struct tile_edge *edge, struct error *error)
{
    unsigned width = tile_edge_width(edge, 0);
    struct tile_path path = { 0, tile_edge_number(edge, 0), width };
    struct merkle_hash leaves[TILE_WIDTH];

    if (width == 0)
        path = (struct tile_path){ 0, tile_edge_number(edge, 0) - 1, TILE_WIDTH };
    if (!tile_read(builder->writer.root, &path, leaves, error))
        return false;
    for (unsigned i = 0; i < path.width; i++) {
        struct merkle_hash leaf;
        struct str entry = { 0 };

        if (!store_reader_get(builder->reader, path.number * TILE_WIDTH + i, &entry, NULL, error))
            return false;
        leaf = entry_leaf(entry);
        if (!merkle_hash_eq(&leaf, &leaves[i]))
            return refuse_root(published, error);
    }
    return true;
}

bool tile_take_up(struct tile_builder *builder, const struct checkpoint *published,
                  struct tile_edge *edge, struct error *error)
{
    struct merkle_hash root;

    if (published->size > store_reader_size(builder->reader))
        return error_set(error, ERROR_INVALID,
                         "the store has %" PRIu64 " entries, the published checkpoint %" PRIu64,
                         store_reader_size(builder->reader), published->size);
    if (!tile_edge_read(builder->writer.root, published->size, edge, &(struct error){ 0 }))
        return rebuild(builder, published, edge, error);
    root = tile_edge_root(edge);
    if (!merkle_hash_eq(&root, &published->root))
        return rebuild(builder, published, edge, error);
    return published->size == 0 || check_tail(builder, published, edge, error);
}
