#include "ledger/import.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/time_text.h"
#include "ledger/entry.h"
#include "store/store.h"

#define ARENA_MAX ((size_t)256 * 1024)

struct ledger_import {
    const char *folder; /* borrowed; NULL: a database */
    struct store_import *store;
    struct merkle_frontier frontier;
};

bool ledger_import_open(const struct ledger_import_options *options, struct ledger_import **out,
                        struct error *error)
{
    struct store_options store = {
        .location = options->database != NULL ? options->database : options->store,
        .fold = { entry_fold },
        .dsn_file = options->dsn_file,
    };
    OWNED(ledger_import_close) struct ledger_import *import = calloc(1, sizeof(*import));

    if (import == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for an import");
    if (options->database == NULL && options->dsn_file == NULL)
        import->folder = options->store;
    if (!store_import_open(&store, &import->store, error))
        return false;
    *out = TAKE(import);
    return true;
}

void ledger_import_close(struct ledger_import *import)
{
    if (import == NULL)
        return;
    store_import_close(import->store);
    free(import);
}

static bool read_time(struct str entry, int64_t *time_ms, struct error *error)
{
    static const struct json_limits limits = { STORE_ENTRY_MAX, 32, 4096 };
    JSON_OWNED json_t *object = NULL;
    struct str time = { 0 };

    if (!json_parse_object(entry, limits, &object, error))
        return false;
    return (json_get_str(object, "time", &time) && time_text_parse(time, time_ms)) ||
           error_set(error, ERROR_INVALID, "an entry without a time");
}

bool ledger_import_add(struct ledger_import *import, struct str entry, struct str private_part,
                       struct error *error)
{
    struct merkle_hash leaf = merkle_leaf(entry);
    int64_t time_ms = 0;

    if (!read_time(entry, &time_ms, error) ||
        !store_import_add(import->store, entry, private_part, time_ms, error))
        return false;
    merkle_frontier_add(&import->frontier, &leaf);
    return true;
}

/* The root of what the store gives. */
static bool read_back(const struct ledger_import *import, struct merkle_hash *root,
                      struct error *error)
{
    OWNED(store_reader_close) struct store_reader *reader = NULL;
    struct merkle_frontier frontier = { 0 };

    if (!store_reader_new(store_import_store(import->store), &reader, error))
        return false;
    for (uint64_t i = 0; i < store_reader_size(reader); i++) {
        struct merkle_hash leaf;
        struct str entry = { 0 };

        if (!store_reader_get(reader, i, &entry, NULL, error))
            return false;
        leaf = merkle_leaf(entry);
        merkle_frontier_add(&frontier, &leaf);
    }
    *root = merkle_frontier_root(&frontier);
    return true;
}

static bool keep_in_folder(const char *folder, struct str note, struct arena *arena,
                           struct error *error)
{
    const char *log = file_join(arena, folder, "log");
    const char *path = log == NULL ? NULL : file_join(arena, log, "checkpoint");

    if (path == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a checkpoint");
    return file_make_folder(log, 0700, error) && file_replace(path, note, 0600, error);
}

static bool keep_checkpoint(const struct ledger_import *import, struct str note, uint64_t size,
                            struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    struct str newest = { 0 };

    if (note.len == 0)
        return true;
    if (arena == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a checkpoint");
    if (import->folder != NULL)
        return keep_in_folder(import->folder, note, arena, error);
    return store_offer_checkpoint(store_import_store(import->store), size, note, arena, &newest,
                                  error);
}

bool ledger_import_finish(struct ledger_import *import, struct str note, uint64_t note_size,
                          struct merkle_hash *root, struct error *error)
{
    struct merkle_hash added = merkle_frontier_root(&import->frontier);

    if (!store_import_flush(import->store, error) || !read_back(import, root, error))
        return false;
    if (!merkle_hash_eq(root, &added))
        return error_set(error, ERROR_INVALID, "the store holds something else than was written");
    return keep_checkpoint(import, note, note_size, error);
}
