#include "ledger/pruner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/time_text.h"
#include "ledger/bundle.h"
#include "ledger/entry.h"
#include "ledger/indexer.h"
#include "ledger/ledger.h"
#include "ledger/tile.h"
#include "store/store.h"

#define ARENA_MAX (STORE_PRUNE_MAX * (STORE_ENTRY_MAX + STORE_PRIVATE_MAX))
#define PATH_MAX_LEN 4096

/* One run. Threads: confined */
struct run {
    struct pruner *pruner;
    struct store_reader *reader;
    int64_t before_ms;
    uint64_t limit; /* what may be pruned is below it */
    struct error *error;
};

/* ---- how far ---- */

/* The time of an entry; `*is_pruned` where it has none any more. */
static bool time_of(struct run *run, uint64_t index, bool *is_pruned, int64_t *time_ms)
{
    JSON_OWNED json_t *parsed = NULL;
    struct str entry = { 0 };
    struct str text = { 0 };

    if (!store_reader_get(run->reader, index, &entry, NULL, run->error))
        return false;
    *is_pruned = store_entry_is_pruned(entry);
    if (*is_pruned)
        return true;
    if (!entry_parse(entry, &parsed, run->error))
        return false;
    return (json_get_str(parsed, "time", &text) && time_text_parse(text, time_ms)) ||
           error_set(run->error, ERROR_INVALID, "an entry without a time");
}

/* The first entry of [from, limit) that is not pruned and, with `by_time`, not old enough. */
static bool find_first(struct run *run, uint64_t from, bool by_time, uint64_t *found)
{
    uint64_t low = from;
    uint64_t high = run->limit;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        bool is_pruned = false;
        int64_t time_ms = 0;

        if (!time_of(run, middle, &is_pruned, &time_ms))
            return false;
        if (is_pruned || (by_time && time_ms < run->before_ms))
            low = middle + 1;
        else
            high = middle;
    }
    *found = low;
    return true;
}

/* A folder prunes whole batches: end where one begins. */
static bool align(struct run *run, uint64_t from, uint64_t *to)
{
    struct store_place place = { 0 };
    struct str entry = { 0 };

    if (*to <= from)
        return true;
    if (!store_reader_get(run->reader, *to, &entry, NULL, run->error))
        return false;
    if (store_reader_place(run->reader, &place))
        *to = place.first_index > from ? place.first_index : from;
    return true;
}

static bool set_limit(struct run *run)
{
    uint64_t size = store_reader_size(run->reader);
    uint64_t published = ledger_published_size(run->pruner->ledger);
    uint64_t live = 0;

    if (!store_oldest_live(run->pruner->store, &live, run->error))
        return false;
    run->limit = size == 0 ? 0 : size - 1;
    run->limit = published < run->limit ? published : run->limit;
    run->limit = live < run->limit ? live : run->limit;
    return true;
}

/* ---- bundles ---- */

static bool fill_bundle(struct run *run, uint64_t number, unsigned width, struct buf *bundle)
{
    buf_clear(bundle);
    for (unsigned i = 0; i < width; i++) {
        struct str entry = { 0 };

        if (!store_reader_get(run->reader, number * TILE_WIDTH + i, &entry, NULL, run->error))
            return false;
        bundle_add(bundle, entry);
    }
    return buf_is_ok(bundle) || error_set(run->error, ERROR_MEMORY, "no memory for a bundle");
}

/* Whether a file has these bytes already; one that is not there needs none. */
static bool is_current(const char *path, struct str content)
{
    OWNED(arena_free) struct arena *arena = arena_new(2 * BUNDLE_MAX);
    struct error ignored = { 0 };
    struct str present = { 0 };

    if (access(path, F_OK) != 0)
        return true;
    return arena != NULL && file_read(arena, path, BUNDLE_MAX, &present, &ignored) &&
           str_eq(present, content);
}

static bool replace_bundle(struct run *run, const struct tile_path *path, struct buf *bundle)
{
    char name[TILE_PATH_MAX];
    char full[PATH_MAX_LEN];

    tile_path_write(path, name);
    if (snprintf(full, sizeof(full), "%s/%s", run->pruner->tiles, name) >= (int)sizeof(full))
        return error_set(run->error, ERROR_LIMIT, "%s: too long", run->pruner->tiles);
    if (access(full, F_OK) != 0)
        return true;
    return fill_bundle(run, path->number, path->width, bundle) &&
           (is_current(full, buf_str(bundle)) ||
            file_replace(full, buf_str(bundle), 0600, run->error));
}

