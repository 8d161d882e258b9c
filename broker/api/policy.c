#include "policy/policy.h"

#include <string.h>

#include "api/api_internal.h"
#include "api/cursor.h"
#include "api/policy_report.h"
#include "api/readings.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/time_text.h"
#include "exchange/rules.h"
#include "identity/people.h"

/*
 * The policy in force, for those whom it concerns: auditors and operators of a pipeline's tenant,
 * and members of its owner. A page has the next stages that its reader may see, under their
 * pipelines; one that has looked at enough stages ends, whatever it found, so that no request takes
 * long.
 */

#define LIST_STAGES 1 /* of cursors */
#define PAGE_STAGES_MAX 200
#define PAGE_LOOKED_AT_MAX 20000
#define EXCEPTIONS_MAX 1000

struct page {
    const struct person *person;
    const struct policy *policy;
    json_t *pipelines;
    json_t *stages;      /* of the last pipeline */
    struct str pipeline; /* its name */
    size_t stage_count;
    size_t looked_at;
};

/* ---- small values ---- */

static bool put_time(json_t *object, const char *name, int64_t time_s)
{
    char text[TIME_TEXT_S_LEN + 1];

    time_text_s(time_s, text);
    return time_s == 0 || json_put(object, name, json_string(text));
}

static bool put_count(json_t *object, const char *name, size_t count)
{
    return json_put(object, name, json_integer((json_int_t)count));
}

/* ---- who sees what ---- */

static bool has_role(const struct person *person, struct str tenant)
{
    return person_may(person, PERSON_AUDITOR, tenant) ||
           person_may(person, PERSON_OPERATOR, tenant);
}

static bool may_see(const struct person *person, const struct policy_stage *stage)
{
    return has_role(person, stage->tenant) || person_is_owner(person, stage->owner);
}

/* ---- stages ---- */

static bool put_grant(json_t *list, const struct policy_grant *grant)
{
    json_t *object = json_object();

    if (!object || json_array_append_new(list, object) != 0)
        return false;
    return json_put_text(object, "name", grant->name) &&
           json_put(object, "kind", json_string(grant->kind->name)) &&
           (!grant->target || json_put_text(object, "target", grant->target->name)) &&
           json_put(object, "ttl_s", json_integer(grant->ttl_s)) &&
           put_time(object, "until", grant->until_s);
}

static bool put_stage(json_t *list, const struct policy_stage *stage)
{
    json_t *object = json_object();
    json_t *grants = json_array();

    if (!object || json_array_append_new(list, object) != 0) {
        json_decref(grants);
        return false;
    }
    if (!json_put(object, "grants", grants) || !json_put_text(object, "id", stage->id) ||
        !json_put(object, "kind", json_string(policy_stage_kind_name(stage->kind))) ||
        !json_put_text(object, "environment", stage->environment) ||
        !put_time(object, "until", stage->until_s))
        return false;
    for (size_t i = 0; i < stage->grant_count; i++)
        if (!put_grant(grants, &stage->grants[i]))
            return false;
    return true;
}

static bool begin_pipeline(struct page *page, const struct policy_stage *stage)
{
    json_t *object = json_object();

    if (!object || json_array_append_new(page->pipelines, object) != 0)
        return false;
    page->pipeline = stage->pipeline;
    page->stages = json_array();
    return json_put(object, "stages", page->stages) &&
           json_put_text(object, "name", stage->pipeline) &&
           json_put_text(object, "owner", stage->owner) &&
           json_put_text(object, "tenant", stage->tenant) &&
           put_time(object, "review_by", stage->review_by_s);
}

static bool add_stage(struct page *page, const struct policy_stage *stage)
{
    if ((!page->stages || !str_eq(page->pipeline, stage->pipeline)) && !begin_pipeline(page, stage))
        return false;
    page->stage_count++;
    return put_stage(page->stages, stage);
}

/* From a stage on; where the next page begins goes to `*next`. */
static bool fill(struct page *page, size_t from, size_t *next)
{
    size_t end = policy_stage_count(page->policy);

    for (*next = from;
         *next < end && page->stage_count < PAGE_STAGES_MAX && page->looked_at < PAGE_LOOKED_AT_MAX;
         (*next)++) {
        const struct policy_stage *stage = policy_stage_at(page->policy, *next);

        page->looked_at++;
        if (may_see(page->person, stage) && !add_stage(page, stage))
            return false;
    }
    return true;
}

static bool put_page(const struct person *person, const struct policy *policy, json_t *body,
                     struct cursor *cursor, struct arena *arena)
{
    struct page page = { .person = person, .policy = policy, .pipelines = json_array() };
    size_t next = 0;

    if (!json_put(body, "pipelines", page.pipelines) ||
        !fill(&page, (size_t)cursor->position, &next))
        return false;
    if (next == policy_stage_count(policy))
        return true;
    cursor->position = next;
    return json_put(body, "next", json_from_str(cursor_write(cursor, arena)));
}

/* ---- the policy as a whole ---- */

static bool put_exception(json_t *list, const struct policy_exception *exception)
{
    json_t *object = json_object();

    if (!object || json_array_append_new(list, object) != 0)
        return false;
    return json_put_text(object, "from", exception->guardrail) &&
           json_put_text(object, "pipeline", exception->pipeline) &&
           json_put_text(object, "stage", exception->stage) &&
           put_time(object, "until", exception->until_s) &&
           json_put_text(object, "why", exception->why);
}

