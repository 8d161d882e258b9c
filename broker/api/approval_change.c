#include <string.h>

#include "api/api_internal.h"
#include "api/approval_view.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/time_text.h"
#include "exchange/granters.h"
#include "exchange/rules.h"
#include "exchange/tally.h"
#include "http/form.h"
#include "identity/people.h"
#include "keys/keys.h"
#include "ledger/entry.h"
#include "ledger/ledger.h"

/*
 * People grant and refuse what was asked: each is an entry, appended under the guard that the
 * approval is as it was looked at. So of all who do it at the same time each sees what the others
 * did, nobody counts twice, and one is the last.
 *
 * Who was not let do it is recorded too.
 */

#define TRIES_MAX 16

/* One person's word on its way, in the request's arena. */
struct change {
    const struct api *api;
    const struct person *person;
    struct arena *arena;
    bool is_grant;
    bool is_break_glass;
    struct str id;
    struct str reason;
    struct str digest; /* that was seen */
    struct approval_view view;
    struct rules *rules;
    uint8_t who[STORE_PERSON_LEN];
    int64_t left;
    int64_t until_s;
    bool is_unchecked;   /* nobody can tell, or nobody is to, whose run it is */
    const char *refusal; /* why it is refused, as recorded; NULL: it is not */
    struct error why;
    struct ledger_append append;
    unsigned tries;
};

/* ---- who may ---- */

/* Refused, and worth an entry: somebody tried what they may not. */
static bool deny(struct change *change, const char *refusal, enum error_code code, const char *why,
                 struct error *error)
{
    change->refusal = refusal;
    (void)error_set(error, code, "%s", why);
    if (code != ERROR_ROLE)
        error_tell(error, "%s", why);
    return false;
}

static bool check_role(struct change *change, struct error *error)
{
    const struct approval_view *view = &change->view;
    const struct person *person = change->person;
    bool is_operator = person_may(person, PERSON_OPERATOR, view->tenant);

    if (change->is_break_glass)
        return is_operator ||
               deny(change, "not_an_operator", ERROR_ROLE, "only operators break the glass", error);
    if (!change->is_grant && is_operator)
        return true;
    return approval_asks(view, person) ||
           deny(change, "not_an_approver", ERROR_ROLE, "not of the group that is asked", error);
}

static bool check_state(const struct change *change, struct error *error)
{
    const struct store_approval *row = &change->view.row;

    if (row->expires_s <= clock_wall_s())
        return approval_refuse(error, "it came to its end: it has to be asked for again");
    if (row->state == APPROVAL_PENDING || (row->state == APPROVAL_GRANTED && !change->is_grant))
        return true;
    return approval_refuse(error, row->state == APPROVAL_GRANTED    ? "it is granted already"
                                  : row->state == APPROVAL_REJECTED ? "it was refused already"
                                                                    : "it was used already");
}

/* What is granted must be what was seen. */
static bool check_digest(const struct change *change, struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };
    const uint8_t *digest = change->view.row.digest;

    buf_init(&text, 128);
    buf_add_text(&text, "sha256:");
    buf_add_hex(&text, (struct str){ (const char *)digest, SHA256_LEN });
    if (!buf_is_ok(&text))
        return error_set(error, ERROR_MEMORY, "digest");
    return str_eq(buf_str(&text), change->digest) ||
           approval_refuse(error,
                           "'digest' is not that of this approval: look again at what is asked");
}

/*
 * Nobody approves their own run. Where the glass is broken it is enough that nobody knows: the
 * stage may never have asked for an approval, and nobody have said who is who.
 */
static bool check_self(struct change *change, struct error *error)
{
    const struct approval_view *view = &change->view;
    JSON_OWNED json_t *ci = NULL;
    enum people_match match;

    if (view->issuer.len == 0)
        return true; /* no run yet: it is looked at when one comes */
    if (!view->self_is_unchecked && approval_view_is_for(view, change->person))
        return deny(change, "self_approval", ERROR_REQUEST,
                    "the run acts for you: somebody else has to approve it", error);
    ci = approval_view_ci(view);
    if (!ci)
        return error_set(error, ERROR_MEMORY, "facts");
    match = person_match_run(change->rules->people, change->person, view->issuer, ci);
    change->is_unchecked = match != PEOPLE_OTHER;
    if (match == PEOPLE_OTHER || view->self_is_unchecked)
        return true;
    if (match == PEOPLE_UNKNOWN && change->is_break_glass)
        return true;
    return deny(change, "self_approval", ERROR_REQUEST,
                match == PEOPLE_SAME
                    ? "you started the run: somebody else has to approve it"
                    : "nobody can tell whether you started the run: your login says too little",
                error);
}

