#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/network.h"
#include "config/config_internal.h"
#include "upstream/upstream.h"

#define REQUESTS_MAX 10000000 /* a minute */
#define CONFIG_ARENA_MAX ((size_t)64 * 1024 * 1024)
#define CONFIG_KEYS_MAX 32
#define MINUTE_S ((int64_t)60)
#define HOUR_S ((int64_t)3600)

/* Words of the contract that this version does not act on; to ignore them would be to fail open. */
static const char *const listen_later[] = { "proxy", NULL };
static const char *const nothing_later[] = { NULL };

static const char *const top_names[] = { "issuer", "broker",  "listen",  "admin",
                                         "store",  "keys",    "ledger",  "limits",
                                         "policy", "help",    "dpop",    "issuers",
                                         "people", "targets", "catalog", "resource_servers",
                                         NULL };

struct str config_folder_of(struct str path)
{
    size_t len = path.len;

    while (len > 0 && path.data[len - 1] != '/')
        len--;
    return len > 0 ? str_slice(path, 0, len) : STR("./");
}

bool config_get_path(const struct config_reader *reader, const json_t *map, const char *key,
                     const char **path)
{
    struct arena *arena = reader->config->arena;
    struct str folder =
        config_folder_of(yaml_at(reader->yaml.document, json_object_get(map, key)).file);
    struct str resolved;
    struct str text;

    if (!yaml_get_str(&reader->yaml, map, key, &text))
        return false;
    if (str_starts_with(text, STR("/")))
        resolved = arena_copy(arena, text);
    else
        resolved = arena_printf(arena, STR_FMT STR_FMT, STR_ARG(folder), STR_ARG(text));
    if (!resolved.data)
        return false;
    *path = resolved.data;
    return true;
}

