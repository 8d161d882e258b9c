#include "targets/target.h"

#include "targets/targets_internal.h"

const struct target_kind *const target_kinds[] = {
    &target_jwt,      &target_ssh,    &target_x509,       &target_aws,
    &target_gcp,      &target_azure,  &target_kubernetes, &target_registry,
    &target_postgres, &target_github, &target_gitlab,     &target_vault,
};
const size_t target_kind_count = COUNT(target_kinds);

static const struct policy_grant_kind *const grant_kinds[] = {
    &target_jwt.grant,      &target_ssh.grant,    &target_x509.grant,       &target_aws.grant,
    &target_gcp.grant,      &target_azure.grant,  &target_kubernetes.grant, &target_registry.grant,
    &target_postgres.grant, &target_github.grant, &target_gitlab.grant,     &target_vault.grant,
};

_Static_assert(COUNT(grant_kinds) == COUNT(target_kinds), "a kind without its grant row");

const struct target_kind *target_kind_find(struct str name)
{
    for (size_t i = 0; i < target_kind_count; i++)
        if (str_eq(str_from(target_kinds[i]->grant.name), name))
            return target_kinds[i];
    return NULL;
}

bool target_configure(struct target *target, const struct yaml_reader *reader, const json_t *node,
                      struct arena *arena)
{
    const struct yaml_reader own = { reader->document, reader->diagnostics, arena };

    if (!target->kind->configure)
        return true;
    target->settings = arena_alloc(arena, target->kind->settings_size);
    if (!target->settings)
        return yaml_complain(reader, node, "no memory for a target");
    return target->kind->configure(&own, node, target);
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

enum policy_revocation target_revocation(const struct target_kind *kind, const struct mint *mint)
{
    enum policy_revocation said;

    if (!kind->revoke || (kind->is_revocable && !kind->is_revocable(mint)))
        return POLICY_REVOKED_BY_EXPIRY;
    said = policy_revocation_of(&kind->grant, mint->fields,
                                mint->target ? mint->target->settings : NULL);
    return said == POLICY_REVOKED_BY_EXPIRY ? POLICY_REVOKED_NOW : said;
}

const char *target_revocation_name(enum policy_revocation revocation)
{
    static const char *const names[] = {
        [POLICY_REVOKED_BY_EXPIRY] = "expiry",
        [POLICY_REVOKED_BY_LIST] = "list",
        [POLICY_REVOKED_BY_NAME] = "name",
        [POLICY_REVOKED_NOW] = "now",
    };

    return names[revocation];
}

enum progress target_revoke_by_list(struct revocation *revocation, struct error *error)
{
    (void)revocation;
    (void)error;
    return PROGRESS_DONE;
}

bool listing_add(struct target_listing *listing, const char *folder, struct str rest,
                 const char *content_type, struct str bytes)
{
    struct target_list *list = &listing->lists[listing->list_count];

    if (listing->list_count == TARGET_LISTS_MAX)
        return false;
    list->path = arena_printf(listing->arena, "/%s/" STR_FMT STR_FMT, folder,
                              STR_ARG(listing->target->name), STR_ARG(rest));
    list->content_type = content_type;
    list->bytes = bytes;
    listing->list_count++;
    return list->path.data != NULL;
}
