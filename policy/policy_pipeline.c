#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/time_text.h"
#include "policy/policy_loader.h"

static const char *const kind_names[] = {
    [POLICY_BUILD] = "build",
    [POLICY_TEST] = "test",
    [POLICY_RELEASE] = "release",
    [POLICY_DEPLOY] = "deploy",
    [POLICY_MAINTENANCE] = "maintenance",
    [POLICY_AGENT] = "agent",
    NULL,
};

const char *policy_stage_kind_name(enum policy_stage_kind kind)
{
    return kind_names[kind];
}

bool policy_is_name(struct str text, const char *set, size_t max)
{
    return text.len > 0 && text.len <= max && str_is_made_of(text, set);
}

struct str policy_name_hint(const struct policy_loader *loader, struct str text, const char *set,
                            size_t max)
{
    char name[POLICY_PIPELINE_NAME_MAX];

    if (text.len == 0 || text.len > max || text.len > sizeof(name))
        return STR("");
    for (size_t i = 0; i < text.len; i++) {
        char lower = text.data[i] >= 'A' && text.data[i] <= 'Z' ? (char)(text.data[i] + 'a' - 'A')
                                                                : text.data[i];

        if ((uint8_t)lower >= 0x80)
            return STR("");
        name[i] = str_is_made_of((struct str){ &lower, 1 }, set) ? lower : '-';
    }
    return arena_printf(loader->reader.diagnostics->arena, "did you mean '" STR_FMT "'?",
                        STR_ARG(((struct str){ name, text.len })));
}

/* Read a name from a member: [a-z0-9-]{1,40}. Empty where it is absent or reported. */
static struct str read_name(struct policy_loader *loader, const json_t *map, const char *key)
{
    struct str name = { 0 };

    if (!yaml_get_str(&loader->reader, map, key, &name))
        return STR("");
    if (policy_is_name(name, POLICY_NAME_SET, POLICY_NAME_MAX))
        return policy_loader_copy(loader, name);
    (void)yaml_complain_hint(&loader->reader, json_object_get(map, key),
                             policy_name_hint(loader, name, POLICY_NAME_SET, POLICY_NAME_MAX),
                             "'%s' has 1 to %d of a-z, 0-9 and '-'", key, POLICY_NAME_MAX);
    return STR("");
}

/* ---- stages ---- */

static void check_stage_name(const struct policy_loader *loader, const json_t *map,
                             const char *name)
{
    if (policy_is_name(str_from(name), POLICY_NAME_SET, POLICY_NAME_MAX))
        return;
    (void)yaml_complain_key(
        &loader->reader, map, name,
        policy_name_hint(loader, str_from(name), POLICY_NAME_SET, POLICY_NAME_MAX),
        "a stage's name has 1 to %d of a-z, 0-9 and '-'", POLICY_NAME_MAX);
}

static void note_words(const struct policy_loader *loader, const json_t *json,
                       struct policy_stage_rule *stage)
{
    static const char *const words[] = {
        [POLICY_WORD_PROOF] = "proof",
        [POLICY_WORD_FROM] = "from",
        [POLICY_WORD_DURING] = "during",
        [POLICY_WORD_UNTIL] = "until",
    };

    for (size_t i = 0; i < COUNT(words); i++)
        if (json_object_get(json, words[i]) != NULL)
            stage->words[i] = policy_spot_of(loader, json, words[i]);
}

static void read_stage(struct policy_loader *loader, const json_t *stages,
                       const struct policy_expansion *expansion, const struct policy_scope *scope,
                       struct policy_stage_rule *stage)
{
    const json_t *json = expansion->all;
    size_t kind = 0;

    if (!policy_words_check(loader, POLICY_PLACE_STAGE, json))
        return;
    if (yaml_require(&loader->reader, json, "kind") &&
        yaml_get_choice(&loader->reader, json, "kind", kind_names, &kind))
        stage->shown.kind = (enum policy_stage_kind)kind;
    stage->shown.environment = read_name(loader, json, "environment");
    policy_stage_clause_read(loader, expansion, "when", scope, &stage->when);
    policy_stage_clause_read(loader, expansion, "unless", scope, &stage->unless);
    stage->proofs = policy_proofs_read(loader, json);
    policy_from_read(loader, json, &stage->from);
    policy_during_read(loader, json, stage);
    policy_until_read(loader, json, &stage->shown.until_s);
    note_words(loader, json, stage);
    policy_captures_check(loader, json, stage);
    policy_instance_read(loader, json, stage);
    policy_grants_read(loader, json, stage);
    policy_obligations_read(loader, stages, json, stage);
}

