#include "ledger/revoked.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "ledger/entry.h"
#include "ledger/inquiry.h"
#include "ledger/ledger.h"
#include "ledger/query.h"
#include "ledger/revoked_tokens.h"
#include "ledger/search.h"
#include "store/index.h"
#include "store/store.h"

#define SLACK_S ((int64_t)3600) /* of clocks */
/* What one reading may take: others wait for the same thread. */
#define READ_MAX_NS (INT64_C(200) * 1000000)
#define PAGE_ENTRIES 2000
#define PAGE_READS 20000
#define PAGE_LOOKUPS 100000

struct rows {
    struct revoked *list;
    size_t count;
    size_t capacity;
};

struct statuses {
    struct token_status *list;
    size_t count;
    size_t capacity;
};

struct revoked_book {
    struct rows rows;
    struct revoked_tokens *tokens;
    uint64_t first;  /* entries below it are too old for anything to live that they name */
    int64_t first_s; /* when that was looked up */
    uint64_t size;   /* entries below it are in `rows`, once it is whole */
    bool is_whole;
    uint64_t left_out;

    /* What is being read: of [from, until), from new to old, as far as `before`. */
    bool has_begun;
    bool is_reading; /* now */
    uint64_t from;
    uint64_t until;
    uint64_t before;
    bool is_over;
    int64_t since_ms;
    struct rows found;
    struct statuses found_tokens;
    bool finds_first; /* it has to be looked up */
    uint64_t found_first;
    int64_t oldest_ms; /* what is older does not matter */
    struct ledger_inquiry inquiry;
    atomic_bool is_done; /* the reading thread has done with all of it */
};

/* ---- rows ---- */

static struct revoked *new_row(struct rows *rows)
{
    if (rows->count == rows->capacity) {
        size_t capacity = rows->capacity == 0 ? 64 : 2 * rows->capacity;
        struct revoked *list = realloc(rows->list, capacity * sizeof(*list));

        if (list == NULL)
            return NULL;
        rows->list = list;
        rows->capacity = capacity;
    }
    return &rows->list[rows->count++];
}

static int by_name(const void *a, const void *b)
{
    const struct revoked *one = a;
    const struct revoked *other = b;
    int order = strcmp(one->ca, other->ca);

    if (order == 0)
        order = strcmp(one->id, other->id);
    return order != 0 ? order
                      : (one->revoked_s > other->revoked_s) - (one->revoked_s < other->revoked_s);
}

/* What ends last comes first. */
static int by_end(const void *a, const void *b)
{
    const struct revoked *one = a;
    const struct revoked *other = b;

    return (one->expires_s < other->expires_s) - (one->expires_s > other->expires_s);
}

static bool is_same(const struct revoked *one, const struct revoked *other)
{
    return strcmp(one->ca, other->ca) == 0 && strcmp(one->id, other->id) == 0;
}

/* In order, each once: as it was revoked first. */
static void put_in_order(struct rows *rows)
{
    size_t kept = 0;

    if (rows->count == 0)
        return;
    qsort(rows->list, rows->count, sizeof(rows->list[0]), by_name);
    for (size_t i = 1; i < rows->count; i++)
        if (!is_same(&rows->list[kept], &rows->list[i]))
            rows->list[++kept] = rows->list[i];
    rows->count = kept + 1;
}

static struct token_status *new_status(struct statuses *statuses)
{
    if (statuses->count == statuses->capacity) {
        size_t capacity = statuses->capacity == 0 ? 64 : 2 * statuses->capacity;
        struct token_status *list = realloc(statuses->list, capacity * sizeof(*list));

        if (list == NULL)
            return NULL;
        statuses->list = list;
        statuses->capacity = capacity;
    }
    return &statuses->list[statuses->count++];
}

static bool merge_tokens(struct revoked_book *book, struct error *error)
{
    for (size_t i = 0; i < book->found_tokens.count; i++)
        if (book->found_tokens.list[i].list >= book->first / TOKEN_STATUS_ENTRIES &&
            !revoked_tokens_add(book->tokens, &book->found_tokens.list[i]))
            return error_set(error, ERROR_MEMORY, "no memory for revoked tokens");
    revoked_tokens_forget(book->tokens, book->first / TOKEN_STATUS_ENTRIES);
    return true;
}

