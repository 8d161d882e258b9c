#include "base/error.h"
#include "base/json.h"
#include "policy/pattern.h"
#include "policy/policy_loader.h"
#include "policy/policy_rails.h"

/* `forbid`: names of kinds of grants, as patterns in the kind's own matching. */

static bool has_hole(struct str text)
{
    for (size_t i = 0; i + 1 < text.len; i++)
        if (text.data[i] == '$' && text.data[i + 1] == '{')
            return true;
    return false;
}

static bool read_pattern(struct policy_loader *loader, const json_t *at, struct str text,
                         enum policy_matching matching, struct pattern *pattern)
{
    const char *problem = NULL;

    if (has_hole(text))
        return yaml_complain(&loader->reader, at, "'${...}' is filled in grants only");
    if (pattern_compile(text, matching, loader->arena, pattern, &problem))
        return true;
    loader->is_out_of_memory |= problem == NULL;
    return problem != NULL && yaml_complain(&loader->reader, at, "%s", problem);
}

/*
 * The patterns of one kind. One that the world does not know has no grants that could give
 * something: its patterns are only looked at.
 */
static bool read_kind(struct policy_loader *loader, const json_t *json, const char *name,
                      struct policy_forbidden *forbidden)
{
    const json_t *value = json_object_get(json, name);
    struct pattern *patterns;
    struct str *texts = NULL;
    size_t count = 0;

    forbidden->kind = policy_kind_find(loader->world, name);
    if (!yaml_get_strs(&loader->reader, json, name, &texts, &count))
        return false;
    if (count == 0 || count > POLICY_PATTERNS_MAX)
        return yaml_complain(&loader->reader, value, "'%s' has 1 to %d patterns, not %zu", name,
                             POLICY_PATTERNS_MAX, count);
    patterns = policy_loader_alloc(loader, count, sizeof(*patterns));
    for (size_t i = 0; patterns != NULL && i < count; i++)
        (void)read_pattern(
            loader, json_is_array(value) ? json_array_get(value, i) : value, texts[i],
            forbidden->kind == NULL ? POLICY_MATCHING_GLOB : forbidden->kind->matching,
            &patterns[i]);
    forbidden->patterns = patterns;
    forbidden->count = patterns == NULL ? 0 : count;
    return forbidden->kind != NULL;
}

static void read_except(struct policy_loader *loader, const json_t *json,
                        struct policy_forbid_rule *rule)
{
    const json_t *map = json_object_get(json, "except");
    const json_t *approval = NULL;

    if (map == NULL || !policy_words_check(loader, POLICY_PLACE_EXCEPT, map))
        return;
    rule->has_except = true;
    if (json_object_size(map) == 0)
        (void)yaml_complain(&loader->reader, map, "an empty 'except' excepts all: remove it");
    policy_reach_read(loader, map, &rule->except);
    if (!yaml_get_map(&loader->reader, map, "approval", &approval) ||
        !policy_words_check(loader, POLICY_PLACE_REQUIRED_APPROVAL, approval) ||
        !yaml_require(&loader->reader, approval, "count"))
        return;
    (void)yaml_get_int(&loader->reader, approval, "count", 1, POLICY_APPROVALS_MAX,
                       &rule->except_approvals);
}

static bool is_kind_word(const struct policy_loader *loader, const char *name)
{
    return policy_kind_find(loader->world, name) != NULL ||
           policy_words_has(POLICY_PLACE_FORBIDDEN_KIND, name);
}

void policy_forbid_read(struct policy_loader *loader, const json_t *json,
                        struct policy_guardrail *guardrail)
{
    struct policy_forbid_rule *rule = &guardrail->forbid;
    struct policy_forbidden *kinds =
        policy_loader_alloc(loader, json_object_size(json) + 1, sizeof(*kinds));
    bool is_any = false;
    const char *name;
    json_t *value;

    if (kinds == NULL)
        return;
    rule->kinds = kinds;
    json_object_foreach (json_iterable(json), name, value) {
        if (!is_kind_word(loader, name))
            continue;
        is_any = true;
        rule->kind_count += read_kind(loader, json, name, &kinds[rule->kind_count]);
    }
    if (!is_any)
        (void)yaml_complain_hint(&loader->reader, json, STR("such as aws: [\"iam:*\"]"),
                                 "a 'forbid' names a kind of grant, and patterns");
    read_except(loader, json, rule);
}

/* ---- what a grant gives ---- */

bool policy_giving_read(const struct policy_grant *grant, const json_t *fields, struct arena *arena,
                        struct policy_giving *giving, struct error *error)
{
    const struct policy_grant_view view = { grant->name, fields, grant->target, grant->ttl_s };
    const struct policy_grant_kind *kind = grant->kind;

    *giving = (struct policy_giving){ .given = { .is_everything = kind->gives == NULL } };
    if (kind->gives != NULL && !kind->gives(&view, arena, &giving->given))
        return error_set(error, ERROR_MEMORY, "what a grant gives");
    if (giving->given.is_everything)
        return true;
    giving->names =
        arena_alloc_array(arena, giving->given.name_count + 1, sizeof(giving->names[0]));
    for (size_t i = 0; giving->names != NULL && i < giving->given.name_count; i++) {
        const char *problem = NULL;

        if (pattern_compile(giving->given.names[i], kind->matching, arena, &giving->names[i],
                            &problem))
            continue;
        if (problem == NULL)
            return error_set(error, ERROR_MEMORY, "what a grant gives");
        giving->given.is_everything = true; /* a name that nobody can compare */
        return true;
    }
    return giving->names != NULL || error_set(error, ERROR_MEMORY, "what a grant gives");
}

const struct policy_forbidden *policy_forbidden_of(const struct policy_guardrail *guardrail,
                                                   const struct policy_grant_kind *kind)
{
    for (size_t i = 0; i < guardrail->forbid.kind_count; i++)
        if (guardrail->forbid.kinds[i].kind == kind)
            return &guardrail->forbid.kinds[i];
    return NULL;
}

bool policy_forbid_excepts(const struct policy_guardrail *guardrail,
                           const struct policy_stage *stage)
{
    const struct policy_forbid_rule *rule = &guardrail->forbid;
    const struct policy_approval *approval = stage->obligations.approval;

    if (!rule->has_except || !policy_reach_has(&rule->except, stage))
        return false;
    return rule->except_approvals == 0 ||
           (approval != NULL && approval->count >= rule->except_approvals);
}

const struct pattern *policy_forbidden_meets(const struct policy_forbidden *forbidden,
                                             const struct policy_giving *giving, size_t name)
{
    for (size_t i = 0; i < forbidden->count; i++)
        if (giving->given.is_everything ||
            pattern_meets(&forbidden->patterns[i], &giving->names[name]))
            return &forbidden->patterns[i];
    return NULL;
}

size_t policy_forbidden_steps(const struct policy_forbidden *forbidden,
                              const struct policy_giving *giving)
{
    size_t steps = 0;

    for (size_t i = 0; !giving->given.is_everything && i < giving->given.name_count; i++)
        for (size_t k = 0; k < forbidden->count; k++)
            steps += pattern_meeting_steps(&forbidden->patterns[k], &giving->names[i]);
    return steps;
}

bool policy_forbidden_gives(const struct policy_forbidden *forbidden,
                            const struct policy_giving *giving)
{
    bool is_given = giving->given.is_everything;

    for (size_t i = 0; !is_given && i < giving->given.name_count; i++)
        is_given = policy_forbidden_meets(forbidden, giving, i) != NULL;
    return is_given;
}
