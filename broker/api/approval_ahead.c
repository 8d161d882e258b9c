#include <string.h>

#include "api/api_internal.h"
#include "api/approval_view.h"
#include "api/token_request.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "exchange/approval_digest.h"
#include "exchange/granters.h"
#include "exchange/rules.h"
#include "http/form.h"
#include "identity/people.h"
#include "ledger/entry.h"
#include "ledger/ledger.h"

/*
 * An approval that is given before anybody asks: for a stage, with all its grants, of one commit.
 * Where more people are asked it is pending until they have granted it as any other. Who started
 * the run that uses it is looked at then.
 */

/* Of a stage that asks for no approval, where the glass is broken ahead of a freeze. */
#define BREAK_GLASS_WITHIN_S 3600

#define HASH_MAX 128
#define STAGE_MAX 121

/* One on its way, in the request's arena. */
struct ahead {
    const struct api *api;
    const struct person *person;
    struct arena *arena;
    struct rules *rules;
    const struct policy_stage *stage;
    struct policy_approval terms;
    struct approval_subject subject;
    uint8_t digest[SHA256_LEN];
    struct str reason;
    struct str seen; /* the digest that was seen; empty: a dry run */
    bool is_break_glass;
    bool is_dry;
    char id[ID_LEN + 1];
    uint8_t who[STORE_PERSON_LEN];
    int64_t until_s;
    json_t *entry;
    json_t *private_part;
    struct ledger_append append;
};

/* ---- what is asked ---- */

static bool is_hash(struct str text)
{
    return text.len > 0 && text.len <= HASH_MAX && str_is_made_of(text, "0123456789abcdef");
}

static bool read_stage(const struct form *form, struct ahead *ahead, struct error *error)
{
    struct str name;

    if (!form_get(form, "stage", &name) || name.len > STAGE_MAX)
        return approval_refuse(error, "'stage' is PIPELINE:STAGE");
    ahead->stage = policy_stage_find(ahead->rules->policy, name);
    return ahead->stage || approval_refuse(error, "the policy in force has no such stage");
}

static bool read_commits(const struct form *form, struct approval_subject *subject,
                         struct error *error)
{
    if (!form_get(form, "commit", &subject->commit) || !is_hash(subject->commit))
        return approval_refuse(error, "'commit' is a hash in lower-case hexadecimal");
    subject->workflow = APPROVAL_WORKFLOW_OF_COMMIT;
    if (!form_get(form, "workflow_commit", &subject->workflow_commit))
        return true;
    subject->workflow = APPROVAL_WORKFLOW_AS_SAID;
    return is_hash(subject->workflow_commit) ||
           approval_refuse(error, "'workflow_commit' is a hash in lower-case hexadecimal");
}

static bool read_form(struct http_request *request, struct ahead *ahead, struct error *error)
{
    static const char *const parameters[] = { "stage",   "commit",  "workflow_commit",
                                              "binding", "reason",  "break_glass",
                                              "digest",  "dry_run", NULL };
    struct form *form = arena_alloc(request->arena, sizeof(*form));

    if (!form)
        return error_set(error, ERROR_MEMORY, "form");
    if (!form_parse(request->body, parameters, request->arena, form, error) ||
        !read_stage(form, ahead, error) || !read_commits(form, &ahead->subject, error) ||
        !approval_read_flag(form, "break_glass", &ahead->is_break_glass, error) ||
        !approval_read_flag(form, "dry_run", &ahead->is_dry, error) ||
        !token_read_bindings(form, request->arena, &ahead->subject.bindings, error))
        return false;
    (void)form_get(form, "digest", &ahead->seen);
    return ahead->is_dry || approval_read_reason(form, &ahead->reason, error);
}

/* ---- whether it may be ---- */

static bool is_in_group(const struct ahead *ahead)
{
    for (size_t i = 0; i < ahead->person->group_count; i++)
        if (str_eq(ahead->person->groups[i], ahead->terms.by))
            return true;
    return false;
}

