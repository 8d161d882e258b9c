#include "clients/issuer_files.h"

#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "upstream/upstream.h"

#define FILE_MAX ((size_t)64 * 1024)
#define KID_MAX 256
#define NUMBER_MAX ((size_t)2048) /* of a key, as text */
#define DISCOVERY_FOLDER ".well-known"
#define DISCOVERY_FILE DISCOVERY_FOLDER "/openid-configuration"
#define KEYS_FILE "jwks.json"

static const struct json_limits limits = { FILE_MAX, 8, 1000 };

/* ---- the key set ---- */

/* What a verifier reads of a key; the rest stays behind. */
struct member {
    const char *kty;
    const char *name;
};
static const struct member members[] = {
    { "EC", "crv" }, { "EC", "x" }, { "EC", "y" }, { "RSA", "n" }, { "RSA", "e" },
};
static const char *const private_members[] = { "d", "p", "q", "dp", "dq", "qi", "oth", "k" };
static const struct {
    const char *kty;
    const char *algorithm;
} kinds[] = { { "EC", "ES256" }, { "RSA", "RS256" } };

static bool is_public(const json_t *key)
{
    for (size_t i = 0; i < COUNT(private_members); i++)
        if (json_object_get(key, private_members[i]))
            return false;
    return true;
}

static bool is_taken_kind(const json_t *key)
{
    for (size_t i = 0; i < COUNT(kinds); i++)
        if (str_eq(json_str(json_object_get(key, "kty")), str_from(kinds[i].kty)) &&
            str_eq(json_str(json_object_get(key, "alg")), str_from(kinds[i].algorithm)))
            return true;
    return false;
}

static bool has_kid(const struct issuer_files *files, struct str kid)
{
    for (size_t i = 0; i < files->key_count; i++)
        if (str_eq(files->keys[i].kid, kid))
            return true;
    return false;
}

static bool check_key(const struct issuer_files *files, const json_t *key, struct error *error)
{
    struct str kid = json_str(json_object_get(key, "kid"));

    if (!is_public(key))
        return error_set(error, ERROR_INVALID, "a key of the set has a private half");
    if (!is_taken_kind(key))
        return error_set(error, ERROR_INVALID, "a key of the set is neither ES256 nor RS256");
    if (kid.len == 0 || kid.len > KID_MAX || str_has_control(kid))
        return error_set(error, ERROR_INVALID, "a key of the set has no proper kid");
    if (has_kid(files, kid))
        return error_set(error, ERROR_INVALID, "two keys of the set have one kid");
    return true;
}

static bool copy_numbers(const json_t *key, json_t *copy, struct error *error)
{
    struct str kty = json_str(json_object_get(key, "kty"));

    for (size_t i = 0; i < COUNT(members); i++) {
        struct str value = json_str(json_object_get(key, members[i].name));

        if (!str_eq(kty, str_from(members[i].kty)))
            continue;
        if (value.len == 0 || value.len > NUMBER_MAX)
            return error_set(error, ERROR_INVALID, "a key of the set lacks its '%s'",
                             members[i].name);
        if (!json_put(copy, members[i].name, json_from_str(value)))
            return error_set(error, ERROR_MEMORY, "a key");
    }
    return true;
}

/* A certificate that a verifier may want, as it is: whoever reads it checks that it is the key's.
 */
static bool copy_certificates(const json_t *key, json_t *copy, struct error *error)
{
    const json_t *chain = json_object_get(key, "x5c");
    json_t *thumbprint = json_object_get(key, "x5t#S256");

    if (!chain)
        return true;
    if (json_array_size(chain) != 1 || json_str(json_array_get(chain, 0)).len == 0 ||
        !json_is_string(thumbprint))
        return error_set(error, ERROR_INVALID, "a key of the set has no proper x5c");
    return (json_put(copy, "x5c", json_incref(json_iterable(chain))) &&
            json_put(copy, "x5t#S256", json_incref(thumbprint))) ||
           error_set(error, ERROR_MEMORY, "a key");
}

