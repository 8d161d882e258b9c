#include <errno.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "config/config_internal.h"
#include "pg/dsn.h"

/* Of what is not in the database, where the file does not say. */
#define DEFAULT_FOLDER "/var/lib/stagepass"

/* Without the line: there may be a password in it, and messages go to logs. */
static void complain_unquoted(const struct config_reader *reader, const json_t *value,
                              const char *what)
{
    (void)diagnostics_add(reader->yaml.diagnostics, DIAGNOSTIC_ERROR,
                          yaml_at(reader->yaml.document, value), STR(""), STR(""), "%s", what);
}

static void read_url(const struct config_reader *reader, const json_t *map, const char *key)
{
    const json_t *value = json_object_get(map, key);
    struct error why = { 0 };
    struct str text;

    if (!yaml_get_str(&reader->yaml, map, key, &text))
        return;
    reader->config->store_url = arena_copy(reader->config->arena, text).data;
    if (!reader->config->store_url)
        return;
    if (!pg_dsn_is_url(reader->config->store_url))
        complain_unquoted(reader, value, "expected postgresql://user@host/database");
    else if (!pg_dsn_check(reader->config->store_url, false, &why))
        complain_unquoted(reader, value, why.cause);
}

static void read_map(const struct config_reader *reader, const json_t *map)
{
    static const char *const names[] = { "folder", "url", "dsn_file", NULL };
    struct config *config = reader->config;

    if (!yaml_expect_map(&reader->yaml, map, names))
        return;
    (void)config_get_path(reader, map, "folder", &config->store);
    read_url(reader, map, "url");
    (void)config_get_path(reader, map, "dsn_file", &config->store_dsn_file);
    if (config->store_url && config->store_dsn_file)
        (void)yaml_complain(&reader->yaml, json_object_get(map, "dsn_file"),
                            "a database is named by 'url' or by 'dsn_file', not by both");
    if (!config->store && !config->store_url && !config->store_dsn_file)
        (void)yaml_complain(&reader->yaml, map,
                            "a store needs a 'folder', a 'url' or a 'dsn_file'");
}

static void read_text(const struct config_reader *reader, const json_t *root)
{
    struct str text;

    if (!yaml_get_str(&reader->yaml, root, "store", &text))
        return;
    if (str_starts_with(text, STR("postgresql://")) || str_starts_with(text, STR("postgres://")))
        read_url(reader, root, "store");
    else
        (void)config_get_path(reader, root, "store", &reader->config->store);
}

/* What is not there yet is made at the start. */
static void check_folder(const struct config_reader *reader, const json_t *value)
{
    struct stat status;

    if (stat(reader->config->store, &status) == 0 ? !S_ISDIR(status.st_mode) : errno == ENOTDIR)
        (void)yaml_complain(&reader->yaml, value,
                            "expected a folder, or a place where one can be made: %s is a file, or "
                            "lies in one",
                            reader->config->store);
}

void config_read_store(const struct config_reader *reader, const json_t *root)
{
    struct config *config = reader->config;
    const json_t *value = json_object_get(root, "store");

    if (!yaml_require(&reader->yaml, root, "store"))
        return;
    if (json_is_object(value))
        read_map(reader, value);
    else
        read_text(reader, root);
    if (!config->store && (config->store_url || config->store_dsn_file))
        config->store = DEFAULT_FOLDER;
    if (!config->store)
        return;
    check_folder(reader, value);
    config->issuers_folder = file_join(config->arena, config->store, "issuers");
    config->people_folder = file_join(config->arena, config->store, "people");
    config->streams_folder = file_join(config->arena, config->store, "streams");
    config->policies_folder = file_join(config->arena, config->store, "policies");
}
