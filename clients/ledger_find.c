#include "clients/ledger_find.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "clients/bar.h"
#include "clients/broker_reader.h"
#include "ledger/projection.h"
#include "ledger/search.h"
#include "store/index.h"
#include "store/store.h"

#define PAGE_ARENA_MAX ((size_t)64 * 1024 * 1024)
#define PATH_ARENA_MAX ((size_t)64 * 1024)
#define BROKER_PAGE 500
#define READS_A_PAGE 20000
#define QUERY_BYTES_MAX ((size_t)7 * 1024)
#define BAR_ENTRIES_MIN 50000

/* ---- a store's folder ---- */

struct folder {
    struct ledger_find *find;
    struct store_reader *reader;
    struct store_index *index; /* or NULL */
    struct index_state seen;
};

static bool tell(struct ledger_find *find, const struct ledger_item *item, struct error *error)
{
    find->count++;
    return find->each(item, find->context, error);
}

static bool tell_hit(const struct search_hit *hit, void *context, struct error *error)
{
    const struct folder *folder = context;

    return tell(folder->find, &(struct ledger_item){ hit->index, hit->bytes, hit->private_part },
                error);
}

/* An index that is not there, not of this log, or does not read is no failure: all is read then. */
static void try_index(struct folder *folder, const char *name)
{
    OWNED(arena_free) struct arena *arena = arena_new(PATH_ARENA_MAX);
    const char *path = arena ? file_join(arena, name, STORE_INDEX_NAME) : NULL;
    struct error ignored = { 0 };
    uint8_t digest[SHA256_LEN];
    struct str last;

    if (!path || !store_index_open_to_read(path, PROJECTION_VERSION, &folder->index, &ignored))
        return;
    if (store_index_begin(folder->index, &folder->seen, &ignored) &&
        store_reader_refresh(folder->reader, &ignored) && folder->seen.size > 0 &&
        folder->seen.size <= store_reader_size(folder->reader) &&
        store_reader_get(folder->reader, folder->seen.size - 1, &last, NULL, &ignored)) {
        sha256(last, digest);
        if (memcmp(digest, folder->seen.last_sha256, SHA256_LEN) == 0)
            return;
    }
    store_index_close(TAKE(folder->index));
}

/* A damaged index is done without from there on: what is newer was looked at. */
static bool search_some(struct folder *folder, struct ledger_search *search, struct error *error)
{
    struct error why = { 0 };

    if (ledger_search_next(search, &why))
        return true;
    if (!search->index || why.code != ERROR_INVALID) {
        *error = why;
        return false;
    }
    search->index = NULL;
    search->indexed = 0;
    folder->find->found_by = FOUND_BY_READING;
    return ledger_search_next(search, error);
}

static bool search_folder(struct folder *folder, const struct ledger_query *query,
                          struct error *error)
{
    struct ledger_find *find = folder->find;
    uint64_t size = store_reader_size(folder->reader);
    struct bar bar = { .what = "searching", .total_min = BAR_ENTRIES_MIN };
    struct ledger_search search = {
        .query = query,
        .reader = folder->reader,
        .index = folder->index,
        .indexed = folder->seen.size,
        .limit = find->limit,
        .reads_max = READS_A_PAGE,
        .lookups_max = READS_A_PAGE,
        .visit = tell_hit,
        .context = folder,
        .before = SEARCH_NEWEST,
    };
    bool is_good = true;

    find->size = size;
    while (is_good && !search.is_over && find->count < find->limit) {
        search.limit = find->limit - find->count;
        is_good = search_some(folder, &search, error);
        if (is_good && search.before <= size)
            bar_show((size_t)(size - search.before), (size_t)size, &bar);
    }
    bar_end(&bar);
    find->has_more = !search.is_over;
    return is_good;
}

static bool find_in_folder(struct ledger_find *find, const char *name,
                           const struct ledger_query *query, struct error *error)
{
    struct folder folder = { .find = find };
    bool is_good;

    if (!store_reader_open(name, &folder.reader, error))
        return false;
    if (!find->reads_all)
        try_index(&folder, name);
    find->found_by = folder.index ? FOUND_BY_INDEX : FOUND_BY_READING;
    is_good = search_folder(&folder, query, error);
    if (folder.index)
        store_index_end(folder.index);
    store_index_close(folder.index);
    store_reader_close(folder.reader);
    return is_good;
}

