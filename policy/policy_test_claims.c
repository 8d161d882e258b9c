#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "policy/policy_loader.h"

/* The claims of a test: written out, in a file, or a file's with some changed or left out. */

#define PATH_MAX_LEN 1024

/* ---- reading a row ---- */

struct claims_reader {
    struct policy_loader *loader;
    const struct policy_issuer *issuer;
};

/* What every token has: profiles need not name them. Source: RFC 7519 4.1 */
static const struct claim registered[] = {
    { "iss", CLAIM_STRING, 0 },  { "sub", CLAIM_STRING, 0 },  { "aud", CLAIM_STRINGS, 0 },
    { "exp", CLAIM_INTEGER, 0 }, { "nbf", CLAIM_INTEGER, 0 }, { "iat", CLAIM_INTEGER, 0 },
    { "jti", CLAIM_STRING, 0 },
};
static const struct claim_table registered_claims = { registered, COUNT(registered) };

/* A written claim as the JSON that a token would have; NULL where it was reported. */
static json_t *typed_claim(const struct claims_reader *reader, const json_t *value,
                           enum claim_type type)
{
    int64_t integer;

    if (type == CLAIM_STRINGS || (type == CLAIM_OBJECT && json_is_object(value)) ||
        (type == CLAIM_OBJECTS && json_is_array(value)))
        return json_deep_copy(value);
    if (!json_is_string(value) || type == CLAIM_OBJECT || type == CLAIM_OBJECTS) {
        (void)yaml_complain(&reader->loader->reader, value, "expected %s",
                            type == CLAIM_OBJECT    ? "a map"
                            : type == CLAIM_OBJECTS ? "a list of maps"
                                                    : "a plain value");
        return NULL;
    }
    if (type == CLAIM_STRING)
        return json_deep_copy(value);
    if (type == CLAIM_INTEGER && str_to_int64(json_str(value), &integer))
        return json_integer(integer);
    if (type == CLAIM_BOOLEAN && str_eq(json_str(value), STR("true")))
        return json_true();
    if (type == CLAIM_BOOLEAN && str_eq(json_str(value), STR("false")))
        return json_false();
    (void)yaml_complain(&reader->loader->reader, value, "expected %s",
                        type == CLAIM_INTEGER ? "a number" : "true or false");
    return NULL;
}

/* "did you mean 'ref'?", or nothing. */
static struct str nearest_claim(const struct claims_reader *reader, struct str name)
{
    const struct claim_table *claims = &reader->issuer->claims;
    struct arena *arena = reader->loader->reader.diagnostics->arena;
    struct str *names = arena_alloc_array(arena, claims->count + 1, sizeof(*names));

    for (size_t i = 0; names != NULL && i < claims->count; i++)
        names[i] = str_from(claims->rows[i].name);
    return diagnostic_nearest(arena, name, names, claims->count);
}

static bool complain_claim(const struct claims_reader *reader, const json_t *map, const char *name)
{
    return yaml_complain_key(
        &reader->loader->reader, map, name, nearest_claim(reader, str_from(name)),
        "issuer '" STR_FMT "' has no claim '%s'", STR_ARG(reader->issuer->name), name);
}

/* A map or list under a name that no profile knows is for JSON Pointers: taken as it is. */
static json_t *read_claim(const struct claims_reader *reader, const json_t *map, const char *name)
{
    const json_t *value = json_object_get(map, name);
    const struct claim *claim = claim_find(&reader->issuer->claims, str_from(name));

    if (claim == NULL)
        claim = claim_find(&registered_claims, str_from(name));
    if (claim == NULL && json_is_string(value)) {
        (void)complain_claim(reader, map, name);
        return NULL;
    }
    return claim == NULL ? json_deep_copy(value) : typed_claim(reader, value, claim->type);
}

const json_t *policy_test_claims_of(struct policy_loader *loader,
                                    const struct policy_issuer *issuer, const json_t *map)
{
    const struct claims_reader reader = { loader, issuer };
    JSON_OWNED json_t *claims = json_object();
    const char *name;
    json_t *value;

    json_object_foreach (json_iterable(map), name, value) {
        json_t *claim = read_claim(&reader, map, name);

        if (claim != NULL && !claim_put(claims, name, claim))
            (void)yaml_complain_key(&loader->reader, map, name, STR(""),
                                    "the way to '%s' is no map", name);
    }
    return policy_loader_keep(loader, claims);
}

/* A path below the folder at hand: no way out of it. */
static bool is_inner_path(struct str path)
{
    struct str part;

    if (path.len == 0 || path.len > PATH_MAX_LEN)
        return false;
    do {
        (void)str_cut(path, '/', &part, &path);
        if (part.len == 0 || str_eq(part, STR("..")) || str_eq(part, STR(".")))
            return false;
    } while (path.len > 0);
    return true;
}

static void read_path(const struct claims_reader *reader, const json_t *value, const char *key,
                      struct policy_test_row *row)
{
    if (json_is_string(value) && is_inner_path(json_str(value)))
        row->claims_file = policy_loader_copy(reader->loader, json_str(value));
    else
        (void)yaml_complain(&reader->loader->reader, value,
                            "'%s' is %sthe path of a JSON file, without '..'", key,
                            strcmp(key, "claims") == 0 ? "a map of claims, or " : "");
}

/* Whether a name is of a claim that a token of the issuer may have; pointers are taken as they are.
 */
static bool is_claim(const struct claims_reader *reader, struct str name)
{
    return claim_find(&reader->issuer->claims, name) != NULL ||
           claim_find(&registered_claims, name) != NULL ||
           (name.len > 0 && name.data[0] == '/' && claim_name_is_good(name));
}

