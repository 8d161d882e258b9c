#include "clients/review.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "clients/kept_policies.h"
#include "clients/ledger_filter.h"
#include "clients/ledger_source.h"
#include "clients/policy_source.h"
#include "clients/review_internal.h"
#include "config/config.h"
#include "ledger/entry.h"
#include "policy/policy.h"
#include "policy/stage_lines.h"
#include "policy/who_can.h"

#define VALUES_MAX 20 /* different ones of a condition that are told apart */

static bool no_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "no memory for a review");
}

static bool put_time(json_t *object, const char *name, int64_t time_s)
{
    char text[TIME_TEXT_S_LEN + 1];

    if (time_s == 0)
        return true;
    time_text_s(time_s, text);
    return json_put(object, name, json_string(text));
}

static bool is_among(const struct option_list *list, struct str name)
{
    for (size_t i = 0; i < list->count; i++)
        if (str_eq(str_from(list->items[i]), name))
            return true;
    return list->count == 0;
}

/* ---- the policy: what may be ---- */

static bool put_names(json_t *object, const char *name, const struct str *names, size_t count)
{
    json_t *list = json_array();

    if (!json_put(object, name, list))
        return false;
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(list, json_from_str(names[i])) != 0)
            return false;
    return true;
}

static bool fill_grant(json_t *object, const struct who_grant *from)
{
    const struct policy_grant *grant = from->grant;

    return json_put(object, "grant", json_from_str(grant->name)) &&
           json_put(object, "type", json_string(grant->kind->name)) &&
           json_put(object, "ttl_s", json_integer(grant->ttl_s)) &&
           json_put(object, "uses", json_integer(0)) &&
           json_put(object, "longest_s", json_integer(0)) &&
           json_put(object, "is_certain", json_boolean(from->is_certain)) &&
           (!grant->target || json_put(object, "target", json_from_str(grant->target->name))) &&
           put_time(object, "until", grant->until_s) &&
           put_names(object, "gives", from->given.names, from->given.name_count) &&
           put_names(object, "as", from->given.principals, from->given.principal_count);
}

/* "when ref: like refs/heads/<any>": what a recorded request has of it can be compared. */
static bool add_condition(json_t *conditions, struct str line)
{
    struct str word;
    struct str name;
    struct str demand;
    json_t *object;

    if (!str_cut(line, ' ', &word, &line) || !str_eq(word, STR("when")) ||
        !str_cut(line, ':', &name, &demand) || str_find(name, ' ') < name.len ||
        str_find(name, '{') < name.len)
        return true;
    object = json_object();
    return json_array_append_new(conditions, object) == 0 &&
           json_put(object, "name", json_from_str(name)) &&
           json_put(object, "demand", json_from_str(str_trim(demand))) &&
           json_put(object, "came", json_object());
}

static bool put_conditions(const struct reviewing *reviewing, const struct policy_stage *stage,
                           json_t *object)
{
    const struct policy *policy = reviewing->options->source->policy;
    json_t *conditions = json_array();
    struct str *lines;
    size_t count;

    if (!json_put(object, "conditions", conditions) ||
        !stage_lines(policy, stage, reviewing->arena, &lines, &count) ||
        !put_names(object, "asks_for", lines, count))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!add_condition(conditions, lines[i]))
            return false;
    return true;
}

/* Whether it was there for all of the time; true where that is not known. */
static bool was_there(const struct reviewing *reviewing, const struct policy_stage *stage,
                      struct str grant)
{
    const struct policy_stage *before;

    if (!reviewing->before)
        return true;
    before = policy_stage_find(reviewing->before, stage->id);
    for (size_t i = 0; before && i < before->grant_count; i++)
        if (str_eq(before->grants[i].name, grant))
            return true;
    return before && grant.len == 0;
}

