#include "ledger/publication.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "ledger/note.h"

struct publication *publication_new(const struct tile_edge *edge, struct error *error)
{
    struct publication *publication = malloc(sizeof(*publication));

    if (publication == NULL) {
        (void)error_set(error, ERROR_MEMORY, "no memory for a checkpoint");
        return NULL;
    }
    atomic_init(&publication->references, 1);
    publication->size = edge->size;
    publication->root = tile_edge_root(edge);
    publication->note = NULL;
    publication->note_len = 0;
    publication->edge = *edge;
    return publication;
}

struct publication *publication_ref(struct publication *publication)
{
    if (publication != NULL)
        (void)atomic_fetch_add(&publication->references, 1);
    return publication;
}

void publication_put(struct publication *publication)
{
    if (publication == NULL || atomic_fetch_sub(&publication->references, 1) > 1)
        return;
    free(publication->note);
    free(publication);
}

bool publication_set_note(struct publication *publication, struct str note, struct error *error)
{
    publication->note = malloc(note.len);
    if (publication->note == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a checkpoint");
    memcpy(publication->note, note.data, note.len);
    publication->note_len = note.len;
    return true;
}

bool publication_sign(struct publication *publication, struct str origin, struct key *const *keys,
                      size_t key_count, struct error *error)
{
    struct checkpoint checkpoint = { origin, publication->size, publication->root };
    OWNED(buf_release) struct buf note = { 0 };

    buf_init(&note, NOTE_BYTES_MAX);
    if (!checkpoint_sign(&checkpoint, keys, key_count, &note, error))
        return false;
    if (!buf_is_ok(&note))
        return error_set(error, ERROR_MEMORY, "no memory for a checkpoint");
    return publication_set_note(publication, buf_str(&note), error);
}

struct str publication_note(const struct publication *publication)
{
    return (struct str){ publication->note, publication->note_len };
}

bool publication_lookup(void *context, unsigned level, uint64_t index, struct merkle_hash *hash)
{
    const struct publication_hashes *source = context;
    struct merkle_hash hashes[TILE_WIDTH];
    uint64_t first = index << level % 8; /* along the tile's level */
    const struct tile_path path = { level / 8, first / TILE_WIDTH, TILE_WIDTH };

    if (tile_edge_lookup(&source->publication->edge, level, index, hash))
        return true;
    if (!tile_read(source->tiles, &path, hashes, source->error))
        return false;
    *hash = tile_subtree(&hashes[first % TILE_WIDTH], level % 8);
    return true;
}
