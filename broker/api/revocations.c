#include "api/api_internal.h"
#include "api/lease_find.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "exchange/lease_end.h"
#include "http/form.h"

/*
 * Operators end leases that fit words, a page a request, the newest first. Each ends by an entry of
 * its own, lease.revoked, at once; what was done altogether is one more, admin.revoked.
 */

#define REASON_MAX 256
#define DETAIL_MAX ((size_t)4096)
#define TENANT_ROLE PERSON_OPERATOR

static const char *const own_words[] = { "reason", "dry_run", NULL };

struct order {
    const struct api *api;
    struct lease_find *find;
    struct str reason;
    bool is_dry;
    char decision[ID_LEN + 1];
    json_t *who; /* an object with `actor`, as entries have it */
    json_t *private_part;
    struct str detail; /* what was asked, for admin.revoked */

    bool has_found;
    size_t next; /* of the leases found: the one that is to end */
    size_t ended;
    struct lease_end end;
    bool is_ending;
    bool is_telling; /* admin.revoked is on its way */
    struct ledger_append append;
};

/* ---- what is asked ---- */

static bool refuse(struct error *error, const char *why)
{
    return error_set(error, ERROR_REQUEST, "%s", why);
}

static bool read_own(const struct form *form, struct order *order, struct error *error)
{
    struct str dry = { 0 };

    (void)form_get(form, "reason", &order->reason);
    if (form_get(form, "dry_run", &dry)) {
        order->is_dry = str_eq(dry, STR("true"));
        if (!order->is_dry && !str_eq(dry, STR("false")))
            return refuse(error, "'dry_run' is true, false or absent");
    }
    if (order->reason.len > REASON_MAX || str_has_control(order->reason) ||
        (order->reason.len == 0 && !order->is_dry))
        return refuse(error, "it needs a reason of 1 to 256 bytes of plain text");
    return true;
}

/* Whether a word's value says who a person is: an entry keeps it out. */
static bool is_personal(struct str word)
{
    enum ledger_field field = LEDGER_FIELD_TYPE;

    return query_field_from(word, &field) && query_field(field)->is_personal;
}

static bool check_reason(const struct form *form, const struct order *order, struct error *error)
{
    for (size_t i = 0; i < form->count; i++)
        if (is_personal(form->list[i].name) && form->list[i].value.len > 0 &&
            str_contains(order->reason, form->list[i].value))
            return refuse(error, "the reason stays: it must not name the person");
    return true;
}

static bool write_detail(const struct form *form, struct order *order, struct arena *arena,
                         struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, DETAIL_MAX);
    for (size_t i = 0; i < form->count; i++) {
        const struct form_parameter *word = &form->list[i];

        if (str_eq(word->name, STR("reason")) || str_eq(word->name, STR("dry_run")) ||
            str_eq(word->name, STR("cursor")))
            continue;
        buf_add_text(&text, text.len > 0 ? " " : "");
        buf_add(&text, word->name);
        buf_add_byte(&text, '=');
        buf_add(&text, is_personal(word->name) ? STR("*") : word->value);
    }
    if (!buf_is_ok(&text))
        return refuse(error, "what is asked is too long");
    order->detail = arena_copy(arena, buf_str(&text));
    return order->detail.data || error_set(error, ERROR_MEMORY, "revocation");
}

/* A name given twice would be an alternative: here it is a slip. */
static bool check_once(const struct form *form, struct error *error)
{
    for (size_t i = 0; i < form->count; i++)
        for (size_t k = i + 1; k < form->count; k++)
            if (str_eq(form->list[i].name, form->list[k].name))
                return refuse(error, "a word stands once");
    return true;
}

static bool read_order(struct http_request *request, struct order *order, struct error *error)
{
    struct form *form = arena_alloc(request->arena, sizeof(*form));

    if (!form)
        return error_set(error, ERROR_MEMORY, "form");
    if (!form_parse_query(request->body, request->arena, form, error) || !check_once(form, error) ||
        !read_own(form, order, error) || !check_reason(form, order, error) ||
        !lease_find_read(order->find, form, own_words, error))
        return false;
    if (order->find->is_open)
        return refuse(error, "say which leases: 'stage', 'repository', 'since' ...");
    return write_detail(form, order, request->arena, error);
}

static bool make_actor(struct http_request *request, struct order *order, struct error *error)
{
    order->who = json_object();
    order->private_part = json_object();
    if (!order->who || !json_keep(request->arena, order->who, error) || !order->private_part ||
        !json_keep(request->arena, order->private_part, error))
        return error_set(error, ERROR_MEMORY, "revocation");
    return people_put_actor(request->caller, order->who, order->private_part, error);
}

static struct order *begin(struct http_request *request, const struct api *api, struct error *error)
{
    struct order *order = arena_alloc(request->arena, sizeof(*order));
    struct lease_find *find = arena_alloc(request->arena, sizeof(*find));

