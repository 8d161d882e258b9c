#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "exchange/exchange.h"
#include "http/http.h"

struct readings;
struct dpop_nonces;

/**
 * The endpoints: two route tables, and what their handlers work with.
 *
 * Threads: shared, immutable but for the atomics
 * Source:  design.md 3.2
 */
struct api {
    const struct exchange_service *service;
    struct str issuer; /* our URL; its endpoints are named in discovery */
    const struct dpop_nonces *nonces;
    const char *algorithm; /* that our tokens are signed with: "ES256", "RS256" */
    struct readings *readings;
    /** Why it is not ready, or NULL. Threads: any. */
    const char *(*not_ready)(void *context);
    /** What is degraded although it serves, or NULL. Threads: any. */
    const char *(*degraded)(void *context);
    void *context;
};

/**
 * The public listener's `authorize`: the bearer token of a person, verified, whose roles are of
 * those that a route asks for (enum person_role). `request->caller` is then a `struct person`.
 */
enum progress people_authorize(struct http_request *request, unsigned roles, void *context);

/** The public listener's routes; their context is a `struct api`. */
extern const struct http_route api_routes[];
extern const size_t api_route_count;

/** The admin listener's. */
extern const struct http_route api_admin_routes[];
extern const size_t api_admin_route_count;
