#include "base/buf.h"
#include "base/json.h"
#include "policy/policy_loader.h"
#include "policy/policy_rails.h"

/*
 * A document of guardrails: rules that hold for the pipelines of all files, and exceptions from
 * them. Here each is read by itself; whom it binds is worked out when the files become a policy.
 */

#define EXCEPTION_WHY_MAX 256
#define TTL_WORD "ttl"

/* Names that a job is told when it is denied, and that are not a guardrail's. */
static const char *const taken_names[] = {
    "identity", "stage", "proof", "from", "during", "until"
};

/* ---- for, mode, name ---- */

/* Names of one member of `for`, sorted as they are written. */
static bool read_names(struct policy_loader *loader, const json_t *map, const char *key,
                       const struct str **out, size_t *count)
{
    const json_t *value = json_object_get(map, key);
    struct str *names = NULL;
    struct str *copies;
    size_t found = 0;

    if (!yaml_get_strs(&loader->reader, map, key, &names, &found))
        return false;
    if (found == 0 || found > POLICY_REACH_MAX)
        return yaml_complain(&loader->reader, value, "'%s' has 1 to %d names, not %zu", key,
                             POLICY_REACH_MAX, found);
    copies = policy_loader_alloc(loader, found, sizeof(*copies));
    for (size_t i = 0; copies != NULL && i < found; i++) {
        if (!policy_is_name(names[i], POLICY_NAME_SET, POLICY_NAME_MAX))
            (void)yaml_complain(
                &loader->reader, json_is_array(value) ? json_array_get(value, i) : value,
                "a name in '%s' has 1 to %d of a-z, 0-9 and '-'", key, POLICY_NAME_MAX);
        copies[i] = policy_loader_copy(loader, names[i]);
    }
    *out = copies;
    *count = copies == NULL ? 0 : found;
    return true;
}

/* Kinds of stages, one or a list, as bits. */
static bool read_stage_kinds(struct policy_loader *loader, const json_t *map, const char *key,
                             unsigned *bits)
{
    const json_t *value = json_object_get(map, key);
    struct str *names = NULL;
    size_t count = 0;

    if (!yaml_get_strs(&loader->reader, map, key, &names, &count))
        return false;
    if (count == 0)
        return yaml_complain(&loader->reader, value, "an empty list fits nothing");
    for (size_t i = 0; i < count; i++) {
        unsigned bit = 0;

        for (size_t kind = 0; kind < POLICY_STAGE_KINDS; kind++)
            if (str_eq(names[i], str_from(policy_stage_kind_name((enum policy_stage_kind)kind))))
                bit = 1U << kind;
        if (bit == 0)
            return yaml_complain_hint(
                &loader->reader, json_is_array(value) ? json_array_get(value, i) : value,
                STR("known here: build, test, release, deploy, maintenance, agent"),
                "there is no kind of stage '" STR_FMT "'", STR_ARG(str_slice(names[i], 0, 60)));
        *bits |= bit;
    }
    return true;
}

void policy_reach_read(struct policy_loader *loader, const json_t *map, struct policy_reach *reach)
{
    (void)read_stage_kinds(loader, map, "kind", &reach->kinds);
    (void)read_names(loader, map, "environment", &reach->environments, &reach->environment_count);
    (void)read_names(loader, map, "tenant", &reach->tenants, &reach->tenant_count);
    (void)read_names(loader, map, "target", &reach->targets, &reach->target_count);
}

/* `for`, or what else has its shape. */
static bool read_reach_at(struct policy_loader *loader, const json_t *map, const char *key,
                          struct policy_reach *reach)
{
    const json_t *json = json_object_get(map, key);

    if (json == NULL || !policy_words_check(loader, POLICY_PLACE_REACH, json))
        return false;
    if (json_object_size(json) == 0)
        return yaml_complain(&loader->reader, json, "an empty '%s' says nothing: remove it", key);
    policy_reach_read(loader, json, reach);
    return true;
}