static bool fill_stage(const struct reviewing *reviewing, const struct who_stage *from,
                       json_t *object)
{
    const struct policy_stage *stage = from->stage;
    json_t *grants = json_array();
    int64_t now_s = reviewing->options->now_s;

    if (!json_put(object, "stage", json_from_str(stage->id)) ||
        !json_put(object, "pipeline", json_from_str(stage->pipeline)) ||
        !json_put(object, "owner", json_from_str(stage->owner)) ||
        !json_put(object, "tenant", json_from_str(stage->tenant)) ||
        !json_put(object, "environment", json_from_str(stage->environment)) ||
        !json_put(object, "kind", json_string(policy_stage_kind_name(stage->kind))) ||
        !put_time(object, "until", stage->until_s) ||
        !put_time(object, "review_by", stage->review_by_s) ||
        !json_put(object, "is_overdue",
                  json_boolean(stage->review_by_s != 0 && stage->review_by_s <= now_s)) ||
        !json_put(object, "is_new", json_boolean(!was_there(reviewing, stage, STR("")))) ||
        !json_put(object, "uses", json_integer(0)) ||
        !json_put(object, "denials", json_integer(0)) || !json_put(object, "grants", grants) ||
        !put_conditions(reviewing, stage, object))
        return false;
    for (size_t i = 0; i < from->grant_count; i++) {
        json_t *grant = json_object();

        if (json_array_append_new(grants, grant) != 0 || !fill_grant(grant, &from->grants[i]) ||
            !json_put(grant, "is_new",
                      json_boolean(!was_there(reviewing, stage, from->grants[i].grant->name))))
            return false;
    }
    return true;
}

/* One that nothing is of is a mistake: a review without stages would mislead. */
static bool check_environment(const struct reviewing *reviewing, struct str name,
                              struct error *error)
{
    const struct policy *policy = reviewing->options->source->policy;
    const struct policy_world *world = &reviewing->options->source->config->world;

    for (size_t i = 0; i < policy_stage_count(policy); i++)
        if (str_eq(policy_stage_at(policy, i)->environment, name))
            return true;
    for (size_t i = 0; i < world->target_count; i++)
        if (str_eq(world->targets[i].environment, name))
            return true;
    return error_set(error, ERROR_USAGE,
                     "--environment: no stage and no target is in '" STR_FMT "'",
                     STR_ARG(str_slice(name, 0, 60)));
}

/* By its target's environment too: a stage without one may reach a target that has one. */
static bool is_reviewed(const struct reviewing *reviewing, const struct who_stage *from)
{
    const struct option_list *environments = reviewing->options->environments;
    bool is_of = is_among(environments, from->stage->environment);

    for (size_t i = 0; !is_of && i < from->grant_count; i++)
        if (from->grants[i].grant->target &&
            is_among(environments, from->grants[i].grant->target->environment))
            is_of = true;
    return is_of && is_among(reviewing->options->owners, from->stage->owner);
}

static int compare_owners(const void *a, const void *b)
{
    const struct who_stage *const *left = a;
    const struct who_stage *const *right = b;
    int order = str_compare((*left)->stage->owner, (*right)->stage->owner);

    return order != 0 ? order : str_compare((*left)->stage->id, (*right)->stage->id);
}

static bool add_stage(struct reviewing *reviewing, const struct who_stage *from, json_t *owners)
{
    struct str id = from->stage->id;
    struct str owner = from->stage->owner;
    json_t *last = json_array_get(owners, json_array_size(owners) - 1);
    json_t *stage = json_object();

    if (!last || !str_eq(json_str(json_object_get(last, "owner")), owner)) {
        last = json_object();
        if (json_array_append_new(owners, last) != 0 ||
            !json_put(last, "owner", json_from_str(owner)) ||
            !json_put(last, "stages", json_array())) {
            json_decref(stage);
            return false;
        }
    }
    return json_array_append_new(json_object_get(last, "stages"), stage) == 0 &&
           fill_stage(reviewing, from, stage) &&
           json_object_setn(reviewing->by_stage, id.data, id.len, stage) == 0;
}

static bool read_policy(struct reviewing *reviewing, struct error *error)
{
    const struct who_question everything = { 0 };
    json_t *owners = json_array();
    const struct who_stage **sorted;
    struct who_stage *stages;
    size_t count;
    size_t kept = 0;

    if (!json_put(reviewing->review, "owners", owners))
        return no_memory(error);
    if (!policy_who_can(reviewing->options->source->policy, &everything, reviewing->arena, &stages,
                        &count, error))
        return false;
    sorted = arena_alloc_array(reviewing->arena, count + 1, sizeof(struct who_stage *));
    if (!sorted)
        return no_memory(error);
    for (size_t i = 0; i < count; i++)
        if (is_reviewed(reviewing, &stages[i]))
            sorted[kept++] = &stages[i];
    if (kept > 0)
        qsort(sorted, kept, sizeof(struct who_stage *), compare_owners);
    for (size_t i = 0; i < kept; i++)
        if (!add_stage(reviewing, sorted[i], owners))
            return no_memory(error);
    return true;
}

/* ---- the ledger: what was ---- */

/* What a request had of a condition's name; empty: it does not say, or it is personal. */
static struct str value_of(const json_t *entry, struct str name)
{
    const json_t *value;
    struct str fact = str_starts_with(name, STR("ci.")) ? str_slice(name, 3, name.len) : STR("");

