#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"
#include "clients/broker.h"

struct error;

/** The provider that a broker's people log in at. */
struct person_provider {
    struct str issuer;
    struct str client_id;
    struct str scope;
};

/**
 * Ask a broker where its people log in.
 *
 * Errors: as fetch(); ERROR_REFUSED (it has no people), ERROR_INVALID
 * Source: RFC 9728 3
 */
bool person_find_provider(const struct broker *broker, struct arena *arena,
                          struct person_provider *provider, struct error *error) MUST_USE;

/**
 * Ask a broker who the bearer of a token is to it: the object of `GET /api/v1/me`, in the arena.
 *
 * Errors: as fetch(); ERROR_REFUSED (it does not take the token), ERROR_LATER, ERROR_INVALID
 */
bool person_ask(const struct broker *broker, struct str id_token, struct arena *arena,
                const json_t **me, struct error *error) MUST_USE;

/** Print who somebody is, as lines on standard output. */
void person_print(const json_t *me);