static bool merge(struct revoked_book *book, struct error *error)
{
    for (size_t i = 0; i < book->found.count; i++) {
        struct revoked *row = new_row(&book->rows);

        if (row == NULL)
            return error_set(error, ERROR_MEMORY, "no memory for revoked certificates");
        *row = book->found.list[i];
    }
    put_in_order(&book->rows);
    if (book->rows.count > REVOKED_MAX) {
        qsort(book->rows.list, book->rows.count, sizeof(book->rows.list[0]), by_end);
        book->left_out += book->rows.count - REVOKED_MAX;
        book->rows.count = REVOKED_MAX;
        put_in_order(&book->rows);
    }
    return true;
}

/* ---- reading, on the ledger's thread ---- */

static bool copy_text(struct str text, char *out, size_t max)
{
    if (text.len == 0 || text.len > max || !str_is_utf8(text) || str_has_control(text))
        return false;
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return true;
}

static bool read_credential(const json_t *credential, int64_t revoked_s, struct revoked *row)
{
    int64_t expires_ms = 0;

    *row = (struct revoked){ .revoked_s = revoked_s };
    if (!copy_text(json_str(json_object_get(credential, "ca")), row->ca, REVOKED_CA_MAX) ||
        !copy_text(json_str(json_object_get(credential, "id")), row->id, REVOKED_ID_MAX))
        return false;
    /* one that does not say when it ends is held to the longest that there is */
    row->expires_s = revoked_s + REVOKED_LIFE_MAX_S;
    if (time_text_parse(json_str(json_object_get(credential, "expires_at")), &expires_ms))
        row->expires_s = expires_ms / 1000;
    return true;
}

static bool take_certificate(struct revoked_book *book, const json_t *credential, int64_t time_s,
                             struct error *error)
{
    struct revoked row;
    struct revoked *place;

    if (!read_credential(credential, time_s, &row))
        return true;
    place = new_row(&book->found);
    if (place == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for revoked certificates");
    *place = row;
    return true;
}

/* An entry speaks of tokens that are named before it; other statuses would be anything. */
static bool take_token(struct revoked_book *book, const json_t *credential, uint64_t entry_index,
                       struct error *error)
{
    struct token_status status;
    struct token_status *place;

    if (!token_status_of_record(json_object_get(credential, "status"), &status) ||
        status.list > entry_index / TOKEN_STATUS_ENTRIES)
        return true;
    place = new_status(&book->found_tokens);
    if (place == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for revoked tokens");
    *place = status;
    return true;
}

static bool take_hit(const struct search_hit *hit, void *context, struct error *error)
{
    struct revoked_book *book = context;
    const json_t *list = json_object_get(hit->entry, "credentials");
    int64_t time_ms = 0;

    if (!time_text_parse(json_str(json_object_get(hit->entry, "time")), &time_ms))
        return true;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!take_certificate(book, json_array_get(list, i), time_ms / 1000, error) ||
            !take_token(book, json_array_get(list, i), hit->index, error))
            return false;
    return true;
}

/* One that was pruned has no time any more, and is old. */
static bool is_old(const struct ledger_view *view, uint64_t index, int64_t oldest_ms, bool *old,
                   struct error *error)
{
    JSON_OWNED json_t *entry = NULL;
    struct error ignored = { 0 };
    int64_t time_ms = 0;
    struct str bytes;

    if (!store_reader_get(view->reader, index, &bytes, NULL, error))
        return false;
    *old = !entry_parse(bytes, &entry, &ignored) ||
           !time_text_parse(json_str(json_object_get(entry, "time")), &time_ms) ||
           time_ms < oldest_ms;
    return true;
}

/* Times never go back within the log: the first entry that is not old, by halves. */
static bool find_first(const struct ledger_view *view, int64_t oldest_ms, uint64_t *first,
                       struct error *error)
{
    uint64_t high = store_reader_size(view->reader);

    while (*first < high) {
        uint64_t middle = *first + (high - *first) / 2;
        bool old = false;

        if (!is_old(view, middle, oldest_ms, &old, error))
            return false;
        if (old)
            *first = middle + 1;
        else
            high = middle;
    }
    return true;
}

static struct ledger_query query_of(int64_t since_ms)
{
    struct ledger_query query = { .since_ms = since_ms };
    struct query_values *types = &query.fields[LEDGER_FIELD_TYPE];

