#include "ledger/projection_row.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "ledger/entry.h"
#include "store/index.h"

#define BATCH_BYTES_MAX ((size_t)256 * 1024 * 1024)
#define BUCKETS 4096
#define UNNAMED STR("")

/* What is longer is in no entry of ours, and left out of rows: it must not stop the fold. */
#define ROW_TEXT_MAX ((size_t)1024)

/* ---- keys and values ---- */

static struct str make_key(struct arena *arena, const struct str *parts, size_t count)
{
    OWNED(buf_release) struct buf key = { 0 };

    buf_init(&key, INDEX_ROW_KEY_MAX);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_add_byte(&key, 0);
        buf_add(&key, parts[i]);
    }
    return buf_is_ok(&key) ? arena_copy(arena, buf_str(&key)) : (struct str){ 0 };
}

bool row_key_cut(struct str key, struct str *parts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_cut(key, '\0', &parts[i], &key) != (i + 1 < count))
            return false;
    return true;
}

static bool cut_u32(struct str *bytes, uint32_t *value)
{
    if (bytes->len < 4)
        return false;
    *value = 0;
    for (size_t i = 0; i < 4; i++)
        *value = *value << 8 | (uint8_t)bytes->data[i];
    *bytes = str_slice(*bytes, 4, bytes->len);
    return true;
}

static bool cut_number(struct str *bytes, int64_t *number)
{
    uint32_t high = 0;
    uint32_t low = 0;

    if (!cut_u32(bytes, &high) || !cut_u32(bytes, &low))
        return false;
    *number = (int64_t)((uint64_t)high << 32 | low);
    return true;
}

static bool cut_text(struct str *bytes, struct str *text)
{
    uint32_t len = 0;

    if (!cut_u32(bytes, &len) || len > bytes->len)
        return false;
    *text = str_slice(*bytes, 0, len);
    *bytes = str_slice(*bytes, len, bytes->len);
    return true;
}

/* Numbers and texts at the end that are zero or empty are left out. */
bool row_value_read(struct str bytes, struct row_value *value, struct error *error)
{
    bool is_good = bytes.len >= 2 && bytes.data[0] >= 0 && bytes.data[0] <= ROW_NUMBERS_MAX &&
                   bytes.data[1] >= 0 && bytes.data[1] <= ROW_TEXTS_MAX;
    struct str rest = str_slice(bytes, 2, bytes.len);

    *value = (struct row_value){ 0 };
    for (int i = 0; is_good && i < bytes.data[0]; i++)
        is_good = cut_number(&rest, &value->numbers[i]);
    for (int i = 0; is_good && i < bytes.data[1]; i++)
        is_good = cut_text(&rest, &value->texts[i]);
    return (is_good && rest.len == 0) ||
           error_set(error, ERROR_INVALID, "index: a row does not read");
}

static void write_value(struct buf *buf, const struct row_value *value)
{
    uint8_t numbers = ROW_NUMBERS_MAX;
    uint8_t texts = ROW_TEXTS_MAX;

    while (numbers > 0 && value->numbers[numbers - 1] == 0)
        numbers--;
    while (texts > 0 && value->texts[texts - 1].len == 0)
        texts--;
    buf_add_byte(buf, numbers);
    buf_add_byte(buf, texts);
    for (size_t i = 0; i < numbers; i++)
        buf_add_u64(buf, (uint64_t)value->numbers[i]);
    for (size_t i = 0; i < texts; i++)
        buf_add_sized(buf, value->texts[i]);
}

/* ---- the batch ---- */

struct row {
    struct row *next;    /* of its bucket */
    struct row *earlier; /* of all */
    enum row_space space;
    struct str key;
    struct row_value value;
};

struct row_batch {
    struct store_index *index;
    struct arena *arena;
    struct row *buckets[BUCKETS];
    struct row *latest;
};

struct row_batch *row_batch_new(struct store_index *index)
{
    struct row_batch *batch = calloc(1, sizeof(*batch));

    if (!batch)
        return NULL;
    batch->index = index;
    batch->arena = arena_new(BATCH_BYTES_MAX);
    if (batch->arena)
        return batch;
    free(batch);
    return NULL;
}

void row_batch_free(struct row_batch *batch)
{
    if (!batch)
        return;
    arena_free(batch->arena);
    free(batch);
}

/* Without memory for a new arena there is none, which the next use says. */
void row_batch_clear(struct row_batch *batch)
{
    if (!batch->latest && batch->arena)
        return;
    arena_free(batch->arena);
    batch->arena = arena_new(BATCH_BYTES_MAX);
    batch->latest = NULL;
    memset(batch->buckets, 0, sizeof(batch->buckets));
}

static struct row *new_row(struct row_batch *batch, enum row_space space, struct str key,
                           struct row **bucket, struct error *error)
{
    struct row *row = arena_alloc(batch->arena, sizeof(*row));
    struct str value = { 0 };

    if (!row) {
        (void)error_set(error, ERROR_MEMORY, "index");
        return NULL;
    }
    if (!store_index_row(batch->index, (uint8_t)space, key, batch->arena, &value, error) ||
        (value.len > 0 && !row_value_read(value, &row->value, error)))
        return NULL;
    row->space = space;
    row->key = key;
    row->next = *bucket;
    row->earlier = batch->latest;
    *bucket = row;
    batch->latest = row;
    return row;
}

/* The row of a key, in whatever state it is so far. */
static struct row *find_row(struct row_batch *batch, enum row_space space, const struct str *parts,
                            size_t count, struct error *error)
{
    struct str key = batch->arena ? make_key(batch->arena, parts, count) : (struct str){ 0 };
    struct row **bucket;

    if (!key.data) {
        (void)error_set(error, ERROR_MEMORY, "index");
        return NULL;
    }
    bucket = &batch->buckets[(crc32c(0, key) ^ space) % BUCKETS];
    for (struct row *row = *bucket; row; row = row->next)
        if (row->space == space && str_eq(row->key, key))
            return row;
    return new_row(batch, space, key, bucket, error);
}

