#include "identity/people.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"

/* The longest member's name that a pointer's part may be. */
#define PART_MAX 256

static const struct {
    enum person_role role;
    const char *name;
} role_names[] = {
    { PERSON_VERIFIED, "person" },   { PERSON_READER, "reader" },     { PERSON_AUDITOR, "auditor" },
    { PERSON_OPERATOR, "operator" }, { PERSON_APPROVER, "approver" },
};

const char *person_role_name(enum person_role role)
{
    for (size_t i = 0; i < COUNT(role_names); i++)
        if (role_names[i].role == role)
            return role_names[i].name;
    return "";
}

/* ---- claims ---- */

/* Undo `~1` and `~0`; false where it is no part of a pointer, or too long. */
static bool unescape(struct str part, char name[PART_MAX])
{
    size_t len = 0;

    for (size_t i = 0; i < part.len; i++) {
        char c = part.data[i];

        if (c == '~') {
            if (++i == part.len || (part.data[i] != '0' && part.data[i] != '1'))
                return false;
            c = part.data[i] == '0' ? '~' : '/';
        }
        if (len + 1 == PART_MAX)
            return false;
        name[len++] = c;
    }
    name[len] = '\0';
    return true;
}

/* Anybody may write any address into their profile at a provider that does not look. */
static bool is_unproven(const json_t *claims, struct str claim)
{
    return (str_eq(claim, STR("email")) || str_eq(claim, STR("/email"))) &&
           !json_is_true(json_object_get(claims, "email_verified"));
}

/* The value of a claim's name, or of a JSON Pointer through objects. Source: RFC 6901 4 */
static const json_t *find_claim(const json_t *claims, struct str claim)
{
    struct str rest = str_slice(claim, 1, claim.len);
    const json_t *value = claims;
    char name[PART_MAX];
    struct str part;
    bool is_more = true;

    if (is_unproven(claims, claim))
        return NULL;
    if (!str_starts_with(claim, STR("/")))
        return json_object_getn(claims, claim.data, claim.len);
    while (is_more && value != NULL) {
        is_more = str_cut(rest, '/', &part, &rest);
        value = unescape(part, name) ? json_object_get(value, name) : NULL;
    }
    return value;
}

static bool is_one_of(const json_t *text, const struct people_condition *condition)
{
    for (size_t i = 0; json_is_string(text) && i < condition->value_count; i++)
        if (str_eq(json_str(text), condition->values[i]))
            return true;
    return false;
}

static bool condition_holds(const struct people_condition *condition, const json_t *claims)
{
    const json_t *value = find_claim(claims, condition->claim);

    for (size_t i = 0; i < json_array_size(value); i++)
        if (is_one_of(json_array_get(value, i), condition))
            return true;
    return is_one_of(value, condition);
}

static bool rule_holds(const struct people_rule *rule, const json_t *claims)
{
    for (size_t i = 0; i < rule->condition_count; i++)
        if (!condition_holds(&rule->conditions[i], claims))
            return false;
    return rule->condition_count > 0;
}

/* ---- a person ---- */

/* A token that another client of the provider was given is not ours, whatever its audience. */
static bool check_party(const struct people_options *people, const json_t *claims,
                        struct error *error)
{
    struct str party;

    if (!json_get_str(claims, "azp", &party) || str_eq(party, people->client_id) ||
        (party.len > 0 && str_eq(party, people->console_client_id)))
        return true;
    return error_set(error, ERROR_TOKEN, "azp is another client");
}

static bool read_groups(const json_t *claims, struct arena *arena, struct person *person,
                        struct error *error)
{
    const json_t *value = json_object_get(claims, "groups");
    size_t max = json_is_string(value) ? 1 : json_array_size(value);
    struct str *groups = arena_alloc_array(arena, max + 1, sizeof(*groups));

    if (groups == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for groups");
    for (size_t i = 0; i < max; i++) {
        struct str group = json_str(json_is_string(value) ? value : json_array_get(value, i));

        if (group.len > 0)
            groups[person->group_count++] = group;
    }
    person->groups = groups;
    return true;
}

static void read_email(const json_t *claims, struct person *person)
{
    if (is_unproven(claims, STR("email")) || !json_get_str(claims, "email", &person->email))
        person->email = STR("");
}

static bool read_roles(const struct people_options *people, const json_t *claims,
                       struct arena *arena, struct person *person, struct error *error)
{
    person->rules = arena_alloc_array(arena, people->rule_count + 1, sizeof(void *));
    if (person->rules == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for roles");
    for (size_t i = 0; i < people->rule_count; i++) {
        const struct people_rule *rule = &people->rules[i];

        if (!rule_holds(rule, claims))
            continue;
        person->rules[person->rule_count++] = rule;
        person->roles |= rule->role;
    }
    person->roles |= PERSON_VERIFIED;
    if (person->group_count > 0 || person->email.len > 0)
        person->roles |= PERSON_READER;
    return true;
}

bool person_from_token(const struct people_options *people, const struct verified_token *token,
                       struct arena *arena, struct person *person, struct error *error)
{
    struct person found = { .token = *token, .subject = token->subject };

