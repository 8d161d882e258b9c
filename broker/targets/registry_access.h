#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/str.h"

struct error;
struct texts;

/**
 * What may be done in a registry: "repository:acme/payments:pull,push", which requests call a scope
 * and tokens have as `access`.
 *
 * Source: distribution specification, token scope
 */
struct registry_access {
    struct str type; /* with its class: "repository", "repository(plugin)", "registry" */
    struct str name;
    struct str actions; /* with ',' between them */
};

/** Scopes of one request, and bytes of one. */
#define REGISTRY_SCOPES_MAX 64
#define REGISTRY_SCOPE_MAX ((size_t)320)

struct registry_scopes {
    struct registry_access list[REGISTRY_SCOPES_MAX];
    size_t count;
};

/** The type ends at the first ':', the actions start at the last: a name may hold a port. */
bool registry_access_split(struct str text, struct registry_access *access) MUST_USE;

/**
 * Add what a request asks for: one scope, or several with single spaces between them. What no
 * registry knows may be asked for, and is given to nobody; what is no scope at all is refused.
 *
 * Errors: ERROR_SCOPE
 * Owns:   `scopes` points into `text`
 */
bool registry_scopes_add(struct registry_scopes *scopes, struct str text, struct error *error)
    MUST_USE;

/** Whether all of a scope is among what is granted. */
bool registry_access_covers(const struct texts *granted, const struct registry_access *asked)
    MUST_USE;

/**
 * What is granted and asked for, as a token's `access`: nothing of a request is copied into it.
 * `asked` NULL: all that is granted. "*" of a repository asks for whatever is granted there.
 *
 * Owns: the array is the caller's; NULL without memory
 */
json_t *registry_access_narrow(const struct texts *granted, const struct registry_scopes *asked)
    MUST_USE;

/** The same as texts of one action list each: what is written down of it. */
json_t *registry_access_written(const json_t *access) MUST_USE;
