#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/progress.h"
#include "base/str.h"
#include "base/workers.h"
#include "exchange/exchange.h"

/** What a registry's client asks our token endpoint. */
struct registry_request {
    struct str username;      /* a lease's id, or empty: then the password alone says it */
    struct str password;      /* as the lease's exchange gave it */
    struct str service;       /* whose token it wants */
    const struct str *scopes; /* each one scope, or several with spaces between them */
    size_t scope_count;
};

/** What it gets. In the request's arena. */
struct registry_answer {
    struct str token;
    struct str stage;
    struct str lease;
    struct str jti;
    size_t access_count; /* repositories it is for; 0: it is for nothing */
    int64_t issued_s;
    int64_t expires_s;
};

/** A call of the endpoint. Threads: confined; a worker's while it waits */
struct registry_call {
    struct worker_job job; /* first: the worker gives it back */
    const struct exchange_service *service;
    struct registry_request request;
    struct arena *arena; /* the request's, as the call itself */
    struct waker waker;

    struct registry_answer answer;
    bool is_started;
    bool is_given;
    struct error error;
};

/**
 * Give a token for a registry: of what the exchange gave, what is asked for, and only while its
 * lease lives. Where our keys may let it wait it does, and is entered again after its waker.
 *
 * No entry of the ledger says so: nothing is decided here, and the exchange's has the most that
 * anybody gets. Each token names its lease, so that what the registry writes down can be joined.
 *
 * Errors: ERROR_UNAUTHORIZED (the password, or its lease has ended), ERROR_TARGET (another
 *         service), ERROR_SCOPE, ERROR_LEDGER, ERROR_KEYS_UNAVAILABLE, ERROR_MEMORY, ERROR_CRYPTO
 */
enum progress registry_answer(struct registry_call *call, struct error *error) MUST_USE;
