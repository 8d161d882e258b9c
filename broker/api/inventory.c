#include "policy/inventory.h"

#include <string.h>

#include "api/api_internal.h"
#include "api/cursor.h"
#include "api/readings.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/time_text.h"
#include "exchange/rules.h"
#include "http/form.h"
#include "identity/people.h"
#include "ledger/inquiry.h"
#include "ledger/ledger.h"
#include "ledger/projection.h"
#include "policy/policy.h"

/*
 * What stages may reach by the policy in force, and did by the ledger: auditors of a tenant see its
 * rows, members of an owner theirs. The work is done on the ledger's reading thread.
 */

#define PAGE_DEFAULT 200
#define PAGE_MAX 1000
#define PAGE_BYTES_MAX ((size_t)512 * 1024)
#define WORK_BYTES_MAX ((size_t)256 * 1024 * 1024)
#define CURSOR_BYTES_MAX ((size_t)4 * 1024)
#define KEY_PARTS 3
#define ROW_BYTES 400 /* of its JSON, about; identities besides */

/* An inventory under way, in the request's arena. */
struct asked {
    struct ledger_inquiry inquiry;
    const struct person *person;
    struct arena *arena;
    struct rules_table *table;
    struct rules *rules;
    struct inventory_question question;
    struct inventory_row after; /* of the page before: its key; an empty stage: none */
    int64_t limit;
    json_t *body;
};

/* ---- what is asked ---- */

static bool read_unused(struct asked *asked, struct str value, struct error *error)
{
    int64_t time_ms = 0;

    if (!query_time(value, clock_wall_ms(), &time_ms) || time_ms < 1000)
        return error_set(error, ERROR_REQUEST, "'unused': a duration, or a time");
    asked->question.unused_since_s = time_ms / 1000;
    asked->question.only_unused = true;
    return true;
}

/* The key of the last row that was told: whoever makes one up only begins elsewhere. */
static bool read_cursor(struct asked *asked, struct str value, struct error *error)
{
    struct str parts[KEY_PARTS];
    struct str rest;
    uint8_t *bytes = arena_alloc(asked->arena, CURSOR_BYTES_MAX);
    size_t len = 0;

    if (!bytes)
        return error_set(error, ERROR_MEMORY, "inventory");
    if (value.len > CURSOR_BYTES_MAX || !base64url_decode(value, bytes, &len))
        return error_set(error, ERROR_REQUEST, "a cursor of another list, or of none");
    rest = (struct str){ (const char *)bytes, len };
    for (size_t i = 0; i < KEY_PARTS; i++)
        if (str_cut(rest, '\0', &parts[i], &rest) != (i + 1 < KEY_PARTS))
            return error_set(error, ERROR_REQUEST, "a cursor of another list, or of none");
    asked->after.stage = parts[0];
    asked->after.target = parts[1];
    asked->after.grant = parts[2];
    return parts[0].len > 0 || error_set(error, ERROR_REQUEST, "a cursor of no row");
}

static struct str *find_word(struct inventory_question *question, struct str name)
{
    const struct {
        const char *name;
        struct str *value;
    } words[] = {
        { "environment", &question->environment },
        { "target", &question->target },
        { "owner", &question->owner },
        { "tenant", &question->tenant },
        { "pipeline", &question->pipeline },
        { "stage", &question->stage },
    };

    for (size_t i = 0; i < COUNT(words); i++)
        if (str_eq(name, str_from(words[i].name)))
            return words[i].value;
    return NULL;
}

static bool read_word(struct asked *asked, const struct form_parameter *word, struct error *error)
{
    struct str *value = find_word(&asked->question, word->name);

    if (str_eq(word->name, STR("limit")))
        return page_limit_read(word->value, PAGE_MAX, &asked->limit, error);
    if (str_eq(word->name, STR("unused")))
        return read_unused(asked, word->value, error);
    if (str_eq(word->name, STR("cursor")))
        return read_cursor(asked, word->value, error);
    if (!value || value->len > 0 || word->value.len == 0 || word->value.len > QUERY_VALUE_MAX)
        return error_set(error, ERROR_REQUEST,
                         "an unknown word, one given twice, or without value");
    *value = word->value;
    return true;
}

