#include "ledger/search.h"

#include <string.h>

#include "api/api_internal.h"
#include "api/cursor.h"
#include "api/readings.h"
#include "api/sight.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "http/form.h"
#include "identity/people.h"
#include "ledger/inquiry.h"
#include "ledger/ledger.h"

/*
 * Searching entries, from new to old: for auditors of an entry's tenant, and for members of its
 * owner, who see no person. The work is done on the ledger's reading thread, which the request
 * belongs to meanwhile. A page that has cost enough ends, whatever it found.
 */

#define LIST_SEARCH                                                                                \
    3 /* of cursors; their position is the entry that the next page is older than                  \
       */
#define PAGE_DEFAULT 100
#define PAGE_MAX 500
#define PAGE_BYTES_MAX ((size_t)512 * 1024)
#define PAGE_READS_MAX 2000
#define PAGE_LOOKUPS_MAX 5000
#define WORDS_BYTES_MAX ((size_t)64 * 1024)

/* A search under way, in the request's arena. */
struct asked {
    struct ledger_inquiry inquiry;
    struct sight sight;
    struct arena *arena;
    struct ledger_query query;
    struct cursor cursor;
    int64_t limit;

    /* what came of it */
    struct ledger_search search;
    json_t *body;
    json_t *entries;
    size_t bytes;
};

/* ---- what is asked ---- */

static bool read_fresh(struct asked *asked, struct str value, struct error *error)
{
    asked->inquiry.must_be_fresh = str_eq(value, STR("1"));
    return asked->inquiry.must_be_fresh ||
           error_set(error, ERROR_REQUEST, "'fresh' is 1 or absent");
}

/* The cursor comes last: what it is good for is known then. */
static bool read_word(struct asked *asked, const struct form_parameter *word, struct str *cursor,
                      struct error *error)
{
    if (str_eq(word->name, STR("limit")))
        return page_limit_read(word->value, PAGE_MAX, &asked->limit, error);
    if (str_eq(word->name, STR("fresh")))
        return read_fresh(asked, word->value, error);
    if (str_eq(word->name, STR("cursor"))) {
        *cursor = word->value;
        return word->value.len > 0 || error_set(error, ERROR_REQUEST, "an empty cursor");
    }
    return query_add(&asked->query, word->name, word->value, clock_wall_ms(), error);
}

/* A cursor is good for the search that it came from, in pages of any size. */
static bool name_search(const struct form *form, uint8_t sha256_out[SHA256_LEN])
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, WORDS_BYTES_MAX);
    for (size_t i = 0; i < form->count; i++) {
        const struct form_parameter *word = &form->list[i];

        if (str_eq(word->name, STR("limit")) || str_eq(word->name, STR("fresh")) ||
            str_eq(word->name, STR("cursor")))
            continue;
        buf_add_sized(&text, word->name);
        buf_add_sized(&text, word->value);
    }
    if (!buf_is_ok(&text))
        return false;
    sha256(buf_str(&text), sha256_out);
    return true;
}

static bool read_query(struct asked *asked, struct str query, struct error *error)
{
    struct form *form = arena_alloc(asked->arena, sizeof(*form));
    struct str cursor = { 0 };

    if (!form)
        return error_set(error, ERROR_MEMORY, "search");
    if (!form_parse_query(query, asked->arena, form, error))
        return false;
    for (size_t i = 0; i < form->count; i++)
        if (!read_word(asked, &form->list[i], &cursor, error))
            return false;
    asked->cursor.list = LIST_SEARCH;
    if (!name_search(form, asked->cursor.sha256))
        return error_set(error, ERROR_MEMORY, "search");
    return cursor.len == 0 || cursor_parse(cursor, UINT64_MAX, &asked->cursor, error);
}

/* ---- on the reading thread ---- */

static enum search_access access_of(const json_t *entry, void *context)
{
    const struct asked *asked = context;

    return sight_of(&asked->sight, entry);
}

