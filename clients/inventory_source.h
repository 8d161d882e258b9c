#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/macros.h"
#include "clients/ledger_source.h"
#include "clients/options.h"
#include "clients/policy_source.h"

struct arena;
struct error;

/** What an inventory is asked for. Texts that are NULL do not count. */
struct inventory_options {
    const struct ledger_source_options *ledger;
    const struct policy_source_options *policy;
    const struct operands *operands; /* a policy's hash or folder; none: the one in force then */
    const char *policies;            /* where policies are kept; NULL: beside the store */
    const char *environment;
    const char *target;
    const char *owner;
    const char *tenant;
    const char *pipeline;
    const char *stage;
    const char *unused; /* as given: a duration or a time */
    const char *at;     /* as given: a time; NULL: now */
    int64_t now_ms;
};

/** What came of it. */
struct inventory_found {
    json_t *rows;        /* as inventory_json() and projection_put_identities() make them */
    uint64_t size;       /* entries of the ledger that are in it */
    int64_t at_s;        /* the moment that it is of */
    const char *policy;  /* its hash or folder; NULL: none was asked */
    const char *without; /* why there is no policy; NULL: there is one */
};

/**
 * Make an inventory: in a store's folder by its index where that has seen all, else by reading the
 * ledger; of a broker by asking it as the person who logged in.
 *
 * Errors: ERROR_USAGE, those of the ledger's source, of loading a policy, and broker_reader_get()
 * Owns:   all of it lives in `arena`
 */
bool inventory_find(const struct inventory_options *options, struct arena *arena,
                    struct inventory_found *found, struct error *error) MUST_USE;
