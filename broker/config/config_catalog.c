/*
 * The catalog: what of broker.yaml everybody may read, in a file of its own. It stands beside the
 * policies, so that they can be checked where there is no broker; broker.yaml names it, and adds
 * what is the broker's own.
 */
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "config/config_internal.h"

#define ROW_DEPTH 3 /* a row of issuers or targets: the file, the list, the row */

static const char *const catalog_names[] = { "issuers", "people", "targets",
                                             "policy",  "limits", NULL };

/* What is the broker's own. */
static const char *const own_top[] = { "issuer", "broker", "listen", "admin",   "store", "keys",
                                       "ledger", "help",   "dpop",   "catalog", NULL };
static const char *const own_of_issuer[] = { "ca", "jwks", "key_hosts", "allow_networks", NULL };
static const char *const own_of_people[] = {
    "console_client_id", "console_hosts", "algorithms",     "max_age", "scopes",  "ca", "jwks",
    "key_hosts",         "allow_http",    "allow_networks", "roles",   "same_as", NULL
};
static const char *const own_of_limits[] = {
    "leeway", "connections", "threads", "requests_per_address", "requests_per_issuer", NULL
};
static const char *const own_of_policy[] = { "watch", "shadow", NULL };

const struct config_own config_own[] = {
    { "issuer", own_of_issuer },
    { "people", own_of_people },
    { "limits", own_of_limits },
    { "policy", own_of_policy },
};
const size_t config_own_count = COUNT(config_own);

static bool check_writers(const char *path, const char *what, const char *file,
                          struct diagnostics *diagnostics)
{
    struct stat status;

    if (stat(path, &status) != 0 || !file_is_open_to_others(path, &status))
        return true; /* what is not there is told by whoever reads it */
    return diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, (struct position){ str_from(file), 0, 0 },
                           STR(""), STR(""), "others may write to %s (chmod o-w)", what);
}

bool config_catalog_check_file(struct arena *arena, const char *path,
                               struct diagnostics *diagnostics)
{
    struct str folder = config_folder_of(str_from(path));
    const char *copy = arena_copy(arena, folder).data;

    return copy && check_writers(path, "the catalog", path, diagnostics) &&
           check_writers(copy, "the catalog's folder", path, diagnostics);
}

static bool refuse_own(const struct config_reader *reader, const json_t *map,
                       const char *const *own)
{
    bool is_good = true;

    for (size_t i = 0; own && own[i]; i++)
        if (json_object_get(map, own[i]))
            is_good = yaml_complain_key(&reader->yaml, map, own[i], STR("write it in broker.yaml"),
                                        "'%s' is the broker's own: a catalog holds what everybody "
                                        "may read",
                                        own[i]);
    return is_good;
}

static void refuse_own_of_issuers(const struct config_reader *reader, const json_t *issuers)
{
    const char *name;
    json_t *map;

    json_object_foreach (json_iterable(issuers), name, map)
        (void)refuse_own(reader, map, own_of_issuer);
}

static void refuse_own_of_targets(const struct config_reader *reader, const json_t *targets)
{
    const char *name;
    json_t *map;

    json_object_foreach (json_iterable(targets), name, map) {
        const struct target_kind *kind = target_kind_find(json_str(json_object_get(map, "type")));

        if (kind)
            (void)refuse_own(reader, map, kind->own_settings);
    }
}

void config_catalog_expect(const struct config_reader *reader, const json_t *root)
{
    JSON_OWNED json_t *others = json_copy(json_iterable(root)); /* values keep their places */

    for (size_t i = 0; json_is_object(others) && own_top[i]; i++)
        (void)json_object_del(others, own_top[i]);
    (void)yaml_expect_map(&reader->yaml, others ? others : root, catalog_names);
}

void config_catalog_check(const struct config_reader *reader, const json_t *root)
{
    (void)refuse_own(reader, root, own_top);
    (void)refuse_own(reader, json_object_get(root, "people"), own_of_people);
    (void)refuse_own(reader, json_object_get(root, "limits"), own_of_limits);
    (void)refuse_own(reader, json_object_get(root, "policy"), own_of_policy);
    refuse_own_of_issuers(reader, json_object_get(root, "issuers"));
    refuse_own_of_targets(reader, json_object_get(root, "targets"));
}

/* Read a catalog; what is wrong with it is reported. */
static bool parse(const struct config_reader *reader, const json_t *at, const char *path,
                  struct yaml_document **document)
{
    struct config *config = reader->config;
    struct str own = { (const char *)config->sha256, SHA256_LEN };
    uint8_t both[SHA256_LEN];
    struct error error = { 0 };
    struct str text;

    if (!file_read(config->arena, path, YAML_BYTES_MAX, &text, &error))
        return yaml_complain(&reader->yaml, at, "%s", error.cause);
    sha256_2(own, text, both);
    memcpy(config->sha256, both, sizeof(both));
    return config_catalog_check_file(config->arena, path, reader->yaml.diagnostics) &&
           yaml_parse(str_from(path), text, reader->yaml.diagnostics, document);
}

bool config_catalog_join(const struct config_reader *reader)
{
    struct config *config = reader->config;
    const json_t *root = yaml_root(config->document);
    OWNED(yaml_document_free) struct yaml_document *document = NULL;
    struct config_reader catalog = *reader;

    if (!json_object_get(root, "catalog") ||
        !config_get_path(reader, root, "catalog", &config->catalog_file))
        return true;
    if (!parse(reader, json_object_get(root, "catalog"), config->catalog_file, &document))
        return false;
    catalog.yaml.document = document;
    if (!json_is_object(yaml_root(document)))
        return yaml_complain(
            &catalog.yaml, yaml_root(document),
            "a catalog is a map of 'issuers', 'targets' and what else it may hold");
    config_catalog_check(&catalog, yaml_root(document));
    yaml_join(config->document, TAKE(document), ROW_DEPTH, reader->yaml.diagnostics);
    return true;
}

/* Of the rows that have `key` the one whose name is nearest. */
static struct str nearest_row(const struct config_reader *reader, const json_t *rows,
                              const char *name, const char *key)
{
    struct arena *arena = reader->config->arena;
    struct str *names = arena_alloc_array(arena, json_object_size(rows) + 1, sizeof(*names));
    const char *other;
    size_t count = 0;
    json_t *row;

    if (!names)
        return STR("");
    json_object_foreach (json_iterable(rows), other, row)
        if (json_object_get(row, key))
            names[count++] = str_from(other);
    return diagnostic_nearest(arena, str_from(name), names, count);
}

bool config_require_in_row(const struct config_reader *reader, const json_t *rows, const char *name,
                           const char *key)
{
    const json_t *row = json_object_get(rows, name);

    if (!reader->config->catalog_file || json_object_get(row, key))
        return yaml_require(&reader->yaml, row, key);
    return yaml_complain_key(&reader->yaml, rows, name, nearest_row(reader, rows, name, key),
                             "the key '%s' is missing here, and the catalog has no '%s'", key,
                             name);
}
