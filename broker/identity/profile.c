#include "identity/profile.h"

#include "identity/profile_internal.h"

static const struct profile *const profiles[] = { &profile_github, &profile_generic };

static const char *const names[] = { "github", "generic", NULL };

static const struct claim facts[] = {
    /* name                  type           flags */
    { "run", CLAIM_STRING, CLAIM_OPTIONAL },
    { "attempt", CLAIM_STRING, CLAIM_OPTIONAL },
    { "job", CLAIM_STRING, CLAIM_OPTIONAL },
    { "repository", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_CAN_BE_RENAMED },
    { "repository_id", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_ID },
    { "owner", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_CAN_BE_RENAMED },
    { "owner_id", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_ID | CLAIM_OWNER_ID },
    { "ref", CLAIM_STRING, CLAIM_OPTIONAL },
    { "ref_type", CLAIM_STRING, CLAIM_OPTIONAL },
    { "ref_protected", CLAIM_BOOLEAN, CLAIM_OPTIONAL },
    { "commit", CLAIM_STRING, CLAIM_OPTIONAL },
    { "workflow", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_SET_BY_USER },
    { "workflow_repository", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_CAN_BE_RENAMED },
    { "workflow_path", CLAIM_STRING, CLAIM_OPTIONAL },
    { "workflow_ref", CLAIM_STRING, CLAIM_OPTIONAL },
    { "workflow_commit", CLAIM_STRING, CLAIM_OPTIONAL },
    { "environment", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_CAN_BE_RENAMED },
    { "environment_protected", CLAIM_BOOLEAN, CLAIM_OPTIONAL },
    { "actor", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_CAN_BE_RENAMED | CLAIM_PERSONAL },
    { "actor_id", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_PERSONAL },
    { "event", CLAIM_STRING, CLAIM_OPTIONAL },
    { "pull_request", CLAIM_BOOLEAN, CLAIM_OPTIONAL },
    { "fork", CLAIM_BOOLEAN, CLAIM_OPTIONAL },
    { "debug", CLAIM_BOOLEAN, CLAIM_OPTIONAL },
    { "runner", CLAIM_STRING, CLAIM_OPTIONAL },
};

const struct claim_table profile_ci_facts = { facts, COUNT(facts) };

const struct profile *profile_find(struct str name)
{
    for (size_t i = 0; i < COUNT(profiles); i++)
        if (str_eq(str_from(profiles[i]->name), name))
            return profiles[i];
    return NULL;
}

const char *const *profile_names(void)
{
    return names;
}

bool profile_copy_texts(const json_t *claims, const struct profile_copy *rows, size_t count,
                        json_t *ci)
{
    for (size_t i = 0; i < count; i++) {
        json_t *value = json_object_get(claims, rows[i].claim);
        bool is_said = json_is_string(value) && json_string_length(value) > 0;

        if (json_object_set_new(ci, rows[i].fact, is_said ? json_incref(value) : json_null()) != 0)
            return false;
    }
    return true;
}
