#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "ledger/projection.h"
#include "ledger/projection_row.h"

/* Rows behind a key, while they begin with a prefix. */
struct row_walk {
    struct str prefix;
    bool (*use)(const struct ledger_use *use, void *context);
    bool (*seen)(const struct ledger_seen *seen, void *context);
    void *context;
    struct error *error;
    bool is_good;
};

static bool tell_use(struct row_walk *walk, struct str key, const struct row_value *value)
{
    struct str parts[3];

    if (!row_key_cut(key, parts, COUNT(parts))) {
        walk->is_good = error_set(walk->error, ERROR_INVALID, "index: a row's key does not read");
        return false;
    }
    return walk->use(
        &(struct ledger_use){
            .stage = parts[0],
            .target = parts[1],
            .grant = parts[2],
            .pipeline = value->texts[USE_PIPELINE],
            .owner = value->texts[USE_OWNER],
            .tenant = value->texts[USE_TENANT],
            .environment = value->texts[USE_ENVIRONMENT],
            .kind = value->texts[USE_KIND],
            .type = value->texts[USE_TYPE],
            .count = value->numbers[USE_COUNT],
            .failed = value->numbers[USE_FAILED],
            .first_ms = value->numbers[USE_FIRST_MS],
            .last_ms = value->numbers[USE_LAST_MS],
            .last_index = value->numbers[USE_LAST_INDEX],
        },
        walk->context);
}

static bool tell_seen(struct row_walk *walk, struct str key, const struct row_value *value)
{
    struct str parts[3];

    if (!row_key_cut(key, parts, COUNT(parts))) {
        walk->is_good = error_set(walk->error, ERROR_INVALID, "index: a row's key does not read");
        return false;
    }
    return walk->seen(
        &(struct ledger_seen){
            .stage = parts[0],
            .issuer = parts[1],
            .name = parts[2],
            .count = value->numbers[SEEN_COUNT],
            .denied = value->numbers[SEEN_DENIED],
            .first_ms = value->numbers[SEEN_FIRST_MS],
            .last_ms = value->numbers[SEEN_LAST_MS],
        },
        walk->context);
}

static bool visit_row(struct str key, struct str bytes, void *context)
{
    struct row_walk *walk = context;
    struct row_value value;

    if (!str_starts_with(key, walk->prefix))
        return false;
    if (!row_value_read(bytes, &value, walk->error)) {
        walk->is_good = false;
        return false;
    }
    return walk->use ? tell_use(walk, key, &value) : tell_seen(walk, key, &value);
}

static bool walk_rows(struct store_index *index, enum row_space space, struct str after,
                      struct row_walk *walk)
{
    walk->is_good = true;
    return store_index_each_row(index, (uint8_t)space, after, visit_row, walk, walk->error) &&
           walk->is_good;
}

bool projection_each_use(struct store_index *index, const struct ledger_use *after,
                         bool (*visit)(const struct ledger_use *use, void *context), void *context,
                         struct error *error)
{
    struct row_walk walk = { .use = visit, .context = context, .error = error };
    OWNED(buf_release) struct buf key = { 0 };

    buf_init(&key, INDEX_ROW_KEY_MAX);
    if (after) {
        buf_add(&key, after->stage);
        buf_add_byte(&key, 0);
        buf_add(&key, after->target);
        buf_add_byte(&key, 0);
        buf_add(&key, after->grant);
    }
    if (!buf_is_ok(&key))
        return error_set(error, ERROR_MEMORY, "index");
    return walk_rows(index, ROW_USES, buf_str(&key), &walk);
}

bool projection_each_seen(struct store_index *index, struct str stage,
                          bool (*visit)(const struct ledger_seen *seen, void *context),
                          void *context, struct error *error)
{
    struct row_walk walk = { .seen = visit, .context = context, .error = error };
    OWNED(buf_release) struct buf key = { 0 };

    buf_init(&key, INDEX_ROW_KEY_MAX);
    if (stage.data) {
        buf_add(&key, stage);
        buf_add_byte(&key, 0);
    }
    if (!buf_is_ok(&key))
        return error_set(error, ERROR_MEMORY, "index");
    walk.prefix = buf_str(&key);
    return walk_rows(index, ROW_SEEN, walk.prefix, &walk);
}