static bool check_twice(struct change *change, struct error *error)
{
    const struct store_approval *row = &change->view.row;

    for (size_t i = 0; i < row->person_count; i++)
        if (memcmp(row->people[i], change->who, sizeof(change->who)) == 0)
            return deny(change, "twice", ERROR_REQUEST,
                        "you have granted it: it takes somebody else besides", error);
    return true;
}

/*
 * Nor does who is another by name alone, as they came by another client. Where the glass is broken
 * nobody else is needed.
 */
static bool check_clients(struct change *change, struct error *error)
{
    const struct people_options *people = change->rules->people;
    const struct store_approval *row = &change->view.row;
    struct granters granters = { 0 };
    struct error why = { 0 };
    bool are_others = true;

    if (row->person_count == 0 || change->is_break_glass || !people_have_two_clients(people))
        return true;
    if (!granters_read(change->api->service->ledger, change->api->service->tools.keys, row,
                       change->arena, &granters, &why) &&
        granters_failed(&why)) {
        *error = why;
        return false;
    }
    for (size_t i = 0; i < json_array_size(granters.list); i++)
        are_others = are_others && people_are_two(people, json_array_get(granters.list, i),
                                                  change->person->token.claims);
    return (are_others && json_array_size(granters.list) > 0) ||
           deny(change, "twice", ERROR_REQUEST,
                "nobody can tell that you and who granted it are two people: sign in at the same "
                "client, with a verified address",
                error);
}

static bool check(struct change *change, struct error *error)
{
    if (!granters_name(change->api->service->tools.keys, change->id, &change->person->token,
                       change->who, error) ||
        !check_role(change, error) || !check_state(change, error))
        return false;
    if (!change->is_grant)
        return true;
    return check_digest(change, error) && check_self(change, error) && check_twice(change, error) &&
           check_clients(change, error);
}

/* ---- the entries ---- */

/* Who and what it is about, from the entry by which it began. */
static bool copy_opened(const struct change *change, json_t *entry)
{
    static const char *const kept[] = { "issuer", "subject",     "pipeline", "stage", "kind",
                                        "tenant", "environment", "owner",    "ci",    "digest",
                                        "rule",   "policy",      "instance" };

    for (size_t i = 0; i < COUNT(kept); i++) {
        json_t *value = json_object_get(change->view.entry, kept[i]);

        if (value && !json_put(entry, kept[i], json_incref(value)))
            return false;
    }
    return true;
}

static bool begin_entry(const struct change *change, enum entry_type type, json_t **entry,
                        json_t **private_part, struct error *error)
{
    *entry = entry_new(type, ledger_broker(change->api->service->ledger));
    *private_part = json_object();
    if (!*entry || !json_keep(change->arena, *entry, error) || !*private_part ||
        !json_keep(change->arena, *private_part, error) ||
        !json_put(*entry, "approval", json_from_str(change->id)) || !copy_opened(change, *entry))
        return error_set(error, ERROR_MEMORY, "entry");
    return people_put_actor(change->person, *entry, *private_part, error);
}

static bool put_granted(struct change *change, json_t *entry)
{
    const struct approval_view *view = &change->view;

    change->left = change->is_break_glass ? 0 : approval_view_left(view) - 1;
    change->until_s = change->left > 0 ? view->row.expires_s : clock_wall_s() + view->within_s;
    return json_put(entry, "left", json_integer(change->left)) &&
           approval_put_time(entry, "until", change->until_s) &&
           (view->row.person_count == 0 ||
            granters_put_before(entry, (int64_t)view->row.latest_index)) &&
           (!change->is_break_glass || json_put(entry, "break_glass", json_true())) &&
           (!change->is_unchecked ||
            json_put(entry, "detail", json_string("self-approval is unchecked")));
}

