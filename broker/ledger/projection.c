/*
 * Entries are taken in a batch at a time, so that what stands in many of them is written once:
 * postings are collected, sorted and joined by chunk; rows are folded in memory.
 */
#include "ledger/projection.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/id.h"
#include "base/json.h"
#include "base/time_text.h"
#include "ledger/entry.h"
#include "ledger/projection_row.h"

#define LAST_MAX ((size_t)64 * 1024)
#define ID_KEY_CHARACTERS 13 /* 10 of time and 3 of chance: 63 bits and two leading zeros */

struct posting_item {
    uint8_t space;
    uint64_t key;
    uint64_t entry;
};

struct projection {
    struct store_index *index;
    struct row_batch *rows;

    struct posting_item *items;
    size_t item_count;
    size_t item_capacity;

    struct index_place *places;
    size_t place_count;
    size_t place_capacity;

    bool only_counts;
    size_t entry_count;
    uint64_t next_index; /* behind the last entry */
    struct buf last;     /* that entry */
};

static bool no_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "index");
}

/* ---- keys ---- */

/* Ids are in order of time, and so are their keys: what is written together stands together. The
 * same holds of the numbers of runs; all other keys are spread at random. */
static uint64_t key_of_id(struct str id)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint64_t key = 0;

    for (size_t i = 0; i < ID_KEY_CHARACTERS; i++) {
        const char *digit = strchr(digits, id.data[i]);

        key = key << 5 | (uint64_t)(digit - digits);
    }
    return key;
}

uint64_t projection_key(struct str value)
{
    uint8_t digest[SHA256_LEN];
    int64_t number = 0;
    uint64_t key = 0;

    if (id_is_valid(value))
        return key_of_id(value);
    if (str_to_int64(value, &number))
        return (uint64_t)number;
    sha256(value, digest);
    for (size_t i = 0; i < sizeof(key); i++)
        key = key << 8 | digest[i];
    return key;
}

/* ---- life ---- */

bool projection_new(struct store_index *index, struct projection **out, struct error *error)
{
    struct projection *projection = calloc(1, sizeof(*projection));

    if (!projection)
        return no_memory(error);
    projection->index = index;
    buf_init(&projection->last, LAST_MAX);
    projection->rows = row_batch_new(index);
    if (!projection->rows) {
        projection_free(projection);
        return no_memory(error);
    }
    *out = projection;
    return true;
}

void projection_free(struct projection *projection)
{
    if (!projection)
        return;
    row_batch_free(projection->rows);
    buf_release(&projection->last);
    free(projection->items);
    free(projection->places);
    free(projection);
}

void projection_only_count(struct projection *projection)
{
    projection->only_counts = true;
}

size_t projection_count(const struct projection *projection)
{
    return projection->entry_count;
}

void projection_clear(struct projection *projection)
{
    projection->item_count = 0;
    projection->place_count = 0;
    projection->entry_count = 0;
    row_batch_clear(projection->rows);
}

/* ---- taking in ---- */

static bool reserve(void **items, size_t *capacity, size_t count, size_t size)
{
    size_t wanted = *capacity == 0 ? 256 : *capacity * 2;
    void *grown;

    if (count < *capacity)
        return true;
    grown = realloc(*items, wanted * size);
    if (!grown)
        return false;
    *items = grown;
    *capacity = wanted;
    return true;
}

static bool collect(enum ledger_field field, struct str value, void *context)
{
    struct projection *projection = context;
    void *items = projection->items;

    if (!reserve(&items, &projection->item_capacity, projection->item_count,
                 sizeof(*projection->items)))
        return false;
    projection->items = items;
    projection->items[projection->item_count++] = (struct posting_item){
        .space = (uint8_t)field,
        .key = projection_key(value),
        .entry = projection->next_index,
    };
    return true;
}

static int64_t time_of(const json_t *entry)
{
    int64_t time_ms = 0;

    return time_text_parse(json_str(json_object_get(entry, "time")), &time_ms) ? time_ms : 0;
}

/* Some entries are remembered, with where they are and when they were written. */
static bool note_place(struct projection *projection, const struct projection_entry *entry,
                       int64_t time_ms)
{
    void *places = projection->places;

    if (entry->index % INDEX_PLACE_ENTRIES != 0)
        return true;
    if (!reserve(&places, &projection->place_capacity, projection->place_count,
                 sizeof(*projection->places)))
        return false;
    projection->places = places;
    projection->places[projection->place_count++] = (struct index_place){
        .index = entry->index,
        .time_ms = time_ms,
        .first_index = entry->has_place ? entry->place.first_index : UINT64_MAX >> 1,
        .segment = entry->has_place ? entry->place.segment : 0,
        .offset = entry->has_place ? entry->place.offset : 0,
    };
    return true;
}

