/*
 * Postings, rows and places. A posting's chunk is written as the numbers of its entries, a byte
 * each, while they are fewer than a bitmap has bytes, and then as a bitmap: what stands in nearly
 * every entry costs next to nothing, and what stands in one costs a row.
 */
#include <endian.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "store/index_internal.h"

#define ALL_ONES 0xff

/* ---- bits ---- */

static bool decode_bits(const uint8_t *bytes, int len, struct index_bits *bits, struct error *error)
{
    memset(bits, 0, sizeof(*bits));
    if (!bytes || len < 1 || len > INDEX_BITS_LEN)
        return error_set(error, ERROR_INVALID, "index: a posting does not read");
    if (len == INDEX_BITS_LEN) {
        memcpy(bits->bytes, bytes, INDEX_BITS_LEN);
        return true;
    }
    for (int i = 0; i < len; i++)
        bits->bytes[bytes[i] / 8] |= (uint8_t)(1U << bytes[i] % 8);
    return true;
}

static int copy_bits(const struct index_bits *bits, uint8_t out[INDEX_BITS_LEN])
{
    memcpy(out, bits->bytes, INDEX_BITS_LEN);
    return INDEX_BITS_LEN;
}

static int encode_bits(const struct index_bits *bits, uint8_t out[INDEX_BITS_LEN])
{
    int count = 0;

    for (unsigned first = 0; first < INDEX_CHUNK_ENTRIES; first += 64) {
        uint64_t left;

        memcpy(&left, bits->bytes + first / 8, sizeof(left));
        for (left = le64toh(left); left != 0; left &= left - 1) {
            if (count == INDEX_BITS_LEN - 1)
                return copy_bits(bits, out);
            out[count++] = (uint8_t)(first + (unsigned)__builtin_ctzll(left));
        }
    }
    return count;
}

static bool column_bits(sqlite3_stmt *statement, int column, struct index_bits *bits,
                        struct error *error)
{
    const void *bytes = sqlite3_column_blob(statement, column); /* before its length is asked */

    return decode_bits(bytes, sqlite3_column_bytes(statement, column), bits, error);
}

static bool is_empty(const struct index_bits *bits)
{
    for (size_t i = 0; i < INDEX_BITS_LEN; i++)
        if (bits->bytes[i] != 0)
            return false;
    return true;
}

/* ---- postings: writing ---- */

/* Numbers cannot fail to be bound to a statement that has been reset. */
static void bind_posting(sqlite3_stmt *statement, uint8_t space, uint64_t key, uint64_t chunk)
{
    (void)sqlite3_bind_int(statement, 1, space);
    (void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)key);
    (void)sqlite3_bind_int64(statement, 3, (sqlite3_int64)chunk);
}

static bool get_posting(struct store_index *index, const struct index_posting *posting,
                        struct index_bits *bits, struct error *error)
{
    sqlite3_stmt *statement = index_statement(index, INDEX_POSTING_GET, error);
    bool has_row = false;

    memset(bits, 0, sizeof(*bits));
    if (!statement)
        return false;
    bind_posting(statement, posting->space, posting->key, posting->chunk);
    if (!index_step(index, statement, &has_row, "a posting", error))
        return false;
    if (has_row && !column_bits(statement, 0, bits, error))
        return false;
    (void)sqlite3_reset(statement); /* it had a row */
    return true;
}

static bool put_posting(struct store_index *index, const struct index_posting *posting,
                        const struct index_bits *bits, struct error *error)
{
    sqlite3_stmt *statement =
        index_statement(index, is_empty(bits) ? INDEX_POSTING_DELETE : INDEX_POSTING_PUT, error);
    uint8_t bytes[INDEX_BITS_LEN];
    int len = encode_bits(bits, bytes);

    if (!statement)
        return false;
    bind_posting(statement, posting->space, posting->key, posting->chunk);
    if (len > 0 && sqlite3_bind_blob(statement, 4, bytes, len, SQLITE_TRANSIENT) != SQLITE_OK)
        return error_set(error, ERROR_MEMORY, "index");
    return index_run(index, statement, "a posting", error);
}

