/*
 * What could be had: the stages that the policies of that time open to the pipelines concerned, and
 * which of them a recorded request would have opened as it was, had it named them.
 */
#include <string.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/time_text.h"
#include "clients/blast_internal.h"
#include "clients/endings.h"
#include "clients/kept_policies.h"
#include "clients/recorded.h"
#include "ledger/archive.h"
#include "policy/policy.h"
#include "policy/who_can.h"

#define REQUEST_ARENA_MAX ((size_t)64 * 1024 * 1024) /* a decision of each stage */
#define WHO_ARENA_MAX ((size_t)256 * 1024 * 1024)
#define GIVES_MAX 20 /* names that are listed of a grant */

struct possible {
    struct blast *blast;
    json_t *could;    /* the list */
    json_t *by_stage; /* id to its object */
    json_t *unknown;  /* policies that cannot be had: {"policy", "why"} */
    uint64_t lost_count;
};

/* ---- grants ---- */

static bool put_names(json_t *object, const char *name, const struct str *names, size_t count)
{
    json_t *list = json_array();

    if (!json_put(object, name, list))
        return false;
    for (size_t i = 0; i < count && i < GIVES_MAX; i++)
        if (json_array_append_new(list, json_from_str(names[i])) != 0)
            return false;
    return count <= GIVES_MAX || json_array_append_new(list, json_string("...")) == 0;
}

static bool fill_grant(json_t *object, const struct who_grant *from, const char *policy)
{
    const struct policy_grant *grant = from->grant;

    return json_put(object, "grant", json_from_str(grant->name)) &&
           json_put(object, "type", json_string(grant->kind->name)) &&
           json_put(object, "ttl_s", json_integer(grant->ttl_s)) &&
           json_put(object, "ends", json_string(ending_word(grant, grant->fields))) &&
           json_put(object, "policy", json_string(policy)) &&
           json_put(object, "is_certain", json_boolean(from->is_certain)) &&
           (!grant->target || json_put(object, "target", json_from_str(grant->target->name))) &&
           json_put_text(object, "account", from->given.account) &&
           put_names(object, "gives", from->given.names, from->given.name_count) &&
           put_names(object, "as", from->given.principals, from->given.principal_count);
}

static bool has_grant(const json_t *grants, struct str name)
{
    for (size_t i = 0; i < json_array_size(grants); i++)
        if (str_eq(json_str(json_object_get(json_array_get(grants, i), "grant")), name))
            return true;
    return false;
}

/* Later policies come first: what an earlier one gave besides is added. */
static bool add_grants(json_t *stage, const struct who_stage *from, const char *policy)
{
    json_t *grants = json_object_get(stage, "grants");

    for (size_t i = 0; i < from->grant_count; i++) {
        json_t *grant;

        if (has_grant(grants, from->grants[i].grant->name))
            continue;
        grant = json_object();
        if (json_array_append_new(grants, grant) != 0 ||
            !fill_grant(grant, &from->grants[i], policy))
            return false;
    }
    return true;
}

/* ---- stages ---- */

static bool fill_stage(json_t *object, const struct policy_stage *stage, const char *policy)
{
    char until[TIME_TEXT_S_LEN + 1];

    time_text_s(stage->until_s, until);
    return json_put(object, "stage", json_from_str(stage->id)) &&
           json_put(object, "kind", json_string(policy_stage_kind_name(stage->kind))) &&
           json_put(object, "owner", json_from_str(stage->owner)) &&
           json_put(object, "environment", json_from_str(stage->environment)) &&
           json_put(object, "policy", json_string(policy)) &&
           json_put(object, "grants", json_array()) &&
           json_put(object, "opened_by", json_integer(0)) &&
           json_put(object, "not_told_of", json_integer(0)) &&
           (stage->until_s == 0 || json_put(object, "until", json_string(until)));
}