static bool is_taken(struct str name)
{
    for (size_t i = 0; i < COUNT(taken_names); i++)
        if (str_eq(name, str_from(taken_names[i])))
            return true;
    return false;
}

static void read_name(struct policy_loader *loader, const json_t *json,
                      struct policy_guardrail *guardrail)
{
    const json_t *at = json_object_get(json, "name");
    struct str name = { 0 };

    if (!yaml_require(&loader->reader, json, "name") ||
        !yaml_get_str(&loader->reader, json, "name", &name))
        return;
    if (!policy_is_name(name, POLICY_NAME_SET, POLICY_NAME_MAX))
        (void)yaml_complain(&loader->reader, at,
                            "a guardrail's name has 1 to %d of a-z, 0-9 and '-'", POLICY_NAME_MAX);
    else if (is_taken(name))
        (void)yaml_complain_hint(&loader->reader, at,
                                 STR("choose another: jobs are told the name when it denies them"),
                                 "'" STR_FMT "' already means something else", STR_ARG(name));
    guardrail->name = policy_loader_copy(loader, name);
    guardrail->at = yaml_at(loader->reader.document, at);
    guardrail->at.file = loader->unit->path;
}

/* What every guardrail with a name may say. */
static void read_common(struct policy_loader *loader, const json_t *json,
                        struct policy_guardrail *guardrail)
{
    static const char *const modes[] = { "enforce", "warn", NULL };
    size_t mode = 0;

    read_name(loader, json, guardrail);
    (void)yaml_get_choice(&loader->reader, json, "mode", modes, &mode);
    guardrail->is_warning = mode == 1;
    (void)read_reach_at(loader, json, "for", &guardrail->reach);
}

/* ---- ttl ---- */

static void read_lives(struct policy_loader *loader, const json_t *map, struct policy_ttl_rule *ttl)
{
    bool is_any = false;

    for (size_t kind = 0; kind < POLICY_STAGE_KINDS; kind++) {
        const char *name = policy_stage_kind_name((enum policy_stage_kind)kind);

        is_any |= json_object_get(map, name) != NULL;
        (void)yaml_get_duration_s(&loader->reader, map, name, 1, POLICY_TTL_MAX_S,
                                  &ttl->max_s[kind]);
    }
    if (!is_any)
        (void)yaml_complain_hint(&loader->reader, map, STR("such as { build: 15m, deploy: 30m }"),
                                 "a 'ttl' bounds a kind of stage at least");
}

static void read_ttl(struct policy_loader *loader, const json_t *json,
                     struct policy_guardrail *guardrail)
{
    read_lives(loader, json, &guardrail->ttl);
}

/* The one that is no list has no name of its own. */
static void read_plain_ttl(struct policy_loader *loader, const json_t *map,
                           struct policy_guardrail *guardrail)
{
    guardrail->name = STR(TTL_WORD);
    guardrail->at = yaml_at_key(loader->reader.document, map, TTL_WORD);
    guardrail->at.file = loader->unit->path;
    if (policy_words_check(loader, POLICY_PLACE_LIVES, json_object_get(map, TTL_WORD)))
        read_lives(loader, json_object_get(map, TTL_WORD), &guardrail->ttl);
}

/* ---- separate ---- */

static void read_separate(struct policy_loader *loader, const json_t *json,
                          struct policy_guardrail *guardrail)
{
    struct policy_separate_rule *rule = &guardrail->separate;
    bool has_kinds = json_object_get(json, "kinds") != NULL;
    bool has_principals = json_object_get(json, "principals") != NULL;

