#include <string.h>

#include "api/api_internal.h"
#include "api/block_preview.h"
#include "api/readings.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/time_text.h"
#include "exchange/rules.h"
#include "http/form.h"
#include "identity/identity.h"
#include "identity/people.h"
#include "ledger/block.h"
#include "ledger/entry.h"
#include "ledger/ledger.h"

/*
 * Blocks are placed and removed by operators of all tenants: each is an entry, appended under the
 * guard that blocks are as they were looked at, so that their number stays exact among brokers.
 */

#define TRIES_MAX 16

/* Of who placed a block so much is shown: all blocks fit into one answer. */
#define BY_MAX 256

/* A block on its way in or out, in the request's arena. */
struct change {
    const struct api *api;
    enum entry_type type;
    enum block_kind kind;
    struct str value;
    struct str reason;
    int64_t life_s;
    int64_t expires_s;
    bool is_dry;
    char id[ID_LEN + 1];
    json_t *entry;
    json_t *private_part;
    struct arena *arena;
    struct ledger_append append;
    unsigned tries;
    struct block_preview *preview; /* of a dry run */
};

static const char names_them[] = "the reason names the person, and would stay in the ledger";

static const char *const parameters[] = { "kind", "value", "for", "reason", "dry_run", NULL };

/* Wrong in a way that whoever asks should know. */
static bool refuse(struct error *error, const char *why)
{
    (void)error_set(error, ERROR_REQUEST, "%s", why);
    error_tell(error, "%s", why);
    return false;
}

/* Reasons stay, whatever is erased. */
static bool names_person(struct str reason, enum block_kind kind, struct str value)
{
    return block_kind_is_personal(kind) && value.len > 0 && str_contains(reason, value);
}

static bool check_reason(const struct change *change, struct error *error)
{
    struct str reason = change->reason;

    if (change->is_dry && reason.len == 0)
        return true;
    if (reason.len == 0 || reason.len > BLOCK_REASON_MAX || str_has_control(reason))
        return refuse(error, "it needs a reason of 1 to 256 bytes of plain text");
    return !names_person(reason, change->kind, change->value) || refuse(error, names_them);
}

/* ---- what is configured ---- */

static bool has_pipeline(const struct policy *policy, struct str name)
{
    for (size_t i = 0; i < policy_stage_count(policy); i++)
        if (str_eq(policy_stage_at(policy, i)->pipeline, name))
            return true;
    return false;
}

/* No platform writes a hash so, and blocks are compared byte for byte. */
static bool is_upper_hash(const struct change *change)
{
    return (change->kind == BLOCK_COMMIT || change->kind == BLOCK_WORKFLOW_COMMIT) &&
           str_is_made_of(change->value, "0123456789abcdefABCDEF") &&
           !str_is_made_of(change->value, "0123456789abcdef");
}

/* A block of a misspelt name would stop nothing, and nobody would notice. */
static const char *find_mistake(const struct rules *rules, const struct change *change)
{
    if (is_upper_hash(change))
        return "a commit's hash is in lower case: another would never be met";
    if (change->kind == BLOCK_ISSUER && !identity_has_issuer(rules->identity, change->value) &&
        (!rules->people_identity || !identity_has_issuer(rules->people_identity, change->value)))
        return "no issuer has that name or URL";
    if (change->kind == BLOCK_TARGET && !rules_target(rules, change->value))
        return "no target has that name";
    if (change->kind == BLOCK_PIPELINE && !has_pipeline(rules->policy, change->value))
        return "the policy in force has no such pipeline";
    if (change->kind == BLOCK_STAGE && !policy_stage_find(rules->policy, change->value))
        return "the policy in force has no such stage";
    return NULL;
}

static bool check_name(const struct change *change, struct error *error)
{
    struct rules *rules = rules_get(change->api->service->rules);
    const char *mistake = find_mistake(rules, change);

    rules_put(change->api->service->rules, rules);
    return !mistake || refuse(error, mistake);
}

/* ---- what is asked ---- */

