#include "policy/policy_rails.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"

/*
 * Which guardrails bind which stage. Guardrails choose stages by their kind, environment, tenant
 * and targets; stages that are alike in these, as far as any guardrail names them, share one list.
 * So it does not matter how many stages there are: each is looked up once, and only the first of a
 * class is held against all guardrails.
 */

/* ---- whom a guardrail binds ---- */

static bool has_name(const struct str *names, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

static bool has_target(const struct policy_reach *reach, const struct policy_stage *stage)
{
    for (size_t i = 0; i < stage->grant_count; i++) {
        const struct policy_target *target = stage->grants[i].target;

        if (target != NULL && has_name(reach->targets, reach->target_count, target->name))
            return true;
    }
    return false;
}

bool policy_reach_has(const struct policy_reach *reach, const struct policy_stage *stage)
{
    if (reach->kinds != 0 && (reach->kinds & (1U << stage->kind)) == 0)
        return false;
    if (reach->environment_count > 0 &&
        !has_name(reach->environments, reach->environment_count, stage->environment))
        return false;
    if (reach->tenant_count > 0 && !has_name(reach->tenants, reach->tenant_count, stage->tenant))
        return false;
    return reach->target_count == 0 || has_target(reach, stage);
}

bool policy_separate_keeps(const struct policy_guardrail *guardrail,
                           const struct policy_stage *stage)
{
    return (guardrail->separate.kinds & (1U << stage->kind)) != 0 &&
           policy_reach_has(&guardrail->reach, stage);
}

bool policy_separate_is_from(const struct policy_guardrail *guardrail,
                             const struct policy_stage *stage)
{
    return guardrail->separate.kinds != 0 && policy_reach_has(&guardrail->separate.from, stage);
}

static bool binds(const struct policy_guardrail *guardrail, const struct policy_stage *stage)
{
    if (guardrail->kind == POLICY_GUARDRAIL_SEPARATE && !guardrail->separate.principals)
        return policy_separate_keeps(guardrail, stage) || policy_separate_is_from(guardrail, stage);
    return policy_reach_has(&guardrail->reach, stage);
}

bool policy_rail_is_exempt(const struct policy_rail *rail, int64_t now_s)
{
    return rail->exempt_until_s != 0 && now_s < rail->exempt_until_s;
}

enum diagnostic_severity policy_rail_severity(const struct policy_rail *rail)
{
    return rail->guardrail->is_warning || rail->exempt_until_s != 0 ? DIAGNOSTIC_WARNING
                                                                    : DIAGNOSTIC_ERROR;
}

const struct policy_rail *policy_rail_find(const struct policy_rails *rails,
                                           const struct policy_guardrail *guardrail)
{
    for (size_t i = 0; rails != NULL && i < rails->count; i++)
        if (rails->list[i].guardrail == guardrail)
            return &rails->list[i];
    return NULL;
}

/* ---- building ---- */

/* The names that any guardrail chooses by, sorted, each once. */
struct names {
    const char *what; /* of which they are names */
    struct str *list;
    bool *is_used; /* a stage or a target has it */
    size_t count;
    struct str *known; /* those of the world's targets, for "did you mean" */
    size_t known_count;
};

/* What stages that are alike have in common: places in `names` from 1; 0: no guardrail names it. */
struct class_key {
    uint32_t kind;
    uint32_t environment;
    uint32_t tenant;
    uint32_t targets[POLICY_STAGE_GRANTS_MAX]; /* sorted */
};

struct class
{
    struct class_key key;
    const struct policy_rails *rails; /* NULL: none binds */
    bool is_taken;
};

struct builder {
    struct policy *policy;
    const struct policy_load_options *options;
    struct arena *scratch;
    bool is_partial; /* files are missing that have mistakes: what is not there may be in them */
    struct names environments;
    struct names tenants;
    struct names targets;
    struct class *classes; /* a hash table */
    size_t capacity;       /* a power of two, at least twice the classes */
    size_t class_count;
};

static bool say(const struct builder *builder, enum diagnostic_severity severity,
                struct position at, struct str hint, struct str text)
{
    return policy_say(builder->policy, builder->options->diagnostics, severity, at, hint, STR_FMT,
                      STR_ARG(text));
}

/* ---- gathering ---- */

static bool gather(struct builder *builder)
{
    struct policy *policy = builder->policy;
    const struct policy_guardrail **guardrails;
    struct policy_exception *exceptions;
    size_t max = 0;
    size_t exception_max = 0;

    for (size_t i = 0; i < policy->unit_count; i++) {
        max += policy->units[i]->guardrail_count;
        exception_max += policy->units[i]->exception_count;
    }
    guardrails = arena_alloc_array(policy->arena, max + 1, sizeof(const struct policy_guardrail *));
    exceptions = arena_alloc_array(policy->arena, exception_max + 1, sizeof(*exceptions));
    if (guardrails == NULL || exceptions == NULL)
        return false;
    policy->guardrails = guardrails;
    policy->exceptions = exceptions;
    for (size_t i = 0; i < policy->unit_count; i++) {
        const struct policy_unit *unit = policy->units[i];

        for (size_t k = 0; k < unit->guardrail_count; k++)
            guardrails[policy->guardrail_count++] = &unit->guardrails[k];
        for (size_t k = 0; k < unit->exception_count; k++)
            exceptions[policy->exception_count++] = unit->exceptions[k];
    }
    return true;
}

/* More are refused, and not looked at any further. */
static void bound(const struct builder *builder)
{
    struct policy *policy = builder->policy;

    if (policy->guardrail_count > POLICY_GUARDRAILS_MAX) {
        (void)say(builder, DIAGNOSTIC_ERROR, policy->guardrails[POLICY_GUARDRAILS_MAX]->at, STR(""),
                  arena_printf(builder->scratch, "a folder has at most %d guardrails, not %zu",
                               POLICY_GUARDRAILS_MAX, policy->guardrail_count));
        policy->guardrail_count = POLICY_GUARDRAILS_MAX;
    }
}

static int compare_guardrails(const void *a, const void *b)
{
    const struct policy_guardrail *left = *(const struct policy_guardrail *const *)a;
    const struct policy_guardrail *right = *(const struct policy_guardrail *const *)b;
    int order = str_compare(left->name, right->name);

    if (order == 0)
        order = str_compare(left->at.file, right->at.file);
    if (order == 0)
        order = (left->at.line > right->at.line) - (left->at.line < right->at.line);
    return order != 0 ? order
                      : (left->at.column > right->at.column) - (left->at.column < right->at.column);
}

/* Names are unique over all files, whatever a guardrail's kind. */
static bool check_unique(const struct builder *builder)
{
    const struct policy *policy = builder->policy;
    size_t count = policy->guardrail_count;
    const struct policy_guardrail **sorted =
        arena_alloc_array(builder->scratch, count + 1, sizeof(const struct policy_guardrail *));

    if (sorted == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        sorted[i] = policy->guardrails[i];
    qsort(sorted, count, sizeof(const struct policy_guardrail *), compare_guardrails);
    for (size_t i = 1; i < count; i++)
        if (str_eq(sorted[i - 1]->name, sorted[i]->name))
            (void)say(builder, DIAGNOSTIC_ERROR, sorted[i]->at, STR(""),
                      arena_printf(builder->scratch,
                                   "the guardrail '" STR_FMT "' is already at " STR_FMT ":%zu:%zu",
                                   STR_ARG(sorted[i]->name), STR_ARG(sorted[i - 1]->at.file),
                                   sorted[i - 1]->at.line, sorted[i - 1]->at.column));
    return true;
}

/* ---- names that guardrails choose by ---- */

/* The places where a guardrail names stages: `for`, and what its kind has besides. */
#define REACHES_MAX 2

static size_t list_reaches(const struct policy_guardrail *guardrail,
                           const struct policy_reach *reaches[REACHES_MAX])
{
    reaches[0] = &guardrail->reach;
    if (guardrail->kind == POLICY_GUARDRAIL_SEPARATE)
        reaches[1] = &guardrail->separate.from;
    else if (guardrail->kind == POLICY_GUARDRAIL_FORBID)
        reaches[1] = &guardrail->forbid.except;
    else
        return 1;
    return 2;
}

static int compare_texts(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static bool allocate_names(const struct builder *builder, struct names *names, size_t max)
{
    names->list = arena_alloc_array(builder->scratch, max + 1, sizeof(names->list[0]));
    names->is_used = arena_alloc_array(builder->scratch, max + 1, sizeof(names->is_used[0]));
    return names->list != NULL && names->is_used != NULL;
}

static void add_names(struct names *names, const struct str *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        names->list[names->count++] = list[i];
}

static void sort_names(struct names *names)
{
    size_t kept = 0;

    qsort(names->list, names->count, sizeof(names->list[0]), compare_texts);
    for (size_t i = 0; i < names->count; i++)
        if (kept == 0 || !str_eq(names->list[kept - 1], names->list[i]))
            names->list[kept++] = names->list[i];
    names->count = kept;
}

/* The place of a name, from 1, which counts as used from now on; 0: no guardrail has it. */
static uint32_t use_name(struct names *names, struct str name)
{
    for (size_t low = 0, high = names->count; low < high;) {
        size_t middle = low + (high - low) / 2;
        int order = str_compare(name, names->list[middle]);

        if (order == 0) {
            names->is_used[middle] = true;
            return (uint32_t)middle + 1;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return 0;
}

static bool collect_names(struct builder *builder)
{
    const struct policy *policy = builder->policy;
    const struct policy_reach *reaches[REACHES_MAX];
    size_t max[3] = { 0, 0, 0 };

    for (size_t i = 0; i < policy->guardrail_count; i++)
        for (size_t k = list_reaches(policy->guardrails[i], reaches); k > 0; k--) {
            max[0] += reaches[k - 1]->environment_count;
            max[1] += reaches[k - 1]->tenant_count;
            max[2] += reaches[k - 1]->target_count;
        }
    if (!allocate_names(builder, &builder->environments, max[0]) ||
        !allocate_names(builder, &builder->tenants, max[1]) ||
        !allocate_names(builder, &builder->targets, max[2]))
        return false;
    for (size_t i = 0; i < policy->guardrail_count; i++)
        for (size_t k = list_reaches(policy->guardrails[i], reaches); k > 0; k--) {
            const struct policy_reach *reach = reaches[k - 1];

            add_names(&builder->environments, reach->environments, reach->environment_count);
            add_names(&builder->tenants, reach->tenants, reach->tenant_count);
            add_names(&builder->targets, reach->targets, reach->target_count);
        }
    sort_names(&builder->environments);
    sort_names(&builder->tenants);
    sort_names(&builder->targets);
    return true;
}

/* All that the targets have of a kind of names. */
static bool use_known(const struct builder *builder, struct names *names, size_t max)
{
    names->known = arena_alloc_array(builder->scratch, max + 1, sizeof(names->known[0]));
    return names->known != NULL;
}

static void know(struct names *names, struct str name)
{
    (void)use_name(names, name);
    names->known[names->known_count++] = name;
}

static bool use_world(struct builder *builder)
{
    const struct policy_world *world = builder->policy->world;
    size_t tenants = 0;

    for (size_t i = 0; i < world->target_count; i++)
        tenants += world->targets[i].tenant_count;
    if (!use_known(builder, &builder->targets, world->target_count) ||
        !use_known(builder, &builder->environments, world->target_count) ||
        !use_known(builder, &builder->tenants, tenants))
        return false;
    for (size_t i = 0; i < world->target_count; i++) {
        const struct policy_target *target = &world->targets[i];

        know(&builder->targets, target->name);
        know(&builder->environments, target->environment);
        for (size_t k = 0; k < target->tenant_count; k++)
            know(&builder->tenants, target->tenants[k]);
    }
    return true;
}

static void warn_of_unused(const struct builder *builder, const struct policy_guardrail *guardrail,
                           struct names *names, const struct str *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct str *found =
            bsearch(&list[i], names->list, names->count, sizeof(names->list[0]), compare_texts);

        if (found == NULL || names->is_used[found - names->list])
            continue;
        names->is_used[found - names->list] = true; /* said once */
        (void)say(builder, DIAGNOSTIC_WARNING, guardrail->at,
                  diagnostic_nearest(builder->scratch, list[i], names->known, names->known_count),
                  arena_printf(builder->scratch,
                               "the guardrail '" STR_FMT "' is for the %s '" STR_FMT
                               "', which nothing has",
                               STR_ARG(guardrail->name), names->what, STR_ARG(list[i])));
        diagnostics_name(builder->options->diagnostics, "guardrail-unknown-name");
    }
}

/* A guardrail for what is not there guards nothing: most likely its name is misspelt. */
static void check_used(struct builder *builder)
{
    const struct policy *policy = builder->policy;
    const struct policy_reach *reaches[REACHES_MAX];

    for (size_t i = 0; i < policy->guardrail_count; i++) {
        size_t count = list_reaches(policy->guardrails[i], reaches);

        for (size_t k = 0; k < count; k++) {
            const struct policy_reach *reach = reaches[k];

            warn_of_unused(builder, policy->guardrails[i], &builder->environments,
                           reach->environments, reach->environment_count);
            warn_of_unused(builder, policy->guardrails[i], &builder->tenants, reach->tenants,
                           reach->tenant_count);
            warn_of_unused(builder, policy->guardrails[i], &builder->targets, reach->targets,
                           reach->target_count);
        }
    }
}

/* ---- classes of stages ---- */

static int compare_places(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

static void key_of(struct builder *builder, const struct policy_stage *stage, struct class_key *key)
{
    *key = (struct class_key){
        .kind = (uint32_t)stage->kind,
        .environment = use_name(&builder->environments, stage->environment),
        .tenant = use_name(&builder->tenants, stage->tenant),
    };
    if (builder->targets.count == 0)
        return;
    for (size_t i = 0; i < stage->grant_count; i++)
        if (stage->grants[i].target != NULL)
            key->targets[i] = use_name(&builder->targets, stage->grants[i].target->name);
    qsort(key->targets, POLICY_STAGE_GRANTS_MAX, sizeof(key->targets[0]), compare_places);
}

/* FNV-1a. A key has no bytes that are not set. */
static uint64_t hash_key(const struct class_key *key)
{
    const uint8_t *bytes = (const uint8_t *)key;
    uint64_t hash = UINT64_C(0xCBF29CE484222325);

    for (size_t i = 0; i < sizeof(*key); i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001B3);
    return hash;
}

static struct class *find_slot(struct class *classes, size_t capacity, const struct class_key *key)
{
    size_t slot = (size_t)hash_key(key) & (capacity - 1);

    while (classes[slot].is_taken && memcmp(&classes[slot].key, key, sizeof(*key)) != 0)
        slot = (slot + 1) & (capacity - 1);
    return &classes[slot];
}

static bool make_room(struct builder *builder)
{
    size_t capacity = builder->capacity == 0 ? 64 : builder->capacity * 2;
    struct class *classes;

    if (builder->class_count * 2 < builder->capacity)
        return true;
    classes = arena_alloc_array(builder->scratch, capacity, sizeof(*classes));
    if (classes == NULL)
        return false;
    for (size_t i = 0; i < builder->capacity; i++)
        if (builder->classes[i].is_taken)
            *find_slot(classes, capacity, &builder->classes[i].key) = builder->classes[i];
    builder->classes = classes;
    builder->capacity = capacity;
    return true;
}

bool policy_rails_hash(struct policy_rails *rails)
{
    OWNED(buf_release) struct buf buf = { 0 };

    buf_init(&buf, SIZE_MAX / 2);
    for (size_t i = 0; i < rails->count; i++) {
        const struct policy_rail *rail = &rails->list[i];

        buf_add(&buf, (struct str){ (const char *)rail->guardrail->sha256, SHA256_LEN });
        buf_printf(&buf, "%" PRId64 "\n", rail->exempt_until_s);
    }
    if (!buf_is_ok(&buf))
        return false;
    sha256(buf_str(&buf), rails->sha256);
    return true;
}

/* Those that bind a stage; NULL in `*out` where none does. */
static bool make_rails(const struct builder *builder, const struct policy_stage *stage,
                       const struct policy_rails **out)
{
    const struct policy *policy = builder->policy;
    struct policy_rails *rails;
    size_t count = 0;

    *out = NULL;
    for (size_t i = 0; i < policy->guardrail_count; i++)
        count += binds(policy->guardrails[i], stage);
    if (count == 0)
        return true;
    rails = arena_alloc(policy->arena, sizeof(*rails));
    if (rails != NULL)
        rails->list = arena_alloc_array(policy->arena, count, sizeof(rails->list[0]));
    if (rails == NULL || rails->list == NULL)
        return false;
    for (size_t i = 0; i < policy->guardrail_count; i++)
        if (binds(policy->guardrails[i], stage))
            rails->list[rails->count++] =
                (struct policy_rail){ .guardrail = policy->guardrails[i] };
    *out = rails;
    return policy_rails_hash(rails);
}

static bool find_rails(struct builder *builder, const struct policy_stage *stage,
                       const struct policy_rails **rails)
{
    struct class_key key;
    struct class *class;

    key_of(builder, stage, &key);
    if (!make_room(builder))
        return false;
    class = find_slot(builder->classes, builder->capacity, &key);
    if (!class->is_taken) {
        if (!make_rails(builder, stage, &class->rails))
            return false;
        class->key = key;
        class->is_taken = true;
        builder->class_count++;
    }
    *rails = class->rails;
    return true;
}

/* ---- stages ---- */

/* Room for the rails of a pipeline's stages, once there are any. */
static bool set_rails(const struct builder *builder, struct policy_linked *linked, size_t stage,
                      const struct policy_rails *rails)
{
    if (rails == NULL)
        return true;
    if (linked->rails == NULL)
        linked->rails = arena_alloc_array(builder->policy->arena, linked->pipeline->stage_count,
                                          sizeof(const struct policy_rails *));
    if (linked->rails == NULL)
        return false;
    linked->rails[stage] = rails;
    return true;
}

static bool bind_all(struct builder *builder)
{
    const struct policy *policy = builder->policy;

    for (size_t i = 0; i < policy->pipeline_count; i++) {
        struct policy_linked *linked = &policy->pipelines[i];

        for (size_t k = 0; k < linked->pipeline->stage_count; k++) {
            const struct policy_rails *rails = NULL;

            if (!find_rails(builder, &linked->pipeline->stages[k].shown, &rails) ||
                !set_rails(builder, linked, k, rails))
                return false;
        }
    }
    return true;
}

/* ---- all of it ---- */

bool policy_rails_build(struct policy *policy, const struct policy_load_options *options,
                        struct error *error)
{
    OWNED(arena_free) struct arena *scratch = arena_new(SIZE_MAX / 2);
    struct builder builder = {
        .policy = policy,
        .options = options,
        .scratch = scratch,
        .is_partial = options->diagnostics->error_count > 0,
        .environments = { .what = "environment" },
        .tenants = { .what = "tenant" },
        .targets = { .what = "target" },
    };

    if (scratch == NULL || !gather(&builder))
        return error_set(error, ERROR_MEMORY, "linking a policy");
    if (policy->guardrail_count == 0 && policy->exception_count == 0)
        return true;
    bound(&builder);
    if (!check_unique(&builder) || !collect_names(&builder) || !use_world(&builder) ||
        !bind_all(&builder))
        return error_set(error, ERROR_MEMORY, "linking a policy");
    if (!builder.is_partial)
        check_used(&builder);
    return policy_exceptions_apply(policy, options, builder.is_partial, error);
}