static bool take_in(struct projection *projection, const struct projection_entry *entry,
                    const json_t *parsed, struct error *error)
{
    JSON_OWNED json_t *private_part =
        projection->only_counts ? NULL : entry_parse_private(entry->private_part);
    int64_t time_ms = time_of(parsed);

    if (!projection->only_counts && (!note_place(projection, entry, time_ms) ||
                                     !query_each_value(parsed, private_part, collect, projection)))
        return no_memory(error);
    return row_batch_fold(projection->rows, entry->index, time_ms, parsed, error);
}

bool projection_add(struct projection *projection, const struct projection_entry *entry,
                    struct error *error)
{
    JSON_OWNED json_t *parsed = NULL;
    struct error why = { 0 };

    projection->next_index = entry->index;
    if (!entry_parse(entry->bytes, &parsed, &why) && why.code == ERROR_MEMORY)
        return no_memory(error);
    if (parsed && !take_in(projection, entry, parsed, error))
        return false;
    buf_clear(&projection->last);
    buf_add(&projection->last, entry->bytes);
    if (!buf_is_ok(&projection->last))
        return no_memory(error);
    projection->next_index = entry->index + 1;
    projection->entry_count++;
    return true;
}

/* ---- writing ---- */

static int compare_items(const void *left, const void *right)
{
    const struct posting_item *a = left;
    const struct posting_item *b = right;

    if (a->space != b->space)
        return a->space < b->space ? -1 : 1;
    /* As SQLite orders them. */
    if (a->key != b->key)
        return (int64_t)a->key < (int64_t)b->key ? -1 : 1;
    return a->entry < b->entry ? -1 : a->entry > b->entry;
}

/* The items of one key in one chunk, from `*at` on, as one posting. */
static struct index_posting join(const struct projection *projection, size_t *at)
{
    const struct posting_item *first = &projection->items[*at];
    struct index_posting posting = {
        first->space, first->key, first->entry / INDEX_CHUNK_ENTRIES, { { 0 } }
    };

    for (; *at < projection->item_count; (*at)++) {
        const struct posting_item *item = &projection->items[*at];
        unsigned bit = (unsigned)(item->entry % INDEX_CHUNK_ENTRIES);

        if (item->space != posting.space || item->key != posting.key ||
            item->entry / INDEX_CHUNK_ENTRIES != posting.chunk)
            break;
        posting.bits.bytes[bit / 8] |= (uint8_t)(1U << bit % 8);
    }
    return posting;
}

static bool write_postings(const struct projection *projection, struct error *error)
{
    size_t at = 0;

    if (projection->item_count > 0)
        qsort(projection->items, projection->item_count, sizeof(*projection->items), compare_items);
    while (at < projection->item_count) {
        struct index_posting posting = join(projection, &at);

        if (!store_index_add_posting(projection->index, &posting, error))
            return false;
    }
    return true;
}

static bool write_places(const struct projection *projection, struct error *error)
{
    for (size_t i = 0; i < projection->place_count; i++)
        if (!store_index_put_place(projection->index, &projection->places[i], error))
            return false;
    return true;
}

bool projection_write(struct projection *projection, struct error *error)
{
    struct index_state state = { .size = projection->next_index };
    bool is_written;

    if (state.size > 0)
        sha256(buf_str(&projection->last), state.last_sha256);
    is_written = write_places(projection, error) && write_postings(projection, error) &&
                 row_batch_write(projection->rows, error) &&
                 store_index_commit(projection->index, &state, error);
    if (!is_written)
        store_index_end(projection->index);
    projection_clear(projection);
    return is_written;
}

/* ---- forgetting ---- */

struct forgetting {
    struct store_index *index;
    uint64_t entry_index;
    const json_t *entry; /* what stays findable */
    struct error *error;
};

static bool is_there_without(const struct forgetting *forgetting, enum ledger_field field,
                             struct str value)
{
    struct ledger_query query = { .fields = { [LEDGER_FIELD_TYPE] = { .count = 0 } } };

    query.fields[field].values[0] = value;
    query.fields[field].count = 1;
    return query_matches(&query, forgetting->entry, NULL);
}

static bool forget(enum ledger_field field, struct str value, void *context)
{
    struct forgetting *forgetting = context;
    unsigned bit = (unsigned)(forgetting->entry_index % INDEX_CHUNK_ENTRIES);
    struct index_posting posting = {
        .space = (uint8_t)field,
        .key = projection_key(value),
        .chunk = forgetting->entry_index / INDEX_CHUNK_ENTRIES,
    };

    if (is_there_without(forgetting, field, value))
        return true;
    posting.bits.bytes[bit / 8] = (uint8_t)(1U << bit % 8);
    return store_index_remove_posting(forgetting->index, &posting, forgetting->error);
}

bool projection_forget(struct store_index *index, uint64_t entry_index, struct str entry,
                       struct str private_part, struct error *error)
{
    JSON_OWNED json_t *parsed = NULL;
    JSON_OWNED json_t *private_json = entry_parse_private(private_part);
    struct forgetting forgetting = { index, entry_index, NULL, error };

    if (!entry_parse(entry, &parsed, error))
        return false;
    forgetting.entry = parsed;
    return query_each_value(parsed, private_json, forget, &forgetting);
}