    (void)read_stage_kinds(loader, json, "kinds", &rule->kinds);
    (void)read_reach_at(loader, json, "from", &rule->from);
    (void)yaml_get_bool(&loader->reader, json, "principals", &rule->principals);
    if (has_kinds == has_principals)
        (void)yaml_complain_hint(&loader->reader, json,
                                 STR("{ kinds: [build], from: { environment: production } }, or "
                                     "{ principals: true }"),
                                 "'separate' has 'kinds' and 'from', or 'principals'");
    else if (has_kinds)
        (void)yaml_require(&loader->reader, json, "from");
    else if (json_object_get(json, "from") != NULL)
        (void)yaml_complain_key(&loader->reader, json, "from", STR(""),
                                "'from' goes with 'kinds': 'principals' are kept apart everywhere");
    if (has_principals && !rule->principals && json_is_string(json_object_get(json, "principals")))
        (void)yaml_complain(&loader->reader, json_object_get(json, "principals"),
                            "'principals' is true, or not written");
}

/* ---- require ---- */

/* Nothing fills a hole from a guardrail's conditions, so remembering is a mistake. */
static bool remembers(const struct policy_clause *clause)
{
    for (size_t i = 0; i < clause->count; i++)
        for (size_t k = 0; k < clause->maps[i].count; k++) {
            const struct policy_condition *condition = &clause->maps[i].conditions[k];

            for (size_t n = 0; n < condition->test_count; n++)
                if (condition->tests[n].operation == POLICY_LIKE &&
                    condition->tests[n].glob->name_count > 0)
                    return true;
        }
    return false;
}

static void read_conditions(struct policy_loader *loader, const json_t *json,
                            struct policy_clause *when)
{
    static const struct policy_scope scope = { .is_of_facts = true };

    policy_clause_read(loader, json, "when", &scope, when);
    if (loader->reader.diagnostics->error_count == 0 && remembers(when))
        (void)yaml_complain(&loader->reader, json_object_get(json, "when"),
                            "a guardrail's pattern remembers nothing: write '*'");
}

/* A map with one member that must be there, or one of several. NULL where it is not there. */
static const json_t *read_part(struct policy_loader *loader, const json_t *json, const char *key,
                               enum policy_place place)
{
    const json_t *map = json_object_get(json, key);

    if (map == NULL || !policy_words_check(loader, place, map))
        return NULL;
    if (json_object_size(map) > 0)
        return map;
    (void)yaml_complain(&loader->reader, map, "an empty '%s' demands nothing: remove it", key);
    return NULL;
}

static void read_limits(struct policy_loader *loader, const json_t *json,
                        struct policy_limits *limits)
{
    const json_t *map = read_part(loader, json, "limits", POLICY_PLACE_REQUIRED_LIMITS);

    if (map == NULL)
        return;
    (void)yaml_get_int(&loader->reader, map, "per_job", 1, POLICY_LIMIT_MAX, &limits->per_job);
    (void)yaml_get_int(&loader->reader, map, "concurrent", 1, POLICY_LIMIT_MAX,
                       &limits->concurrent);
    (void)yaml_get_int(&loader->reader, map, "per_hour", 1, POLICY_LIMIT_MAX, &limits->per_hour);
}

static void read_approvals(struct policy_loader *loader, const json_t *json, int64_t *count)
{
    const json_t *map = read_part(loader, json, "approval", POLICY_PLACE_REQUIRED_APPROVAL);

    if (map != NULL)
        (void)yaml_get_int(&loader->reader, map, "count", 1, POLICY_APPROVALS_MAX, count);
}

static void read_require(struct policy_loader *loader, const json_t *json,
                         struct policy_guardrail *guardrail)
{
    static const char *const demands[] = { "when",     "proof",     "from", "limits",
                                           "approval", "review_by", "lease" };
    struct policy_require_rule *rule = &guardrail->require;
    const json_t *review = read_part(loader, json, "review_by", POLICY_PLACE_REQUIRED_REVIEW);
    const json_t *lease = read_part(loader, json, "lease", POLICY_PLACE_REQUIRED_LEASE);
    bool is_any = false;

