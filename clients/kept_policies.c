#include "clients/kept_policies.h"

#include <stdio.h>

#include "base/error.h"
#include "clients/kept_policy.h"
#include "clients/policy_source.h"
#include "policy/policy.h"

/* The one that has not been asked for longest. */
static struct kept_policy *oldest(struct kept_policies *policies)
{
    struct kept_policy *found = &policies->list[0];

    for (size_t i = 1; i < COUNT(policies->list); i++)
        if (policies->list[i].used_at < found->used_at)
            found = &policies->list[i];
    return found;
}

static bool load(struct kept_policies *policies, struct str hash, struct kept_policy *kept,
                 struct error *error)
{
    struct policy *own = TAKE(policies->source->policy); /* what the command reads */
    struct policy *loaded;
    struct error why = { 0 };
    bool is_loaded;

    policy_unref(kept->policy);
    *kept = (struct kept_policy){ 0 };
    (void)snprintf(kept->hash, sizeof(kept->hash), STR_FMT, STR_ARG(hash));
    is_loaded = kept_policy_load(policies->source, policies->folder, hash, &why);
    loaded = policies->source->policy;
    policies->source->policy = own;
    if (is_loaded) {
        kept->policy = loaded;
        return true;
    }
    policy_unref(loaded);
    if (why.code == ERROR_MEMORY)
        return error_set(error, ERROR_MEMORY, "%s", why.cause);
    (void)snprintf(kept->why, sizeof(kept->why), "%s", why.cause);
    return true;
}

bool kept_policies_find(struct kept_policies *policies, struct str hash,
                        const struct kept_policy **kept, struct error *error)
{
    struct kept_policy *found = NULL;

    if (hash.len >= KEPT_POLICY_HASH_MAX)
        return error_set(error, ERROR_INVALID, "a policy's hash is too long");
    for (size_t i = 0; i < COUNT(policies->list); i++)
        if (policies->list[i].hash[0] != '\0' && str_eq(str_from(policies->list[i].hash), hash))
            found = &policies->list[i];
    if (!found) {
        found = oldest(policies);
        if (!load(policies, hash, found, error))
            return false;
    }
    found->used_at = ++policies->clock;
    *kept = found;
    return true;
}

void kept_policies_release(struct kept_policies *policies)
{
    for (size_t i = 0; i < COUNT(policies->list); i++)
        policy_unref(policies->list[i].policy);
}
