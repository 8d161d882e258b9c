#include <inttypes.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "ledger/bundle.h"
#include "ledger/ledger.h"
#include "ledger/ledger_parts.h"
#include "ledger/merkle.h"
#include "ledger/note.h"
#include "ledger/publisher.h"
#include "ledger/tile.h"
#include "store/store.h"

#define PROOF_MAX ((size_t)32 * 1024)

static struct store_reader *take_reader(struct ledger *ledger, struct error *error)
{
    struct store_reader *reader = NULL;

    (void)pthread_mutex_lock(&ledger->lock);
    if (ledger->reader_count > 0)
        reader = ledger->readers[--ledger->reader_count];
    (void)pthread_mutex_unlock(&ledger->lock);
    if (reader == NULL && !store_reader_new(ledger->store, &reader, error))
        return NULL;
    return reader;
}

static void give_reader(struct ledger *ledger, struct store_reader *take_reader)
{
    (void)pthread_mutex_lock(&ledger->lock);
    if (ledger->reader_count < READERS_KEPT) {
        ledger->readers[ledger->reader_count++] = take_reader;
        take_reader = NULL;
    }
    (void)pthread_mutex_unlock(&ledger->lock);
    store_reader_close(take_reader);
}

static bool read_entry(struct store_reader *reader, uint64_t index, struct str *entry,
                       struct str *private_part, struct error *error)
{
    if (index >= store_reader_size(reader) && !store_reader_refresh(reader, error))
        return false;
    return store_reader_get(reader, index, entry, private_part, error);
}

static bool copy_entry(struct store_reader *reader, uint64_t index, struct arena *arena,
                       struct str *entry, struct str *private_part, struct error *error)
{
    struct str bytes = { 0 };
    struct str beside = { 0 };

    if (!read_entry(reader, index, &bytes, &beside, error))
        return false;
    *entry = arena_copy(arena, bytes);
    *private_part = beside.data == NULL ? beside : arena_copy(arena, beside);
    return (entry->data != NULL && (private_part->data == NULL) == (beside.data == NULL)) ||
           error_set(error, ERROR_MEMORY, "no memory for an entry");
}

bool ledger_entry(struct ledger *ledger, uint64_t index, struct arena *arena, struct str *entry,
                  struct error *error)
{
    struct str ignored = { 0 };

    return ledger_entry_with_private(ledger, index, arena, entry, &ignored, error);
}

bool ledger_entry_with_private(struct ledger *ledger, uint64_t index, struct arena *arena,
                               struct str *entry, struct str *private_part, struct error *error)
{
    struct store_reader *reader = take_reader(ledger, error);
    bool is_read = false;

    if (reader == NULL)
        return false;
    is_read = copy_entry(reader, index, arena, entry, private_part, error);
    give_reader(ledger, reader);
    return is_read;
}

/* The proof of `entry` at `proof->index`; one that would not verify is none. */
static bool build_proof(const struct ledger *ledger, const struct publication *publication,
                        struct str entry, struct tlog_proof *proof, struct error *error)
{
    struct error cause = { 0 };
    struct publication_hashes source = { publication, ledger->tiles, &cause };
    struct merkle_hash leaf = merkle_leaf(entry);

    if (merkle_prove_inclusion(publication_lookup, &source, proof->index, publication->size,
                               proof->hashes, &proof->hash_count) &&
        merkle_check_inclusion(proof->index, publication->size, &leaf, proof->hashes,
                               proof->hash_count, &publication->root))
        return true;
    return error_set(error, ERROR_LEDGER, "no proof of entry %" PRIu64 ": %s", proof->index,
                     cause.code == ERROR_NONE ? "the tiles do not fit" : cause.cause);
}

static bool write_proof(const struct tlog_proof *proof, struct arena *arena, struct str *text,
                        struct error *error)
{
    OWNED(buf_release) struct buf written = { 0 };

    *text = (struct str){ 0 };
    buf_init(&written, PROOF_MAX);
    tlog_proof_write(proof, &written);
    if (buf_is_ok(&written))
        *text = arena_copy(arena, buf_str(&written));
    return text->data != NULL || error_set(error, ERROR_MEMORY, "no memory for a proof");
}

/* NOLINTNEXTLINE(readability-function-size): the waker makes it one parameter too many */
enum progress ledger_receipt(struct ledger *ledger, uint64_t index, struct waker waker,
                             struct arena *arena, struct str *entry, struct str *proof,
                             struct error *error)
{
    OWNED(publication_put) struct publication *publication = NULL;
    struct tlog_proof built = { .index = index };
    enum progress progress = PROGRESS_DONE;

