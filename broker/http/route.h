#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/str.h"
#include "http/http.h"

/**
 * Find the row for a request line; pure functions on text.
 *
 * `rest` is what the row's "*" stands for; HEAD finds the row of GET. ERROR_NONE, or
 * ERROR_NOT_FOUND, or ERROR_METHOD where other methods have that path.
 */
enum error_code route_find(const struct http_route *routes, size_t count, struct str method,
                           struct str path, const struct http_route **route, struct str *rest);

/** The methods of a path, for Allow: "GET, HEAD, POST". On failure `data` is NULL. */
struct str route_allow(const struct http_route *routes, size_t count, struct str path,
                       struct arena *arena);

/**
 * ERROR_NONE for "/path", with or without a query; an absolute form, control characters:
 * ERROR_REQUEST.
 */
enum error_code route_check_target(struct str target);

/**
 * ERROR_NONE for "host", "host:port", "[address]" and "[address]:port", or nothing at all; else
 * ERROR_REQUEST.
 *
 * Nothing is routed by it, but whoever stands before us may.
 *
 * Source: RFC 9112 3.2
 */
enum error_code route_check_host(struct str value);

/** Whether a Content-Type fits a route's body: the exact type, charset UTF-8 at most. */
bool route_takes_type(enum http_body body, struct str content_type);