/* Most postings are of keys that stand in one entry only: there is none yet. */
static bool insert_posting(struct store_index *index, const struct index_posting *posting,
                           bool *is_there, struct error *error)
{
    sqlite3_stmt *statement = index_statement(index, INDEX_POSTING_INSERT, error);
    uint8_t bytes[INDEX_BITS_LEN];
    int len = encode_bits(&posting->bits, bytes);
    int answer;

    if (!statement)
        return false;
    bind_posting(statement, posting->space, posting->key, posting->chunk);
    if (sqlite3_bind_blob(statement, 4, bytes, len, SQLITE_STATIC) != SQLITE_OK)
        return error_set(error, ERROR_MEMORY, "index");
    answer = sqlite3_step(statement);
    (void)sqlite3_reset(statement); /* tells of the step again */
    (void)sqlite3_clear_bindings(statement);
    *is_there = answer == SQLITE_CONSTRAINT_PRIMARYKEY;
    return *is_there || answer == SQLITE_DONE || index_fail(index, answer, "a posting", error);
}

bool store_index_add_posting(struct store_index *index, const struct index_posting *posting,
                             struct error *error)
{
    struct index_bits bits;
    bool is_there = false;

    if (is_empty(&posting->bits))
        return true;
    if (!insert_posting(index, posting, &is_there, error))
        return false;
    if (!is_there)
        return true;
    if (!get_posting(index, posting, &bits, error))
        return false;
    for (size_t i = 0; i < INDEX_BITS_LEN; i++)
        bits.bytes[i] |= posting->bits.bytes[i];
    return put_posting(index, posting, &bits, error);
}

bool store_index_remove_posting(struct store_index *index, const struct index_posting *posting,
                                struct error *error)
{
    struct index_bits bits;

    if (!get_posting(index, posting, &bits, error))
        return false;
    for (size_t i = 0; i < INDEX_BITS_LEN; i++)
        bits.bytes[i] &= (uint8_t)~posting->bits.bytes[i];
    return put_posting(index, posting, &bits, error);
}

/* ---- postings: searching ---- */

struct walk {
    struct store_index *index;
    struct index_search *search;
    struct error *error;
};

static bool look_up(struct walk *walk, const struct index_term *term, uint64_t key, uint64_t chunk,
                    struct index_position *position)
{
    sqlite3_stmt *statement = index_statement(walk->index, INDEX_POSTING_BEFORE, walk->error);
    bool has_row = false;

    if (!statement)
        return false;
    bind_posting(statement, term->space, key, chunk);
    if (!index_step(walk->index, statement, &has_row, "a posting", walk->error))
        return false;
    *position = (struct index_position){ .is_known = true, .is_over = !has_row };
    if (!has_row)
        return true;
    position->chunk = (uint64_t)sqlite3_column_int64(statement, 0);
    if (!column_bits(statement, 1, &position->bits, walk->error))
        return false;
    (void)sqlite3_reset(statement); /* it had a row */
    return true;
}

/* Bring a key to the newest chunk at or before `chunk`; without budget it stays unknown. */
static bool place_key(struct walk *walk, const struct index_term *term, size_t key, uint64_t chunk,
                      struct index_position *position)
{
    if (position->is_over || (position->is_known && position->chunk <= chunk))
        return true;
    position->is_known = false;
    if (walk->search->budget == 0)
        return true;
    walk->search->budget--;
    return look_up(walk, term, term->keys[key], chunk, position);
}

enum term_outcome {
    TERM_FAILED,
    TERM_OUT_OF_BUDGET,
    TERM_OVER,   /* no key of it is in this chunk or an older one */
    TERM_OLDER,  /* the newest chunk with one of them is older: `*chunk` */
    TERM_PRESENT /* `bits` are narrowed to it */
};

static void narrow(const struct walk *walk, size_t term, uint64_t chunk, struct index_bits *bits)
{
    struct index_bits any = { { 0 } };

    for (size_t i = 0; i < walk->search->terms[term].key_count; i++) {
        const struct index_position *position = &walk->index->positions[term][i];

        for (size_t byte = 0; position->is_known && !position->is_over &&
                              position->chunk == chunk && byte < INDEX_BITS_LEN;
             byte++)
            any.bytes[byte] |= position->bits.bytes[byte];
    }
    for (size_t i = 0; i < INDEX_BITS_LEN; i++)
        bits->bytes[i] &= any.bytes[i];
}

static enum term_outcome place_term(struct walk *walk, size_t term, uint64_t *chunk,
                                    struct index_bits *bits)
{
    const struct index_term *row = &walk->search->terms[term];
    uint64_t newest = 0;
    bool has_any = false;