static bool check_role(struct ahead *ahead, struct error *error)
{
    const struct policy_approval *wanted = ahead->stage->obligations.approval;

    if (wanted)
        ahead->terms = *wanted;
    if (ahead->is_break_glass) {
        ahead->terms.count = 1;
        if (!wanted)
            ahead->terms.within_s = BREAK_GLASS_WITHIN_S;
        return person_may(ahead->person, PERSON_OPERATOR, ahead->stage->tenant) ||
               error_set(error, ERROR_ROLE, "only operators break the glass");
    }
    if (!wanted)
        return approval_refuse(error, "the stage asks for no approval");
    return is_in_group(ahead) || error_set(error, ERROR_ROLE, "not of the group that is asked");
}

static bool check_bindings(const struct ahead *ahead, struct error *error)
{
    for (size_t i = 0; i < ahead->terms.bind_count; i++) {
        struct str name = ahead->terms.bind[i];

        if (!json_object_getn(ahead->subject.bindings, name.data, name.len))
            return approval_refuse(error, "the stage asks for a binding: say which is approved");
    }
    return !policy_stage_has_holes(ahead->stage) ||
           approval_refuse(error, "what the stage gives depends on who asks: it cannot be approved "
                                  "ahead of them");
}

/* ---- what it gives ---- */

static bool add_grants(struct ahead *ahead, struct error *error)
{
    const struct policy_stage *stage = ahead->stage;
    struct approval_grant *grants =
        arena_alloc_array(ahead->arena, stage->grant_count + 1, sizeof(*grants));
    int64_t now_s = clock_wall_s();

    if (!grants)
        return error_set(error, ERROR_MEMORY, "grants");
    ahead->subject.grants = grants;
    for (size_t i = 0; i < stage->grant_count; i++) {
        const struct policy_grant *grant = &stage->grants[i];

        if (grant->until_s != 0 && now_s >= grant->until_s)
            continue;
        grants[ahead->subject.grant_count++] = (struct approval_grant){
            .name = grant->name,
            .kind = str_from(grant->kind->name),
            .target = grant->target ? grant->target->name : STR(""),
            .fields = grant->fields,
            .ttl_s = grant->ttl_s,
        };
    }
    return true;
}

static bool describe(struct ahead *ahead, struct error *error)
{
    ahead->subject.stage = ahead->stage->id;
    ahead->subject.instance = ahead->stage->instance;
    ahead->subject.breaks_glass = ahead->is_break_glass;
    ahead->subject.rule_sha256 = policy_stage_rule(ahead->rules->policy, ahead->stage);
    return add_grants(ahead, error) && approval_digest(&ahead->subject, ahead->digest, error);
}

/* ---- the entry ---- */

static bool put_stage(const struct ahead *ahead, json_t *entry)
{
    const struct policy_stage *stage = ahead->stage;

    return json_put_text(entry, "pipeline", stage->pipeline) &&
           json_put_text(entry, "stage", stage->id) &&
           json_put(entry, "kind", json_string(policy_stage_kind_name(stage->kind))) &&
           json_put_text(entry, "environment", stage->environment) &&
           json_put_text(entry, "tenant", stage->tenant) &&
           json_put_text(entry, "owner", stage->owner) &&
           json_put_text(entry, "instance", ahead->subject.instance) &&
           json_put(entry, "policy", json_from_sha256(policy_sha256(ahead->rules->policy))) &&
           json_put(entry, "rule", json_from_sha256(ahead->subject.rule_sha256)) &&
           json_put(entry, "digest", json_from_sha256(ahead->digest));
}

static bool put_terms(const struct ahead *ahead, json_t *request)
{
    const struct policy_approval *terms = &ahead->terms;
    json_t *object = json_object();

    return json_put(request, "approval", object) && json_put_text(object, "by", terms->by) &&
           json_put(object, "count", json_integer(terms->count)) &&
           json_put(object, "within_s", json_integer(terms->within_s)) &&
           (!terms->self_is_unchecked ||
            json_put(object, "self_approval", json_string("unchecked")));
}

