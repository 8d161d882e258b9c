#include "base/json.h"
#include "policy/policy_internal.h"

/* A name that stands for all that are not there. */
#define ANY "*"

static void note(struct policy_unknown *unknown, struct str name)
{
    if (unknown->asked.len == 0)
        unknown->asked = name;
}

/* Whether a claim by its member's name is not known. */
static bool hides_claim(const struct policy_facts *facts, const char *name)
{
    const json_t *names = facts->unknown->claims;

    if (name == NULL || json_object_size(names) == 0)
        return false;
    return json_object_get(names, name) != NULL ||
           (json_object_get(names, ANY) != NULL && json_object_get(facts->claims, name) == NULL);
}

static bool hides_actor(const struct policy_condition *condition, const struct policy_facts *facts)
{
    return facts->unknown->actor && facts->actor != NULL &&
           claim_value(json_object_get(facts->actor, "claims"), condition->key) == NULL;
}

static bool hides(const struct policy_condition *condition, const struct policy_facts *facts)
{
    switch (condition->source) {
    case POLICY_SOURCE_ADDRESS:
        return facts->unknown->address;
    case POLICY_SOURCE_ACTOR:
        return hides_actor(condition, facts);
    case POLICY_SOURCE_CI:
        return json_object_get(facts->unknown->ci, condition->key) != NULL;
    case POLICY_SOURCE_POINTER:
        return hides_claim(facts, condition->path[0]);
    case POLICY_SOURCE_CLAIM:
        return hides_claim(facts, condition->key);
    case POLICY_SOURCE_ACTOR_ISSUER:
        break;
    }
    return false;
}

bool policy_unknown_hides(const struct policy_condition *condition,
                          const struct policy_facts *facts)
{
    if (!hides(condition, facts))
        return false;
    note(facts->unknown, condition->name);
    return true;
}

void policy_unknown_look_up(enum policy_source source, const char *key,
                            const struct policy_facts *facts)
{
    const struct policy_unknown *unknown = facts->unknown;
    bool is_hidden;

    if (source == POLICY_SOURCE_CI)
        is_hidden = json_object_get(unknown->ci, key) != NULL;
    else if (key[0] == '/') /* where a pointer would lead nobody can tell */
        is_hidden =
            json_object_size(unknown->claims) > 0 && claim_value(facts->claims, key) == NULL;
    else
        is_hidden = hides_claim(facts, key);
    if (is_hidden)
        note(facts->unknown, str_from(key));
}

bool policy_from_holds(const struct policy_networks *networks, const struct policy_facts *facts)
{
    if (networks->count > 0 && facts->unknown != NULL && facts->unknown->address)
        note(facts->unknown, STR("address"));
    return policy_networks_hold(networks, facts->address);
}

void policy_unknown_dangers(const struct policy_facts *facts)
{
    if (facts->unknown != NULL && facts->unknown->dangers)
        note(facts->unknown, STR("dangers"));
}
