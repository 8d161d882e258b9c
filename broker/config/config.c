#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/network.h"
#include "config/config_internal.h"
#include "upstream/upstream.h"

#define CONFIG_ARENA_MAX ((size_t)64 * 1024 * 1024)
#define CONFIG_KEYS_MAX 32
#define MINUTE_S ((int64_t)60)
#define HOUR_S ((int64_t)3600)
#define DAY_S (24 * HOUR_S)

/* Words of the contract that this version does not act on; to ignore them would be to fail open. */
static const char *const listen_later[] = { "proxy", NULL };
static const char *const ledger_later[] = { "witnesses", "keep", NULL };
static const char *const nothing_later[] = { NULL };

static const char *const top_names[] = { "issuer", "broker",  "listen", "admin",   "store",
                                         "keys",   "ledger",  "limits", "policy",  "help",
                                         "dpop",   "issuers", "people", "targets", NULL };

/* Where the file is; its own relative paths start there. */
static struct str folder_of(struct str path)
{
    size_t len = path.len;

    while (len > 0 && path.data[len - 1] != '/')
        len--;
    return len > 0 ? str_slice(path, 0, len) : STR("./");
}

const char *config_path(const struct config_reader *reader, struct str path)
{
    struct str folder = folder_of(reader->file);

    if (str_starts_with(path, STR("/")))
        return arena_copy(reader->config->arena, path).data;
    return arena_printf(reader->config->arena, STR_FMT STR_FMT, STR_ARG(folder), STR_ARG(path))
        .data;
}

