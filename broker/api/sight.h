#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/macros.h"
#include "identity/people.h"
#include "ledger/search.h"

struct error;

/**
 * What a person may see of the ledger: entries of tenants that they have a role for, and, without
 * who a person is, those of pipelines that they own. What has no tenant is for those with a role
 * for all of them.
 *
 * Threads: confined
 */
struct sight {
    const struct person *person;
    unsigned roles; /* of enum person_role: who sees entries of other owners */
    bool shows_owned;
};

enum search_access sight_of(const struct sight *sight, const json_t *entry);

/**
 * Bound a search to it: `access`, which is to call sight_of(), where there is something that they
 * may not see, and the names of what they may. Those are in the arena.
 *
 * Errors: ERROR_MEMORY
 */
bool sight_bound(const struct sight *sight,
                 enum search_access (*access)(const json_t *entry, void *context),
                 struct arena *arena, struct ledger_search *search, struct error *error) MUST_USE;
