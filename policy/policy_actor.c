#include "base/json.h"
#include "policy/policy_loader.h"

/*
 * `actor.*`: who acts on the job's behalf. Whose claims these are is said in the same map by
 * `actor.issuer`, with exact values: so each claim has one type, and a stranger of another issuer
 * never fits by a name that both know.
 */

#define ACTOR_PREFIX STR("actor.")
#define ISSUER_NAME STR("actor.issuer")

/* What every token has: profiles need not name them. Source: RFC 7519 4.1 */
static const struct claim registered[] = {
    { "iss", CLAIM_STRING, 0 },
    { "sub", CLAIM_STRING, 0 },
    { "iat", CLAIM_INTEGER, 0 },
    { "exp", CLAIM_INTEGER, 0 },
};
static const struct claim_table registered_claims = { registered, COUNT(registered) };

bool policy_actor_is_name(struct str name)
{
    return str_starts_with(name, ACTOR_PREFIX);
}

const struct policy_issuer *policy_actor_issuer(const struct policy_world *world, struct str name)
{
    for (size_t i = 0; i < world->issuer_count; i++)
        if (str_eq(world->issuers[i].name, name))
            return &world->issuers[i];
    return world->people != NULL && str_eq(world->people->name, name) ? world->people : NULL;
}

static const json_t *item_at(const json_t *json, size_t index)
{
    return json_is_array(json) ? json_array_get(json, index) : json;
}

/* The value of `actor.issuer`: names of issuers, or `exists`. */
static bool check_issuers(const struct policy_loader *loader, const json_t *json)
{
    size_t count = json_is_array(json) ? json_array_size(json) : 1;

    if (json_is_object(json) && json_object_size(json) == 1 && json_object_get(json, "exists"))
        return true;
    for (size_t i = 0; i < count; i++) {
        const json_t *item = item_at(json, i);

        if (!json_is_string(item))
            return yaml_complain(&loader->reader, json,
                                 "'actor.issuer' takes names of issuers, or 'exists'");
        if (policy_actor_issuer(loader->world, json_str(item)) == NULL)
            return yaml_complain(&loader->reader, item, "there is no issuer '" STR_FMT "'",
                                 STR_ARG(str_slice(json_str(item), 0, 60)));
    }
    return true;
}

static const struct claim *find_claim(const struct policy_issuer *issuer, struct str name)
{
    const struct claim *claim = claim_find(&issuer->claims, name);

    return claim != NULL ? claim : claim_find(&registered_claims, name);
}

/* The claim's row, the same at all issuers that the map names; NULL where it was reported. */
static const struct claim *common_claim(const struct policy_loader *loader, const json_t *map,
                                        const char *name, struct str claim_name)
{
    const json_t *issuers = json_object_get(map, "actor.issuer");
    size_t count = json_is_array(issuers) ? json_array_size(issuers) : 1;
    const struct claim *first = NULL;

    for (size_t i = 0; i < count; i++) {
        const json_t *item = item_at(issuers, i);
        const struct policy_issuer *issuer =
            json_is_string(item) ? policy_actor_issuer(loader->world, json_str(item)) : NULL;
        const struct claim *claim = issuer != NULL ? find_claim(issuer, claim_name) : NULL;

        if (claim == NULL || claim->type == CLAIM_OBJECT || claim->type == CLAIM_OBJECTS ||
            (first != NULL && claim->type != first->type)) {
            (void)yaml_complain_key(&loader->reader, map, name, STR(""),
                                    "'%s' is no plain claim of every issuer of 'actor.issuer'",
                                    name);
            return NULL;
        }
        first = claim;
    }
    return first;
}

/* People write their own address into their profile where the provider does not look. */
static bool is_address_of_people(const struct policy_loader *loader, const json_t *issuers,
                                 struct str claim_name)
{
    size_t count = json_is_array(issuers) ? json_array_size(issuers) : 1;
    const struct policy_issuer *people = loader->world->people;

    if (people == NULL || !str_eq(claim_name, STR("email")))
        return false;
    for (size_t i = 0; i < count; i++)
        if (str_eq(json_str(item_at(issuers, i)), people->name))
            return true;
    return false;
}

bool policy_actor_read(struct policy_loader *loader, const json_t *map, const char *name,
                       struct policy_condition *condition, enum claim_type *type)
{
    const json_t *issuers = json_object_get(map, "actor.issuer");
    const struct claim *claim;

    *type = CLAIM_STRING;
    condition->source = POLICY_SOURCE_ACTOR;
    if (str_eq(condition->name, ISSUER_NAME)) {
        condition->source = POLICY_SOURCE_ACTOR_ISSUER;
        return check_issuers(loader, issuers);
    }
    if (!json_is_string(issuers) && !json_is_array(issuers))
        return yaml_complain_key(&loader->reader, map, name,
                                 STR("write 'actor.issuer: NAME' beside it"),
                                 "'%s' is nobody's claim without 'actor.issuer'", name);
    condition->key = condition->name.data + ACTOR_PREFIX.len;
    claim = common_claim(loader, map, name, str_from(condition->key));
    if (claim == NULL)
        return false;
    condition->is_address = is_address_of_people(loader, issuers, str_from(condition->key));
    *type = claim->type;
    return true;
}
