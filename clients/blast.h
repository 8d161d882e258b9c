#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/macros.h"
#include "clients/ledger_filter.h"

struct arena;
struct error;
struct kept_policies;
struct ledger_source;
struct policy_world;

#define BLAST_LEASES_MAX 5000  /* that are listed; what is past them is counted */
#define BLAST_REQUESTS_MAX 200 /* recorded ones that stages are tried with: the latest */
#define BLAST_POLICIES_MAX 8   /* that could be asked: the latest */
#define BLAST_STAGES_MAX 2000  /* that are listed of what could be had */

/** What is asked, and what it is asked with. */
struct blast_options {
    struct ledger_source *ledger;
    const struct ledger_query *query;
    int64_t now_s;
    /* NULL: policies cannot be loaded, and what could be had is not known. */
    const struct policy_world *world;
    struct kept_policies *policies;
    const char *no_world; /* why, where `world` is NULL */
};

/**
 * Find out what those that a query fits reached, tried and could have.
 *
 * The result is an object with
 *   `leases`   what was opened: each with its stage, run, state, and `credentials`, of which
 *              `is_live` says whether it still works
 *   `tried`    denials, by stage and reason
 *   `could`    stages of the pipelines concerned (of the issuer's, where an issuer or a key of one
 *              is asked for), as the policies of that time have them: grants, what they give, and
 *              whether a recorded request would have opened them as it was
 *   `counts`, `until`, `policies`, `not_known`
 *
 * Errors: as ledger_scan_run(); ERROR_MEMORY
 * Owns:   `*report` is the caller's
 */
bool blast_find(const struct blast_options *options, struct arena *arena, json_t **report,
                struct error *error) MUST_USE;