static bool complain_left_out(const struct claims_reader *reader, const json_t *item)
{
    struct str nearest = STR("");

    if (json_is_string(item))
        nearest = nearest_claim(reader, json_str(item));
    return yaml_complain_hint(&reader->loader->reader, item, nearest,
                              "'without' is a list of the issuer's claims");
}

static void read_without(const struct claims_reader *reader, const json_t *json,
                         struct policy_test_row *row)
{
    const struct yaml_reader *yaml = &reader->loader->reader;
    const json_t *list = NULL;
    struct str *names;

    if (!yaml_get_list(yaml, json, "without", &list))
        return;
    names = policy_loader_alloc(reader->loader, json_array_size(list) + 1, sizeof(*names));
    for (size_t i = 0; names != NULL && i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);

        if (!json_is_string(item) || !is_claim(reader, json_str(item)))
            (void)complain_left_out(reader, item);
        else if (json_object_get(json_object_get(json, "claims"), json_string_value(item)) != NULL)
            (void)yaml_complain(yaml, item, "'%s' is in 'claims' too", json_string_value(item));
        else
            names[row->without_count++] = policy_loader_copy(reader->loader, json_str(item));
    }
    row->without = names;
}

/* `claims: {}` over `base: FILE`, less what `without` names. */
static void read_over_base(const struct claims_reader *reader, const json_t *json,
                           struct policy_test_row *row)
{
    const json_t *claims = NULL;

    read_path(reader, json_object_get(json, "base"), "base", row);
    if (yaml_get_map(&reader->loader->reader, json, "claims", &claims))
        row->claims = policy_test_claims_of(reader->loader, reader->issuer, claims);
    read_without(reader, json, row);
}

void policy_test_claims_read(struct policy_loader *loader, const json_t *json,
                             struct policy_test_row *row)
{
    const struct claims_reader reader = { loader, row->issuer };
    const json_t *claims = json_object_get(json, "claims");

    if (json_object_get(json, "base") == NULL && json_object_get(json, "without") != NULL)
        (void)yaml_complain_key(&loader->reader, json, "without", STR(""),
                                "'without' leaves claims of a 'base' out: there is none");
    if (json_object_get(json, "base") == NULL && !yaml_require(&loader->reader, json, "claims"))
        return;
    if (row->issuer == NULL) /* which was reported */
        return;
    if (json_object_get(json, "base") != NULL)
        read_over_base(&reader, json, row);
    else if (json_is_object(claims))
        row->claims = policy_test_claims_of(loader, row->issuer, claims);
    else
        read_path(&reader, claims, "claims", row);
}

/* ---- running a row ---- */

/* The folder of the policy file. */
static const char *folder_of(struct arena *arena, struct str file)
{
    size_t len = file.len;

    while (len > 0 && file.data[len - 1] != '/')
        len--;
    if (len == 0)
        return ".";
    return arena_copy(arena, str_slice(file, 0, len > 1 ? len - 1 : 1)).data;
}

static bool read_file(struct str name, const char *folder, struct arena *arena, json_t **claims,
                      struct error *error)
{
    const char *path = file_join(arena, folder, name.data);
    struct str text = { 0 };
    json_t *parsed = NULL;

    if (path == NULL)
        return error_set(error, ERROR_MEMORY, "testing a policy");
    if (!file_read(arena, path, JSON_LIMITS_REQUEST.bytes, &text, error))
        return false; /* it names the file */
    if (!json_parse_object(text, JSON_LIMITS_REQUEST, &parsed, error) ||
        !json_keep(arena, parsed, error))
        return error_wrap(error, "%s", path);
    *claims = parsed;
    return true;
}

/* Beside the policy, then in the folder of claims. */
static bool find_file(const struct policy_pipeline *pipeline, struct str name,
                      const char *claims_folder, struct arena *arena, json_t **claims,
                      struct error *error)
{
    const char *folder = folder_of(arena, pipeline->file);
    struct error beside = { 0 };

    if (folder == NULL)
        return error_set(error, ERROR_MEMORY, "testing a policy");
    if (read_file(name, folder, arena, claims, &beside))
        return true;
    /* A file that is there and broken is not looked for elsewhere. */
    if (beside.code == ERROR_IO && claims_folder != NULL)
        return read_file(name, claims_folder, arena, claims, error);
    return error_set(error, beside.code, "%s", beside.cause);
}

/* Objects are merged, all else is replaced. The row's claims are copied: other rows never see it.
 */
static bool change(const struct policy_test_row *row, json_t *claims, struct error *error)
{
    JSON_OWNED json_t *changes = json_deep_copy(row->claims);

    for (size_t i = 0; i < row->without_count; i++)
        if (!claim_drop(claims, row->without[i].data))
            return error_set(error, ERROR_INVALID, STR_FMT " has no '" STR_FMT "' to leave out",
                             STR_ARG(row->claims_file), STR_ARG(row->without[i]));
    if (row->claims != NULL && json_object_update_recursive(claims, changes) != 0)
        return error_set(error, ERROR_MEMORY, "testing a policy");
    return true;
}

bool policy_test_claims_find(const struct policy_pipeline *pipeline,
                             const struct policy_test_row *row, const char *claims_folder,
                             struct arena *arena, const json_t **claims, struct error *error)
{
    json_t *found = NULL;

    *claims = row->claims;
    if (row->claims_file.len == 0)
        return true;
    if (!find_file(pipeline, row->claims_file, claims_folder, arena, &found, error))
        return false;
    *claims = found;
    return change(row, found, error);
}