static bool add_key(struct issuer_files *files, const json_t *key, json_t *list,
                    struct error *error)
{
    static const char *const names[] = { "kty", "kid", "alg" };
    json_t *copy = json_append_object(list);
    bool is_good = json_put(copy, "use", json_string("sig"));

    if (files->key_count == ISSUER_KEYS_MAX)
        return error_set(error, ERROR_LIMIT, "more than %d keys", ISSUER_KEYS_MAX);
    if (!check_key(files, key, error))
        return false;
    for (size_t i = 0; i < COUNT(names); i++)
        is_good = is_good &&
                  json_put(copy, names[i], json_from_str(json_str(json_object_get(key, names[i]))));
    if (!is_good)
        return error_set(error, ERROR_MEMORY, "a key");
    files->keys[files->key_count++] = (struct issuer_key_name){
        json_str(json_object_get(copy, "kid")),
        json_str(json_object_get(copy, "alg")),
    };
    return copy_numbers(key, copy, error) && copy_certificates(key, copy, error);
}

static bool make_key_set(struct str text, struct arena *arena, struct issuer_files *files,
                         struct error *error)
{
    json_t *made = json_object();
    json_t *list = json_array();
    json_t *json = NULL;
    const json_t *keys;

    if (!json_put(made, "keys", list) || !json_keep(arena, made, error))
        return error_set(error, ERROR_MEMORY, "a key set");
    if (!json_parse_object(text, limits, &json, error) || !json_keep(arena, json, error))
        return error_wrap(error, "the broker's key set");
    keys = json_object_get(json, "keys");
    if (json_array_size(keys) == 0)
        return error_set(error, ERROR_INVALID, "the broker's key set has no keys");
    for (size_t i = 0; i < json_array_size(keys); i++)
        if (!add_key(files, json_array_get(keys, i), list, error))
            return false;
    files->key_set = json_text(arena, made);
    return files->key_set.data || error_set(error, ERROR_MEMORY, "a key set");
}

/* ---- discovery ---- */

static bool check_issuer(struct str issuer, struct error *error)
{
    struct error why = { 0 };
    bool is_local = str_starts_with(issuer, STR("http://"));
    struct str host;

    if (!upstream_url_check(issuer, true, &why))
        return error_set(error, ERROR_INVALID, "the broker's issuer: %s", why.cause);
    host = upstream_url_host(issuer);
    if (str_ends_with(issuer, STR("/")) || str_find(issuer, '?') < issuer.len ||
        (!is_local && str_find(host, ':') < host.len))
        return error_set(error, ERROR_INVALID,
                         "clouds take no issuer with a port, a query or '/' at its end");
    return true;
}

static bool put_algorithms(const struct issuer_files *files, json_t *discovery)
{
    json_t *list = json_array();

    if (!json_put(discovery, "id_token_signing_alg_values_supported", list))
        return false;
    for (size_t i = 0; i < COUNT(kinds); i++)
        for (size_t k = 0; k < files->key_count; k++)
            if (str_eq(files->keys[k].algorithm, str_from(kinds[i].algorithm))) {
                if (json_array_append_new(list, json_string(kinds[i].algorithm)) != 0)
                    return false;
                break;
            }
    return true;
}

static bool make_discovery(struct str text, struct arena *arena, struct issuer_files *files,
                           struct error *error)
{
    JSON_OWNED json_t *made = json_pack("{s:[s], s:[s]}", "response_types_supported", "id_token",
                                        "subject_types_supported", "public");
    json_t *json = NULL;

    if (!json_parse_object(text, limits, &json, error) || !json_keep(arena, json, error))
        return error_wrap(error, "the broker's discovery");
    files->issuer = json_str(json_object_get(json, "issuer"));
    if (!check_issuer(files->issuer, error))
        return false;
    if (json_put(made, "issuer", json_from_str(files->issuer)) &&
        json_put(
            made, "jwks_uri",
            json_from_str(arena_printf(arena, STR_FMT "/" KEYS_FILE, STR_ARG(files->issuer)))) &&
        put_algorithms(files, made))
        files->discovery = json_text(arena, made);
    return files->discovery.data || error_set(error, ERROR_MEMORY, "a discovery document");
}