static bool add_stage(struct possible *possible, const struct who_stage *from, const char *policy)
{
    struct str id = from->stage->id;
    json_t *stage = json_object_getn(possible->by_stage, id.data, id.len);

    if (!stage && json_array_size(possible->could) == BLAST_STAGES_MAX) {
        possible->lost_count++;
        return true;
    }
    if (!stage) {
        stage = json_object();
        if (json_array_append_new(possible->could, stage) != 0 ||
            json_object_setn(possible->by_stage, id.data, id.len, stage) != 0 ||
            !fill_stage(stage, from->stage, policy))
            return false;
    }
    return add_grants(stage, from, policy);
}

static bool ask(struct possible *possible, const struct kept_policy *kept,
                const struct who_question *question, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(WHO_ARENA_MAX);
    struct who_stage *stages;
    size_t count;

    if (!arena)
        return blast_no_memory(error);
    if (!policy_who_can(kept->policy, question, arena, &stages, &count, error))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!add_stage(possible, &stages[i], kept->hash))
            return blast_no_memory(error);
    return true;
}

/* ---- which policies, and which of their stages ---- */

static bool asks_for(const struct blast *blast, enum ledger_field field)
{
    return blast->options->query->fields[field].count > 0;
}

/* Names that entries have, and those that were asked for. */
static bool add_asked(struct blast *blast, enum ledger_field field, json_t *names)
{
    const struct query_values *values = &blast->options->query->fields[field];

    for (size_t i = 0; i < values->count; i++)
        if (json_object_setn_new(names, values->values[i].data, values->values[i].len,
                                 json_true()) != 0)
            return false;
    return true;
}

/* Who has a key of an issuer can be any job of it. */
static bool is_of_issuer(const struct blast *blast)
{
    return asks_for(blast, LEDGER_FIELD_ISSUER) || asks_for(blast, LEDGER_FIELD_KID);
}

static bool ask_policy(struct possible *possible, const struct kept_policy *kept,
                       struct error *error)
{
    struct blast *blast = possible->blast;
    const json_t *names = is_of_issuer(blast) ? blast->issuers : blast->pipelines;
    const char *name;
    json_t *ignored;

    json_object_foreach (json_iterable(names), name, ignored) {
        struct who_question question = { 0 };

        if (is_of_issuer(blast))
            question.issuer = str_from(name);
        else
            question.pipeline = str_from(name);
        if (!ask(possible, kept, &question, error))
            return false;
    }
    return true;
}

static bool add_unknown(struct possible *possible, const struct kept_policy *kept)
{
    json_t *object = json_object();

    return json_array_append_new(possible->unknown, object) == 0 &&
           json_put(object, "policy", json_string(kept->hash)) &&
           json_put(object, "why", json_string(kept->why));
}

/* The one in force now, where the store says which that is: a stolen token is used later. */
static bool add_active(struct blast *blast)
{
    const char *folder = blast->options->policies->folder;
    OWNED(buf_release) struct buf hash = { 0 };
    struct archive_active active;
    json_t *text;

    if (!folder || !archive_active(folder, &active, &(struct error){ 0 }) || !active.is_known)
        return true;
    buf_init(&hash, 128);
    buf_add_text(&hash, "sha256:");
    buf_add_hex(&hash, (struct str){ (const char *)active.sha256, SHA256_LEN });
    text = json_from_str(buf_str(&hash));
    if (!text || !json_put(blast->report, "policy_in_force", text))
        return false;
    for (size_t i = 0; i < json_array_size(blast->policies); i++)
        if (json_equal(json_array_get(blast->policies, i), text))
            return true;
    return json_array_append(blast->policies, text) == 0;
}