    if (fact.len > 0)
        value = json_object_getn(json_object_get(entry, "ci"), fact.data, fact.len);
    else
        value = json_object_getn(json_object_get(entry, "claims"), name.data, name.len);
    return entry_is_digest(json_str(value)) ? STR("") : json_str(value);
}

static bool note_values(json_t *stage, const json_t *entry)
{
    const json_t *conditions = json_object_get(stage, "conditions");

    for (size_t i = 0; i < json_array_size(conditions); i++) {
        const json_t *condition = json_array_get(conditions, i);
        json_t *came = json_object_get(condition, "came");
        struct str value = value_of(entry, json_str(json_object_get(condition, "name")));
        const json_t *known = json_object_getn(came, value.data, value.len);

        if (value.len == 0 || (!known && json_object_size(came) > VALUES_MAX))
            continue;
        if (json_object_setn_new(came, value.data, value.len,
                                 json_integer(json_integer_value(known) + 1)) != 0)
            return false;
    }
    return true;
}

static json_t *find_grant(const json_t *stage, struct str name)
{
    json_t *grants = json_object_get(stage, "grants");

    for (size_t i = 0; i < json_array_size(grants); i++)
        if (str_eq(json_str(json_object_get(json_array_get(grants, i), "grant")), name))
            return json_array_get(grants, i);
    return NULL;
}

static bool note_grants(json_t *stage, const json_t *entry, bool is_in_time)
{
    const json_t *list = json_object_get(entry, "credentials");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *credential = json_array_get(list, i);
        json_int_t ttl_s = json_integer_value(json_object_get(credential, "ttl_s"));
        json_t *grant = find_grant(stage, json_str(json_object_get(credential, "grant")));
        json_t *longest = json_object_get(grant, "longest_s");

        if (!grant)
            continue;
        if (!json_put(grant, "last_used", json_incref(json_object_get(entry, "time"))))
            return false;
        if (!is_in_time)
            continue;
        review_count_up(grant, "uses", 1);
        if (ttl_s > json_integer_value(longest))
            (void)json_integer_set(longest, ttl_s); /* it is one */
    }
    return true;
}

static bool note_use(json_t *stage, const json_t *entry, bool is_in_time)
{
    if (!json_put(stage, "last_used", json_incref(json_object_get(entry, "time"))) ||
        !note_grants(stage, entry, is_in_time))
        return false;
    if (!is_in_time)
        return true;
    review_count_up(stage, "uses", 1);
    return note_values(stage, entry);
}

/* Members of an entry, those that it has, and its index. */
static bool put_kept(json_t *object, const struct ledger_found *found, const char *const *kept,
                     size_t count)
{
    if (!json_put(object, "index", json_integer((json_int_t)found->item.index)))
        return false;
    for (size_t i = 0; i < count; i++) {
        json_t *value = json_object_get(found->entry, kept[i]);

        if (value && !json_put(object, kept[i], json_incref(value)))
            return false;
    }
    return true;
}

/* A review that somebody has signed. */
static bool note_signed(const struct reviewing *reviewing, const struct ledger_found *found)
{
    static const char *const kept[] = { "time", "review", "detail", "tenant" };

    return put_kept(json_append_object(json_object_get(reviewing->review, "signed")), found, kept,
                    COUNT(kept));
}

/* A glass that was broken, or what was let through by it: somebody has to look at each. */
static bool note_glass(const struct reviewing *reviewing, const struct ledger_found *found)
{
    static const char *const kept[] = { "time",   "type",  "stage", "approval",
                                        "reason", "lease", "failed" };

    return put_kept(json_append_object(json_object_get(reviewing->review, "break_glass")), found,
                    kept, COUNT(kept));
}

static bool look_at(const struct ledger_found *found, void *context, struct error *error)
{
    struct reviewing *reviewing = context;
    struct str id = json_str(json_object_get(found->entry, "stage"));
    json_t *stage = id.len > 0 ? json_object_getn(reviewing->by_stage, id.data, id.len) : NULL;
    struct str type = json_str(json_object_get(found->entry, "type"));
    int64_t time_ms = ledger_entry_time_ms(found->entry);
    bool is_in_time = time_ms >= reviewing->options->since_ms;
    json_int_t count = json_integer_value(json_object_get(found->entry, "count"));

    if (!json_object_get(reviewing->review, "ledger_begins") &&
        !json_put(reviewing->review, "ledger_begins",
                  json_incref(json_object_get(found->entry, "time"))))
        return no_memory(error);
    if (str_eq(type, STR("admin.reviewed")))
        return note_signed(reviewing, found) || no_memory(error);
    if (is_in_time && json_is_true(json_object_get(found->entry, "break_glass")) &&
        !note_glass(reviewing, found))
        return no_memory(error);
    if (!stage)
        return true;
    if (str_eq(type, STR("exchange.denied")) && is_in_time)
        review_count_up(stage, "denials", count > 1 ? count : 1);
    if (!str_eq(type, STR("credential.issued")))
        return true;
    return note_use(stage, found->entry, is_in_time) || no_memory(error);
}