static bool read_query(struct asked *asked, struct str query, struct error *error)
{
    struct form *form = arena_alloc(asked->arena, sizeof(*form));

    if (!form)
        return error_set(error, ERROR_MEMORY, "inventory");
    if (!form_parse_query(query, asked->arena, form, error))
        return false;
    for (size_t i = 0; i < form->count; i++)
        if (!read_word(asked, &form->list[i], error))
            return false;
    return true;
}

/* ---- on the reading thread ---- */

static bool may_see(struct str tenant, struct str owner, void *context)
{
    const struct person *person = context;

    return person_may(person, PERSON_AUDITOR, tenant) || person_is_owner(person, owner);
}

/* Uses of all stages, copied: the index lends its rows for a moment only. */
struct gathering {
    struct arena *arena;
    struct inventory_use *uses;
    size_t count;
    size_t capacity;
    bool has_memory;
};

static struct str copy(struct gathering *gathering, struct str text)
{
    struct str kept = arena_copy(gathering->arena, text);

    gathering->has_memory &= kept.data != NULL;
    return kept;
}

static bool make_room(struct gathering *gathering)
{
    size_t capacity = gathering->capacity == 0 ? 1024 : 2 * gathering->capacity;
    struct inventory_use *grown;

    if (gathering->count < gathering->capacity)
        return true;
    grown = arena_alloc_array(gathering->arena, capacity, sizeof(*grown));
    if (!grown)
        return false;
    if (gathering->count > 0)
        memcpy(grown, gathering->uses, gathering->count * sizeof(*grown));
    gathering->uses = grown;
    gathering->capacity = capacity;
    return true;
}

static bool gather(const struct ledger_use *use, void *context)
{
    struct gathering *gathering = context;

    gathering->has_memory = make_room(gathering);
    if (!gathering->has_memory)
        return false;
    gathering->uses[gathering->count++] = (struct inventory_use){
        .stage = copy(gathering, use->stage),
        .target = copy(gathering, use->target),
        .grant = copy(gathering, use->grant),
        .pipeline = copy(gathering, use->pipeline),
        .owner = copy(gathering, use->owner),
        .tenant = copy(gathering, use->tenant),
        .environment = copy(gathering, use->environment),
        .kind = copy(gathering, use->kind),
        .type = copy(gathering, use->type),
        .count = use->count,
        .failed = use->failed,
        .first_s = use->first_ms / 1000,
        .last_s = use->last_ms / 1000,
    };
    return gathering->has_memory;
}

static bool put_next(struct asked *asked, const struct inventory_row *last)
{
    OWNED(buf_release) struct buf key = { 0 };
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&key, CURSOR_BYTES_MAX);
    buf_init(&text, 2 * CURSOR_BYTES_MAX);
    buf_add(&key, last->stage);
    buf_add_byte(&key, 0);
    buf_add(&key, last->target);
    buf_add_byte(&key, 0);
    buf_add(&key, last->grant);
    buf_add_base64url(&text, buf_str(&key));
    return buf_is_ok(&key) && buf_is_ok(&text) &&
           json_put(asked->body, "next", json_from_str(buf_str(&text)));
}

static bool put_row(struct asked *asked, const struct ledger_view *view,
                    const struct inventory_row *row, json_t *list, size_t *bytes,
                    struct error *error)
{
    json_t *object = inventory_json(row);

    if (!object || json_array_append_new(list, object) != 0)
        return error_set(error, ERROR_MEMORY, "inventory");
    (void)asked;
    if (!projection_put_identities(view->index, row->stage, object, error))
        return false;
    *bytes += ROW_BYTES + 100 * json_array_size(json_object_get(object, "identities"));
    return true;
}

static bool put_page(struct asked *asked, const struct ledger_view *view,
                     const struct inventory_row *rows, size_t count, struct error *error)
{
    json_t *list = json_array();
    size_t bytes = 0;
    size_t i = 0;

    if (!json_put(asked->body, "rows", list))
        return error_set(error, ERROR_MEMORY, "inventory");
    while (i < count && asked->after.stage.len > 0 &&
           inventory_compare(&rows[i], &asked->after) <= 0)
        i++;
    for (; i < count; i++) {
        if (json_array_size(list) == (size_t)asked->limit || bytes > PAGE_BYTES_MAX)
            return put_next(asked, &rows[i - 1]) || error_set(error, ERROR_MEMORY, "inventory");
        if (!put_row(asked, view, &rows[i], list, &bytes, error))
            return false;
    }
    return true;
}