/* Stages, and behind them room for their ids: whoever looks for one by its name reads both. */
static struct policy_stage_rule *alloc_stages(struct policy_loader *loader, const json_t *map,
                                              const struct policy_pipeline *pipeline, char **ids)
{
    size_t size = json_object_size(map) * sizeof(struct policy_stage_rule);
    size_t ids_size = 0;
    struct policy_stage_rule *stages;
    const char *name;
    json_t *value;

    json_object_foreach (json_iterable(map), name, value) {
        ids_size += pipeline->name.len + 1 + strlen(name) + 1;
    }
    stages = policy_loader_alloc(loader, 1, size + ids_size);
    *ids = stages == NULL ? NULL : (char *)stages + size;
    return stages;
}

/* Write a stage's id where there is room for it, and move on behind it. */
static void name_stage(char **ids, const char *name, const struct policy_pipeline *pipeline,
                       struct policy_stage_rule *stage)
{
    struct policy_stage *shown = &stage->shown;

    stage->pipeline = pipeline;
    shown->id = (struct str){ *ids, pipeline->name.len + 1 + strlen(name) };
    if (pipeline->name.len > 0) /* one that is no name was reported */
        memcpy(*ids, pipeline->name.data, pipeline->name.len);
    (*ids)[pipeline->name.len] = ':';
    memcpy(*ids + pipeline->name.len + 1, name, strlen(name) + 1);
    *ids += shown->id.len + 1;
    shown->pipeline = str_slice(shown->id, 0, pipeline->name.len);
    shown->name = str_slice(shown->id, pipeline->name.len + 1, shown->id.len);
    shown->tenant = pipeline->tenant;
    shown->owner = pipeline->owner;
    shown->review_by_s = pipeline->review_by_s;
}

/* FNV-1a */
uint32_t policy_name_hash(struct str name)
{
    uint32_t hash = UINT32_C(0x811C9DC5);

    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (uint8_t)name.data[i]) * UINT32_C(0x01000193);
    return hash;
}

/*
 * The key of a stage that has been read. What a decision needs of it was allocated in one go, from
 * the first condition to the grants, so that most of it lies in one stretch of memory; where it
 * does not, something is fetched in vain.
 */
static struct policy_stage_key key_of(const struct policy_stage_rule *stage)
{
    const void *conditions = stage->when.count > 0 ? stage->when.maps : stage->unless.maps;
    const void *start = conditions != NULL ? conditions : (const void *)stage->shown.grants;
    uintptr_t end = (uintptr_t)stage->spots; /* made behind the grants */
    uintptr_t size = end > (uintptr_t)start ? end - (uintptr_t)start : 0;

    return (struct policy_stage_key){ start, size < UINT32_MAX ? (uint32_t)size : UINT32_MAX,
                                      policy_name_hash(stage->shown.name) };
}

static void read_stages(struct policy_loader *loader, const json_t *map,
                        const struct policy_scope *scope, struct policy_pipeline *pipeline)
{
    struct policy_stage_rule *stages;
    struct policy_stage_key *keys;
    const json_t *json = NULL;
    const char *name;
    char *ids = NULL;
    json_t *value;

    if (!yaml_require(&loader->reader, map, "stages") ||
        !yaml_get_map(&loader->reader, map, "stages", &json))
        return;
    if (json_object_size(json) == 0 || json_object_size(json) > POLICY_STAGES_MAX) {
        (void)yaml_complain(&loader->reader, json, "a pipeline has 1 to %d stages, not %zu",
                            POLICY_STAGES_MAX, json_object_size(json));
        return;
    }
    keys = policy_loader_alloc(loader, json_object_size(json), sizeof(*keys));
    stages = alloc_stages(loader, json, pipeline, &ids);
    if (keys == NULL || stages == NULL)
        return;
    pipeline->keys = keys;
    pipeline->stages = stages;
    json_object_foreach (json_iterable(json), name, value) {
        struct policy_stage_rule *stage = &stages[pipeline->stage_count];
        struct policy_expansion expansion = { 0 };

        check_stage_name(loader, json, name);
        name_stage(&ids, name, pipeline, stage);
        stage->spot = policy_spot_of(loader, json, name);
        stage->spot.is_of_template = false;
        loader->is_incomplete |= !policy_stage_expand(loader, json, name, &expansion);
        if (loader->expanding != NULL)
            stage->template_at = &loader->expanding->at;
        if (expansion.all != NULL)
            read_stage(loader, json, &expansion, scope, stage);
        policy_expansion_end(loader);
        keys[pipeline->stage_count++] = key_of(stage);
    }
    policy_after_check(loader, json, pipeline);
}