static bool ask_policies(struct possible *possible, struct error *error)
{
    struct blast *blast = possible->blast;

    for (size_t i = json_array_size(blast->policies); i > 0; i--) {
        const struct kept_policy *kept;

        if (!kept_policies_find(blast->options->policies,
                                json_str(json_array_get(blast->policies, i - 1)), &kept, error))
            return false;
        if (!kept->policy && !add_unknown(possible, kept))
            return blast_no_memory(error);
        if (kept->policy && !ask_policy(possible, kept, error))
            return false;
    }
    return true;
}

/* ---- recorded requests, tried with each stage ---- */

static void count_up(json_t *stage, const char *name)
{
    json_t *count = json_object_get(stage, name);

    (void)json_integer_set(count, json_integer_value(count) + 1); /* it is one */
}

static bool try_stage(const struct policy *policy, struct recorded *recorded, json_t *stage,
                      struct arena *arena, struct error *error)
{
    const struct policy_request request = { .stage = json_str(json_object_get(stage, "stage")) };
    struct policy_decision decision = { 0 };
    struct error why = { 0 };
    bool is_allowed;

    recorded->unknown.asked = STR("");
    is_allowed =
        policy_decide(policy, &recorded->facts, &request, recorded->time_s, arena, &decision, &why);
    if (why.code == ERROR_MEMORY)
        return blast_no_memory(error);
    if (recorded->unknown.asked.len > 0)
        count_up(stage, "not_told_of");
    else if (is_allowed)
        count_up(stage, "opened_by");
    return true;
}

static bool try_request(struct possible *possible, uint64_t index, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(REQUEST_ARENA_MAX);
    const struct blast_options *options = possible->blast->options;
    const struct kept_policy *kept;
    struct recorded recorded;
    struct ledger_item item;
    const json_t *entry;

    if (!arena)
        return blast_no_memory(error);
    if (!ledger_source_get_with_private(options->ledger, index, &item, error) ||
        !ledger_item_parse(&item, arena, &entry, error))
        return false;
    if (!recorded_read(options->world, entry, ledger_item_private(&item, arena), arena, &recorded,
                       &(struct error){ 0 }) ||
        recorded.cannot || recorded.policy.len == 0)
        return true;
    if (!kept_policies_find(options->policies, recorded.policy, &kept, error))
        return false;
    for (size_t i = 0; kept->policy && i < json_array_size(possible->could); i++)
        if (!try_stage(kept->policy, &recorded, json_array_get(possible->could, i), arena, error))
            return false;
    return true;
}

static bool try_requests(struct possible *possible, struct error *error)
{
    const struct blast *blast = possible->blast;
    uint64_t count =
        blast->request_count < BLAST_REQUESTS_MAX ? blast->request_count : BLAST_REQUESTS_MAX;

    for (uint64_t i = 0; i < count; i++)
        if (!try_request(possible, blast->requests[i].index, error))
            return false;
    return json_put(blast->report, "tried_with", json_integer((json_int_t)count)) ||
           blast_no_memory(error);
}

/* ---- all of it ---- */

bool blast_find_possible(struct blast *blast, struct error *error)
{
    struct possible possible = { .blast = blast, .could = json_array(), .unknown = json_array() };

    if (!json_put(blast->report, "could", possible.could) ||
        !json_put(blast->report, "not_known", possible.unknown))
        return blast_no_memory(error);
    if (!blast->options->world)
        return json_put(blast->report, "no_policies", json_string(blast->options->no_world)) ||
               blast_no_memory(error);
    possible.by_stage = json_object();
    if (!possible.by_stage || !json_keep(blast->arena, possible.by_stage, error) ||
        !add_active(blast) || !add_asked(blast, LEDGER_FIELD_PIPELINE, blast->pipelines) ||
        !add_asked(blast, LEDGER_FIELD_ISSUER, blast->issuers))
        return blast_no_memory(error);
    if (!ask_policies(&possible, error) || !try_requests(&possible, error))
        return false;
    return json_put(blast->report, "stages_not_listed",
                    json_integer((json_int_t)possible.lost_count)) ||
           blast_no_memory(error);
}