/* The rest of what is said of a run: as far as it is known before there is one. */
static bool put_request(const struct ahead *ahead, json_t *entry)
{
    const struct approval_subject *subject = &ahead->subject;
    json_t *request = json_object();
    json_t *ci = json_object();

    return json_put(entry, "ci", ci) && json_put_text(ci, "commit", subject->commit) &&
           json_put_text(ci, "workflow_commit", subject->workflow_commit) &&
           json_put(entry, "request", request) && json_put_text(request, "reason", ahead->reason) &&
           (!subject->bindings ||
            json_put(request, "bindings", json_incref(json_iterable(subject->bindings)))) &&
           json_put(request, "grants",
                    approval_grants_shown(subject->grants, subject->grant_count)) &&
           put_terms(ahead, request);
}

static bool put_granted(struct ahead *ahead, json_t *entry)
{
    int64_t left = ahead->terms.count - 1;

    ahead->until_s = clock_wall_s() + (left > 0 ? ahead->terms.wait_s : ahead->terms.within_s);
    return json_put(entry, "approval", json_string(ahead->id)) &&
           json_put(entry, "left", json_integer(left)) &&
           approval_put_time(entry, "until", ahead->until_s) &&
           (ahead->is_dry || json_put(entry, "reason", json_from_str(ahead->reason))) &&
           approval_put_person(entry, ahead->who) &&
           (!ahead->is_break_glass || json_put(entry, "break_glass", json_true()));
}

static bool put_granters(const struct ahead *ahead, struct error *error)
{
    JSON_OWNED json_t *claims = json_object();

    if (!claims || !person_keep_claims(ahead->rules->people, ahead->person, claims))
        return error_set(error, ERROR_MEMORY, "claims");
    return granters_put(ahead->api->service->tools.keys, str_from(ahead->id), claims,
                        ahead->private_part, error);
}

static bool make_entry(struct ahead *ahead, struct error *error)
{
    const struct exchange_service *service = ahead->api->service;

    ahead->entry = entry_new(ENTRY_APPROVAL_GRANTED, ledger_broker(service->ledger));
    ahead->private_part = json_object();
    if (!ahead->entry || !json_keep(ahead->arena, ahead->entry, error) || !ahead->private_part ||
        !json_keep(ahead->arena, ahead->private_part, error))
        return error_set(error, ERROR_MEMORY, "entry");
    if (!id_new(clock_wall_ms(), ahead->id, error) ||
        !granters_name(service->tools.keys, str_from(ahead->id), &ahead->person->token, ahead->who,
                       error))
        return false;
    if (!put_stage(ahead, ahead->entry) || !put_request(ahead, ahead->entry) ||
        !put_granted(ahead, ahead->entry))
        return error_set(error, ERROR_MEMORY, "entry");
    return people_put_actor(ahead->person, ahead->entry, ahead->private_part, error) &&
           put_granters(ahead, error);
}

/* What is granted must be what was seen, in a dry run. */
static bool check_seen(const struct ahead *ahead, struct error *error)
{
    JSON_OWNED json_t *digest = json_from_sha256(ahead->digest);

    if (!digest)
        return error_set(error, ERROR_MEMORY, "digest");
    return str_eq(json_str(digest), ahead->seen) ||
           approval_refuse(error, "'digest' is not that of what would be given: look at it again, "
                                  "with dry_run");
}

/* ---- the route ---- */

static void release_ahead(void *object)
{
    struct ahead *ahead = object;

    rules_put(ahead->api->service->rules, ahead->rules);
}

static struct ahead *ahead_new(struct http_request *request, const struct api *api)
{
    struct ahead *ahead = arena_alloc(request->arena, sizeof(*ahead));

    if (!ahead)
        return NULL;
    ahead->api = api;
    ahead->person = request->caller;
    ahead->arena = request->arena;
    ahead->rules = rules_get(api->service->rules);
    return arena_defer(request->arena, release_ahead, ahead) ? ahead : NULL;
}

