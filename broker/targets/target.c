#include "targets/target.h"

#include "targets/targets_internal.h"

const struct target_kind *const target_kinds[] = {
    &target_jwt,
    &target_ssh,
    &target_aws,
};
const size_t target_kind_count = COUNT(target_kinds);

static const struct policy_grant_kind *const grant_kinds[] = {
    &target_jwt.grant,
    &target_ssh.grant,
    &target_aws.grant,
};

_Static_assert(COUNT(grant_kinds) == COUNT(target_kinds), "a kind without its grant row");

const struct target_kind *target_kind_find(struct str name)
{
    for (size_t i = 0; i < target_kind_count; i++)
        if (str_eq(str_from(target_kinds[i]->grant.name), name))
            return target_kinds[i];
    return NULL;
}

const struct policy_grant_kind *const *target_grant_kinds(void)
{
    return grant_kinds;
}

const struct target_kind *target_kind_of(const struct policy_grant_kind *grant)
{
    for (size_t i = 0; i < target_kind_count; i++)
        if (&target_kinds[i]->grant == grant)
            return target_kinds[i];
    return NULL;
}