static bool read_flag(const struct form *form, bool *flag, struct error *error)
{
    struct str text;

    if (!form_get(form, "dry_run", &text))
        return true;
    *flag = str_eq(text, STR("true"));
    return *flag || str_eq(text, STR("false")) ||
           refuse(error, "'dry_run' is true, false or absent");
}

static bool read_form(const struct form *form, struct change *change, struct error *error)
{
    struct network ignored;
    struct str kind = { 0 };
    struct str life = { 0 };

    (void)form_get(form, "kind", &kind); /* what did not come stays empty */
    (void)form_get(form, "value", &change->value);
    (void)form_get(form, "for", &life);
    (void)form_get(form, "reason", &change->reason);
    if (!block_kind_from(kind, &change->kind))
        return refuse(error, "'kind' is none of those that can be blocked");
    if (!duration_parse(life, &change->life_s) || change->life_s > BLOCK_LIFE_MAX_S)
        return refuse(error, "'for' is how long: 90s, 15m, 4h, at most 90d");
    return read_flag(form, &change->is_dry, error) &&
           block_check(change->kind, change->value, &ignored, error) &&
           check_reason(change, error) && check_name(change, error);
}

/* ---- the entry ---- */

static bool put_until(struct change *change)
{
    char text[TIME_TEXT_S_LEN + 1];

    change->expires_s = clock_wall_s() + change->life_s;
    time_text_s(change->expires_s, text);
    return json_put(change->entry, "until", json_string(text));
}

static bool make_entry(struct change *change, const struct person *person, struct error *error)
{
    change->entry = entry_new(change->type, ledger_broker(change->api->service->ledger));
    change->private_part = json_object();
    if (!change->entry || !json_keep(change->arena, change->entry, error) ||
        !change->private_part || !json_keep(change->arena, change->private_part, error) ||
        !json_put(change->entry, "block", json_string(change->id)) ||
        !json_put(change->entry, "reason", json_from_str(change->reason)))
        return error_set(error, ERROR_MEMORY, "entry");
    if (!people_put_actor(person, change->entry, change->private_part, error))
        return false;
    if (change->type == ENTRY_ADMIN_UNBLOCKED)
        return true;
    return block_put(change->kind, change->value, change->entry, change->private_part, error) &&
           (put_until(change) || error_set(error, ERROR_MEMORY, "entry"));
}

/* ---- appending ---- */

static bool check_change(const struct change *change, const struct block_view *view,
                         struct error *error)
{
    int64_t now_s = clock_wall_s();
    const struct block *block;

    if (change->type == ENTRY_ADMIN_UNBLOCKED) {
        block = block_view_find(view, str_from(change->id), now_s);
        if (!block)
            return error_set(error, ERROR_NOT_FOUND, "no such block is in force");
        return !names_person(change->reason, block->kind, block->value) ||
               refuse(error, names_them);
    }
    return block_view_has_room(view, now_s) ||
           refuse(error, "as many blocks are in force as may be (500): remove some first");
}

static bool submit(struct http_request *request, struct change *change, struct error *error)
{
    struct ledger *ledger = change->api->service->ledger;
    OWNED(block_view_put) struct block_view *view = NULL;

    if (change->tries++ == TRIES_MAX)
        return error_set(error, ERROR_BUSY, "others place blocks all the time");
    if (!ledger_blocks(ledger, true, &view, error) || !check_change(change, view, error))
        return false;
    change->append = (struct ledger_append){
        .entries = { change->entry },
        .private_parts = { change->private_part },
        .entry_count = 1,
        .guards = { { .kind = STORE_GUARD_BLOCKS, .blocks = view->version } },
        .guard_count = 1,
        .is_revocation = true, /* it takes something away: a full disk must not hinder it */
        .waker = http_waker(request),
    };
    return ledger_submit(ledger, &change->append, change->arena, error);
}

static void log_change(const struct change *change)
{
    struct log_line line;

    log_begin(&line, LOG_LEVEL_INFO,
              change->type == ENTRY_ADMIN_BLOCKED ? "block.placed" : "block.removed");
    log_text(&line, "block", change->id);
    if (change->type == ENTRY_ADMIN_BLOCKED)
        log_text(&line, "kind", block_kind_name(change->kind));
    log_end(&line);
}

