#include "ledger/agreement.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/error.h"
#include "ledger/tile_builder.h"
#include "store/store.h"

#define VERIFIER_MAX 1024
#define ARENA_MAX ((size_t)256 * 1024)

bool agreement_read(const struct agreement *agreement, struct str note, struct arena *arena,
                    struct checkpoint *checkpoint, struct error *error)
{
    struct note_verifier verifiers[NOTE_LOGS_MAX];
    struct note_trust trust = { .logs = verifiers, .log_count = agreement->key_count };

    for (size_t i = 0; i < agreement->key_count; i++) {
        OWNED(buf_release) struct buf text = { 0 };
        struct str kept = { 0 };

        buf_init(&text, VERIFIER_MAX);
        if (!note_verifier_write(agreement->origin, agreement->keys[i], &text, error))
            return false;
        kept = arena_copy(arena, buf_str(&text));
        if (kept.data == NULL)
            return error_set(error, ERROR_MEMORY, "no memory for a key");
        if (!note_verifier_parse(kept, &verifiers[i], error))
            return false;
    }
    return checkpoint_check(note, &trust, checkpoint, NULL, error);
}

bool agreement_newest(const struct agreement *agreement, struct arena *arena, struct str *note,
                      struct checkpoint *checkpoint, struct error *error)
{
    *checkpoint = (struct checkpoint){ 0 };
    if (!store_newest_checkpoint(agreement->store, arena, note, error))
        return false;
    return note->len == 0 || agreement_read(agreement, *note, arena, checkpoint, error) ||
           error_wrap(error, "the checkpoint that another broker has published");
}

static bool refuse(uint64_t size, struct error *error)
{
    return error_set(error, ERROR_INVALID,
                     "another broker has published another tree of %" PRIu64 " entries", size);
}

bool agreement_pass(const struct agreement *agreement, struct tile_builder *builder,
                    struct tile_edge *edge, uint64_t size, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    struct checkpoint theirs = { 0 };
    struct merkle_hash root;
    struct str note = { 0 };

    if (arena == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a checkpoint");
    if (!agreement_newest(agreement, arena, &note, &theirs, error))
        return false;
    if (note.len == 0 || theirs.size < edge->size || theirs.size > size)
        return true;
    if (theirs.size > edge->size && !tile_builder_write(builder, edge, theirs.size, error))
        return false;
    root = tile_edge_root(edge);
    return merkle_hash_eq(&root, &theirs.root) || refuse(theirs.size, error);
}

/* One of the same size: the same tree, perhaps with other signatures. */
static bool take_note(struct publication *publication, const struct checkpoint *checkpoint,
                      struct str note, struct error *error)
{
    if (!merkle_hash_eq(&checkpoint->root, &publication->root))
        return refuse(publication->size, error);
    free(publication->note);
    publication->note = NULL;
    return publication_set_note(publication, note, error);
}

static bool offer(const struct agreement *agreement, struct publication *publication,
                  struct arena *arena, bool *is_agreed, struct error *error)
{
    struct str own = publication_note(publication);
    struct checkpoint checkpoint = { 0 };
    struct str newest = { 0 };

    if (!store_offer_checkpoint(agreement->store, publication->size, own, arena, &newest, error))
        return false;
    *is_agreed = true;
    if (str_eq(newest, own))
        return true;
    if (!agreement_read(agreement, newest, arena, &checkpoint, error))
        return error_wrap(error, "the checkpoint that another broker has published");
    if (checkpoint.size < publication->size)
        return error_set(error, ERROR_INVALID,
                         "the store keeps a checkpoint of %" PRIu64 " entries as the newest, "
                         "instead of one of %" PRIu64,
                         checkpoint.size, publication->size);
    *is_agreed = checkpoint.size == publication->size;
    return !*is_agreed || take_note(publication, &checkpoint, newest, error);
}

bool agreement_offer(const struct agreement *agreement, struct publication *publication,
                     bool *is_agreed, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);

    if (arena == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a checkpoint");
    return offer(agreement, publication, arena, is_agreed, error);
}