bool config_get_path(const struct config_reader *reader, const json_t *map, const char *key,
                     const char **path)
{
    struct str text;

    if (!yaml_get_str(&reader->yaml, map, key, &text))
        return false;
    *path = config_path(reader, text);
    return *path != NULL;
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

static void read_store(const struct config_reader *reader, const json_t *root)
{
    struct str text;

    if (!yaml_require(&reader->yaml, root, "store") ||
        !yaml_get_str(&reader->yaml, root, "store", &text))
        return;
    if (str_starts_with(text, STR("postgresql://")))
        (void)yaml_complain(&reader->yaml, json_object_get(root, "store"),
                            "a PostgreSQL store is not supported by this version: name a folder");
    else
        reader->config->store = config_path(reader, text);
    if (!reader->config->store)
        return;
    reader->config->issuers_folder =
        file_join(reader->config->arena, reader->config->store, "issuers");
    reader->config->people_folder =
        file_join(reader->config->arena, reader->config->store, "people");
}

static void read_keys(const struct config_reader *reader, const json_t *root)
{
    static const char *const names[] = { "directory", "algorithm", "rotate_every", NULL };
    static const char *const algorithms[] = { "ES256", "RS256", NULL };
    static const enum key_algorithm values[] = { KEY_ES256, KEY_RS256 };
    struct config *config = reader->config;
    struct keys_options *keys = &config->keys;
    const json_t *map;
    size_t choice;

    keys->issuer_algorithm = KEY_ES256;
    keys->rotate_every_s = 30 * DAY_S;
    if (yaml_get_map(&reader->yaml, root, "keys", &map) &&
        yaml_expect_map(&reader->yaml, map, names)) {
        (void)config_get_path(reader, map, "directory", &keys->directory);
        if (yaml_get_choice(&reader->yaml, map, "algorithm", algorithms, &choice))
            keys->issuer_algorithm = values[choice];
        (void)yaml_get_duration_s(&reader->yaml, map, "rotate_every", 3 * DAY_S, 400 * DAY_S,
                                  &keys->rotate_every_s);
    }
    if (!keys->directory && config->store)
        keys->directory = file_join(config->arena, config->store, "keys");
}

static struct str without_scheme(struct str url)
{
    if (str_starts_with(url, STR("https://")))
        return str_slice(url, sizeof("https://") - 1, url.len);
    if (str_starts_with(url, STR("http://")))
        return str_slice(url, sizeof("http://") - 1, url.len);
    return url;
}

/* The origin is the URL of the log without its scheme, unless the file says another. */
static void read_ledger(const struct config_reader *reader, const json_t *root)
{
    static const char *const names[] = { "origin", NULL };
    struct config *config = reader->config;
    const json_t *map;
    struct str origin;

    config->origin =
        arena_printf(config->arena, STR_FMT "/log", STR_ARG(without_scheme(config->issuer)));
    if (!yaml_get_map(&reader->yaml, root, "ledger", &map) ||
        !config_expect_map(reader, map, names, ledger_later) ||
        !yaml_get_str(&reader->yaml, map, "origin", &origin))
        return;
    if (origin.len > 200 || str_has_control(origin) || str_find(origin, ' ') < origin.len ||
        str_find(origin, '+') < origin.len)
        (void)yaml_complain(&reader->yaml, json_object_get(map, "origin"),
                            "expected 1 to 200 characters without space and '+'");
    config->origin = origin;
}

static void read_limits(const struct config_reader *reader, const json_t *root)
{
    static const char *const names[] = { "leeway", "default_ttl", "connections", "threads", NULL };
    struct config_limits *limits = &reader->config->limits;
    const json_t *map;

    *limits = (struct config_limits){
        .leeway_s = 30,
        .default_ttl_s = 15 * MINUTE_S,
        .connections = 10000,
    };
    if (!yaml_get_map(&reader->yaml, root, "limits", &map) ||
        !yaml_expect_map(&reader->yaml, map, names))
        return;
    (void)yaml_get_duration_s(&reader->yaml, map, "leeway", 1, MINUTE_S, &limits->leeway_s);
    (void)yaml_get_duration_s(&reader->yaml, map, "default_ttl", MINUTE_S, HOUR_S,
                              &limits->default_ttl_s);
    (void)yaml_get_int(&reader->yaml, map, "connections", 16, 100000, &limits->connections);
    (void)yaml_get_int(&reader->yaml, map, "threads", 1, 64, &limits->threads);
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
    static const char *const names[] = { "directory", NULL };
    const json_t *map;

    if (yaml_require(&reader->yaml, root, "policy") &&
        yaml_get_map(&reader->yaml, root, "policy", &map) &&
        yaml_expect_map(&reader->yaml, map, names) && yaml_require(&reader->yaml, map, "directory"))
        (void)config_get_path(reader, map, "directory", &reader->config->policy_directory);
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
    read_store(reader, root);
    read_keys(reader, root);
    read_ledger(reader, root);
    read_limits(reader, root);
    read_dpop(reader, root);
    read_policy(reader, root);
    config_read_issuers(reader, root);
    config_read_people(reader, root);
    config_read_targets(reader, root);
    config_build_world(reader->config);
}

static bool parse(struct config *config, const char *path, struct diagnostics *diagnostics,
                  struct error *error)
{
    struct config_reader reader = { .config = config, .file = str_from(path) };
    struct str text;

    if (!file_read(config->arena, path, YAML_BYTES_MAX, &text, error))
        return false;
    if (yaml_parse(reader.file, text, diagnostics, &config->document)) {
        reader.yaml = (struct yaml_reader){ config->document, diagnostics, config->arena };
        read_all(&reader);
    }
    if (diagnostics->error_count > 0)
        return error_set(error, ERROR_CONFIG, "%zu mistakes in %s", diagnostics->error_count, path);
    return true;
}

static struct config *config_new(void)
{
    struct config *config = calloc(1, sizeof(*config));

    if (!config)
        return NULL;
    config->arena = arena_new(CONFIG_ARENA_MAX);
    if (!config->arena) {
        free(config);
        return NULL;
    }
    return config;
}

bool config_load(const char *path, struct diagnostics *diagnostics, struct config **config,
                 struct error *error)
{
    OWNED(config_free) struct config *loaded = config_new();

    if (!loaded)
        return error_set(error, ERROR_MEMORY, "configuration");
    if (!parse(loaded, path, diagnostics, error))
        return false;
    *config = TAKE(loaded);
    return true;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    yaml_document_free(config->document);
    arena_free(config->arena);
    free(config);
}