    if (!order || !find) {
        (void)error_set(error, ERROR_MEMORY, "revocation");
        return NULL;
    }
    order->api = api;
    order->find = find;
    find->kind = LEASES_LIVE;
    find->sight = (struct sight){ .person = request->caller, .roles = TENANT_ROLE };
    find->ledger = api->service->ledger;
    find->arena = request->arena;
    if (!id_new(clock_wall_ms(), order->decision, error) || !read_order(request, order, error) ||
        !make_actor(request, order, error) || !lease_find_begin(find, http_waker(request), error))
        return NULL;
    return order;
}

/* ---- ending them, one after the other ---- */

static void start_end(struct http_request *request, struct order *order)
{
    order->end = (struct lease_end){
        .ledger = order->find->ledger,
        .lease = order->find->leases[order->next],
        .ending = { .type = ENTRY_LEASE_REVOKED,
                    .decision = order->decision,
                    .reason = order->reason.data,
                    .actor = json_object_get(order->who, "actor"),
                    .private_part = order->private_part },
        .arena = request->arena,
        .waker = http_waker(request),
    };
    order->is_ending = true;
}

/* PROGRESS_DONE: all that were found have ended. */
static enum progress end_all(struct http_request *request, struct order *order, struct error *error)
{
    while (order->next < order->find->count) {
        enum progress progress;

        if (!order->is_ending)
            start_end(request, order);
        progress = lease_end_walk(&order->end, error);
        if (progress != PROGRESS_DONE)
            return progress;
        order->is_ending = false;
        order->ended += order->end.is_recorded;
        order->next++;
    }
    return PROGRESS_DONE;
}

/* ---- what was done ---- */

static enum progress tell(struct http_request *request, struct order *order, struct error *error)
{
    JSON_OWNED json_t *entry = entry_new(ENTRY_ADMIN_REVOKED, ledger_broker(order->find->ledger));

    if (!json_put(entry, "actor", json_incref(json_object_get(order->who, "actor"))) ||
        !json_put(entry, "detail", json_from_str(order->detail)) ||
        !json_put(entry, "reason", json_from_str(order->reason)) ||
        !json_put(entry, "count", json_integer((json_int_t)order->ended))) {
        (void)error_set(error, ERROR_MEMORY, "entry");
        return PROGRESS_FAILED;
    }
    order->append = (struct ledger_append){
        .entries = { entry },
        .private_parts = { order->private_part },
        .entry_count = 1,
        .is_revocation = true,
        .waker = http_waker(request),
    };
    order->is_telling = true;
    return ledger_submit(order->find->ledger, &order->append, request->arena, error)
               ? PROGRESS_WAIT
               : PROGRESS_FAILED;
}

static void log_order(const struct order *order)
{
    struct log_line line;

    log_begin(&line, LOG_LEVEL_INFO, "leases.revoked");
    log_text(&line, "decision", order->decision);
    log_int(&line, "count", (int64_t)order->ended);
    log_end(&line);
}

static enum progress answer(struct http_request *request, struct order *order)
{
    json_t *body = json_object();

    if (!order->is_dry)
        log_order(order);
    if (json_put(body, "dry_run", json_boolean(order->is_dry)) &&
        json_put(body, "ended", json_integer((json_int_t)order->ended)) &&
        lease_find_put(order->find, body))
        return http_answer_json(request, 200, body);
    json_decref(body);
    return http_answer_json(request, 200, NULL);
}

/* Woken: by the reading thread once, then by the store for each lease, and at last for the order.
 */
static enum progress go_on(struct http_request *request, struct order *order)
{
    struct error error = { 0 };
    enum progress progress;

    if (order->is_telling)
        return order->append.is_committed ? answer(request, order)
                                          : http_answer_problem(request, &order->append.error);
    if (!order->has_found && lease_find_error(order->find))
        return http_answer_problem(request, lease_find_error(order->find));
    order->has_found = true;
    if (order->is_dry)
        return answer(request, order);
    progress = end_all(request, order, &error);
    if (progress == PROGRESS_DONE && order->ended > 0)
        progress = tell(request, order, &error);
    else if (progress == PROGRESS_DONE)
        return answer(request, order);
    return progress == PROGRESS_WAIT ? progress : http_answer_problem(request, &error);
}

enum progress revocations_post(struct http_request *request, void *context)
{
    struct order *order = request->state;
    struct error error = { 0 };

    if (!order && request->is_abandoned)
        return PROGRESS_DONE;
    if (!order) {
        request->state = begin(request, context, &error);
        return request->state ? PROGRESS_WAIT : http_answer_problem(request, &error);
    }
    if (request->is_woken)
        return go_on(request, order); /* what was begun is ended, peer or not */
    return !order->has_found && lease_find_forget(order->find) ? PROGRESS_DONE : PROGRESS_WAIT;
}