/* Whose run uses it need not be whose run asked: that is looked at by what is kept of this person.
 */
static bool put_granters(struct change *change, json_t *private_part, struct error *error)
{
    JSON_OWNED json_t *claims = json_object();

    if (!claims || !person_keep_claims(change->rules->people, change->person, claims))
        return error_set(error, ERROR_MEMORY, "claims");
    return granters_put(change->api->service->tools.keys, change->id, claims, private_part, error);
}

static bool make_entry(struct change *change, json_t **entry, json_t **private_part,
                       struct error *error)
{
    enum entry_type type = change->is_grant ? ENTRY_APPROVAL_GRANTED : ENTRY_APPROVAL_REJECTED;

    if (!begin_entry(change, type, entry, private_part, error))
        return false;
    if (!approval_put_person(*entry, change->who) ||
        !json_put(*entry, "reason", json_from_str(change->reason)))
        return error_set(error, ERROR_MEMORY, "entry");
    if (!change->is_grant)
        return true;
    return (put_granted(change, *entry) || error_set(error, ERROR_MEMORY, "entry")) &&
           put_granters(change, *private_part, error);
}

/* ---- appending ---- */

static bool queue(struct http_request *request, struct change *change, json_t *entry,
                  json_t *private_part, struct error *error)
{
    const struct store_approval *row = &change->view.row;

    change->append = (struct ledger_append){
        .entries = { entry },
        .private_parts = { private_part },
        .entry_count = 1,
        .waker = http_waker(request),
    };
    if (!change->refusal) {
        change->append.guard_count = 1;
        change->append.guards[0] = (struct store_guard){
            .kind = STORE_GUARD_APPROVAL,
            .approval = row->state,
            .version = row->version,
        };
        memcpy(change->append.guards[0].lease_id, row->id, sizeof(row->id));
        change->append.is_revocation = !change->is_grant;
    }
    return ledger_submit(change->api->service->ledger, &change->append, change->arena, error);
}

/* One more attempt, at what it is now. */
static bool submit(struct http_request *request, struct change *change, struct error *error)
{
    json_t *private_part;
    json_t *entry;

    if (change->tries++ == TRIES_MAX)
        return error_set(error, ERROR_BUSY, "others change the approval all the time");
    return approval_view_find(change->api->service->ledger, change->id, change->arena,
                              &change->view, error) &&
           check(change, error) && make_entry(change, &entry, &private_part, error) &&
           queue(request, change, entry, private_part, error);
}

/* Record who was not let do it, unless they have tried often; false where there is no entry. */
static bool record_refusal(struct http_request *request, struct change *change, struct error *error)
{
    struct str key = arena_printf(change->arena, "%s\n" STR_FMT "\n" STR_FMT, change->refusal,
                                  STR_ARG(change->id), STR_ARG(change->person->subject));
    char decision[ID_LEN + 1] = "";
    json_t *private_part;
    json_t *entry;

    if (!key.data || !id_new(clock_wall_ms(), decision, error) ||
        !begin_entry(change, ENTRY_APPROVAL_REFUSED, &entry, &private_part, error))
        return false;
    if (!json_put(entry, "decision", json_string(decision)) ||
        !json_put(entry, "reason", json_string(change->refusal)) ||
        !approval_put_person(entry, change->who))
        return error_set(error, ERROR_MEMORY, "entry");
    return tally_admit(change->api->service->denials, key, entry, clock_wall_s()) &&
           queue(request, change, entry, private_part, error);
}

static enum progress tell_failure(struct http_request *request, const struct error *error)
{
    return error->code == ERROR_ROLE ? people_refuse(request, error)
                                     : http_answer_problem(request, error);
}

static enum progress fail(struct http_request *request, struct change *change,
                          const struct error *error)
{
    struct error ignored = { 0 };

    change->why = *error;
    if (change->refusal && record_refusal(request, change, &ignored))
        return PROGRESS_WAIT;
    return tell_failure(request, ignored.code == ERROR_LEDGER ? &ignored : error);
}