static bool add_hit(const struct search_hit *hit, void *context, struct error *error)
{
    struct asked *asked = context;
    json_t *item = json_object();

    if (!item || json_array_append_new(asked->entries, item) != 0 ||
        !entry_put_view(item, hit->index, hit->bytes, hit->private_part))
        return error_set(error, ERROR_MEMORY, "search");
    asked->bytes += hit->bytes.len + hit->private_part.len;
    if (asked->bytes >= PAGE_BYTES_MAX)
        asked->search.limit = 0; /* the page is full */
    return true;
}

static bool run(const struct ledger_view *view, void *context, struct error *error)
{
    struct asked *asked = context;
    uint64_t size = view->seen.size;

    asked->search = (struct ledger_search){
        .query = &asked->query,
        .reader = view->reader,
        .index = view->index,
        .indexed = size,
        .limit = (size_t)asked->limit,
        .reads_max = PAGE_READS_MAX,
        .lookups_max = PAGE_LOOKUPS_MAX,
        .visit = add_hit,
        .context = asked,
        .before = asked->cursor.position == 0 ? size : asked->cursor.position,
    };
    if (asked->search.before > size)
        asked->search.before = size;
    if (!json_put(asked->body, "as_of", json_integer((json_int_t)size)))
        return error_set(error, ERROR_MEMORY, "search");
    return sight_bound(&asked->sight, access_of, asked->arena, &asked->search, error) &&
           ledger_search_next(&asked->search, error);
}

/* ---- the route ---- */

static enum progress begin(struct http_request *request, const struct api *api, struct error *error)
{
    struct asked *asked = arena_alloc(request->arena, sizeof(*asked));

    if (!asked) {
        (void)error_set(error, ERROR_MEMORY, "search");
        return PROGRESS_FAILED;
    }
    asked->sight = (struct sight){ request->caller, PERSON_AUDITOR, true };
    asked->arena = request->arena;
    asked->limit = PAGE_DEFAULT;
    if (!read_query(asked, request->query, error))
        return PROGRESS_FAILED;
    asked->body = json_object();
    asked->entries = json_array();
    if (!asked->body || !json_keep(request->arena, asked->body, error) ||
        !json_put(asked->body, "entries", asked->entries)) {
        (void)error_set(error, ERROR_MEMORY, "search");
        return PROGRESS_FAILED;
    }
    asked->inquiry.run = run;
    asked->inquiry.context = asked;
    asked->inquiry.waker = http_waker(request);
    request->state = asked;
    return ledger_inquire(api->service->ledger, &asked->inquiry, error) ? PROGRESS_WAIT
                                                                        : PROGRESS_FAILED;
}

static enum progress answer(struct http_request *request, const struct api *api,
                            struct asked *asked)
{
    enum reading kind =
        (asked->sight.person->roles & PERSON_AUDITOR) != 0 ? READING_SEARCH : READING_OWN;

    readings_note(api->readings, asked->sight.person, kind, clock_wall_s());
    if (!asked->inquiry.is_good)
        return http_answer_problem(request, &asked->inquiry.error);
    asked->cursor.position = asked->search.before;
    if (!asked->search.is_over &&
        !json_put(asked->body, "next", json_from_str(cursor_write(&asked->cursor, request->arena))))
        return http_answer_json(request, 200, NULL);
    return http_answer_json(request, 200, json_incref(asked->body));
}

enum progress entries_get(struct http_request *request, void *context)
{
    const struct api *api = context;
    struct asked *asked = request->state;
    struct error error = { 0 };

    if (!asked && request->is_abandoned)
        return PROGRESS_DONE;
    if (!asked)
        return begin(request, api, &error) == PROGRESS_WAIT ? PROGRESS_WAIT
                                                            : http_answer_problem(request, &error);
    if (!request->is_woken)
        return ledger_forget_inquiry(api->service->ledger, &asked->inquiry) ? PROGRESS_DONE
                                                                            : PROGRESS_WAIT;
    return request->is_abandoned ? PROGRESS_DONE : answer(request, api, asked);
}
