#include "base/error.h"
#include "base/json.h"
#include "policy/policy.h"

/* The facts of claims; NULL where the issuer has none to give. */
static bool fill_ci(const struct policy_issuer *issuer, const json_t *claims, struct arena *arena,
                    const json_t **ci, struct error *error)
{
    json_t *facts;

    *ci = NULL;
    if (issuer->fill_ci == NULL)
        return true;
    facts = json_object();
    *ci = facts;
    if (facts == NULL || !json_keep(arena, facts, error) || !issuer->fill_ci(claims, facts))
        return error_set(error, ERROR_MEMORY, "reading claims");
    return true;
}

static bool find_dangers(const struct policy_issuer *issuer, struct arena *arena,
                         struct policy_facts *facts, struct error *error)
{
    const struct claim_dangers *dangers = issuer->dangers;
    const struct claim_danger **found;

    facts->danger_count = 0;
    if (dangers == NULL)
        return true;
    found = arena_alloc_array(arena, dangers->count + 1, sizeof(const struct claim_danger *));
    if (found == NULL)
        return error_set(error, ERROR_MEMORY, "reading claims");
    facts->danger_count = claim_dangers_find(dangers, facts->claims, facts->ci, found);
    facts->dangers = found;
    return true;
}

bool policy_facts_read(const struct policy_issuer *issuer, const json_t *claims,
                       struct arena *arena, struct policy_facts *facts, struct error *error)
{
    facts->issuer = issuer->name;
    facts->claims = claims;
    return fill_ci(issuer, claims, arena, &facts->ci, error) &&
           find_dangers(issuer, arena, facts, error);
}
