#include <string.h>

#include "api/api_internal.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "http/form.h"
#include "identity/people.h"
#include "ledger/ledger.h"

/*
 * An auditor signs an access review: the hash of the document, and their name, become an entry. The
 * document itself stays with them.
 */

#define SHA256_HEX_LEN 64
#define NOTE_MAX 256
#define TENANT_MAX 80

static const char *const parameters[] = { "sha256", "note", "tenant", NULL };

/* What is signed; the append is the store's until its waker is called. */
struct signing {
    struct str sha256;
    struct str note;   /* or empty */
    struct str tenant; /* or empty: for all of them */
    struct ledger_append append;
};

static bool is_text(struct str text, size_t max)
{
    return text.len <= max && str_is_utf8(text) && !str_has_control(text);
}

static bool read_form(struct http_request *request, struct signing *signing, struct error *error)
{
    struct form *form = arena_alloc(request->arena, sizeof(*form));

    if (!form)
        return error_set(error, ERROR_MEMORY, "form");
    if (!form_parse(request->body, parameters, request->arena, form, error))
        return false;
    (void)form_get(form, "note", &signing->note);
    (void)form_get(form, "tenant", &signing->tenant);
    if (!form_get(form, "sha256", &signing->sha256) || signing->sha256.len != SHA256_HEX_LEN ||
        !str_is_made_of(signing->sha256, "0123456789abcdef"))
        return error_set(error, ERROR_REQUEST, "sha256 is none");
    if (!is_text(signing->note, NOTE_MAX) || !is_text(signing->tenant, TENANT_MAX))
        return error_set(error, ERROR_REQUEST, "note or tenant is too long, or no text");
    return true;
}

static bool fill_entry(const struct signing *signing, json_t *entry, struct arena *arena)
{
    struct str review = arena_printf(arena, "sha256:" STR_FMT, STR_ARG(signing->sha256));

    return json_put(entry, "review", json_from_str(review)) &&
           json_put_text(entry, "detail", signing->note) &&
           json_put_text(entry, "tenant", signing->tenant);
}

static bool submit(struct http_request *request, const struct api *api, struct signing *signing,
                   struct error *error)
{
    struct ledger *ledger = api->service->ledger;
    JSON_OWNED json_t *entry = entry_new(ENTRY_ADMIN_REVIEWED, ledger_broker(ledger));
    JSON_OWNED json_t *private_part = json_object();

    if (!entry || !private_part || !fill_entry(signing, entry, request->arena))
        return error_set(error, ERROR_MEMORY, "entry");
    if (!people_put_actor(request->caller, entry, private_part, error))
        return false;
    signing->append = (struct ledger_append){ .entries = { entry },
                                              .private_parts = { private_part },
                                              .entry_count = 1,
                                              .waker = http_waker(request) };
    return ledger_submit(ledger, &signing->append, request->arena, error);
}

/* Only of their own tenants. */
static enum progress begin(struct http_request *request, const struct api *api)
{
    struct signing *signing = arena_alloc(request->arena, sizeof(*signing));
    struct error error = { 0 };

    if (!signing) {
        (void)error_set(&error, ERROR_MEMORY, "a review");
        return http_answer_problem(request, &error);
    }
    if (!read_form(request, signing, &error))
        return http_answer_problem(request, &error);
    if (!person_may(request->caller, PERSON_AUDITOR, signing->tenant)) {
        (void)error_set(&error, ERROR_ROLE, "no auditor of that tenant, or of all of them");
        return people_refuse(request, &error);
    }
    if (!submit(request, api, signing, &error))
        return http_answer_problem(request, &error);
    request->state = signing;
    return PROGRESS_WAIT;
}

static enum progress answer(struct http_request *request, struct signing *signing)
{
    OWNED(buf_release) struct buf leaf = { 0 };
    struct ledger_append *append = &signing->append;
    json_t *body = json_object();

    if (!append->is_committed) {
        json_decref(body);
        return http_answer_problem(request, &append->error);
    }
    ledger_hash_leaves(append);
    buf_init(&leaf, 64);
    buf_add_base64(&leaf,
                   (struct str){ (const char *)append->leaf_hashes[0].bytes, MERKLE_HASH_LEN });
    if (!json_put(body, "index", json_integer((json_int_t)append->first_index)) ||
        !json_put(body, "leaf_hash", json_from_str(buf_str(&leaf)))) {
        json_decref(body);
        body = NULL;
    }
    return http_answer_json(request, 200, body);
}

enum progress review_post(struct http_request *request, void *context)
{
    if (!request->state)
        return begin(request, context);
    if (!request->is_woken)
        return PROGRESS_WAIT; /* the store still has it */
    return answer(request, request->state);
}