/* ---- what is read from its beginning ---- */

/* The latest that fit, as many as are shown. */
struct latest {
    struct ledger_find *find;
    struct ledger_item *items; /* a ring; their bytes are theirs */
    size_t next;
    size_t count; /* that fitted */
};

static bool copy_item(struct ledger_item *into, const struct ledger_item *from)
{
    char *bytes = malloc(from->entry.len + from->private_part.len + 1);

    if (!bytes)
        return false;
    if (from->entry.len > 0)
        memcpy(bytes, from->entry.data, from->entry.len);
    if (from->private_part.len > 0)
        memcpy(bytes + from->entry.len, from->private_part.data, from->private_part.len);
    into->index = from->index;
    into->entry = (struct str){ bytes, from->entry.len };
    into->private_part = (struct str){ 0 }; /* there is none; one that was erased is empty */
    if (from->private_part.data)
        into->private_part = (struct str){ bytes + from->entry.len, from->private_part.len };
    return true;
}

static void free_item(struct ledger_item *item)
{
    union {
        const char *borrowed;
        char *owned;
    } bytes = { .borrowed = item->entry.data };

    free(bytes.owned);
    *item = (struct ledger_item){ 0 };
}

static bool keep(const struct ledger_found *found, void *context, struct error *error)
{
    struct latest *latest = context;
    struct ledger_item *item = &latest->items[latest->next];

    free_item(item);
    if (!copy_item(item, &found->item))
        return error_set(error, ERROR_MEMORY, "no memory for what was found");
    latest->next = (latest->next + 1) % latest->find->limit;
    latest->count++;
    return true;
}

static bool tell_latest(struct latest *latest, struct error *error)
{
    size_t limit = latest->find->limit;
    size_t count = latest->count < limit ? latest->count : limit;

    for (size_t i = 0; i < count; i++)
        if (!tell(latest->find, &latest->items[(latest->next + 2 * limit - 1 - i) % limit], error))
            return false;
    latest->find->has_more = latest->count > limit;
    return true;
}

static bool find_by_reading(struct ledger_find *find, struct ledger_source *source,
                            const struct ledger_query *query, struct error *error)
{
    struct latest latest = { .find = find, .items = calloc(find->limit, sizeof(*latest.items)) };
    struct ledger_scan scan = {
        .query = query,
        .wants_private = ledger_source_facts(source)->has_private,
        .what = "searching",
        .each = keep,
        .context = &latest,
    };
    bool is_good;

    if (!latest.items)
        return error_set(error, ERROR_MEMORY, "no memory for what is found");
    find->found_by = FOUND_BY_READING;
    find->size = ledger_source_size(source);
    is_good = ledger_scan_run(source, &scan, error) && tell_latest(&latest, error);
    ledger_scan_report(&scan);
    for (size_t i = 0; i < find->limit; i++)
        free_item(&latest.items[i]);
    free(latest.items);
    return is_good;
}

/* ---- a broker ---- */

static void add_word(struct buf *path, const char *name, struct str value)
{
    buf_add_text(path, path->data && strchr(path->data, '?') ? "&" : "?");
    buf_add_text(path, name);
    buf_add_text(path, "=");
    buf_add_percent(path, value);
}

static void add_words(struct buf *path, const struct ledger_filter_options *filter)
{
    if (filter->since)
        add_word(path, "since", str_from(filter->since));
    if (filter->until)
        add_word(path, "until", str_from(filter->until));
    if (filter->text)
        add_word(path, "text", str_from(filter->text));
    for (size_t i = 0; i < LEDGER_FIELD_COUNT; i++)
        for (size_t k = 0; k < filter->fields[i].count; k++)
            add_word(path, query_field((enum ledger_field)i)->name,
                     str_from(filter->fields[i].items[k]));
}

