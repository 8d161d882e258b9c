#include "api/sight.h"

#include "base/error.h"
#include "base/json.h"

static bool may_see(const struct sight *sight, struct str tenant)
{
    for (unsigned role = 1; role != 0 && role <= sight->roles; role <<= 1)
        if ((sight->roles & role) && person_may(sight->person, (enum person_role)role, tenant))
            return true;
    return false;
}

enum search_access sight_of(const struct sight *sight, const json_t *entry)
{
    if (may_see(sight, json_str(json_object_get(entry, "tenant"))))
        return SEARCH_ALL;
    return sight->shows_owned &&
                   person_is_owner(sight->person, json_str(json_object_get(entry, "owner")))
               ? SEARCH_PUBLIC
               : SEARCH_HIDDEN;
}

/* Counts on past the end, so that who has too many is told from who has just so many. */
static void add_name(struct search_name *names, size_t *count, enum ledger_field field,
                     struct str value)
{
    if (value.len == 0)
        return;
    if (*count < SEARCH_NAMES_MAX)
        names[*count] = (struct search_name){ field, value };
    (*count)++;
}

static void add_tenants(const struct sight *sight, struct search_name *names, size_t *count)
{
    for (size_t i = 0; i < sight->person->rule_count; i++) {
        const struct people_rule *rule = sight->person->rules[i];

        for (size_t k = 0; (sight->roles & rule->role) && k < rule->tenant_count; k++)
            add_name(names, count, LEDGER_FIELD_TENANT, rule->tenants[k]);
    }
}

static void add_owners(const struct sight *sight, struct search_name *names, size_t *count)
{
    for (size_t i = 0; i < sight->person->group_count; i++)
        add_name(names, count, LEDGER_FIELD_OWNER, sight->person->groups[i]);
    add_name(names, count, LEDGER_FIELD_OWNER, sight->person->email);
}

bool sight_bound(const struct sight *sight,
                 enum search_access (*access)(const json_t *entry, void *context),
                 struct arena *arena, struct ledger_search *search, struct error *error)
{
    struct search_name *names;
    size_t count = 0;

    if (may_see(sight, STR("")))
        return true;
    search->access = access;
    names = arena_alloc_array(arena, SEARCH_NAMES_MAX, sizeof(*names));
    if (!names)
        return error_set(error, ERROR_MEMORY, "search");
    add_tenants(sight, names, &count);
    search->sees_persons = true;
    if (sight->shows_owned) {
        size_t tenant_count = count;

        add_owners(sight, names, &count);
        search->sees_persons = count == tenant_count;
    }
    if (count > SEARCH_NAMES_MAX)
        return true; /* without an index, then */
    search->names = names;
    search->name_count = count;
    return true;
}
