#include "ledger/rebuild.h"

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "ledger/entry.h"
#include "ledger/projection.h"
#include "store/index.h"
#include "store/store.h"

#define PATH_ARENA_MAX ((size_t)64 * 1024)

struct rebuilding {
    const struct rebuild_options *options;
    struct store *store;
    struct store_reader *reader;
    struct store_index *index;
    struct projection *projection;
};

static bool open_all(struct rebuilding *rebuilding, const char *path, struct error *error)
{
    const struct rebuild_options *options = rebuilding->options;
    struct store_options store_options = {
        .location = options->database ? options->database : options->store,
        .fold = { entry_fold },
        .dsn_file = options->dsn_file,
        .reads_all = true,
    };

    return store_open(&store_options, &rebuilding->store, error) &&
           store_reader_new(rebuilding->store, &rebuilding->reader, error) &&
           store_index_remove(path, error) &&
           store_index_open(path, PROJECTION_VERSION, &rebuilding->index, error) &&
           projection_new(rebuilding->index, &rebuilding->projection, error);
}

static bool take_in(struct rebuilding *rebuilding, uint64_t from, uint64_t to, struct error *error)
{
    for (uint64_t i = from; i < to; i++) {
        struct projection_entry entry = { .index = i };

        if (!store_reader_get(rebuilding->reader, i, &entry.bytes, &entry.private_part, error))
            return false;
        entry.has_place = store_reader_place(rebuilding->reader, &entry.place);
        if (!projection_add(rebuilding->projection, &entry, error))
            return false;
    }
    return true;
}

static bool fill(struct rebuilding *rebuilding, uint64_t size, struct error *error)
{
    const struct rebuild_options *options = rebuilding->options;

    for (uint64_t from = 0; from < size; from += PROJECTION_BATCH_MAX) {
        uint64_t to = size - from < PROJECTION_BATCH_MAX ? size : from + PROJECTION_BATCH_MAX;
        struct index_state state;

        if (!store_index_begin(rebuilding->index, &state, error) ||
            !take_in(rebuilding, from, to, error) ||
            !projection_write(rebuilding->projection, error))
            return false;
        if (options->progress)
            options->progress(to, size, options->context);
    }
    return true;
}

static void close_all(struct rebuilding *rebuilding)
{
    projection_free(rebuilding->projection);
    store_index_close(rebuilding->index);
    store_reader_close(rebuilding->reader);
    if (rebuilding->store)
        store_close(rebuilding->store);
}

bool ledger_rebuild(const struct rebuild_options *options, uint64_t *count, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(PATH_ARENA_MAX);
    const char *path = arena ? file_join(arena, options->store, STORE_INDEX_NAME) : NULL;
    struct rebuilding rebuilding = { .options = options };
    bool is_good;

    if (!path)
        return error_set(error, ERROR_MEMORY, "no memory for the index");
    is_good = open_all(&rebuilding, path, error);
    if (is_good) {
        *count = store_reader_size(rebuilding.reader);
        is_good = fill(&rebuilding, *count, error);
    }
    close_all(&rebuilding);
    return is_good;
}