static const struct policy_stage *
excepted(const struct policy *policy, const struct policy_exception *exception, struct arena *arena)
{
    struct str id = arena_printf(arena, STR_FMT ":" STR_FMT, STR_ARG(exception->pipeline),
                                 STR_ARG(exception->stage));

    return policy_stage_find(policy, id);
}

/* Those that still except, of stages that the reader may see. */
static bool put_exceptions(const struct person *person, const struct policy *policy, json_t *body,
                           struct arena *arena)
{
    json_t *list = json_array();
    int64_t now_s = clock_wall_s();
    size_t count;
    const struct policy_exception *exceptions = policy_exceptions(policy, &count);

    if (!json_put(body, "exceptions", list))
        return false;
    for (size_t i = 0; i < count && json_array_size(list) < EXCEPTIONS_MAX; i++) {
        const struct policy_stage *stage = excepted(policy, &exceptions[i], arena);

        if (exceptions[i].until_s > now_s && stage && may_see(person, stage) &&
            !put_exception(list, &exceptions[i]))
            return false;
    }
    return true;
}

static bool put_counts(const struct policy *policy, json_t *body)
{
    json_t *counts = json_object();

    return json_put(body, "counts", counts) &&
           put_count(counts, "files", policy_text_count(policy)) &&
           put_count(counts, "pipelines", policy_pipeline_count(policy)) &&
           put_count(counts, "stages", policy_stage_count(policy));
}

/* ---- how the last load went ---- */

static bool put_mistake(json_t *list, const struct policy_mistake *mistake)
{
    json_t *object = json_object();

    if (!object || json_array_append_new(list, object) != 0)
        return false;
    return json_put_text(object, "file", str_from(mistake->file)) &&
           (mistake->line == 0 || (json_put(object, "line", json_integer(mistake->line)) &&
                                   json_put(object, "column", json_integer(mistake->column)))) &&
           json_put_text(object, "message", str_from(mistake->message));
}

static bool put_load(const struct policy_report *report, json_t *body)
{
    json_t *object = json_object();
    json_t *list;

    if (!json_put(body, "load", object) || !put_time(object, "at", report->at_s) ||
        !json_put(object, "errors", json_integer(report->error_count)))
        return false;
    if (report->since_s == 0)
        return true;
    list = json_array();
    if (!json_put(object, "mistakes", list) || !put_time(object, "failing_since", report->since_s))
        return false;
    for (size_t i = 0; i < report->mistake_count; i++)
        if (!put_mistake(list, &report->mistakes[i]))
            return false;
    return true;
}

static bool put_reports(const struct api *api, const struct rules *rules, json_t *body)
{
    struct policy_report report;
    json_t *shadow;

    policy_report_read(api->reports, POLICY_FOLDER_ACTIVE, &report);
    if (!put_load(&report, body))
        return false;
    policy_report_read(api->reports, POLICY_FOLDER_SHADOW, &report);
    if (report.at_s == 0)
        return true;
    shadow = json_object();
    return json_put(body, "shadow", shadow) && put_load(&report, shadow) &&
           (!rules->shadow ||
            json_put(shadow, "policy", json_from_sha256(policy_sha256(rules->shadow))));
}

/* ---- the route ---- */

/* Members of an owner have no business with other people's; whoever has a role for some tenant sees
 * what the whole is. */
static bool put_head(const struct api *api, const struct person *person, const struct rules *rules,
                     json_t *body)
{
    bool has_some_role = (person->roles & (PERSON_AUDITOR | PERSON_OPERATOR)) != 0;

    return json_put(body, "policy", json_from_sha256(policy_sha256(rules->policy))) &&
           put_time(body, "activated_at", rules->activated_s) &&
           (!has_some_role ||
            (put_counts(rules->policy, body) && policy_put_provenance(rules->policy, body))) &&
           (!person_may(person, PERSON_OPERATOR, STR("")) || put_reports(api, rules, body));
}

static enum progress answer(struct http_request *request, const struct api *api,
                            const struct rules *rules)
{
    const struct person *person = request->caller;
    struct cursor cursor = { .list = LIST_STAGES };
    struct error error = { 0 };
    json_t *body;

    memcpy(cursor.sha256, policy_sha256(rules->policy), SHA256_LEN);
    if (!cursor_read(request->query, request->arena, policy_stage_count(rules->policy), &cursor,
                     &error))
        return http_answer_problem(request, &error);
    readings_note(api->readings, person, READING_POLICY, clock_wall_s());
    body = json_object();
    if (!put_head(api, person, rules, body) ||
        (cursor.position == 0 && !put_exceptions(person, rules->policy, body, request->arena)) ||
        !put_page(person, rules->policy, body, &cursor, request->arena)) {
        json_decref(body);
        body = NULL;
    }
    return http_answer_json(request, 200, body);
}

enum progress policy_get(struct http_request *request, void *context)
{
    const struct api *api = context;
    struct rules *rules = rules_get(api->service->rules);
    enum progress progress = answer(request, api, rules);

    rules_put(api->service->rules, rules);
    return progress;
}
