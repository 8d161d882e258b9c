#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"
#include "clients/broker.h"
#include "clients/options.h"

struct arena;
struct error;

/** By what the leases of the broker are found. */
enum lease_word {
    LEASE_WORD_LEASE,
    LEASE_WORD_RUN,
    LEASE_WORD_STAGE,
    LEASE_WORD_PIPELINE,
    LEASE_WORD_REPOSITORY,
    LEASE_WORD_ISSUER,
    LEASE_WORD_KID,
    LEASE_WORD_PROOF_KEY,
    LEASE_WORD_ACTOR,
    LEASE_WORD_COMMIT,
    LEASE_WORD_ADDRESS,
    LEASE_WORD_TARGET,
    LEASE_WORD_ENVIRONMENT,
    LEASE_WORD_TENANT,
    LEASE_WORD_OWNER,
    LEASE_WORD_SINCE,
    LEASE_WORD_UNTIL,
    LEASE_WORD_COUNT
};

/** Options of commands that are about leases. All-zero names none. */
struct lease_words {
    const char *values[LEASE_WORD_COUNT];
};

extern const struct option_row lease_word_rows[LEASE_WORD_COUNT];

/** Whether what is set has its form. Errors: ERROR_USAGE (a bad time, an abbreviated commit) */
bool lease_words_check(const struct lease_words *words, struct error *error) MUST_USE;

/** Add what is set to a form or a query, each as "&word=value". */
void lease_words_add(const struct lease_words *words, struct buf *form);

/** Whether nothing is set. */
bool lease_words_are_open(const struct lease_words *words);

/** Print one lease of the broker's answer. */
void lease_print(const json_t *lease);

/** End leases at the broker, or only find them. */
struct lease_revocation {
    const struct broker_options *broker;
    struct lease_words words;
    const char *reason; /* NULL where it is dry */
    bool is_dry;

    json_t *leases; /* the outcome: those that were found; the caller's */
    size_t ended;
};

/**
 * Ask the broker, page by page, until all that fit were found, or ended.
 *
 * Errors: those of operator_ask(), ERROR_LIMIT
 */
bool lease_revocation_run(struct lease_revocation *revocation, struct error *error) MUST_USE;