/* The partial ones of a bundle, whichever are there. */
static bool replace_partials(struct run *run, uint64_t number, struct buf *bundle)
{
    struct tile_path path = { TILE_ENTRIES, number, 1 };
    char name[TILE_PATH_MAX];
    char full[PATH_MAX_LEN];
    const struct dirent *item = NULL;
    DIR *folder = NULL;
    bool is_done = true;

    tile_path_write(&path, name);
    *strrchr(name, '/') = '\0';
    (void)snprintf(full, sizeof(full), "%s/%s", run->pruner->tiles, name);
    folder = opendir(full);
    /* readdir() is safe: nobody else has this stream. */
    while (folder != NULL && is_done &&
           (item = readdir(folder)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
        int64_t width = 0;

        if (!str_to_int64(str_from(item->d_name), &width) || width < 1 || width >= TILE_WIDTH)
            continue;
        path.width = (unsigned)width;
        is_done = replace_bundle(run, &path, bundle);
    }
    if (folder != NULL)
        (void)closedir(folder); /* read-only, nothing to lose */
    return is_done;
}

/* What the bundles of [from, to) hold is what the store has. */
static bool replace_bundles(struct run *run, uint64_t from, uint64_t to)
{
    OWNED(buf_release) struct buf bundle = { 0 };

    if (to <= from)
        return true;
    buf_init(&bundle, BUNDLE_MAX);
    for (uint64_t number = from / TILE_WIDTH; number <= (to - 1) / TILE_WIDTH; number++) {
        const struct tile_path full = { TILE_ENTRIES, number, TILE_WIDTH };

        if (atomic_load(run->pruner->is_stopping))
            return true;
        if (!replace_bundle(run, &full, &bundle) || !replace_partials(run, number, &bundle))
            return false;
    }
    return true;
}

/* ---- a piece ---- */

/* What the index is to forget of a piece. */
struct piece {
    struct indexer *indexer;
    struct arena *arena;
    struct indexer_erased erased[STORE_PRUNE_MAX];
    size_t count;
    uint64_t to;
};

static bool forget(void *context, struct error *error)
{
    struct piece *piece = context;

    while (piece->count > 0 && piece->erased[piece->count - 1].index >= piece->to)
        piece->count--;
    return indexer_forget(piece->indexer, piece->erased, piece->count, error);
}

static bool copy_private(struct run *run, struct piece *piece, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to && i < from + STORE_PRUNE_MAX; i++) {
        struct indexer_erased *erased = &piece->erased[piece->count];
        struct str entry = { 0 };
        struct str part = { 0 };

        if (!store_reader_get(run->reader, i, &entry, &part, run->error))
            return false;
        if (part.len == 0)
            continue;
        *erased = (struct indexer_erased){ i, arena_copy(piece->arena, entry),
                                           arena_copy(piece->arena, part) };
        if (erased->entry.data == NULL || erased->private_part.data == NULL)
            return error_set(run->error, ERROR_MEMORY, "no memory to prune");
        piece->count++;
    }
    return true;
}

static bool prune_piece(struct run *run, uint64_t from, uint64_t to, uint64_t *end)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    struct piece *piece = calloc(1, sizeof(*piece));
    bool is_pruned = false;

    if (piece == NULL || arena == NULL) {
        free(piece);
        return error_set(run->error, ERROR_MEMORY, "no memory to prune");
    }
    piece->indexer = run->pruner->indexer;
    piece->arena = arena;
    is_pruned = copy_private(run, piece, from, to) &&
                store_prune(run->pruner->store, from, to, &piece->to, forget, piece, run->error);
    *end = piece->to;
    free(piece);
    return is_pruned && store_reader_refresh(run->reader, run->error);
}

/* ---- all of it ---- */

static bool record(struct run *run, uint64_t from, uint64_t to)
{
    JSON_OWNED json_t *entry = entry_new(ENTRY_ADMIN_PRUNED, ledger_broker(run->pruner->ledger));

    if (!json_put(entry, "detail", json_string("ledger.keep")) ||
        !json_put(entry, "count", json_integer((json_int_t)(to - from))) ||
        !json_put(entry, "entries", json_pack("[[II]]", (json_int_t)from, (json_int_t)(to - 1))))
        return error_set(run->error, ERROR_MEMORY, "no memory for an entry");
    return ledger_record(run->pruner->ledger, entry, run->error);
}

static bool prune_all(struct run *run, uint64_t from, uint64_t to)
{
    while (from < to && !atomic_load(run->pruner->is_stopping)) {
        uint64_t end = from;

        if (!prune_piece(run, from, to, &end))
            return false;
        if (end == from) /* a batch that does not fit, or cannot be pruned */
            return true;
        from = end;
        run->pruner->pruned = end;
    }
    return true;
}

static bool prune(struct run *run)
{
    struct pruner *pruner = run->pruner;
    uint64_t known = pruner->pruned;
    uint64_t from = 0;
    uint64_t to = 0;

    if (!store_reader_new(pruner->store, &run->reader, run->error) || !set_limit(run) ||
        !find_first(run, 0, false, &from) || !find_first(run, from, true, &to) ||
        !align(run, from, &to))
        return false;
    /* Of what others have pruned, or we before a crash, our own bundles may still tell. */
    pruner->pruned = from;
    if (!replace_bundles(run, known > 0 ? known - 1 : 0, from))
        return false;
    if (to <= from)
        return true;
    return record(run, from, to) && prune_all(run, from, to) &&
           replace_bundles(run, from, pruner->pruned);
}

bool pruner_run(struct pruner *pruner, int64_t before_ms, struct error *error)
{
    struct run run = { .pruner = pruner, .before_ms = before_ms, .error = error };
    bool is_good = prune(&run);

    store_reader_close(run.reader);
    return is_good;
}
