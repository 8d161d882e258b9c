#include "config/schema.h"

#include <stdio.h>

#include "base/error.h"
#include "base/json.h"
#include "config/config_internal.h"
#include "identity/profile.h"

#define DEFINITION_MAX 64
#define REF "#/$defs/"

/* Made from schema/config.schema.json by stagepass_embed(). */
extern const unsigned char config_schema_text[];
extern const size_t config_schema_text_len;

/* One schema in the making. */
struct making {
    json_t *definitions; /* `$defs` of the file, which is changed in place */
    bool is_catalog;
};

static json_t *definition_of(const struct making *making, const char *name)
{
    return json_object_get(making->definitions, name);
}

static json_t *properties_of(const struct making *making, const char *name)
{
    return json_object_get(definition_of(making, name), "properties");
}

static json_t *target_of(const struct making *making, const struct target_kind *kind)
{
    char name[DEFINITION_MAX];

    (void)snprintf(name, sizeof(name), "target_%s", kind->grant.name);
    return definition_of(making, name);
}

static bool append(json_t *array, json_t *take_value)
{
    return json_array_append_new(array, take_value) == 0;
}

static void remove_keys(json_t *properties, const char *const *keys)
{
    for (size_t i = 0; keys && keys[i]; i++)
        (void)json_object_del(properties, keys[i]);
}

static void remove_own(const struct making *making)
{
    for (size_t i = 0; i < config_own_count; i++)
        remove_keys(properties_of(making, config_own[i].definition), config_own[i].keys);
    for (size_t i = 0; i < target_kind_count; i++)
        remove_keys(json_object_get(target_of(making, target_kinds[i]), "properties"),
                    target_kinds[i]->own_settings);
}

static bool add_profiles(const struct making *making)
{
    json_t *profile = json_object_get(properties_of(making, "issuer"), "profile");
    const char *const *names = profile_names();
    json_t *list = json_array();
    bool is_good = true;

    for (size_t i = 0; names[i]; i++)
        is_good = append(list, json_string(names[i])) && is_good;
    return json_put(profile, "enum", list) && is_good;
}

/* What every target may have stands in each kind's map, too: an editor knows no other way to tell
 * which keys are left. */
static bool close_target(const struct making *making, json_t *target)
{
    const json_t *common = properties_of(making, "target");
    json_t *properties = json_object_get(target, "properties");

    return json_object_update_missing(properties, json_iterable(common)) == 0 &&
           json_put(target, "additionalProperties", json_false());
}

/* `if` the type is this kind's, `then` its map. */
static json_t *choice_of(const struct target_kind *kind)
{
    return json_pack("{s:{s:{s:{s:s}},s:[s]},s:{s:s++}}", "if", "properties", "type", "const",
                     kind->grant.name, "required", "type", "then", "$ref", REF, "target_",
                     kind->grant.name);
}

/* A row without a type adds to one of the catalog, whose kind is not known here. */
static bool add_rest(const struct making *making, json_t *choices)
{
    json_t *properties = json_object();
    bool is_good = true;

    for (size_t i = 0; i < target_kind_count; i++) {
        json_t *target = target_of(making, target_kinds[i]);

        if (target)
            is_good = json_object_update_missing(properties,
                                                 json_object_get(target, "properties")) == 0 &&
                      is_good;
    }
    is_good =
        json_put(making->definitions, "target_rest",
                 json_pack("{s:s,s:o,s:b}", "description", "What is added to a row of the catalog",
                           "properties", properties, "additionalProperties", 0)) &&
        is_good;
    return append(choices, json_pack("{s:{s:{s:[s]}},s:{s:s}}", "if", "not", "required", "type",
                                     "then", "$ref", REF "target_rest")) &&
           is_good;
}

static bool add_targets(const struct making *making)
{
    json_t *type = json_object_get(properties_of(making, "target"), "type");
    json_t *names = json_array();
    json_t *choices = json_array();
    bool is_good = true;

    for (size_t i = 0; i < target_kind_count; i++) {
        const struct target_kind *kind = target_kinds[i];

        if (!kind->grant.has_target)
            continue;
        is_good = append(names, json_string(kind->grant.name)) &&
                  append(choices, choice_of(kind)) && is_good;
    }
    is_good = json_put(type, "enum", names) && is_good;
    for (size_t i = 0; i < target_kind_count; i++)
        if (target_kinds[i]->grant.has_target)
            is_good = close_target(making, target_of(making, target_kinds[i])) && is_good;
    if (!making->is_catalog)
        is_good = add_rest(making, choices) && is_good;
    return json_put(definition_of(making, "target"), "allOf", choices) && is_good;
}

/* ---- what the root needs of the definitions ---- */

static bool take_refs(const json_t *from, const json_t *all, json_t *used);

static bool take_ref(const char *ref, const json_t *all, json_t *used)
{
    const char *name = ref + sizeof(REF) - 1;
    json_t *definition = json_object_get(all, name);

    if (json_object_get(used, name))
        return true;
    return json_object_set(used, name, definition) == 0 && take_refs(definition, all, used);
}

/* Its depth is that of the file, which is ours. */
static bool take_refs(const json_t *from, const json_t *all, json_t *used)
{
    bool is_good = true;
    const char *name;
    json_t *value;
    size_t i;

    json_object_foreach (json_iterable(from), name, value) {
        if (str_eq(str_from(name), STR("$ref")))
            is_good = take_ref(json_string_value(value), all, used) && is_good;
        else
            is_good = take_refs(value, all, used) && is_good;
    }
    json_array_foreach (from, i, value)
        is_good = take_refs(value, all, used) && is_good;
    return is_good;
}

static json_t *root_of(const struct making *making, const json_t *schema)
{
    json_t *used = json_object();
    JSON_OWNED json_t *root =
        json_pack("{s:O,s:s,s:s,s:o}", "$schema", json_object_get(schema, "$schema"), "title",
                  making->is_catalog ? "Stagepass catalog" : "Stagepass broker.yaml", "$ref",
                  making->is_catalog ? REF "catalog" : REF "broker", "$defs", used);
    JSON_OWNED json_t *start = json_pack("{s:O}", "$ref", json_object_get(root, "$ref"));

    return start && take_refs(start, making->definitions, used) ? json_incref(root) : NULL;
}

static bool make(bool is_catalog, json_t **out, struct error *error)
{
    struct str text = { (const char *)config_schema_text, config_schema_text_len };
    JSON_OWNED json_t *schema = NULL;
    struct making making = { .is_catalog = is_catalog };

    if (!json_parse_object(text, (struct json_limits){ text.len, 32, 20000 }, &schema, error))
        return false;
    making.definitions = json_object_get(schema, "$defs");
    if (is_catalog)
        remove_own(&making);
    if (add_profiles(&making) && add_targets(&making))
        *out = root_of(&making, schema);
    return *out != NULL || error_set(error, ERROR_MEMORY, "schema");
}

bool config_schema_broker(json_t **out, struct error *error)
{
    *out = NULL;
    return make(false, out, error);
}

bool config_schema_catalog(json_t **out, struct error *error)
{
    *out = NULL;
    return make(true, out, error);
}