    for (size_t i = 0; i < row->key_count; i++) {
        struct index_position *position = &walk->index->positions[term][i];

        if (!place_key(walk, row, i, *chunk, position))
            return TERM_FAILED;
        if (position->is_over)
            continue;
        if (!position->is_known)
            return TERM_OUT_OF_BUDGET;
        has_any = true;
        if (position->chunk > newest)
            newest = position->chunk;
    }
    if (!has_any)
        return TERM_OVER;
    if (newest < *chunk) {
        *chunk = newest;
        return TERM_OLDER;
    }
    narrow(walk, term, *chunk, bits);
    return TERM_PRESENT;
}

/* All terms at one chunk; it goes back to the newest that one of them allows. */
static enum term_outcome place_all(struct walk *walk, uint64_t *chunk, struct index_bits *bits)
{
    memset(bits, ALL_ONES, sizeof(*bits));
    for (size_t i = 0; i < walk->search->term_count; i++) {
        enum term_outcome outcome = place_term(walk, i, chunk, bits);

        if (outcome != TERM_PRESENT)
            return outcome;
    }
    return TERM_PRESENT;
}

/* Go on below a chunk. */
static void step_below(struct index_search *search, uint64_t chunk)
{
    search->is_over = chunk <= search->oldest;
    search->chunk = chunk == 0 ? 0 : chunk - 1;
}

static bool walk_down(struct walk *walk)
{
    struct index_search *search = walk->search;

    while (!search->is_over && search->chunk >= search->oldest) {
        uint64_t chunk = search->chunk;
        enum term_outcome outcome = place_all(walk, &search->chunk, &search->found);

        if (outcome == TERM_FAILED)
            return false;
        if (outcome == TERM_OUT_OF_BUDGET)
            return true;
        if (outcome == TERM_OVER)
            break;
        if (outcome == TERM_OLDER)
            continue;
        search->has_found = !is_empty(&search->found);
        search->found_chunk = chunk;
        step_below(search, chunk);
        if (search->has_found)
            return true;
    }
    search->is_over = true;
    return true;
}

bool store_index_search(struct store_index *index, struct index_search *search, struct error *error)
{
    struct walk walk = { .index = index, .search = search, .error = error };

    for (size_t i = 0; i < search->term_count; i++)
        memset(index->positions[i], 0, search->terms[i].key_count * sizeof(index->positions[i][0]));
    search->has_found = false;
    return walk_down(&walk);
}

/* ---- rows ---- */

static bool bind_row(sqlite3_stmt *statement, uint8_t space, struct str key, struct error *error)
{
    (void)sqlite3_bind_int(statement, 1, space); /* cannot fail after a reset */
    if (sqlite3_bind_blob64(statement, 2, key.len > 0 ? key.data : "", key.len, SQLITE_STATIC) ==
        SQLITE_OK)
        return true;
    return error_set(error, ERROR_MEMORY, "index");
}

bool store_index_put_row(struct store_index *index, uint8_t space, struct str key, struct str value,
                         struct error *error)
{
    sqlite3_stmt *statement =
        index_statement(index, value.len == 0 ? INDEX_ROW_DELETE : INDEX_ROW_PUT, error);
    bool is_run;

    if (!statement)
        return false;
    if (key.len > INDEX_ROW_KEY_MAX || value.len > INDEX_ROW_VALUE_MAX)
        return error_set(error, ERROR_LIMIT, "index: a row of %zu and %zu bytes", key.len,
                         value.len);
    if (!bind_row(statement, space, key, error))
        return false;
    if (value.len > 0 &&
        sqlite3_bind_blob64(statement, 3, value.data, value.len, SQLITE_STATIC) != SQLITE_OK)
        return error_set(error, ERROR_MEMORY, "index");
    is_run = index_run(index, statement, "a row", error);
    (void)sqlite3_clear_bindings(statement); /* they borrow from the caller */
    return is_run;
}

static struct str column_str(sqlite3_stmt *statement, int column)
{
    const char *data = sqlite3_column_blob(statement, column); /* before its length is asked */

    return (struct str){ data, (size_t)sqlite3_column_bytes(statement, column) };
}

bool store_index_row(struct store_index *index, uint8_t space, struct str key, struct arena *arena,
                     struct str *value, struct error *error)
{
    sqlite3_stmt *statement = index_statement(index, INDEX_ROW_GET, error);
    bool has_row = false;