/* ---- what was in force when the time began ---- */

static bool take_activation(const struct ledger_found *found, void *context, struct error *error)
{
    json_t *hash = context;

    return json_object_set(hash, "policy", json_object_get(found->entry, "policy")) == 0 ||
           no_memory(error);
}

/* Where it cannot be had nothing counts as new, and a note says so. */
static bool find_before(struct reviewing *reviewing, struct error *error)
{
    JSON_OWNED json_t *latest = json_object();
    const struct kept_policy *kept = NULL;
    struct ledger_query query = { .until_ms = reviewing->options->since_ms };
    struct ledger_scan scan = { .query = &query, .each = take_activation, .context = latest };
    struct str hash;

    query.fields[LEDGER_FIELD_TYPE] = (struct query_values){ { STR("policy.activated") }, 1 };
    if (!latest)
        return no_memory(error);
    if (query.until_ms <= 0 || !ledger_scan_run(reviewing->options->ledger, &scan, error))
        return error->code == ERROR_NONE;
    hash = json_str(json_object_get(latest, "policy"));
    if (hash.len > 0 && !kept_policies_find(reviewing->options->policies, hash, &kept, error))
        return false;
    reviewing->before = kept ? kept->policy : NULL;
    return json_put(reviewing->review, "knows_what_is_new",
                    json_boolean(reviewing->before != NULL)) ||
           no_memory(error);
}

/* ---- all of it ---- */

static bool put_head(const struct reviewing *reviewing)
{
    const struct review_options *options = reviewing->options;
    const struct policy *policy = options->source->policy;
    const struct policy_provenance *provenance = policy_provenance(policy);
    OWNED(buf_release) struct buf hash = { 0 };
    json_t *environments = json_array();

    buf_init(&hash, 128);
    buf_add_text(&hash, "sha256:");
    buf_add_hex(&hash, (struct str){ (const char *)policy_sha256(policy), SHA256_LEN });
    if (!json_put(reviewing->review, "environments", environments))
        return false;
    for (size_t i = 0; i < options->environments->count; i++)
        if (json_array_append_new(environments, json_string(options->environments->items[i])) != 0)
            return false;
    return json_put(reviewing->review, "signed", json_array()) &&
           json_put(reviewing->review, "break_glass", json_array()) &&
           put_time(reviewing->review, "made_at", options->now_s) &&
           put_time(reviewing->review, "since", options->since_ms / 1000) &&
           json_put(reviewing->review, "policy", json_from_str(buf_str(&hash))) &&
           json_put(reviewing->review, "ledger", ledger_source_json(options->ledger)) &&
           (provenance->repository.len == 0 ||
            (json_put(reviewing->review, "repository", json_from_str(provenance->repository)) &&
             json_put(reviewing->review, "commit", json_from_str(provenance->commit))));
}

bool review_make(const struct review_options *options, struct arena *arena, json_t **review,
                 struct error *error)
{
    JSON_OWNED json_t *made = json_object();
    struct reviewing reviewing = {
        .options = options, .arena = arena, .review = made, .by_stage = json_object()
    };
    struct ledger_scan scan = { .what = "reading", .each = look_at, .context = &reviewing };

    if (!made || !reviewing.by_stage || !json_keep(arena, reviewing.by_stage, error) ||
        !put_head(&reviewing))
        return no_memory(error);
    for (size_t i = 0; i < options->environments->count; i++)
        if (!check_environment(&reviewing, str_from(options->environments->items[i]), error))
            return false;
    if (!find_before(&reviewing, error) || !read_policy(&reviewing, error) ||
        !ledger_scan_run(options->ledger, &scan, error))
        return false;
    ledger_scan_report(&scan);
    if (!review_judge(&reviewing))
        return no_memory(error);
    if (!review_add_surroundings(options, arena, made, error))
        return false;
    *review = TAKE(made);
    return true;
}