    if (!check_party(people, token->claims, error) ||
        !read_groups(token->claims, arena, &found, error))
        return false;
    read_email(token->claims, &found);
    if (!read_roles(people, token->claims, arena, &found, error))
        return false;
    *person = found;
    return true;
}

static bool is_for_tenant(const struct people_rule *rule, struct str tenant)
{
    for (size_t i = 0; i < rule->tenant_count; i++)
        if (tenant.len > 0 && str_eq(rule->tenants[i], tenant))
            return true;
    return rule->tenant_count == 0;
}

bool person_may(const struct person *person, enum person_role role, struct str tenant)
{
    for (size_t i = 0; i < person->rule_count; i++)
        if (person->rules[i]->role == role && is_for_tenant(person->rules[i], tenant))
            return true;
    return false;
}

bool person_is_owner(const struct person *person, struct str owner)
{
    if (owner.len == 0)
        return false;
    for (size_t i = 0; i < person->group_count; i++)
        if (str_eq(person->groups[i], owner))
            return true;
    return str_eq(person->email, owner);
}

/* ---- the same as a run's actor ---- */

/* Providers write other systems' ids as text or as numbers: they are compared as text. */
static enum people_match match_value(const json_t *value, struct str fact)
{
    char number[24];

    if (json_is_string(value) && json_string_length(value) > 0)
        return str_eq(json_str(value), fact) ? PEOPLE_SAME : PEOPLE_OTHER;
    if (!json_is_integer(value))
        return PEOPLE_UNKNOWN;
    (void)snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return str_eq(str_from(number), fact) ? PEOPLE_SAME : PEOPLE_OTHER;
}

/* The first of `next` decides over a pair that was different: same, then unknown. */
static enum people_match join(enum people_match all, enum people_match next)
{
    if (all == PEOPLE_SAME || next == PEOPLE_SAME)
        return PEOPLE_SAME;
    return all == PEOPLE_OTHER ? next : all;
}

static enum people_match match_claim(const json_t *value, struct str fact)
{
    enum people_match match = PEOPLE_OTHER;

    if (!json_is_array(value))
        return match_value(value, fact);
    if (json_array_size(value) == 0)
        return PEOPLE_UNKNOWN;
    for (size_t i = 0; i < json_array_size(value); i++)
        match = join(match, match_value(json_array_get(value, i), fact));
    return match;
}

enum people_match person_match_claims(const struct people_options *people, const json_t *claims,
                                      struct str issuer, const json_t *ci)
{
    enum people_match match = PEOPLE_OTHER;
    size_t pair_count = 0;

    for (size_t i = 0; i < people->same_count; i++) {
        const struct people_same *same = &people->same[i];
        struct str fact;

        if (!str_eq(same->issuer, issuer))
            continue;
        pair_count++;
        fact = json_str(json_object_getn(ci, same->fact.data, same->fact.len));
        match = join(match, fact.len == 0 ? PEOPLE_UNKNOWN
                                          : match_claim(find_claim(claims, same->claim), fact));
    }
    return pair_count == 0 ? PEOPLE_UNKNOWN : match;
}

enum people_match person_match_run(const struct people_options *people, const struct person *person,
                                   struct str issuer, const json_t *ci)
{
    return person_match_claims(people, person->token.claims, issuer, ci);
}

/* The outermost member that a claim's name, or its pointer, leads into. */
static bool outermost(struct str claim, char name[PART_MAX])
{
    struct str rest = str_slice(claim, 1, claim.len);
    struct str part;

    if (str_starts_with(claim, STR("/"))) {
        (void)str_cut(rest, '/', &part, &rest);
        return unescape(part, name);
    }
    if (claim.len >= PART_MAX)
        return false;
    memcpy(name, claim.data, claim.len);
    name[claim.len] = '\0';
    return true;
}

static bool keep_claim(const json_t *claims, const char *name, json_t *kept)
{
    json_t *value = json_object_get(claims, name);

    return value == NULL || json_put(kept, name, json_incref(value));
}

/* What people_are_two() looks at. */
static const char *const of_two_clients[] = { "aud", "azp", "email" };

bool person_keep_claims(const struct people_options *people, const struct person *person,
                        json_t *kept)
{
    char name[PART_MAX];

    for (size_t i = 0; i < people->same_count; i++)
        if (!outermost(people->same[i].claim, name) ||
            !keep_claim(person->token.claims, name, kept))
            return false;
    for (size_t i = 0; people_have_two_clients(people) && i < COUNT(of_two_clients); i++)
        if (!keep_claim(person->token.claims, of_two_clients[i], kept))
            return false;
    return keep_claim(person->token.claims, "email_verified", kept);
}

/* ---- the same by another client ---- */

bool people_have_two_clients(const struct people_options *people)
{
    return people->console_client_id.len > 0 &&
           !str_eq(people->console_client_id, people->client_id);
}

/* Which of the clients a token was given to; empty: it does not say. */
static struct str client_of(const struct people_options *people, const json_t *claims)
{
    const json_t *audience = json_object_get(claims, "aud");
    struct str client;

    if (!json_get_str(claims, "azp", &client))
        client = json_str(json_array_size(audience) == 1 ? json_array_get(audience, 0) : audience);
    return str_eq(client, people->client_id) || str_eq(client, people->console_client_id) ? client
                                                                                          : STR("");
}

bool people_are_two(const struct people_options *people, const json_t *one, const json_t *other)
{
    struct str client = client_of(people, one);
    struct str address = json_str(find_claim(one, STR("email")));
    struct str other_address = json_str(find_claim(other, STR("email")));

    if (!people_have_two_clients(people) ||
        (client.len > 0 && str_eq(client, client_of(people, other))))
        return true;
    return address.len > 0 && other_address.len > 0 && !str_eq_ignore_case(address, other_address);
}

bool people_tell_who_started(const struct people_options *people, struct str issuer)
{
    for (size_t i = 0; i < people->same_count; i++)
        if (str_eq(people->same[i].issuer, issuer))
            return true;
    return false;
}