static bool run(const struct ledger_view *view, void *context, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(WORK_BYTES_MAX);
    struct gathering gathering = { .arena = arena, .has_memory = true };
    struct asked *asked = context;
    struct inventory_row *rows = NULL;
    size_t count = 0;

    if (!arena || !json_put(asked->body, "as_of", json_integer((json_int_t)view->seen.size)))
        return error_set(error, ERROR_MEMORY, "inventory");
    if (!projection_each_use(view->index, NULL, gather, &gathering, error))
        return false;
    if (!gathering.has_memory)
        return error_set(error, ERROR_MEMORY, "inventory");
    asked->question.uses = gathering.uses;
    asked->question.use_count = gathering.count;
    return inventory_make(&asked->question, arena, &rows, &count, error) &&
           put_page(asked, view, rows, count, error);
}

/* ---- the route ---- */

static void release(void *object)
{
    struct asked *asked = object;

    rules_put(asked->table, asked->rules);
    json_decref(asked->body);
}

static struct asked *asked_new(struct http_request *request, const struct api *api,
                               struct error *error)
{
    struct asked *asked = arena_alloc(request->arena, sizeof(*asked));

    if (!asked) {
        (void)error_set(error, ERROR_MEMORY, "inventory");
        return NULL;
    }
    asked->person = request->caller;
    asked->arena = request->arena;
    asked->table = api->service->rules;
    asked->rules = rules_get(asked->table);
    asked->body = json_object();
    asked->limit = PAGE_DEFAULT;
    if (arena_defer(request->arena, release, asked) && asked->body)
        return asked;
    (void)error_set(error, ERROR_MEMORY, "inventory");
    return NULL;
}

static bool put_head(struct asked *asked)
{
    OWNED(buf_release) struct buf hash = { 0 };
    char at[TIME_TEXT_S_LEN + 1];

    buf_init(&hash, 128);
    buf_add_text(&hash, "sha256:");
    buf_add_hex(&hash,
                (struct str){ (const char *)policy_sha256(asked->rules->policy), SHA256_LEN });
    time_text_s(asked->question.at_s, at);
    return buf_is_ok(&hash) && json_put(asked->body, "policy", json_from_str(buf_str(&hash))) &&
           json_put(asked->body, "at", json_string(at));
}

static bool begin(struct http_request *request, const struct api *api, struct error *error)
{
    struct asked *asked = asked_new(request, api, error);
    union {
        const struct person *person;
        void *context;
    } shared;

    if (!asked)
        return false;
    shared.person = asked->person;
    asked->question.policy = asked->rules->policy;
    asked->question.at_s = clock_wall_s();
    asked->question.may_see = may_see;
    asked->question.context = shared.context;
    if (!read_query(asked, request->query, error))
        return false;
    if (!put_head(asked))
        return error_set(error, ERROR_MEMORY, "inventory");
    asked->inquiry.run = run;
    asked->inquiry.context = asked;
    asked->inquiry.waker = http_waker(request);
    request->state = asked;
    return ledger_inquire(api->service->ledger, &asked->inquiry, error);
}

static enum progress answer(struct http_request *request, const struct api *api,
                            struct asked *asked)
{
    enum reading kind =
        (asked->person->roles & PERSON_AUDITOR) != 0 ? READING_INVENTORY : READING_OWN;

    readings_note(api->readings, asked->person, kind, clock_wall_s());
    if (!asked->inquiry.is_good)
        return http_answer_problem(request, &asked->inquiry.error);
    return http_answer_json(request, 200, json_incref(asked->body));
}

enum progress inventory_get(struct http_request *request, void *context)
{
    const struct api *api = context;
    struct asked *asked = request->state;
    struct error error = { 0 };

    if (!asked && request->is_abandoned)
        return PROGRESS_DONE;
    if (!asked)
        return begin(request, api, &error) ? PROGRESS_WAIT : http_answer_problem(request, &error);
    if (!request->is_woken)
        return ledger_forget_inquiry(api->service->ledger, &asked->inquiry) ? PROGRESS_DONE
                                                                            : PROGRESS_WAIT;
    return request->is_abandoned ? PROGRESS_DONE : answer(request, api, asked);
}