    *value = (struct str){ 0 };
    if (!statement || !bind_row(statement, space, key, error) ||
        !index_step(index, statement, &has_row, "a row", error))
        return false;
    if (has_row)
        *value = arena_copy(arena, column_str(statement, 0));
    (void)sqlite3_reset(statement); /* it may have had a row */
    (void)sqlite3_clear_bindings(statement);
    return !has_row || value->data || error_set(error, ERROR_MEMORY, "index");
}

bool store_index_each_row(struct store_index *index, uint8_t space, struct str after,
                          bool (*visit)(struct str key, struct str value, void *context),
                          void *context, struct error *error)
{
    sqlite3_stmt *statement = index_statement(index, INDEX_ROW_EACH, error);
    bool has_row = false;
    bool goes_on = true;

    if (!statement || !bind_row(statement, space, after, error))
        return false;
    while (goes_on) {
        if (!index_step(index, statement, &has_row, "rows", error))
            return false;
        goes_on = has_row && visit(column_str(statement, 0), column_str(statement, 1), context);
    }
    (void)sqlite3_reset(statement); /* it may have had a row */
    (void)sqlite3_clear_bindings(statement);
    return true;
}

/* ---- places ---- */

bool store_index_put_place(struct store_index *index, const struct index_place *place,
                           struct error *error)
{
    sqlite3_stmt *statement = index_statement(index, INDEX_PLACE_PUT, error);

    if (!statement)
        return false;
    (void)sqlite3_bind_int64(
        statement, 1,
        (sqlite3_int64)(place->index / INDEX_PLACE_ENTRIES)); /* cannot fail, all five */
    (void)sqlite3_bind_int64(statement, 2, place->time_ms);
    (void)sqlite3_bind_int64(statement, 3, (sqlite3_int64)place->first_index);
    (void)sqlite3_bind_int64(statement, 4, (sqlite3_int64)place->segment);
    (void)sqlite3_bind_int64(statement, 5, (sqlite3_int64)place->offset);
    return index_run(index, statement, "a place", error);
}

bool store_index_place(struct store_index *index, uint64_t entry, struct index_place *place,
                       bool *is_known, struct error *error)
{
    uint64_t number = entry / INDEX_PLACE_ENTRIES;
    sqlite3_stmt *statement = index_statement(index, INDEX_PLACE_GET, error);

    if (!statement)
        return false;
    (void)sqlite3_bind_int64(statement, 1, (sqlite3_int64)number); /* cannot fail */
    if (!index_step(index, statement, is_known, "a place", error))
        return false;
    if (!*is_known)
        return true;
    *place = (struct index_place){
        .index = number * INDEX_PLACE_ENTRIES,
        .time_ms = sqlite3_column_int64(statement, 0),
        .first_index = (uint64_t)sqlite3_column_int64(statement, 1),
        .segment = (uint64_t)sqlite3_column_int64(statement, 2),
        .offset = (uint64_t)sqlite3_column_int64(statement, 3),
    };
    (void)sqlite3_reset(statement); /* it had a row */
    return true;
}

static bool last_number(struct store_index *index, uint64_t *number, bool *is_known,
                        struct error *error)
{
    sqlite3_stmt *statement = index_statement(index, INDEX_PLACE_LAST, error);

    if (!statement || !index_step(index, statement, is_known, "places", error))
        return false;
    *is_known = *is_known && sqlite3_column_type(statement, 0) == SQLITE_INTEGER;
    *number = *is_known ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
    (void)sqlite3_reset(statement); /* it had a row */
    return true;
}

bool store_index_before_time(struct store_index *index, int64_t time_ms, uint64_t *entry,
                             struct error *error)
{
    uint64_t low = 0;
    uint64_t high = 0;
    bool is_known = false;

    *entry = 0;
    if (!last_number(index, &high, &is_known, error))
        return false;
    if (!is_known)
        return true;
    while (low < high) {
        uint64_t middle = low + (high - low + 1) / 2;
        struct index_place place;

        if (!store_index_place(index, middle * INDEX_PLACE_ENTRIES, &place, &is_known, error))
            return false;
        /* Of what was pruned before the index was made there are none: that is the oldest. */
        if (!is_known || place.time_ms < time_ms)
            low = middle;
        else
            high = middle - 1;
    }
    *entry = low * INDEX_PLACE_ENTRIES;
    return true;
}