static bool tell_object(struct ledger_find *find, const json_t *object, struct arena *arena,
                        struct error *error)
{
    const json_t *index = json_object_get(object, "index");
    const json_t *private_part = json_object_get(object, "private");
    struct ledger_item item = { .entry = json_str(json_object_get(object, "entry")) };

    if (!json_is_integer(index) || json_integer_value(index) < 0 || item.entry.len == 0)
        return error_set(error, ERROR_INVALID, "the broker's answer has no entries");
    item.index = (uint64_t)json_integer_value(index);
    if (json_is_object(private_part))
        item.private_part = json_text(arena, private_part);
    else if (json_is_true(json_object_get(object, "erased")))
        item.private_part = STR("");
    return tell(find, &item, error);
}

/* One page; `cursor` is set to where the next one begins, and empty where there is none. */
static bool ask(struct ledger_find *find, struct broker_reader *reader, struct str *cursor,
                struct arena *arena, struct error *error)
{
    OWNED(buf_release) struct buf path = { 0 };
    size_t wanted = find->limit - find->count;
    const json_t *body = NULL;
    const json_t *list;

    buf_init(&path, QUERY_BYTES_MAX);
    buf_add_text(&path, "/api/v1/ledger/entries");
    add_words(&path, find->filter);
    buf_printf(&path, "%slimit=%zu", strchr(path.data ? path.data : "", '?') ? "&" : "?",
               wanted < BROKER_PAGE ? wanted : BROKER_PAGE);
    if (cursor->len > 0)
        add_word(&path, "cursor", *cursor);
    else
        buf_add_text(&path, "&fresh=1");
    if (!buf_is_ok(&path))
        return error_set(error, ERROR_USAGE, "that is too much to ask a broker at once");
    if (!broker_reader_get(reader, path.data, arena, &body, error))
        return false;
    list = json_object_get(body, "entries");
    for (size_t i = 0; i < json_array_size(list) && find->count < find->limit; i++)
        if (!tell_object(find, json_array_get(list, i), arena, error))
            return false;
    if (find->size == 0)
        find->size = (uint64_t)json_integer_value(json_object_get(body, "as_of"));
    *cursor = json_str(json_object_get(body, "next"));
    return true;
}

static bool ask_all(struct ledger_find *find, struct broker_reader *reader, struct error *error)
{
    OWNED(buf_release) struct buf kept = { 0 };
    struct str cursor = { 0 };

    buf_init(&kept, 1024);
    do {
        OWNED(arena_free) struct arena *arena = arena_new(PAGE_ARENA_MAX);

        if (!arena)
            return error_set(error, ERROR_MEMORY, "no memory for a page");
        if (!ask(find, reader, &cursor, arena, error))
            return false;
        buf_clear(&kept);
        buf_add(&kept, cursor);
        if (!buf_is_ok(&kept))
            return error_set(error, ERROR_INVALID, "the broker's answer has no such cursor");
        cursor = buf_str(&kept);
    } while (cursor.len > 0 && find->count < find->limit);
    find->has_more = cursor.len > 0;
    return true;
}

static bool find_at_broker(struct ledger_find *find, struct error *error)
{
    OWNED(broker_reader_release) struct broker_reader reader = { 0 };

    find->found_by = FOUND_BY_BROKER;
    return broker_reader_open(&reader, find->source->ledger, find->source->ca_file, error) &&
           ask_all(find, &reader, error);
}

/* ---- any of them ---- */

bool ledger_find_run(struct ledger_find *find, struct error *error)
{
    OWNED(ledger_source_close) struct ledger_source *source = NULL;
    struct ledger_query query;

    find->count = 0;
    if (!ledger_filter_read(find->filter, clock_wall_ms(), &query, error))
        return false;
    if (broker_reader_is_url(find->source->ledger))
        return find_at_broker(find, error);
    if (!ledger_source_open(find->source, &source, error) ||
        !ledger_filter_check(&query, source, error))
        return false;
    if (ledger_source_facts(source)->kind == LEDGER_STORE)
        return find_in_folder(find, ledger_source_facts(source)->name, &query, error);
    return find_by_reading(find, source, &query, error);
}
