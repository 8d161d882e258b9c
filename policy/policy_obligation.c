#include <inttypes.h>

#include "base/json.h"
#include "policy/policy_loader.h"

/*
 * What a stage asks for that a decision cannot settle: `after`, `approval`, `limits`, `lease`. They
 * are read where the words table says so, and whoever acts on a decision has to see to them.
 */

#define MINUTE_S ((int64_t)60)
#define HOUR_S (60 * MINUTE_S)
#define DAY_S (24 * HOUR_S)
#define AFTER_WITHIN_MAX_S (90 * DAY_S)
#define GROUP_MAX 80 /* bytes of a group's name */
#define APPROVAL_WITHIN_S HOUR_S
#define APPROVAL_WITHIN_MAX_S (7 * DAY_S)
#define APPROVAL_WAIT_S (30 * MINUTE_S)
#define APPROVAL_WAIT_MAX_S DAY_S
#define LEASE_MAX_S (7 * DAY_S)
#define HEARTBEAT_MIN_S ((int64_t)10)
#define HEARTBEAT_MAX_S HOUR_S

/* ---- after ---- */

/* What reading an item of `after` works with. */
struct after_reader {
    struct policy_loader *loader;
    const json_t *stages; /* all of the pipeline */
    const struct policy_stage *stage;
    struct policy_after *list;
    size_t count; /* read before */
};

/* Report a stage that the pipeline does not have, with the nearest one. */
static bool complain_stage(const struct after_reader *reader, const json_t *at, struct str name)
{
    struct arena *arena = reader->loader->reader.diagnostics->arena;
    struct str names[POLICY_STAGES_MAX];
    struct str nearest;
    size_t count = 0;
    const char *key;
    json_t *value;

    if (str_find(name, ':') < name.len)
        return yaml_complain_hint(&reader->loader->reader, at, STR("write its short name"),
                                  "'after' names stages of the same pipeline");
    json_object_foreach (json_iterable(reader->stages), key, value) {
        if (count < COUNT(names))
            names[count++] = str_from(key);
    }
    nearest = diagnostic_nearest(arena, name, names, count);
    return yaml_complain_hint(&reader->loader->reader, at, nearest,
                              "this pipeline has no stage '" STR_FMT "'",
                              STR_ARG(str_slice(name, 0, 60)));
}

static bool check_stage(const struct after_reader *reader, const json_t *at, struct str name)
{
    if (str_eq(name, reader->stage->name))
        return yaml_complain(&reader->loader->reader, at, "a stage cannot come after itself");
    for (size_t i = 0; i < reader->count; i++)
        if (str_eq(reader->list[i].stage, name))
            return yaml_complain(&reader->loader->reader, at, "'" STR_FMT "' is there twice",
                                 STR_ARG(name));
    if (!policy_is_name(name, POLICY_NAME_SET, POLICY_NAME_MAX) ||
        json_object_get(reader->stages, name.data) == NULL)
        return complain_stage(reader, at, name);
    return true;
}

/* {stage, same, within, outcome} */
static bool read_after_map(const struct after_reader *reader, const json_t *json,
                           struct policy_after *after, struct str *name)
{
    static const char *const same[] = { "run", "commit", NULL };
    static const char *const outcomes[] = { "success", "issued", NULL };
    const struct yaml_reader *yaml = &reader->loader->reader;
    size_t of = 0;
    size_t outcome = 0;

    if (!policy_words_check(reader->loader, POLICY_PLACE_AFTER, json) ||
        !yaml_require(yaml, json, "stage") || !yaml_get_str(yaml, json, "stage", name))
        return false;
    (void)yaml_get_choice(yaml, json, "same", same, &of);
    (void)yaml_get_choice(yaml, json, "outcome", outcomes, &outcome);
    (void)yaml_get_duration_s(yaml, json, "within", MINUTE_S, AFTER_WITHIN_MAX_S, &after->within_s);
    after->is_of_commit = of == 1;
    after->issued_is_enough = outcome == 1;
    if (after->is_of_commit && json_object_get(json, "within") == NULL)
        return yaml_complain_hint(yaml, json, STR("say how old its lease may be: within: 7d"),
                                  "'same: commit' needs 'within'");
    return true;
}