static bool put_block(json_t *body, const struct change *change)
{
    char until[TIME_TEXT_S_LEN + 1];

    time_text_s(change->expires_s, until);
    return json_put(body, "kind", json_string(block_kind_name(change->kind))) &&
           json_put(body, "value", json_from_str(change->value)) &&
           json_put(body, "until", json_string(until));
}

static enum progress answer_change(struct http_request *request, const struct change *change)
{
    bool is_placed = change->type == ENTRY_ADMIN_BLOCKED;
    json_t *body = json_object();

    log_change(change);
    if (!json_put(body, "id", json_string(change->id)) ||
        !json_put(body, "entry", json_integer((json_int_t)change->append.first_index)) ||
        (is_placed && !put_block(body, change))) {
        json_decref(body);
        body = NULL;
    }
    return http_answer_json(request, is_placed ? 201 : 200, body);
}

/* The store is done with the entry; blocks may have changed meanwhile: look again. */
static enum progress go_on(struct http_request *request, struct change *change)
{
    struct error error = { 0 };

    if (change->append.is_committed)
        return answer_change(request, change);
    if (change->append.failed_guard >= change->append.guard_count)
        return http_answer_problem(request, &change->append.error);
    return submit(request, change, &error) ? PROGRESS_WAIT : http_answer_problem(request, &error);
}

/* ---- the routes ---- */

/* A block is about all tenants, or nobody knows about which. */
static bool is_of_all(const struct http_request *request, unsigned roles)
{
    const struct person *person = request->caller;

    return ((roles & PERSON_OPERATOR) && person_may(person, PERSON_OPERATOR, STR(""))) ||
           ((roles & PERSON_AUDITOR) && person_may(person, PERSON_AUDITOR, STR("")));
}

static enum progress refuse_role(struct http_request *request)
{
    struct error error = { 0 };

    (void)error_set(&error, ERROR_ROLE, "a role for some tenants only");
    return people_refuse(request, &error);
}

static struct change *change_new(struct http_request *request, const struct api *api,
                                 enum entry_type type)
{
    struct change *change = arena_alloc(request->arena, sizeof(*change));

    if (!change)
        return NULL;
    change->api = api;
    change->type = type;
    change->arena = request->arena;
    return change;
}

static bool begin_preview(struct http_request *request, struct change *change, struct error *error)
{
    change->preview = block_preview_new(request->arena, change->kind, change->value, error);
    if (!change->preview)
        return false;
    change->expires_s = clock_wall_s() + change->life_s;
    return block_preview_begin(change->preview, change->api->service->ledger, http_waker(request),
                               error);
}

static bool begin_post(struct http_request *request, struct change *change, struct error *error)
{
    struct form *form = arena_alloc(request->arena, sizeof(*form));

    if (!form || !change)
        return error_set(error, ERROR_MEMORY, "block");
    if (!form_parse(request->body, parameters, request->arena, form, error) ||
        !read_form(form, change, error))
        return false;
    if (change->is_dry)
        return begin_preview(request, change, error);
    return id_new(clock_wall_ms(), change->id, error) &&
           make_entry(change, request->caller, error) && submit(request, change, error);
}

static enum progress answer_preview(struct http_request *request, const struct change *change)
{
    const struct block_preview *preview = change->preview;
    json_t *body = json_object();

    if (!block_preview_error(preview)) {
        readings_note(change->api->readings, request->caller, READING_SEARCH, clock_wall_s());
        if (json_put(body, "dry_run", json_true()) && put_block(body, change) &&
            block_preview_put(preview, body))
            return http_answer_json(request, 200, body);
        json_decref(body);
        return http_answer_json(request, 200, NULL);
    }
    json_decref(body);
    return http_answer_problem(request, block_preview_error(preview));
}

enum progress blocks_post(struct http_request *request, void *context)
{
    const struct api *api = context;
    struct change *change = request->state;
    struct error error = { 0 };

