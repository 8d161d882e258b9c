#pragma once

#include <stdbool.h>

#include "base/macros.h"
#include "http/http.h"

struct api;
struct error;
struct exchange_request;
struct form;

/* What a request of POST /token says of what is asked for, and by whom; rows of token.c use it. */

/** The parameters that POST /token reads, of any grant type; ended by NULL. */
extern const char *const token_parameters[];

/** What an exchange asks with: tokens, and all of token_read_wishes(). Errors: the same, and
 * ERROR_MEMORY */
bool token_read_exchange(const struct form *form, struct arena *arena, struct exchange_request *out,
                         struct error *error) MUST_USE;

/**
 * What a renewal asks with: its token, and scope, `ttl` and `authorization_details` alone. Errors:
 * those of token_read_wishes()
 */
bool token_read_renewal(const struct form *form, struct arena *arena, struct str *token,
                        struct exchange_request *out, struct error *error) MUST_USE;

/**
 * `binding`, NAME:sha256-HEX, up to EXCHANGE_BINDINGS_MAX times: an object of them by their names,
 * or `*out` stays as it is. Errors: ERROR_REQUEST, ERROR_MEMORY
 */
bool token_read_bindings(const struct form *form, struct arena *arena, const json_t **out,
                         struct error *error) MUST_USE;

/**
 * What is asked for: stage, audience, scope, `ttl`, `reason`, `authorization_details`, `binding`.
 *
 * Errors: ERROR_REQUEST, ERROR_TARGET, ERROR_SCOPE, ERROR_DETAILS, ERROR_MEMORY
 */
bool token_read_wishes(const struct form *form, struct arena *arena, struct exchange_request *out,
                       struct error *error) MUST_USE;

/**
 * Where it comes from, and the keys that came along: a DPoP proof's and a client certificate's.
 *
 * Errors: ERROR_DPOP, ERROR_DPOP_NONCE, ERROR_MEMORY
 * Source: RFC 9449 5, RFC 8705 3
 */
bool token_read_sender(const struct http_request *request, const struct api *api,
                       struct exchange_request *out, struct error *error) MUST_USE;

/** Whoever proves with DPoP always gets the nonce of the minute, for the next proof. */
void token_give_nonce(struct http_request *request, const struct api *api);