    read_conditions(loader, json, &rule->when);
    rule->proofs = policy_proofs_read(loader, json);
    policy_from_read(loader, json, &rule->from);
    read_limits(loader, json, &rule->limits);
    read_approvals(loader, json, &rule->approvals);
    rule->has_review =
        review != NULL && yaml_get_duration_s(&loader->reader, review, "grace", 1, POLICY_TTL_MAX_S,
                                              &rule->review_grace_s);
    if (lease != NULL)
        (void)yaml_get_duration_s(&loader->reader, lease, "max", 1, POLICY_TTL_MAX_S,
                                  &rule->lease_max_s);
    for (size_t i = 0; i < COUNT(demands); i++)
        is_any |= json_object_get(json, demands[i]) != NULL;
    if (!is_any)
        (void)yaml_complain_hint(
            &loader->reader, json,
            STR("it can demand: when, proof, from, limits, approval, review_by, lease"),
            "this guardrail demands nothing");
}

/* ---- freeze ---- */

/* A time, or a date, which is its start in UTC. */
static bool read_time(struct policy_loader *loader, const json_t *json, const char *key,
                      int64_t *time_s)
{
    return yaml_require(&loader->reader, json, key) && policy_time_read(loader, json, key, time_s);
}

static void read_freeze(struct policy_loader *loader, const json_t *json,
                        struct policy_guardrail *guardrail)
{
    struct policy_freeze_rule *rule = &guardrail->freeze;
    bool has_from = read_time(loader, json, "from", &rule->from_s);

    if (read_time(loader, json, "to", &rule->to_s) && has_from && rule->to_s <= rule->from_s)
        (void)yaml_complain_hint(&loader->reader, json_object_get(json, "to"),
                                 STR("a date is its start in UTC: the day itself is not in it"),
                                 "a freeze ends after it begins");
}

/* ---- guardrails ---- */

static const struct rule_kind {
    const char *word;
    enum policy_guardrail_kind kind;
    enum policy_place place;
    void (*read)(struct policy_loader *loader, const json_t *json,
                 struct policy_guardrail *guardrail);
} rule_kinds[] = {
    { TTL_WORD, POLICY_GUARDRAIL_TTL, POLICY_PLACE_TTL, read_ttl },
    { "forbid", POLICY_GUARDRAIL_FORBID, POLICY_PLACE_FORBID, policy_forbid_read },
    { "separate", POLICY_GUARDRAIL_SEPARATE, POLICY_PLACE_SEPARATE, read_separate },
    { "require", POLICY_GUARDRAIL_REQUIRE, POLICY_PLACE_REQUIRE, read_require },
    { "freeze", POLICY_GUARDRAIL_FREEZE, POLICY_PLACE_FREEZE, read_freeze },
};

/* What it says, and the values of the sets that it names. */
static void hash_guardrail(struct policy_loader *loader, const json_t *json, const char *word,
                           struct policy_guardrail *guardrail)
{
    OWNED(buf_release) struct buf buf = { 0 };

    buf_init(&buf, SIZE_MAX / 2);
    buf_printf(&buf, "{\"%s\":", word);
    buf_add_json(&buf, json);
    buf_add_text(&buf, ",\"sets\":");
    buf_add_json(&buf, loader->used_sets);
    buf_add_text(&buf, "}");
    loader->is_out_of_memory |= !buf_is_ok(&buf);
    sha256(buf_str(&buf), guardrail->sha256);
}

static void read_item(struct policy_loader *loader, const struct rule_kind *kind,
                      const json_t *json, struct policy_guardrail *guardrail)
{
    guardrail->kind = kind->kind;
    (void)json_object_clear(loader->used_sets); /* of the guardrail before */
    if (!policy_words_check(loader, kind->place, json))
        return;
    read_common(loader, json, guardrail);
    kind->read(loader, json, guardrail);
    hash_guardrail(loader, json, kind->word, guardrail);
}