static void read_after_item(struct after_reader *reader, const json_t *json)
{
    struct policy_after *after = &reader->list[reader->count];
    const json_t *at = json_is_object(json) ? json_object_get(json, "stage") : json;
    struct str name = json_str(json);

    if (!json_is_object(json) && !json_is_string(json)) {
        (void)yaml_complain(&reader->loader->reader, json,
                            "expected a stage, or a map such as { stage: build, same: run }");
        return;
    }
    if (json_is_object(json) && !read_after_map(reader, json, after, &name))
        return;
    if (!check_stage(reader, at, name))
        return;
    if (after->within_s == 0)
        after->within_s = POLICY_AFTER_WITHIN_S;
    after->stage = policy_loader_copy(reader->loader, name);
    reader->count++;
}

static void read_after(struct policy_loader *loader, const json_t *stages, const json_t *map,
                       struct policy_stage_rule *stage)
{
    const json_t *value = json_object_get(map, "after");
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    struct after_reader reader = { .loader = loader, .stages = stages, .stage = &stage->shown };

    if (count == 0 || count > POLICY_AFTER_MAX) {
        (void)yaml_complain(&loader->reader, value, "'after' names 1 to %d stages, not %zu",
                            POLICY_AFTER_MAX, count);
        return;
    }
    reader.list = policy_loader_alloc(loader, count, sizeof(*reader.list));
    for (size_t i = 0; reader.list != NULL && i < count; i++)
        read_after_item(&reader, json_is_array(value) ? json_array_get(value, i) : value);
    stage->shown.obligations.after = reader.list;
    stage->shown.obligations.after_count = reader.count;
}

/* ---- approval ---- */

static void read_group(struct policy_loader *loader, const json_t *map, struct str *group)
{
    struct str text = { 0 };

    if (!yaml_require(&loader->reader, map, "by") ||
        !yaml_get_str(&loader->reader, map, "by", &text))
        return;
    if (str_trim(text).len == 0 || text.len > GROUP_MAX || str_has_control(text))
        (void)yaml_complain(&loader->reader, json_object_get(map, "by"),
                            "'by' is a group of people: one line of 1 to %d bytes", GROUP_MAX);
    *group = policy_loader_copy(loader, text);
}