bool config_is_name(struct str text)
{
    return text.len >= 1 && text.len <= 40 &&
           str_is_made_of(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
}

bool config_expect_map(const struct config_reader *reader, const json_t *map,
                       const char *const *names, const char *const *later)
{
    const char *known[CONFIG_KEYS_MAX] = { 0 };
    size_t count = 0;
    bool is_good;

    for (size_t i = 0; names[i] && count + 1 < COUNT(known); i++)
        known[count++] = names[i];
    for (size_t i = 0; later[i] && count + 1 < COUNT(known); i++)
        known[count++] = later[i];
    is_good = yaml_expect_map(&reader->yaml, map, known);
    for (size_t i = 0; later[i]; i++)
        if (json_object_get(map, later[i]))
            is_good =
                yaml_complain_key(&reader->yaml, map, later[i], STR(""),
                                  "'%s' is not supported by this version: remove it", later[i]);
    return is_good;
}

static void read_tls(const struct config_reader *reader, const json_t *listen,
                     struct config_listen *out)
{
    static const char *const names[] = { "certificate", "key", "client_ca", NULL };
    const json_t *tls;

    if (!yaml_get_map(&reader->yaml, listen, "tls", &tls) ||
        !yaml_expect_map(&reader->yaml, tls, names))
        return;
    if (yaml_require(&reader->yaml, tls, "certificate"))
        (void)config_get_path(reader, tls, "certificate", &out->certificate_file);
    if (yaml_require(&reader->yaml, tls, "key"))
        (void)config_get_path(reader, tls, "key", &out->key_file);
    (void)config_get_path(reader, tls, "client_ca", &out->client_ca_file);
}

static void check_address(const struct config_reader *reader, const json_t *map,
                          const struct config_listen *listen)
{
    struct address address;

    if (!address_parse(listen->address, &address))
        (void)yaml_complain(&reader->yaml, json_object_get(map, "address"),
                            "expected an IPv4 or IPv6 address");
    else if (!listen->certificate_file && !address_is_loopback(&address))
        (void)yaml_complain(&reader->yaml, map,
                            "without 'tls' only a loopback address may be listened on");
}

static void read_listener(const struct config_reader *reader, const json_t *root, const char *key,
                          const char *const *names, const char *const *later,
                          struct config_listen *out)
{
    const json_t *map;
    int64_t port = out->port;

    if (!yaml_get_map(&reader->yaml, root, key, &map) ||
        !config_expect_map(reader, map, names, later))
        return;
    (void)yaml_get_str(&reader->yaml, map, "address", &out->address);
    (void)yaml_get_int(&reader->yaml, map, "port", 0, UINT16_MAX, &port);
    out->port = (uint16_t)port;
    read_tls(reader, map, out);
    check_address(reader, map, out);
}

static void read_listeners(const struct config_reader *reader, const json_t *root)
{
    static const char *const listen_names[] = { "address", "port", "tls", NULL };
    static const char *const admin_names[] = { "address", "port", NULL };
    struct config *config = reader->config;

    config->listen = (struct config_listen){ .address = STR("127.0.0.1"), .port = 8443 };
    config->admin = (struct config_listen){ .address = STR("127.0.0.1"), .port = 9464 };
    (void)yaml_require(&reader->yaml, root, "listen");
    read_listener(reader, root, "listen", listen_names, listen_later, &config->listen);
    read_listener(reader, root, "admin", admin_names, nothing_later, &config->admin);
}

static void read_issuer_url(const struct config_reader *reader, const json_t *root)
{
    struct error why = { 0 };
    struct str url;

    if (!yaml_require(&reader->yaml, root, "issuer") ||
        !yaml_get_str(&reader->yaml, root, "issuer", &url))
        return;
    if (!upstream_url_check(url, true, &why))
        (void)yaml_complain(&reader->yaml, json_object_get(root, "issuer"),
                            "expected the https URL by which runners and clouds reach the broker");
    else if (str_starts_with(url, STR("http://")) && !upstream_url_is_loopback(url))
        (void)yaml_complain(&reader->yaml, json_object_get(root, "issuer"),
                            "expected an https URL: plain http is for 127.0.0.1, [::1] and "
                            "localhost only");
    else if (str_ends_with(url, STR("/")) || str_find(url, '?') < url.len)
        (void)yaml_complain(&reader->yaml, json_object_get(root, "issuer"),
                            "an issuer URL has no query and no '/' at its end");
    reader->config->issuer = url;
}

static void read_names(const struct config_reader *reader, const json_t *root)
{
    struct config *config = reader->config;

    config->broker = STR("a");
    (void)yaml_get_str(&reader->yaml, root, "help", &config->help);
    if (yaml_get_str(&reader->yaml, root, "broker", &config->broker) &&
        !config_is_name(config->broker))
        (void)yaml_complain(&reader->yaml, json_object_get(root, "broker"),
                            "a broker's name is [a-z0-9-]{1,40}");
}

static void read_limits(const struct config_reader *reader, const json_t *root)
{
    static const char *const names[] = { "leeway",  "default_ttl",          "connections",
                                         "threads", "requests_per_address", "requests_per_issuer",
                                         NULL };
    struct config_limits *limits = &reader->config->limits;
    const json_t *map;

    *limits = (struct config_limits){
        .leeway_s = 30,
        .default_ttl_s = 15 * MINUTE_S,
        .connections = 10000,
        .requests_per_address = 6000,
        .requests_per_issuer = 60000,
    };
    if (!yaml_get_map(&reader->yaml, root, "limits", &map) ||
        !yaml_expect_map(&reader->yaml, map, names))
        return;
    (void)yaml_get_duration_s(&reader->yaml, map, "leeway", 1, MINUTE_S, &limits->leeway_s);
    (void)yaml_get_duration_s(&reader->yaml, map, "default_ttl", MINUTE_S, HOUR_S,
                              &limits->default_ttl_s);
    (void)yaml_get_int(&reader->yaml, map, "connections", 16, 100000, &limits->connections);
    (void)yaml_get_int(&reader->yaml, map, "threads", 1, 64, &limits->threads);
    (void)yaml_get_int(&reader->yaml, map, "requests_per_address", 1, REQUESTS_MAX,
                       &limits->requests_per_address);
    (void)yaml_get_int(&reader->yaml, map, "requests_per_issuer", 1, REQUESTS_MAX,
                       &limits->requests_per_issuer);
}

static void read_dpop(const struct config_reader *reader, const json_t *root)
{
    static const char *const names[] = { "nonce", NULL };
    static const char *const needs[] = { "optional", "required", NULL };
    const json_t *map;
    size_t choice;

    if (yaml_get_map(&reader->yaml, root, "dpop", &map) &&
        yaml_expect_map(&reader->yaml, map, names) &&
        yaml_get_choice(&reader->yaml, map, "nonce", needs, &choice))
        reader->config->needs_dpop_nonce = choice == 1;
}

static void read_policy(const struct config_reader *reader, const json_t *root)
{
    static const char *const names[] = { "directory", "watch", "shadow", NULL };
    struct config *config = reader->config;
    const json_t *map;

    config->is_policy_watched = true;
    if (!yaml_require(&reader->yaml, root, "policy") ||
        !yaml_get_map(&reader->yaml, root, "policy", &map) ||
        !yaml_expect_map(&reader->yaml, map, names))
        return;
    if (yaml_require(&reader->yaml, map, "directory"))
        (void)config_get_path(reader, map, "directory", &config->policy_directory);
    (void)yaml_get_bool(&reader->yaml, map, "watch", &config->is_policy_watched);
    (void)config_get_path(reader, map, "shadow", &config->shadow);
    if (config->shadow && config->policy_directory &&
        strcmp(config->shadow, config->policy_directory) == 0)
        (void)yaml_complain(&reader->yaml, json_object_get(map, "shadow"),
                            "the shadow is a folder of its own: this one is in force");
}

static void read_all(const struct config_reader *reader)
{
    const json_t *root = yaml_root(reader->config->document);

    (void)config_expect_map(reader, root, top_names, nothing_later);
    if (!json_is_object(root))
        return;
    read_issuer_url(reader, root);
    read_names(reader, root);
    read_listeners(reader, root);
    config_read_store(reader, root);
    config_read_keys(reader, root);
    config_read_ledger(reader, root);
    read_limits(reader, root);
    read_dpop(reader, root);
    read_policy(reader, root);
    config_read_issuers(reader, root);
    config_read_people(reader, root);
    config_read_resource_servers(reader, root);
    config_read_targets(reader, root);
    config_build_world(reader->config);
}

/* Where a catalog does not say it, policies stand beside it. */
static void read_catalog_policy(const struct config_reader *reader, const json_t *root)
{
    struct config *config = reader->config;
    struct str folder = config_folder_of(reader->file);

    if (json_object_get(root, "policy"))
        read_policy(reader, root);
    else
        config->policy_directory =
            arena_printf(config->arena, STR_FMT "policies", STR_ARG(folder)).data;
}

static void read_catalog(const struct config_reader *reader)
{
    const json_t *root = yaml_root(reader->config->document);

    config_catalog_expect(reader, root);
    if (!json_is_object(root))
        return;
    config_catalog_check(reader, root);
    read_limits(reader, root);
    read_catalog_policy(reader, root);
    config_read_issuers(reader, root);
    config_read_people(reader, root);
    config_read_targets(reader, root);
    config_build_world(reader->config);
}

static void read_document(const struct config_reader *reader)
{
    if (reader->config->is_catalog)
        read_catalog(reader);
    else if (config_catalog_join(reader))
        read_all(reader);
}

static bool parse(struct config *config, const char *path, struct diagnostics *diagnostics,
                  struct error *error)
{
    struct config_reader reader = { .config = config, .file = str_from(path) };
    struct str text;

    if (!file_read(config->arena, path, YAML_BYTES_MAX, &text, error))
        return false;
    sha256(text, config->sha256);
    if (config->is_catalog && !config_catalog_check_file(config->arena, path, diagnostics))
        return error_set(error, ERROR_CONFIG, "%s is not to be trusted", path);
    if (yaml_parse(reader.file, text, diagnostics, &config->document)) {
        reader.yaml = (struct yaml_reader){ config->document, diagnostics, config->arena };
        read_document(&reader);
    }
    if (diagnostics->error_count > 0)
        return error_set(error, ERROR_CONFIG, "%zu mistake%s in %s", diagnostics->error_count,
                         diagnostics->error_count == 1 ? "" : "s", path);
    return true;
}

static struct config *config_new(void)
{
    struct config *config = calloc(1, sizeof(*config));

    if (!config)
        return NULL;
    atomic_init(&config->reference_count, 1);
    config->arena = arena_new(CONFIG_ARENA_MAX);
    if (!config->arena) {
        free(config);
        return NULL;
    }
    return config;
}

static bool load(const char *path, bool is_catalog, struct diagnostics *diagnostics,
                 struct config **config, struct error *error)
{
    OWNED(config_unref) struct config *loaded = config_new();

    if (!loaded)
        return error_set(error, ERROR_MEMORY, "configuration");
    loaded->is_catalog = is_catalog;
    if (!parse(loaded, path, diagnostics, error))
        return false;
    *config = TAKE(loaded);
    return true;
}

bool config_load(const char *path, struct diagnostics *diagnostics, struct config **config,
                 struct error *error)
{
    return load(path, false, diagnostics, config, error);
}

bool config_load_catalog(const char *path, struct diagnostics *diagnostics, struct config **config,
                         struct error *error)
{
    return load(path, true, diagnostics, config, error);
}

struct config *config_ref(struct config *config)
{
    atomic_fetch_add(&config->reference_count, 1);
    return config;
}

void config_unref(struct config *config)
{
    if (!config || atomic_fetch_sub(&config->reference_count, 1) > 1)
        return;
    yaml_document_free(config->document);
    arena_free(config->arena);
    free(config);
}