static void read_rules(struct policy_loader *loader, const json_t *map,
                       const struct rule_kind *kind, struct policy_guardrail *guardrails)
{
    const json_t *json = json_object_get(map, kind->word);
    const json_t *list = NULL;

    if (kind->kind == POLICY_GUARDRAIL_TTL && json_is_object(json)) {
        struct policy_guardrail *guardrail = &guardrails[loader->unit->guardrail_count++];

        guardrail->kind = kind->kind;
        read_plain_ttl(loader, map, guardrail);
        hash_guardrail(loader, json, kind->word, guardrail);
        return;
    }
    if (!yaml_get_list(&loader->reader, map, kind->word, &list))
        return;
    if (json_array_size(list) == 0)
        (void)yaml_complain(&loader->reader, list, "an empty list says nothing: remove '%s'",
                            kind->word);
    for (size_t i = 0; i < json_array_size(list); i++)
        read_item(loader, kind, json_array_get(list, i),
                  &guardrails[loader->unit->guardrail_count++]);
}

/* ---- exceptions ---- */

static struct str read_text(struct policy_loader *loader, const json_t *json, const char *key)
{
    struct str text = { 0 };

    if (!yaml_require(&loader->reader, json, key) ||
        !yaml_get_str(&loader->reader, json, key, &text))
        return STR("");
    return policy_loader_copy(loader, text);
}

static void read_exception(struct policy_loader *loader, const json_t *json,
                           struct policy_exception *exception)
{
    exception->at = yaml_at(loader->reader.document, json);
    exception->at.file = loader->unit->path;
    if (!policy_words_check(loader, POLICY_PLACE_EXCEPTION, json))
        return;
    exception->guardrail = read_text(loader, json, "from");
    exception->pipeline = read_text(loader, json, "pipeline");
    exception->stage = read_text(loader, json, "stage");
    (void)read_time(loader, json, "until", &exception->until_s);
    exception->why = read_text(loader, json, "why");
    if (json_is_string(json_object_get(json, "why")) &&
        (str_trim(exception->why).len == 0 || exception->why.len > EXCEPTION_WHY_MAX ||
         str_has_control(exception->why)))
        (void)yaml_complain(&loader->reader, json_object_get(json, "why"),
                            "'why' is one line of 1 to %d bytes", EXCEPTION_WHY_MAX);
}

static void read_exceptions(struct policy_loader *loader, const json_t *map)
{
    struct policy_exception *exceptions;
    const json_t *list = NULL;
    size_t count;

    if (!yaml_get_list(&loader->reader, map, "exceptions", &list))
        return;
    count = json_array_size(list);
    if (count == 0)
        (void)yaml_complain(&loader->reader, list,
                            "an empty list says nothing: remove 'exceptions'");
    exceptions = policy_loader_alloc(loader, count + 1, sizeof(*exceptions));
    for (size_t i = 0; exceptions != NULL && i < count; i++)
        read_exception(loader, json_array_get(list, i), &exceptions[i]);
    loader->unit->exceptions = exceptions;
    loader->unit->exception_count = exceptions == NULL ? 0 : count;
}

/* ---- the document ---- */

static size_t count_guardrails(const json_t *map)
{
    size_t count = 0;

    for (size_t i = 0; i < COUNT(rule_kinds); i++) {
        const json_t *json = json_object_get(map, rule_kinds[i].word);

        count += json_is_array(json) ? json_array_size(json) : 1;
    }
    return count;
}

void policy_guardrails_read(struct policy_loader *loader, const json_t *root)
{
    static const char *const names[] = { "guardrails", NULL };
    const json_t *map = json_object_get(root, "guardrails");
    struct policy_guardrail *guardrails;

    if (!yaml_expect_map(&loader->reader, root, names) ||
        !policy_words_check(loader, POLICY_PLACE_GUARDRAILS, map))
        return;
    if (json_object_size(map) == 0)
        (void)yaml_complain(&loader->reader, map, "there is no guardrail in 'guardrails'");
    guardrails = policy_loader_alloc(loader, count_guardrails(map), sizeof(*guardrails));
    if (guardrails == NULL)
        return;
    loader->unit->guardrails = guardrails;
    for (size_t i = 0; i < COUNT(rule_kinds); i++)
        read_rules(loader, map, &rule_kinds[i], guardrails);
    read_exceptions(loader, map);
}
