#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/claim.h"
#include "base/macros.h"
#include "identity/identity.h"
#include "identity/lookup_internal.h"
#include "identity/watch_internal.h"

/**
 * The claims that an issuer is known to have, and what was seen besides.
 *
 * Threads: shared; the names are immutable once it is made
 */
struct claim_watch {
    struct lookup known; /* rows of the issuer's table, which must outlive it */
    struct watch *seen;
};

/** Make one; `previous` (may be NULL) gives what it has seen. False without memory. */
bool claim_watch_init(struct claim_watch *watch, const struct claim_table *table,
                      const struct claim_watch *previous) MUST_USE;
void claim_watch_release(struct claim_watch *watch);

/** Note the claims of a token that verified; what is new goes into `verified`, and is counted. */
void claim_watch_token(const struct claim_watch *watch, struct arena *arena,
                       struct verified_token *verified);

/** Note a workflow that a stage gives something to: true where it was never seen there. */
bool claim_watch_workflow(const struct claim_watch *watch, const json_t *ci, struct str stage);
