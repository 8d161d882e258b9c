#include "base/error.h"
#include "base/json.h"
#include "targets/targets_internal.h"
#include "upstream/upstream.h"

static bool check_text(const struct yaml_reader *reader, const json_t *at, struct str text,
                       const struct text_limits *limits)
{
    if (text.len == 0 || text.len > limits->bytes)
        return yaml_complain(reader, at, "'%s' has 1 to %zu bytes", limits->name, limits->bytes);
    if (str_has_control(text) || (limits->charset && !str_is_made_of(text, limits->charset)))
        return yaml_complain(reader, at, "'" STR_FMT "' holds a character that '%s' cannot have",
                             STR_ARG(str_slice(text, 0, 60)), limits->name);
    return true;
}

bool setting_text(const struct yaml_reader *reader, const json_t *node,
                  const struct text_limits *limits, struct str *out)
{
    const json_t *value = json_object_get(node, limits->name);
    struct str text;

    if (!value)
        return true;
    if (!yaml_get_str(reader, node, limits->name, &text) ||
        !check_text(reader, value, text, limits))
        return false;
    *out = text;
    return true;
}

bool setting_texts(const struct yaml_reader *reader, const json_t *node,
                   const struct text_limits *limits, struct texts *out)
{
    const json_t *value = json_object_get(node, limits->name);
    struct str *list;
    size_t count;

    if (!value)
        return true;
    if (!yaml_get_strs(reader, node, limits->name, &list, &count))
        return false;
    if (count == 0 || count > limits->count)
        return yaml_complain(reader, value, "'%s' has 1 to %zu elements", limits->name,
                             limits->count);
    for (size_t i = 0; i < count; i++)
        if (!check_text(reader, grant_item(value, i), list[i], limits))
            return false;
    *out = (struct texts){ list, count };
    return true;
}

static bool read_base(const struct yaml_reader *reader, const json_t *node, const char *key,
                      bool may_use_http, struct str *out)
{
    const json_t *value = json_object_get(node, key);
    struct error why = { 0 };
    struct str text;

    if (!value)
        return true;
    if (!yaml_get_str(reader, node, key, &text))
        return false;
    if (!upstream_url_check(text, may_use_http, &why))
        return yaml_complain(reader, value, "%s", why.cause);
    if (str_ends_with(text, STR("/")) || str_find(text, '?') < text.len)
        return yaml_complain(reader, value, "expected a URL without a query and '/' at its end");
    *out = text;
    return true;
}

bool setting_url(const struct yaml_reader *reader, const json_t *node, const char *key,
                 struct str *out)
{
    return read_base(reader, node, key, false, out);
}

bool setting_base(const struct yaml_reader *reader, const json_t *node, const char *key,
                  const struct upstream_peer *peer, struct str *out)
{
    return read_base(reader, node, key, peer->may_use_http, out);
}

/* What a path means that stands in a file: it is relative to the file's folder. */
static struct str beside(const struct yaml_reader *reader, const json_t *at, struct str path)
{
    struct str folder = yaml_at(reader->document, at).file;

    while (folder.len > 0 && folder.data[folder.len - 1] != '/')
        folder.len--;
    return arena_printf(reader->arena, STR_FMT STR_FMT, STR_ARG(folder), STR_ARG(path));
}

bool setting_file(const struct yaml_reader *reader, const json_t *node, const char *key,
                  const char **out)
{
    const json_t *value = json_object_get(node, key);
    struct str path;

    if (!value)
        return true;
    if (!yaml_get_str(reader, node, key, &path))
        return false;
    if (path.len == 0 || path.len > SETTING_PATH_MAX || str_has_control(path))
        return yaml_complain(reader, value,
                             "'%s' has 1 to %zu bytes, none of them a control "
                             "character",
                             key, SETTING_PATH_MAX);
    *out = str_starts_with(path, STR("/")) ? arena_copy(reader->arena, path).data
                                           : beside(reader, value, path).data;
    return *out || yaml_complain(reader, node, "no memory for a target");
}

bool setting_peer(const struct yaml_reader *reader, const json_t *node, struct upstream_peer *peer)
{
    struct network *networks;

    if (json_object_get(node, "allow_http") &&
        !yaml_get_bool(reader, node, "allow_http", &peer->may_use_http))
        return false;
    if (json_object_get(node, "allow_networks")) {
        if (!yaml_get_networks(reader, node, "allow_networks", &networks, &peer->network_count))
            return false;
        peer->networks = networks;
    }
    return setting_file(reader, node, "ca", &peer->ca_file);
}

bool setting_endpoint(const struct yaml_reader *reader, const json_t *node, const char *key,
                      const struct upstream_peer *peer, struct str *out)
{
    const json_t *value = json_object_get(node, key);
    struct error why = { 0 };
    struct str text;

    if (!value)
        return true;
    if (!yaml_get_str(reader, node, key, &text))
        return false;
    if (!upstream_url_check(text, peer->may_use_http, &why))
        return yaml_complain(reader, value, "%s", why.cause);
    *out = arena_copy(reader->arena, text);
    return out->data || yaml_complain(reader, node, "no memory for a target");
}