bool issuer_files_make(struct str discovery, struct str key_set, struct arena *arena,
                       struct issuer_files *files, struct error *error)
{
    *files = (struct issuer_files){ 0 };
    return make_key_set(key_set, arena, files, error) &&
           make_discovery(discovery, arena, files, error);
}

/* ---- the folder ---- */

/* What is in a file of the folder as an object; NULL where there is no such file. */
static bool read_old(const char *path, struct arena *arena, struct str *text, const json_t **json,
                     struct error *error)
{
    json_t *parsed = NULL;

    *json = NULL;
    *text = (struct str){ 0 };
    if (access(path, F_OK) != 0)
        return true;
    if (!file_read(arena, path, FILE_MAX, text, error))
        return false;
    if (!json_parse_object(*text, limits, &parsed, &(struct error){ 0 }) ||
        !json_keep(arena, parsed, &(struct error){ 0 }))
        return error_set(error, ERROR_USAGE, "%s is no file of ours", path);
    *json = parsed;
    return true;
}

static bool shares_a_key(const struct issuer_files *files, const json_t *old)
{
    const json_t *keys = json_object_get(old, "keys");

    for (size_t i = 0; i < json_array_size(keys); i++)
        if (has_kid(files, json_str(json_object_get(json_array_get(keys, i), "kid"))))
            return true;
    return false;
}

static bool check_old(const struct issuer_files *files, const json_t *discovery,
                      const json_t *key_set, const char *folder, struct error *error)
{
    if (discovery && !str_eq(json_str(json_object_get(discovery, "issuer")), files->issuer))
        return error_set(error, ERROR_USAGE, "%s is another issuer's: --replace overwrites it",
                         folder);
    if (key_set && !shares_a_key(files, key_set))
        return error_set(error, ERROR_USAGE,
                         "%s has no key of this broker's: --replace overwrites it", folder);
    return true;
}

static const char *path_in(const char *folder, const char *name, struct arena *arena)
{
    return arena_printf(arena, "%s/%s", folder, name).data;
}

/* A line feed at the end, for people. */
static bool write_file(const char *path, struct str text, struct arena *arena, struct str old,
                       bool *is_changed, struct error *error)
{
    struct str content = arena_printf(arena, STR_FMT "\n", STR_ARG(text));

    if (!content.data)
        return error_set(error, ERROR_MEMORY, "%s", path);
    if (str_eq(content, old))
        return true;
    *is_changed = true;
    return file_replace(path, content, 0644, error);
}

bool issuer_files_write(const struct issuer_files *files, const char *folder, bool may_replace,
                        struct arena *arena, bool *is_changed, struct error *error)
{
    const char *discovery = path_in(folder, DISCOVERY_FILE, arena);
    const char *well_known = path_in(folder, DISCOVERY_FOLDER, arena);
    const char *keys = path_in(folder, KEYS_FILE, arena);
    const json_t *old_discovery = NULL;
    const json_t *old_keys = NULL;
    struct str old_texts[2] = { 0 };

    *is_changed = false;
    if (!discovery || !well_known || !keys)
        return error_set(error, ERROR_MEMORY, "a path");
    if (!may_replace && (!read_old(discovery, arena, &old_texts[0], &old_discovery, error) ||
                         !read_old(keys, arena, &old_texts[1], &old_keys, error) ||
                         !check_old(files, old_discovery, old_keys, folder, error)))
        return false;
    return (access(well_known, F_OK) == 0 || file_make_folder(well_known, 0755, error)) &&
           write_file(keys, files->key_set, arena, old_texts[1], is_changed, error) &&
           write_file(discovery, files->discovery, arena, old_texts[0], is_changed, error);
}