static void tell(const struct change *change)
{
    struct log_line line;
    bool is_last = change->is_grant && change->left == 0;

    if (is_last || !change->is_grant)
        metric_add(change->is_grant ? METRIC_APPROVALS_GRANTED : METRIC_APPROVALS_REJECTED, 1);
    if (change->is_break_glass)
        metric_add(METRIC_APPROVALS_BREAK_GLASS, 1);
    log_begin(&line, change->is_break_glass ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
              change->is_break_glass ? "approval.break_glass"
              : change->is_grant     ? "approval.granted"
                                     : "approval.rejected");
    log_str(&line, "approval", change->id);
    log_str(&line, "stage", change->view.stage);
    if (change->is_grant)
        log_int(&line, "left", change->left);
    log_end(&line);
}

static enum progress answer(struct http_request *request, const struct change *change)
{
    json_t *body = json_object();
    const char *state = !change->is_grant ? "rejected" : change->left > 0 ? "pending" : "granted";

    tell(change);
    if (!json_put(body, "id", json_from_str(change->id)) ||
        !json_put(body, "state", json_string(state)) ||
        (change->is_grant && (!json_put(body, "left", json_integer(change->left)) ||
                              !approval_put_time(body, "until", change->until_s))) ||
        !json_put(body, "entry", json_integer((json_int_t)change->append.first_index))) {
        json_decref(body);
        body = NULL;
    }
    return http_answer_json(request, 200, body);
}

/* The store is done with the entry; somebody else may have been first: look again. */
static enum progress go_on(struct http_request *request, struct change *change)
{
    struct error error = { 0 };

    if (change->refusal)
        return tell_failure(request,
                            change->append.is_committed ? &change->why : &change->append.error);
    if (change->append.is_committed)
        return answer(request, change);
    if (change->append.failed_guard >= change->append.guard_count)
        return http_answer_problem(request, &change->append.error);
    return submit(request, change, &error) ? PROGRESS_WAIT : fail(request, change, &error);
}

/* ---- the route ---- */

static void release_change(void *object)
{
    struct change *change = object;

    rules_put(change->api->service->rules, change->rules);
}

static struct change *change_new(struct http_request *request, const struct api *api)
{
    struct change *change = arena_alloc(request->arena, sizeof(*change));

    if (!change)
        return NULL;
    change->api = api;
    change->person = request->caller;
    change->arena = request->arena;
    change->rules = rules_get(api->service->rules);
    return arena_defer(request->arena, release_change, change) ? change : NULL;
}

/* ID/grant or ID/deny. */
static bool read_path(struct str path, struct change *change, struct error *error)
{
    struct str verb;

    (void)str_cut(path, '/', &change->id, &verb);
    change->is_grant = str_eq(verb, STR("grant"));
    return (id_is_valid(change->id) && (change->is_grant || str_eq(verb, STR("deny")))) ||
           error_set(error, ERROR_NOT_FOUND, "no approval has such an id, or nothing such is done");
}

static bool read_form(struct http_request *request, struct change *change, struct error *error)
{
    static const char *const parameters[] = { "digest", "reason", "break_glass", NULL };
    struct form *form = arena_alloc(request->arena, sizeof(*form));

    if (!form)
        return error_set(error, ERROR_MEMORY, "form");
    if (!form_parse(request->body, parameters, request->arena, form, error))
        return false;
    (void)form_get(form, "digest", &change->digest);
    if (!approval_read_flag(form, "break_glass", &change->is_break_glass, error))
        return false;
    if (!approval_read_reason(form, &change->reason, error))
        return false;
    return change->is_grant || !change->is_break_glass ||
           approval_refuse(error, "nothing is refused by breaking the glass");
}

enum progress approval_post(struct http_request *request, void *context)
{
    struct change *change = request->state;
    struct error error = { 0 };

    if (change)
        return request->is_woken ? go_on(request, change) : PROGRESS_WAIT;
    if (request->is_abandoned)
        return PROGRESS_DONE;
    change = change_new(request, context);
    if (!change) {
        (void)error_set(&error, ERROR_MEMORY, "approval");
        return http_answer_problem(request, &error);
    }
    if (!read_path(request->rest, change, &error) || !read_form(request, change, &error))
        return http_answer_problem(request, &error);
    request->state = change;
    return submit(request, change, &error) ? PROGRESS_WAIT : fail(request, change, &error);
}