/* ---- the pipeline ---- */

static void read_pipeline_name(struct policy_loader *loader, const json_t *root,
                               struct policy_pipeline *pipeline)
{
    struct str name = { 0 };

    if (!yaml_get_str(&loader->reader, root, "pipeline", &name))
        return;
    if (!policy_is_name(name, POLICY_NAME_SET "._/", POLICY_PIPELINE_NAME_MAX))
        (void)yaml_complain_hint(
            &loader->reader, json_object_get(root, "pipeline"),
            policy_name_hint(loader, name, POLICY_NAME_SET "._/", POLICY_PIPELINE_NAME_MAX),
            "a pipeline's name has 1 to %d of a-z, 0-9, '.', '_', '/' and '-'",
            POLICY_PIPELINE_NAME_MAX);
    pipeline->name = policy_loader_copy(loader, name);
    pipeline->at = yaml_at(loader->reader.document, json_object_get(root, "pipeline"));
    pipeline->at.file = pipeline->file;
}

static void read_owner(struct policy_loader *loader, const json_t *root,
                       struct policy_pipeline *pipeline)
{
    struct str owner = { 0 };

    if (!yaml_require(&loader->reader, root, "owner") ||
        !yaml_get_str(&loader->reader, root, "owner", &owner))
        return;
    if (str_trim(owner).len == 0 || owner.len > POLICY_OWNER_MAX || str_has_control(owner))
        (void)yaml_complain(&loader->reader, json_object_get(root, "owner"),
                            "'owner' is one line of 1 to %d bytes", POLICY_OWNER_MAX);
    pipeline->owner = policy_loader_copy(loader, owner);
}

static void read_review(struct policy_loader *loader, const json_t *root,
                        struct policy_pipeline *pipeline)
{
    struct str text = { 0 };
    int64_t time_ms = 0;

    if (!yaml_get_str(&loader->reader, root, "review_by", &text))
        return;
    if (text.len != sizeof("2026-11-22") - 1 || !time_text_parse(text, &time_ms) ||
        time_ms == 0) /* which would be: none */
        (void)yaml_complain(&loader->reader, json_object_get(root, "review_by"),
                            "'review_by' is a date such as 2026-11-22");
    pipeline->review_by_s = time_ms / 1000;
}

/* The document with its stages as their templates make them: a new reference. */
static json_t *expand_document(const struct policy_loader *loader, const json_t *root)
{
    JSON_OWNED json_t *copy = NULL;
    JSON_OWNED json_t *stages = NULL;

    if (json_object_size(loader->expanded) == 0)
        return json_incref(json_iterable(root));
    copy = json_copy(json_iterable(root));
    stages = json_copy(json_object_get(root, "stages"));
    if (copy == NULL || stages == NULL || json_object_update(stages, loader->expanded) != 0 ||
        json_object_set(copy, "stages", stages) != 0)
        return NULL;
    return TAKE(copy);
}

/* Hash the document and the sets that it uses. */
static void hash_document(struct policy_loader *loader, const json_t *root,
                          struct policy_pipeline *pipeline)
{
    OWNED(buf_release) struct buf buf = { 0 };
    JSON_OWNED json_t *expanded = expand_document(loader, root);

    buf_init(&buf, SIZE_MAX / 2);
    buf_add_text(&buf, "{\"pipeline\":");
    buf_add_json(&buf, expanded);
    buf_add_text(&buf, ",\"sets\":");
    buf_add_json(&buf, loader->used_sets);
    buf_add_text(&buf, "}");
    if (!buf_is_ok(&buf)) {
        loader->is_out_of_memory = true;
        return;
    }
    sha256(buf_str(&buf), pipeline->document_sha256);
}

void policy_pipeline_read(struct policy_loader *loader, const json_t *root,
                          struct policy_pipeline *pipeline)
{
    struct policy_scope scope = { 0 };

    pipeline->file = loader->unit->path;
    if (!policy_words_check(loader, POLICY_PLACE_PIPELINE, root))
        return;
    read_pipeline_name(loader, root, pipeline);
    pipeline->tenant = read_name(loader, root, "tenant");
    read_owner(loader, root, pipeline);
    read_review(loader, root, pipeline);
    if (yaml_require(&loader->reader, root, "identity"))
        policy_identity_read(loader, root, pipeline, &scope);
    policy_clause_read(loader, root, "when", &scope, &pipeline->when);
    policy_clause_read(loader, root, "unless", &scope, &pipeline->unless);
    read_stages(loader, root, &scope, pipeline);
    policy_tests_read(loader, root, &scope, pipeline);
    hash_document(loader, root, pipeline);
}
