#include "http/route.h"

#include <string.h>

#include "base/macros.h"
#include "base/network.h"

#define HOST_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
#define PORT_CHARACTERS_MAX 5
#define REST_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-/"

/* No empty segment, no "." or "..": nothing that anybody could want to normalise. */
static bool is_clean_rest(struct str rest)
{
    if (rest.len == 0 || !str_is_made_of(rest, REST_CHARACTERS) || rest.data[rest.len - 1] == '/')
        return false;
    while (rest.len > 0) {
        struct str segment;

        (void)str_cut(rest, '/', &segment, &rest);
        if (segment.len == 0 || str_eq(segment, STR(".")) || str_eq(segment, STR("..")))
            return false;
    }
    return true;
}

static bool path_fits(const struct http_route *route, struct str path, struct str *rest)
{
    struct str pattern = str_from(route->path);

    *rest = STR("");
    if (!str_ends_with(pattern, STR("/*")))
        return str_eq(path, pattern);
    pattern.len--;
    if (!str_starts_with(path, pattern))
        return false;
    *rest = str_slice(path, pattern.len, path.len);
    return is_clean_rest(*rest);
}

/* HEAD is GET without the body, which the library leaves out (RFC 9110 9.3.2). */
static bool method_fits(const struct http_route *route, struct str method)
{
    struct str own = str_from(route->method);

    return str_eq(method, own) || (str_eq(method, STR("HEAD")) && str_eq(own, STR("GET")));
}

enum error_code route_find(const struct http_route *routes, size_t count, struct str method,
                           struct str path, const struct http_route **route, struct str *rest)
{
    enum error_code code = ERROR_NOT_FOUND;

    for (size_t i = 0; i < count; i++) {
        if (!path_fits(&routes[i], path, rest))
            continue;
        if (method_fits(&routes[i], method)) {
            *route = &routes[i];
            return ERROR_NONE;
        }
        code = ERROR_METHOD;
    }
    return code;
}

/* Whether an earlier row has that path for that method, as an exact path before its prefix. */
static bool is_listed(const struct http_route *routes, size_t count, const char *method,
                      struct str path)
{
    struct str rest;

    for (size_t i = 0; i < count; i++)
        if (strcmp(routes[i].method, method) == 0 && path_fits(&routes[i], path, &rest))
            return true;
    return false;
}

struct str route_allow(const struct http_route *routes, size_t count, struct str path,
                       struct arena *arena)
{
    struct str allow = STR("");
    struct str rest;

    for (size_t i = 0; i < count && allow.data != NULL; i++) {
        if (path_fits(&routes[i], path, &rest) && !is_listed(routes, i, routes[i].method, path))
            allow = arena_printf(arena, STR_FMT "%s%s%s", STR_ARG(allow), allow.len > 0 ? ", " : "",
                                 routes[i].method,
                                 strcmp(routes[i].method, "GET") == 0 ? ", HEAD" : "");
    }
    return allow;
}

enum error_code route_check_target(struct str target)
{
    if (target.len > HTTP_TARGET_BYTES_MAX)
        return ERROR_URI_TOO_LONG;
    if (target.len == 0 || target.data[0] != '/' || str_has_control(target))
        return ERROR_REQUEST;
    return ERROR_NONE;
}

static bool is_port(struct str port)
{
    return port.len <= PORT_CHARACTERS_MAX && str_is_made_of(port, "0123456789");
}

/* What is behind the "[". */
static bool is_bracketed_host(struct str rest)
{
    struct address address;
    struct str host;
    struct str port;

    if (!str_cut(rest, ']', &host, &port) || str_find(host, ':') == host.len ||
        !address_parse(host, &address))
        return false;
    return port.len == 0 || (port.data[0] == ':' && is_port(str_slice(port, 1, port.len)));
}

enum error_code route_check_host(struct str value)
{
    struct str host;
    struct str port;
    bool is_good;

    if (str_starts_with(value, STR("["))) {
        is_good = is_bracketed_host(str_slice(value, 1, value.len));
    } else {
        (void)str_cut(value, ':', &host, &port); /* without a port that is empty */
        is_good = str_is_made_of(host, HOST_CHARACTERS) && is_port(port);
    }
    return is_good ? ERROR_NONE : ERROR_REQUEST;
}

bool route_takes_type(enum http_body body, struct str content_type)
{
    static const char *const types[] = {
        [HTTP_BODY_NONE] = NULL,
        [HTTP_BODY_FORM] = "application/x-www-form-urlencoded",
        [HTTP_BODY_JSON] = "application/json",
        [HTTP_BODY_QUERY] = NULL,
    };
    struct str type;
    struct str parameters;
    bool has_parameters = str_cut(content_type, ';', &type, &parameters);

    if (types[body] == NULL || !str_eq_ignore_case(str_trim(type), str_from(types[body])))
        return false;
    parameters = str_trim(parameters);
    return !has_parameters || str_eq_ignore_case(parameters, STR("charset=utf-8")) ||
           str_eq_ignore_case(parameters, STR("charset=\"utf-8\""));
}