    types->values[types->count++] = str_from(entry_type_name(ENTRY_CREDENTIAL_REVOKED));
    return query;
}

static bool read_some(const struct ledger_view *view, void *context, struct error *error)
{
    struct revoked_book *book = context;
    const struct ledger_query query = query_of(book->since_ms);
    int64_t end_ns = clock_monotonic_ns() + READ_MAX_NS;
    struct ledger_search search = {
        .query = &query,
        .reader = view->reader,
        .index = view->index,
        .indexed = view->seen.size,
        .limit = PAGE_ENTRIES,
        .reads_max = PAGE_READS,
        .lookups_max = PAGE_LOOKUPS,
        .visit = take_hit,
        .context = book,
        .from = book->from,
    };

    if (book->until == 0)
        book->until = book->before = store_reader_size(view->reader);
    if (book->finds_first && !find_first(view, book->oldest_ms, &book->found_first, error))
        return false;
    book->finds_first = false;
    search.before = book->before;
    do {
        if (!ledger_search_next(&search, error))
            return false;
        book->before = search.before;
        book->is_over = search.is_over;
    } while (!search.is_over && clock_monotonic_ns() < end_ns);
    return true;
}

static void note_done(void *context)
{
    struct revoked_book *book = context;

    atomic_store(&book->is_done, true);
}

/* ---- the book ---- */

struct revoked_book *revoked_book_new(void)
{
    struct revoked_book *book = calloc(1, sizeof(*book));

    if (book == NULL)
        return NULL;
    book->tokens = revoked_tokens_new();
    if (book->tokens != NULL)
        return book;
    free(book);
    return NULL;
}

void revoked_book_free(struct revoked_book *book)
{
    if (book == NULL)
        return;
    free(book->rows.list);
    free(book->found.list);
    free(book->found_tokens.list);
    revoked_tokens_free(book->tokens);
    free(book);
}

static bool ask(struct revoked_book *book, struct ledger *ledger, struct error *error)
{
    book->inquiry = (struct ledger_inquiry){
        .run = read_some,
        .context = book,
        .must_be_fresh = !book->is_whole, /* else the first reading could be of the whole log */
        .waker = { note_done, book },
    };
    atomic_store(&book->is_done, false);
    book->is_reading = ledger_inquire(ledger, &book->inquiry, error);
    return book->is_reading;
}

/* What a failed reading has found is found again. */
static void begin(struct revoked_book *book, int64_t now_s)
{
    book->has_begun = true;
    book->found.count = 0;
    book->found_tokens.count = 0;
    book->finds_first = !book->is_whole || now_s >= book->first_s + REVOKED_FIRST_S;
    book->found_first = book->first;
    book->oldest_ms = (now_s - REVOKED_LIFE_MAX_S - SLACK_S) * 1000;
    if (book->finds_first)
        book->first_s = now_s;
    book->from = book->size;
    book->until = 0;
    book->is_over = false;
    book->since_ms = book->is_whole ? 0 : book->oldest_ms;
}

/* A reading has ended: take in what it found, once it has come to where it was to begin. */
static bool take_in(struct revoked_book *book, bool *has_changed, struct error *error)
{
    book->is_reading = false;
    book->has_begun = book->inquiry.is_good && !book->is_over;
    if (!book->inquiry.is_good)
        return error_set(error, book->inquiry.error.code, "%s", book->inquiry.error.cause);
    if (!book->is_over)
        return true;
    book->first = book->found_first;
    if (!merge(book, error) || !merge_tokens(book, error))
        return false;
    *has_changed = book->found.count > 0 || !book->is_whole;
    book->size = book->until;
    book->is_whole = true;
    return true;
}

bool revoked_book_tend(struct revoked_book *book, struct ledger *ledger, int64_t now_s,
                       bool *has_changed, struct error *error)
{
    *has_changed = false;
    if (book->is_reading && !atomic_load(&book->is_done))
        return true;
    if (book->is_reading && !take_in(book, has_changed, error))
        return false;
    if (!book->has_begun && book->is_whole && book->size >= ledger_size(ledger))
        return true;
    if (!book->has_begun)
        begin(book, now_s);
    return ask(book, ledger, error);
}

bool revoked_book_is_whole(const struct revoked_book *book)
{
    return book->is_whole;
}

uint64_t revoked_book_size(const struct revoked_book *book)
{
    return book->size;
}

const struct revoked *revoked_book_rows(const struct revoked_book *book, size_t *count)
{
    *count = book->rows.count;
    return book->rows.list;
}

const struct revoked_tokens *revoked_book_tokens(const struct revoked_book *book)
{
    return book->tokens;
}

uint64_t revoked_book_first_list(const struct revoked_book *book)
{
    return book->first / TOKEN_STATUS_ENTRIES;
}

uint64_t revoked_book_left_out(const struct revoked_book *book)
{
    return book->left_out;
}

void revoked_book_forget(struct revoked_book *book, int64_t before_s)
{
    size_t kept = 0;

    for (size_t i = 0; i < book->rows.count; i++)
        if (book->rows.list[i].expires_s >= before_s)
            book->rows.list[kept++] = book->rows.list[i];
    book->rows.count = kept;
}
