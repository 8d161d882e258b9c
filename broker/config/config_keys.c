#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "config/config_internal.h"

#define DAY_S ((int64_t)24 * 3600)

/* Without the line: there may be a PIN in it, and messages go to logs. */
static void complain_unquoted(const struct config_reader *reader, const json_t *value,
                              const char *what)
{
    (void)diagnostics_add(reader->yaml.diagnostics, DIAGNOSTIC_ERROR,
                          yaml_at(reader->yaml.document, value), STR(""), STR(""), "%s", what);
}

static void read_token(const struct config_reader *reader, const json_t *map, const char *key)
{
    struct keys_options *keys = &reader->config->keys;
    struct error why = { 0 };
    struct str text;

    if (!yaml_get_str(&reader->yaml, map, key, &text))
        return;
    keys->token = arena_copy(reader->config->arena, text).data;
    if (keys->token && !keys_check_token(keys->token, &why))
        complain_unquoted(reader, json_object_get(map, key), why.cause);
}

static bool is_key_name(struct str name)
{
    return config_is_name(name) && !str_starts_with(name, STR("issuer-")) &&
           !str_eq(name, STR("sealing"));
}

static void read_files(const struct config_reader *reader, const json_t *map)
{
    struct keys_options *keys = &reader->config->keys;
    const json_t *list = json_object_get(map, "files");
    struct str *names;
    size_t count;

    if (!yaml_get_strs(&reader->yaml, map, "files", &names, &count))
        return;
    if (!keys->token)
        complain_unquoted(reader, list, "only beside a 'token': without one all keys are files");
    if (count > KEYS_FILES_MAX)
        complain_unquoted(reader, list, "expected at most 64 names of keys");
    for (size_t i = 0; i < count; i++)
        if (!is_key_name(names[i]))
            complain_unquoted(reader, list,
                              "expected names of keys, [a-z0-9-]{1,40}; those of the issuer are "
                              "always in the token");
    keys->files = names;
    keys->file_count = count;
}

static void read_map(const struct config_reader *reader, const json_t *map)
{
    static const char *const names[] = { "directory",    "algorithm", "token", "files",
                                         "rotate_every", "x5c",       NULL };
    static const char *const algorithms[] = { "ES256", "RS256", NULL };
    static const enum key_algorithm values[] = { KEY_ES256, KEY_RS256 };
    struct keys_options *keys = &reader->config->keys;
    size_t choice;

    if (!yaml_expect_map(&reader->yaml, map, names))
        return;
    (void)config_get_path(reader, map, "directory", &keys->directory);
    if (yaml_get_choice(&reader->yaml, map, "algorithm", algorithms, &choice))
        keys->issuer_algorithm = values[choice];
    (void)yaml_get_duration_s(&reader->yaml, map, "rotate_every", 3 * DAY_S, 400 * DAY_S,
                              &keys->rotate_every_s);
    (void)yaml_get_bool(&reader->yaml, map, "x5c", &keys->has_certificates);
    read_token(reader, map, "token");
    read_files(reader, map);
}

void config_read_keys(const struct config_reader *reader, const json_t *root)
{
    struct config *config = reader->config;
    struct keys_options *keys = &config->keys;
    const json_t *value = json_object_get(root, "keys");
    const json_t *map;

    keys->issuer_algorithm = KEY_ES256;
    keys->rotate_every_s = 30 * DAY_S;
    if (json_is_string(value))
        read_token(reader, root, "keys");
    else if (yaml_get_map(&reader->yaml, root, "keys", &map))
        read_map(reader, map);
    if (!keys->directory && config->store)
        keys->directory = file_join(config->arena, config->store, "keys");
}