    if (!change && request->is_abandoned)
        return PROGRESS_DONE;
    if (!change) {
        if (!is_of_all(request, PERSON_OPERATOR))
            return refuse_role(request);
        change = change_new(request, api, ENTRY_ADMIN_BLOCKED);
        if (!begin_post(request, change, &error))
            return http_answer_problem(request, &error);
        request->state = change;
        return PROGRESS_WAIT;
    }
    if (request->is_woken)
        return change->is_dry ? answer_preview(request, change) : go_on(request, change);
    /* The peer is gone. */
    return change->is_dry && block_preview_forget(change->preview, api->service->ledger)
               ? PROGRESS_DONE
               : PROGRESS_WAIT;
}

static bool begin_delete(struct http_request *request, struct change *change, struct error *error)
{
    struct form *form = arena_alloc(request->arena, sizeof(*form));

    if (!form || !change)
        return error_set(error, ERROR_MEMORY, "block");
    if (!id_is_valid(request->rest))
        return error_set(error, ERROR_NOT_FOUND, "no block has such an id");
    memcpy(change->id, request->rest.data, ID_LEN);
    if (!form_parse_query(request->query, request->arena, form, error))
        return false;
    if (form->count != 1 || !form_get(form, "reason", &change->reason))
        return refuse(error, "it needs a reason, and nothing else");
    return check_reason(change, error) && make_entry(change, request->caller, error) &&
           submit(request, change, error);
}

enum progress block_delete(struct http_request *request, void *context)
{
    struct change *change = request->state;
    struct error error = { 0 };

    if (change)
        return request->is_woken ? go_on(request, change) : PROGRESS_WAIT;
    if (request->is_abandoned)
        return PROGRESS_DONE;
    if (!is_of_all(request, PERSON_OPERATOR))
        return refuse_role(request);
    change = change_new(request, context, ENTRY_ADMIN_UNBLOCKED);
    if (!begin_delete(request, change, &error))
        return http_answer_problem(request, &error);
    request->state = change;
    return PROGRESS_WAIT;
}

static bool put_row(json_t *list, const struct block *block)
{
    json_t *row = json_append_object(list);
    char since[TIME_TEXT_MS_LEN + 1];
    char until[TIME_TEXT_S_LEN + 1];

    struct str by = str_slice(block->by, 0, BY_MAX);

    time_text_ms(block->since_ms, since);
    time_text_s(block->expires_s, until);
    return json_put(row, "id", json_string(block->id)) &&
           json_put(row, "kind", json_string(block_kind_name(block->kind))) &&
           json_put(row, "value", json_from_str(block->value)) &&
           json_put(row, "reason", json_from_str(block->reason)) &&
           (by.len == 0 || !str_is_utf8(by) || json_put(row, "by", json_from_str(by))) &&
           json_put(row, "since", json_string(since)) &&
           json_put(row, "until", json_string(until)) &&
           json_put(row, "entry", json_integer((json_int_t)block->index));
}

static bool put_rows(json_t *body, const struct block_view *view)
{
    int64_t now_s = clock_wall_s();
    json_t *list = json_array();

    if (!json_put(body, "blocks", list) || !json_put(body, "limit", json_integer(BLOCKS_MAX)))
        return false;
    for (size_t i = 0; i < view->count; i++)
        if (view->blocks[i].expires_s > now_s && !put_row(list, &view->blocks[i]))
            return false;
    return true;
}

enum progress blocks_get(struct http_request *request, void *context)
{
    const struct api *api = context;
    OWNED(block_view_put) struct block_view *view = NULL;
    struct error error = { 0 };
    json_t *body;

    if (!is_of_all(request, PERSON_OPERATOR | PERSON_AUDITOR))
        return refuse_role(request);
    if (!ledger_blocks(api->service->ledger, true, &view, &error))
        return http_answer_problem(request, &error);
    readings_note(api->readings, request->caller, READING_ENTRIES, clock_wall_s());
    body = json_object();
    if (!put_rows(body, view)) {
        json_decref(body);
        body = NULL;
    }
    return http_answer_json(request, 200, body);
}
