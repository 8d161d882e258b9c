#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "clients/options.h"

struct buf;
struct error;
struct session;
struct session_options;

/** A request's form has at most so many bytes: what its buffer is made for. */
#define SESSION_FORM_MAX ((size_t)64 * 1024)

/** Grants for which the request has a key with its proof, or a certificate request. */
struct wanted_keys {
    struct option_list ssh;
    struct option_list csr;
};

/**
 * What POST /token is asked for credentials with: the job's token and what is wanted for it, or,
 * while people think, the code of what they were asked. Keys that are wanted are made, once a
 * session.
 *
 * Errors: ERROR_LIMIT, ERROR_USAGE, ERROR_IO, ERROR_CRYPTO, ERROR_MEMORY
 *
 * Source: RFC 8693 2.1, RFC 9396 2, RFC 8628 3.4
 */
bool session_form_exchange(struct session *session, const struct session_options *options,
                           const struct wanted_keys *wanted, struct buf *form, struct error *error)
    MUST_USE;

/** What it is asked to renew a lease with. Errors: ERROR_LIMIT. Source: RFC 6749 6 */
bool session_form_renewal(struct str token, struct buf *form, struct error *error) MUST_USE;
