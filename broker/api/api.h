#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "exchange/exchange.h"
#include "http/http.h"

struct policy_reports;
struct readings;
struct dpop_nonces;

/** What is not as it should be although the broker serves. */
struct api_degraded {
    const char *why; /* static */
    int64_t since_s; /* 0: not known */
    int64_t error_count;
};

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
    struct readings *readings;
    struct policy_reports *reports;
    const char *policies_folder; /* where policies are kept by hash */
    /** Why it is not ready, or NULL. Threads: any. */
    const char *(*not_ready)(void *context);
    /** Whether something is degraded although it serves. Threads: any. */
    bool (*degraded)(void *context, struct api_degraded *out);
    const char *note; /* what operators should know of although all is well; NULL: nothing */
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
