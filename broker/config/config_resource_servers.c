#include "base/error.h"
#include "base/json.h"
#include "config/config_internal.h"
#include "identity/resource_server.h"

#define SERVERS_MAX 1000
#define AUDIENCE_MAX 2048

static const char *const names[] = { "audience", "secret_file", NULL };
static const char *const nothing_later[] = { NULL };

static void read_one(const struct config_reader *reader, const json_t *rows, const char *name,
                     struct resource_server *server)
{
    const json_t *map = json_object_get(rows, name);

    server->name = str_from(name);
    if (!config_is_name(server->name))
        (void)yaml_complain_key(&reader->yaml, rows, name, STR(""),
                                "a resource server's name is [a-z0-9-]{1,40}");
    if (!config_expect_map(reader, map, names, nothing_later))
        return;
    if (yaml_require(&reader->yaml, map, "audience") &&
        yaml_get_str(&reader->yaml, map, "audience", &server->audience) &&
        (server->audience.len == 0 || server->audience.len > AUDIENCE_MAX ||
         str_has_control(server->audience)))
        (void)yaml_complain(&reader->yaml, json_object_get(map, "audience"),
                            "expected the audience of the tokens that it accepts");
    if (yaml_require(&reader->yaml, map, "secret_file"))
        (void)config_get_path(reader, map, "secret_file", &server->secret_file);
}

void config_read_resource_servers(const struct config_reader *reader, const json_t *root)
{
    struct config *config = reader->config;
    json_t *rows = json_object_get(root, "resource_servers");
    size_t count = json_object_size(rows);
    const char *name;
    json_t *value;

    if (!rows)
        return;
    if (!json_is_object(rows) || count > SERVERS_MAX) {
        (void)yaml_complain(&reader->yaml, rows, "expected a map of at most %d resource servers",
                            SERVERS_MAX);
        return;
    }
    config->resource_servers =
        arena_alloc_array(config->arena, count + 1, sizeof(*config->resource_servers));
    if (!config->resource_servers)
        return;
    json_object_foreach (rows, name, value)
        read_one(reader, rows, name, &config->resource_servers[config->resource_server_count++]);
}