    if (index >= store_size(ledger->store)) {
        (void)error_set(error, ERROR_NOT_FOUND, "there is no entry %" PRIu64, index);
        return PROGRESS_FAILED;
    }
    progress = publisher_wait(ledger->publisher, index, waker, error);
    if (progress != PROGRESS_DONE)
        return progress;
    publication = publisher_current(ledger->publisher);
    built.note = publication_note(publication);
    if (!ledger_entry(ledger, index, arena, entry, error))
        return PROGRESS_FAILED;
    if (store_entry_is_pruned(*entry)) {
        (void)error_set(error, ERROR_NOT_FOUND, "entry %" PRIu64 " was pruned", index);
        return PROGRESS_FAILED;
    }
    if (!build_proof(ledger, publication, *entry, &built, error) ||
        !write_proof(&built, arena, proof, error))
        return PROGRESS_FAILED;
    return PROGRESS_DONE;
}

bool ledger_forget(struct ledger *ledger, const void *waker_context)
{
    return publisher_forget(ledger->publisher, waker_context);
}

bool ledger_checkpoint(struct ledger *ledger, struct arena *arena, struct str *note,
                       struct error *error)
{
    OWNED(publication_put) struct publication *publication = publisher_current(ledger->publisher);

    if (publication == NULL)
        return error_set(error, ERROR_NOT_FOUND, "no checkpoint was published yet");
    *note = arena_copy(arena, publication_note(publication));
    return note->data != NULL || error_set(error, ERROR_MEMORY, "no memory for a checkpoint");
}

/* Whether a tile's hashes are all in the published tree. */
static bool is_published(const struct publication *publication, const struct tile_path *path)
{
    uint64_t complete = 0;

    if (publication == NULL || path->level >= TILE_LEVELS)
        return false;
    complete = publication->size >> 8 * path->level;
    return path->number < complete / TILE_WIDTH ||
           (path->number == complete / TILE_WIDTH && path->width <= complete % TILE_WIDTH);
}

bool ledger_tile(struct ledger *ledger, struct str path, struct arena *arena, struct str *tile,
                 struct error *error)
{
    OWNED(publication_put) struct publication *publication = publisher_current(ledger->publisher);
    struct merkle_hash hashes[TILE_WIDTH];
    struct tile_path parsed = { 0 };

    if (!tile_path_parse(path, &parsed) || !is_published(publication, &parsed))
        return error_set(error, ERROR_NOT_FOUND, "no such tile");
    if (!tile_read(ledger->tiles, &parsed, hashes, error))
        return false;
    *tile = arena_copy(
        arena, (struct str){ (const char *)hashes, (size_t)parsed.width * MERKLE_HASH_LEN });
    return tile->data != NULL || error_set(error, ERROR_MEMORY, "no memory for a tile");
}

static void release_bundle(void *object)
{
    buf_release(object);
}

/* Entry by entry, so that only the bundle itself is in memory. */
static bool fill_bundle(struct store_reader *reader, uint64_t first, unsigned count,
                        struct buf *bundle, struct error *error)
{
    for (unsigned i = 0; i < count; i++) {
        struct str entry = { 0 };

        if (!read_entry(reader, first + i, &entry, NULL, error))
            return false;
        bundle_add(bundle, entry);
    }
    return buf_is_ok(bundle) || error_set(error, ERROR_MEMORY, "no memory for a bundle");
}

bool ledger_bundle(struct ledger *ledger, struct str path, struct arena *arena, struct str *bundle,
                   struct error *error)
{
    OWNED(publication_put) struct publication *publication = publisher_current(ledger->publisher);
    struct str full = arena_printf(arena, "entries/" STR_FMT, STR_ARG(path));
    struct buf *buf = arena_alloc(arena, sizeof(*buf));
    struct tile_path parsed = { 0 };
    struct store_reader *reader;
    bool is_read;

    if (full.data == NULL || buf == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a bundle");
    if (!tile_path_parse(full, &parsed))
        return error_set(error, ERROR_NOT_FOUND, "no such bundle");
    parsed.level = 0; /* a bundle is published with the tile of its leaves */
    if (!is_published(publication, &parsed))
        return error_set(error, ERROR_NOT_FOUND, "no such bundle");
    buf_init(buf, TILE_WIDTH * (STORE_ENTRY_MAX + 2));
    if (!arena_defer(arena, release_bundle, buf))
        return error_set(error, ERROR_MEMORY, "no memory for a bundle");
    reader = take_reader(ledger, error);
    if (reader == NULL)
        return false;
    is_read = fill_bundle(reader, parsed.number * TILE_WIDTH, parsed.width, buf, error);
    give_reader(ledger, reader);
    *bundle = buf_str(buf);
    return is_read;
}