static bool set_text(const struct row_batch *batch, struct row *row, size_t which, struct str text,
                     struct error *error)
{
    struct str copy;

    if (text.len > ROW_TEXT_MAX)
        text = UNNAMED;
    if (str_eq(row->value.texts[which], text))
        return true;
    copy = arena_copy(batch->arena, text);
    if (!copy.data)
        return error_set(error, ERROR_MEMORY, "index");
    row->value.texts[which] = copy;
    return true;
}

/* ---- the fold ---- */

struct folding {
    struct row_batch *batch;
    uint64_t entry_index;
    int64_t time_ms;
    enum entry_type type;
    const json_t *entry;
    struct error *error;
};

static struct str text_of(const json_t *object, const char *name)
{
    return json_str(json_object_get(object, name));
}

static struct str key_part(const json_t *object, const char *name)
{
    struct str text = text_of(object, name);

    return text.len > ROW_TEXT_MAX ? UNNAMED : text;
}

static void note_time(struct row *row, size_t first, size_t last, int64_t time_ms)
{
    if (row->value.numbers[first] == 0)
        row->value.numbers[first] = time_ms;
    row->value.numbers[last] = time_ms;
}

static bool describe_use(const struct folding *folding, struct row *row, const json_t *credential)
{
    static const struct {
        size_t text;
        const char *member;
    } rows[] = {
        { USE_PIPELINE, "pipeline" },       { USE_OWNER, "owner" }, { USE_TENANT, "tenant" },
        { USE_ENVIRONMENT, "environment" }, { USE_KIND, "kind" },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        if (!set_text(folding->batch, row, rows[i].text, text_of(folding->entry, rows[i].member),
                      folding->error))
            return false;
    return set_text(folding->batch, row, USE_TYPE, text_of(credential, "type"), folding->error);
}

static bool fold_use(const struct folding *folding, const json_t *credential)
{
    struct str parts[] = {
        key_part(folding->entry, "stage"),
        key_part(credential, "target"),
        key_part(credential, "grant"),
    };
    struct row *row = find_row(folding->batch, ROW_USES, parts, COUNT(parts), folding->error);

    if (!row)
        return false;
    if (folding->type != ENTRY_CREDENTIAL_ISSUED) {
        row->value.numbers[USE_FAILED]++;
        return row->value.numbers[USE_COUNT] > 0 || describe_use(folding, row, credential);
    }
    row->value.numbers[USE_COUNT]++;
    row->value.numbers[USE_LAST_INDEX] = (int64_t)folding->entry_index;
    note_time(row, USE_FIRST_MS, USE_LAST_MS, folding->time_ms);
    return describe_use(folding, row, credential);
}

static bool fold_uses(const struct folding *folding)
{
    const json_t *list = json_object_get(folding->entry, "credentials");

    for (size_t i = 0; i < json_array_size(list); i++)
        if (!fold_use(folding, json_array_get(list, i)))
            return false;
    return true;
}

/* A repository where the platform says one, else the subject; one that is personal is a digest. */
static struct str name_of(const json_t *entry)
{
    struct str name = key_part(json_object_get(entry, "ci"), "repository");

    if (name.len == 0)
        name = key_part(entry, "subject");
    return entry_is_digest(name) ? UNNAMED : name;
}

static bool fold_seen(const struct folding *folding)
{
    struct str parts[] = {
        key_part(folding->entry, "stage"),
        key_part(folding->entry, "issuer"),
        name_of(folding->entry),
    };
    struct row *row = find_row(folding->batch, ROW_SEEN, parts, COUNT(parts), folding->error);
    int64_t count = json_integer_value(json_object_get(folding->entry, "count"));

    if (!row)
        return false;
    note_time(row, SEEN_FIRST_MS, SEEN_LAST_MS, folding->time_ms);
    if (folding->type == ENTRY_CREDENTIAL_ISSUED)
        row->value.numbers[SEEN_COUNT]++;
    else
        row->value.numbers[SEEN_DENIED] += count > 1 ? count : 1;
    return true;
}

bool row_batch_fold(struct row_batch *batch, uint64_t entry_index, int64_t time_ms,
                    const json_t *entry, struct error *error)
{
    struct folding folding = { batch, entry_index, time_ms, ENTRY_BROKER_STARTED, entry, error };

    if (!entry_type_from(text_of(entry, "type"), &folding.type))
        return true;
    if (folding.type == ENTRY_CREDENTIAL_ISSUED)
        return fold_uses(&folding) && fold_seen(&folding);
    if (folding.type == ENTRY_CREDENTIAL_FAILED || folding.type == ENTRY_CREDENTIAL_UNKNOWN)
        return fold_uses(&folding);
    if (folding.type == ENTRY_EXCHANGE_DENIED)
        return fold_seen(&folding);
    return true;
}

bool row_batch_write(struct row_batch *batch, struct error *error)
{
    OWNED(buf_release) struct buf value = { 0 };

    buf_init(&value, INDEX_ROW_VALUE_MAX);
    for (struct row *row = batch->latest; row; row = row->earlier) {
        buf_clear(&value);
        write_value(&value, &row->value);
        if (!buf_is_ok(&value))
            return error_set(error, ERROR_MEMORY, "index");
        if (!store_index_put_row(batch->index, (uint8_t)row->space, row->key, buf_str(&value),
                                 error))
            return false;
    }
    return true;
}