static bool prepare(struct http_request *request, struct ahead *ahead, struct error *error)
{
    return read_form(request, ahead, error) && check_role(ahead, error) &&
           check_bindings(ahead, error) && describe(ahead, error) && make_entry(ahead, error) &&
           (ahead->is_dry || check_seen(ahead, error));
}

static bool submit(struct http_request *request, struct ahead *ahead, struct error *error)
{
    ahead->append = (struct ledger_append){
        .entries = { ahead->entry },
        .private_parts = { ahead->private_part },
        .entry_count = 1,
        .waker = http_waker(request),
    };
    return ledger_submit(ahead->api->service->ledger, &ahead->append, ahead->arena, error);
}

/* What it would be, as it is shown once it is. */
static bool put_preview(const struct ahead *ahead, json_t *body)
{
    struct approval_view view = { .entry = ahead->entry };

    view.row.state = ahead->terms.count > 1 ? APPROVAL_PENDING : APPROVAL_GRANTED;
    view.row.expires_s = ahead->until_s;
    view.row.is_break_glass = ahead->is_break_glass;
    view.row.person_count = 1;
    view.count = ahead->terms.count;
    memcpy(view.row.digest, ahead->digest, sizeof(view.row.digest));
    return approval_view_put(&view, clock_wall_s(), body) && json_object_del(body, "id") == 0 &&
           json_object_del(body, "entry") == 0 && json_object_del(body, "requested_at") == 0 &&
           json_put(body, "dry_run", json_true());
}

static void tell(const struct ahead *ahead)
{
    struct log_line line;

    if (ahead->terms.count == 1)
        metric_add(METRIC_APPROVALS_GRANTED, 1);
    if (ahead->is_break_glass)
        metric_add(METRIC_APPROVALS_BREAK_GLASS, 1);
    log_begin(&line, ahead->is_break_glass ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
              ahead->is_break_glass ? "approval.break_glass" : "approval.granted");
    log_text(&line, "approval", ahead->id);
    log_str(&line, "stage", ahead->stage->id);
    log_int(&line, "left", ahead->terms.count - 1);
    log_end(&line);
}

static bool put_given(const struct ahead *ahead, json_t *body)
{
    bool is_pending = ahead->terms.count > 1;

    return json_put(body, "id", json_string(ahead->id)) &&
           json_put(body, "state", json_string(is_pending ? "pending" : "granted")) &&
           json_put(body, "left", json_integer(ahead->terms.count - 1)) &&
           approval_put_time(body, "until", ahead->until_s) &&
           json_put(body, "entry", json_integer((json_int_t)ahead->append.first_index));
}

static enum progress answer(struct http_request *request, const struct ahead *ahead)
{
    json_t *body = json_object();

    if (!ahead->is_dry)
        tell(ahead);
    if (!(ahead->is_dry ? put_preview : put_given)(ahead, body)) {
        json_decref(body);
        body = NULL;
    }
    return http_answer_json(request, ahead->is_dry ? 200 : 201, body);
}

enum progress approvals_post(struct http_request *request, void *context)
{
    struct ahead *ahead = request->state;
    struct error error = { 0 };

    if (ahead && !request->is_woken)
        return PROGRESS_WAIT;
    if (ahead)
        return ahead->append.is_committed ? answer(request, ahead)
                                          : http_answer_problem(request, &ahead->append.error);
    if (request->is_abandoned)
        return PROGRESS_DONE;
    ahead = ahead_new(request, context);
    if (!ahead)
        (void)error_set(&error, ERROR_MEMORY, "approval");
    if (!ahead || !prepare(request, ahead, &error))
        return error.code == ERROR_ROLE ? people_refuse(request, &error)
                                        : http_answer_problem(request, &error);
    if (ahead->is_dry)
        return answer(request, ahead);
    request->state = ahead;
    return submit(request, ahead, &error) ? PROGRESS_WAIT : http_answer_problem(request, &error);
}
