#include "api/api_internal.h"
#include "api/readings.h"
#include "api/sight.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "exchange/granters.h"
#include "exchange/kept.h"
#include "identity/people.h"
#include "ledger/entry.h"
#include "ledger/ledger.h"

/* An entry as it is read: by whom, and what is joined in. */
struct entry_view {
    uint64_t index;
    struct str bytes;
    struct str private_part;
    json_t *entry;
    enum reading kind;
};

static bool read_index(struct str text, uint64_t *index, struct error *error)
{
    int64_t value = 0;

    if (!str_is_made_of(text, "0123456789") || (text.len > 1 && text.data[0] == '0') ||
        !str_to_int64(text, &value))
        return error_set(error, ERROR_NOT_FOUND, "no entry has such an index");
    *index = (uint64_t)value;
    return true;
}

static bool load(const struct http_request *request, const struct api *api, struct entry_view *view,
                 struct error *error)
{
    struct ledger *ledger = api->service->ledger;

    return read_index(request->rest, &view->index, error) &&
           ledger_entry_with_private(ledger, view->index, request->arena, &view->bytes,
                                     &view->private_part, error) &&
           (store_entry_is_pruned(view->bytes) || (entry_parse(view->bytes, &view->entry, error) &&
                                                   json_keep(request->arena, view->entry, error)));
}

/* Auditors of its tenant see it whole; members of its owner, without who a person is. */
static bool may_read(const struct person *person, struct entry_view *view, struct error *error)
{
    const struct sight sight = { person, PERSON_AUDITOR, true };
    enum search_access access = sight_of(&sight, view->entry);

    view->kind = access == SEARCH_ALL ? READING_ENTRIES : READING_OWN;
    if (access != SEARCH_ALL)
        view->private_part = (struct str){ 0 };
    return access != SEARCH_HIDDEN ||
           error_set(error, ERROR_ROLE, "entry %llu is of another tenant and owner",
                     (unsigned long long)view->index);
}

static json_t *open_private(struct str text)
{
    /* nobody's but the broker's */
    static const char *const sealed[] = { "revocation", KEPT_MEMBER, GRANTERS_MEMBER };
    json_t *parsed = entry_parse_private(text);

    for (size_t i = 0; parsed && i < COUNT(sealed); i++)
        (void)json_object_del(parsed, sealed[i]);
    return parsed;
}

/* The entry is text: its exact bytes are what was hashed. */
bool entry_put_view(json_t *body, uint64_t index, struct str bytes, struct str private_part)
{
    json_t *private_json = open_private(private_part);

    bool is_erased = private_part.data && private_part.len == 0;

    return (!private_json || json_put(body, "private", private_json)) &&
           (!is_erased || json_put(body, "erased", json_true())) &&
           json_put(body, "index", json_integer((json_int_t)index)) &&
           json_put(body, "entry", json_from_str(bytes));
}

/* Whose it was cannot be told any more, and there is nothing in it. */
static enum progress answer_pruned(struct http_request *request, const struct entry_view *view)
{
    struct merkle_hash leaf = entry_leaf(view->bytes);
    OWNED(buf_release) struct buf text = { 0 };
    json_t *body = json_object();

    buf_init(&text, 64);
    buf_add_base64(&text, (struct str){ (const char *)leaf.bytes, sizeof(leaf.bytes) });
    if (!buf_is_ok(&text) || !json_put(body, "index", json_integer((json_int_t)view->index)) ||
        !json_put(body, "pruned", json_true()) ||
        !json_put(body, "leaf_hash", json_from_str(buf_str(&text)))) {
        json_decref(body);
        body = NULL;
    }
    return http_answer_json(request, 200, body);
}

static enum progress answer(struct http_request *request, const struct entry_view *view)
{
    json_t *body = json_object();

    if (!entry_put_view(body, view->index, view->bytes, view->private_part)) {
        json_decref(body);
        body = NULL;
    }
    return http_answer_json(request, 200, body);
}

enum progress entry_get(struct http_request *request, void *context)
{
    const struct api *api = context;
    const struct person *person = request->caller;
    struct entry_view view = { 0 };
    struct error error = { 0 };

    if (!load(request, api, &view, &error))
        return http_answer_problem(request, &error);
    if (store_entry_is_pruned(view.bytes))
        return answer_pruned(request, &view);
    if (!may_read(person, &view, &error))
        return people_refuse(request, &error);
    readings_note(api->readings, person, view.kind, clock_wall_s());
    return answer(request, &view);
}

/* Bundles are for all tenants or for nobody: their bytes are the log's. */
enum progress bundle_get(struct http_request *request, void *context)
{
    const struct api *api = context;
    const struct person *person = request->caller;
    struct error error = { 0 };
    struct str bundle;

    if (!person_may(person, PERSON_AUDITOR, STR(""))) {
        (void)error_set(&error, ERROR_ROLE, "an auditor of some tenants only");
        return people_refuse(request, &error);
    }
    if (!ledger_bundle(api->service->ledger, request->rest, request->arena, &bundle, &error))
        return http_answer_problem(request, &error);
    readings_note(api->readings, person, READING_BUNDLES, clock_wall_s());
    return http_answer_text(request, 200, "application/octet-stream", bundle);
}