static bool is_there(const struct str *names, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

static void read_bind(struct policy_loader *loader, const json_t *map,
                      struct policy_approval *approval)
{
    const json_t *value = json_object_get(map, "bind");
    struct str *names = NULL;
    struct str *kept;
    size_t count = 0;

    if (!yaml_get_strs(&loader->reader, map, "bind", &names, &count))
        return;
    if (count == 0 || count > POLICY_BINDINGS_MAX) {
        (void)yaml_complain(&loader->reader, value, "'bind' has 1 to %d names, not %zu",
                            POLICY_BINDINGS_MAX, count);
        return;
    }
    kept = policy_loader_alloc(loader, count, sizeof(*kept));
    for (size_t i = 0; kept != NULL && i < count; i++) {
        const json_t *at = json_is_array(value) ? json_array_get(value, i) : value;

        if (!policy_is_name(names[i], POLICY_NAME_SET, POLICY_NAME_MAX))
            (void)yaml_complain(&loader->reader, at,
                                "a binding's name has 1 to %d of a-z, 0-9 and '-'",
                                POLICY_NAME_MAX);
        else if (is_there(names, i, names[i]))
            (void)yaml_complain(&loader->reader, at, "'" STR_FMT "' is there twice",
                                STR_ARG(names[i]));
        kept[i] = policy_loader_copy(loader, names[i]);
    }
    approval->bind = kept;
    approval->bind_count = kept == NULL ? 0 : count;
}

/* Whether people may approve what they started: it has to be said in as many words. */
static bool read_unchecked(const struct policy_loader *loader, const json_t *map)
{
    struct str text = { 0 };

    if (!yaml_get_str(&loader->reader, map, "self_approval", &text))
        return false;
    return str_eq(text, STR("unchecked")) ||
           yaml_complain_hint(&loader->reader, json_object_get(map, "self_approval"),
                              STR("leave it out: then nobody approves their own run"),
                              "'self_approval' can be nothing but 'unchecked'");
}

/* The first issuer of the pipeline whose runs nobody can tell people from; NULL: there is none. */
static const struct policy_issuer *find_untold(const struct policy_pipeline *pipeline)
{
    for (size_t i = 0; i < pipeline->identity.count; i++)
        for (size_t k = 0; k < pipeline->identity_maps[i].issuer_count; k++)
            if (!pipeline->identity_maps[i].issuers[k]->tells_who_started)
                return pipeline->identity_maps[i].issuers[k];
    return NULL;
}

/* What a broker needs to know of people to see that nobody approves their own run. */
static void check_people(const struct policy_loader *loader, const json_t *json,
                         const struct policy_stage_rule *stage,
                         const struct policy_approval *approval)
{
    const struct policy_issuer *untold = find_untold(stage->pipeline);

    if (loader->world->is_catalog)
        return; /* it says nothing of who is who */
    if (loader->world->people == NULL)
        (void)yaml_complain_hint(&loader->reader, json_object_get(json, "by"),
                                 STR("say in broker.yaml who they are: people"),
                                 "an approval is given by people, and the broker knows none");
    else if (untold != NULL && !approval->self_is_unchecked)
        (void)yaml_complain_hint(&loader->reader, json_object_get(json, "by"),
                                 STR("add the issuer to people.same_as in broker.yaml, or say "
                                     "'self_approval: unchecked'"),
                                 "nobody could tell whether somebody approves their own run: "
                                 "issuer '" STR_FMT "' has no 'same_as'",
                                 STR_ARG(untold->name));
}

static void read_approval(struct policy_loader *loader, const json_t *json,
                          struct policy_stage_rule *stage)
{
    const struct yaml_reader *yaml = &loader->reader;
    struct policy_approval *approval = policy_loader_alloc(loader, 1, sizeof(*approval));

    if (approval == NULL || !policy_words_check(loader, POLICY_PLACE_APPROVAL, json))
        return;
    approval->count = 1;
    approval->within_s = APPROVAL_WITHIN_S;
    approval->wait_s = APPROVAL_WAIT_S;
    read_group(loader, json, &approval->by);
    (void)yaml_get_int(yaml, json, "count", 1, POLICY_APPROVALS_MAX, &approval->count);
    (void)yaml_get_duration_s(yaml, json, "within", MINUTE_S, APPROVAL_WITHIN_MAX_S,
                              &approval->within_s);
    (void)yaml_get_duration_s(yaml, json, "wait", MINUTE_S, APPROVAL_WAIT_MAX_S, &approval->wait_s);
    read_bind(loader, json, approval);
    approval->self_is_unchecked = read_unchecked(loader, json);
    check_people(loader, json, stage, approval);
    stage->shown.obligations.approval = approval;
}

/* ---- limits, lease ---- */

static void read_limits(struct policy_loader *loader, const json_t *json,
                        struct policy_obligations *obligations)
{
    static const char *const full[] = { "refuse", "wait", "replace", NULL };
    const struct yaml_reader *yaml = &loader->reader;
    struct policy_limits *limits = &obligations->limits;
    size_t choice = 0;

    if (!policy_words_check(loader, POLICY_PLACE_LIMITS, json))
        return;
    (void)yaml_get_int(yaml, json, "per_job", 1, POLICY_LIMIT_MAX, &limits->per_job);
    (void)yaml_get_int(yaml, json, "concurrent", 1, POLICY_LIMIT_MAX, &limits->concurrent);
    (void)yaml_get_int(yaml, json, "per_hour", 1, POLICY_LIMIT_MAX, &limits->per_hour);
    if (yaml_get_choice(yaml, json, "full", full, &choice))
        limits->full = (enum policy_full)choice;
    if (json_object_size(json) == 0)
        (void)yaml_complain(yaml, json, "there is no limit here");
    else if (json_object_get(json, "full") != NULL && json_object_get(json, "concurrent") == NULL)
        (void)yaml_complain_key(yaml, json, "full", STR("add 'concurrent', how many there may be"),
                                "'full' says what happens where 'concurrent' is reached");
}

/* Lives that a lease of this length would cut are a mistake: nobody would see it before it ends. */
static void check_lives(const struct policy_loader *loader, const json_t *json,
                        const struct policy_stage *stage)
{
    int64_t max_s = stage->obligations.lease.max_s;

    for (size_t i = 0; max_s > 0 && i < stage->grant_count; i++)
        if (stage->grants[i].ttl_s > max_s)
            (void)yaml_complain(&loader->reader, json_object_get(json, "max"),
                                "the lease ends after %" PRId64 " s, and the grant '" STR_FMT
                                "' lives %" PRId64 " s",
                                max_s, STR_ARG(stage->grants[i].name), stage->grants[i].ttl_s);
}

/* How long a lease lives at most: as it says, or as the longest of its grants. */
static int64_t life_of(const struct policy_stage *stage)
{
    int64_t life_s = stage->obligations.lease.max_s;

    for (size_t i = 0; i < stage->grant_count; i++)
        if (stage->grants[i].ttl_s > life_s)
            life_s = stage->grants[i].ttl_s;
    return life_s;
}

static void read_lease(struct policy_loader *loader, const json_t *json, struct policy_stage *stage)
{
    const struct yaml_reader *yaml = &loader->reader;
    struct policy_lease *lease = &stage->obligations.lease;

    if (!policy_words_check(loader, POLICY_PLACE_LEASE, json))
        return;
    (void)yaml_get_duration_s(yaml, json, "max", MINUTE_S, LEASE_MAX_S, &lease->max_s);
    (void)yaml_get_duration_s(yaml, json, "heartbeat", HEARTBEAT_MIN_S, HEARTBEAT_MAX_S,
                              &lease->heartbeat_s);
    if (json_object_size(json) == 0)
        (void)yaml_complain(yaml, json, "expected 'max', 'heartbeat', or both");
    check_lives(loader, json, stage);
    if (life_of(stage) > 0 && lease->heartbeat_s >= life_of(stage))
        (void)yaml_complain(yaml, json_object_get(json, "heartbeat"),
                            "a lease that ends after %" PRId64 " s has no heartbeat of %" PRId64
                            " s",
                            life_of(stage), lease->heartbeat_s);
}

void policy_obligations_read(struct policy_loader *loader, const json_t *stages, const json_t *map,
                             struct policy_stage_rule *stage)
{
    struct policy_obligations *obligations = &stage->shown.obligations;

    if (json_object_get(map, "after") != NULL)
        read_after(loader, stages, map, stage);
    if (json_object_get(map, "approval") != NULL)
        read_approval(loader, json_object_get(map, "approval"), stage);
    if (json_object_get(map, "limits") != NULL)
        read_limits(loader, json_object_get(map, "limits"), obligations);
    if (json_object_get(map, "lease") != NULL)
        read_lease(loader, json_object_get(map, "lease"), &stage->shown);
}

/* ---- what there is ---- */

size_t policy_obligations_name(const struct policy_obligations *obligations,
                               struct str names[POLICY_OBLIGATIONS_MAX])
{
    const struct policy_limits *limits = &obligations->limits;
    const struct policy_lease *lease = &obligations->lease;
    size_t count = 0;

    if (obligations->after_count > 0)
        names[count++] = STR("after");
    if (obligations->approval != NULL)
        names[count++] = STR("approval");
    if (lease->max_s > 0 || lease->heartbeat_s > 0)
        names[count++] = STR("lease");
    if (limits->per_job > 0 || limits->concurrent > 0 || limits->per_hour > 0)
        names[count++] = STR("limits");
    return count;
}

/* ---- circles ---- */

static size_t find_stage(const struct policy_pipeline *pipeline, struct str name)
{
    size_t index = 0;

    while (index < pipeline->stage_count && !str_eq(pipeline->stages[index].shown.name, name))
        index++;
    return index;
}

/* The first stage that another waits for and that is not settled; the count where there is none. */
static size_t first_open(const struct policy_pipeline *pipeline, size_t index, const bool *settled)
{
    const struct policy_obligations *obligations = &pipeline->stages[index].shown.obligations;

    for (size_t i = 0; i < obligations->after_count; i++) {
        size_t other = find_stage(pipeline, obligations->after[i].stage);

        if (other < pipeline->stage_count && !settled[other])
            return other;
    }
    return pipeline->stage_count;
}

/* Settle all stages that wait for nothing but settled ones; whether all are. */
static bool settle(const struct policy_pipeline *pipeline, bool settled[POLICY_STAGES_MAX])
{
    size_t left = pipeline->stage_count;
    size_t before;

    do {
        before = left;
        for (size_t i = 0; i < pipeline->stage_count; i++) {
            if (settled[i] || first_open(pipeline, i, settled) < pipeline->stage_count)
                continue;
            settled[i] = true;
            left--;
        }
    } while (left > 0 && left < before);
    return left == 0;
}

/* Report stages that wait for each other; whether there are none. */
static bool check_circles(const struct policy_loader *loader, const json_t *stages,
                          const struct policy_pipeline *pipeline)
{
    struct arena *arena = loader->reader.diagnostics->arena;
    bool settled[POLICY_STAGES_MAX] = { false };
    struct str circle = STR("");
    size_t first;
    size_t at = 0;

    if (settle(pipeline, settled))
        return true;
    while (settled[at])
        at++;
    for (size_t i = 0; i < pipeline->stage_count; i++)
        at = first_open(pipeline, at, settled); /* it is on a circle in the end */
    first = at;
    do {
        size_t next = first_open(pipeline, at, settled);

        circle =
            arena_printf(arena, STR_FMT "%s'" STR_FMT "' is after '" STR_FMT "'", STR_ARG(circle),
                         circle.len > 0 ? ", " : "", STR_ARG(pipeline->stages[at].shown.name),
                         STR_ARG(pipeline->stages[next].shown.name));
        at = next;
    } while (at != first);
    return yaml_complain_key(&loader->reader, stages, pipeline->stages[first].shown.name.data,
                             STR("none of them could ever be the first"),
                             "'after' runs in a circle: " STR_FMT, STR_ARG(circle));
}

/* ---- the stages that are waited for ---- */

static void remember_for(struct policy_obligations *obligations, int64_t for_s)
{
    if (for_s > obligations->kept_s)
        obligations->kept_s = for_s;
}

static void remember_for_limits(struct policy_obligations *obligations)
{
    if (obligations->limits.per_hour > 0)
        remember_for(obligations, POLICY_PER_HOUR_S);
    if (obligations->limits.per_job > 0)
        remember_for(obligations, POLICY_PER_JOB_S);
}

/* Which instance of the other stage is meant must follow from what this one remembers. */
static bool take_instance(struct policy_loader *loader, const json_t *stages,
                          const struct policy_stage_rule *stage,
                          const struct policy_stage_rule *other, struct policy_after *after)
{
    struct arena *arena = loader->reader.diagnostics->arena;
    struct str missing = STR("");

    after->instance = other->shown.instance;
    after->instance_has_holes = other->instance_has_holes;
    if (!other->instance_has_holes ||
        policy_holes_remembered(loader, stage, other->shown.instance, &missing))
        return true;
    return yaml_complain_key(
        &loader->reader, stages, stage->shown.name.data,
        arena_printf(arena, "remember '{" STR_FMT "}' in a condition of '" STR_FMT "' too",
                     STR_ARG(missing), STR_ARG(stage->shown.name)),
        "'" STR_FMT "' is after '" STR_FMT "', whose instances are '" STR_FMT
        "': which one cannot be told",
        STR_ARG(stage->shown.name), STR_ARG(other->shown.name), STR_ARG(other->shown.instance));
}

static void link_afters(struct policy_loader *loader, const json_t *stages,
                        struct policy_pipeline *pipeline, struct policy_stage_rule *stage)
{
    struct policy_obligations *obligations = &stage->shown.obligations;
    struct policy_after *linked =
        policy_loader_alloc(loader, obligations->after_count, sizeof(*linked));

    for (size_t i = 0; linked != NULL && i < obligations->after_count; i++) {
        size_t at = find_stage(pipeline, obligations->after[i].stage);

        linked[i] = obligations->after[i];
        if (at == pipeline->stage_count)
            continue; /* its name is no stage's: that is reported */
        remember_for(&pipeline->stages[at].shown.obligations, linked[i].within_s);
        if (!take_instance(loader, stages, stage, &pipeline->stages[at], &linked[i]))
            break;
    }
    obligations->after = linked;
    obligations->after_count = linked == NULL ? 0 : obligations->after_count;
}

void policy_after_check(struct policy_loader *loader, const json_t *stages,
                        struct policy_pipeline *pipeline)
{
    if (!check_circles(loader, stages, pipeline))
        return;
    for (size_t i = 0; i < pipeline->stage_count; i++) {
        struct policy_stage_rule *stage = &pipeline->stages[i];

        remember_for_limits(&stage->shown.obligations);
        if (stage->shown.obligations.after_count > 0)
            link_afters(loader, stages, pipeline, stage);
    }
}
