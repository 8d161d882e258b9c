#include "identity/profile.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/json.h"
#include "identity/profile_internal.h"

#define FACT_MAX ((size_t)4096)
#define UUID_LEN 36

static const struct profile *const profiles[] = {
    &profile_github,     &profile_gitlab,    &profile_jenkins,      &profile_circleci,
    &profile_buildkite,  &profile_bitbucket, &profile_azure_devops, &profile_terraform,
    &profile_kubernetes, &profile_spiffe,    &profile_google,       &profile_aws,
    &profile_harness,    &profile_semaphore, &profile_codefresh,    &profile_forgejo,
    &profile_generic,
};

static const char *const names[] = {
    "github",       "gitlab",    "jenkins",    "circleci", "buildkite", "bitbucket",
    "azure-devops", "terraform", "kubernetes", "spiffe",   "google",    "aws",
    "harness",      "semaphore", "codefresh",  "forgejo",  "generic",   NULL,
};
_Static_assert(COUNT(names) == COUNT(profiles) + 1, "each profile has its name in both");

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

bool profile_is_shared(const struct profile *profile, struct str url)
{
    return profile->is_shared &&
           (profile->shared_url == NULL || str_eq(url, str_from(profile->shared_url)));
}

/* ---- filling `ci` ---- */

static bool is_boolean(const char *fact)
{
    const struct claim *row = claim_find(&profile_ci_facts, str_from(fact));

    return row != NULL && row->type == CLAIM_BOOLEAN;
}

bool profile_put(json_t *ci, const char *fact, struct str value)
{
    if (value.len == 0)
        return json_put(ci, fact, json_null());
    if (is_boolean(fact))
        return json_put(ci, fact, json_boolean(str_eq(value, STR("true"))));
    return json_put(ci, fact, json_from_str(value));
}

bool profile_put_joined(json_t *ci, const char *fact, const char *prefix, struct str text)
{
    OWNED(buf_release) struct buf joined = { 0 };

    if (text.len == 0)
        return json_put(ci, fact, json_null());
    buf_init(&joined, FACT_MAX);
    buf_add_text(&joined, prefix);
    buf_add(&joined, text);
    return buf_is_ok(&joined) && profile_put(ci, fact, buf_str(&joined));
}

struct str profile_text(const json_t *claims, const char *name)
{
    return json_str(claim_value(claims, name));
}

bool profile_put_words(const struct claim_words *words, const json_t *claims, json_t *ci)
{
    return claim_words_put(words, &profile_ci_facts, claims, ci);
}

bool profile_fill(const struct profile_rules *rules, const json_t *claims, json_t *ci)
{
    bool is_good = true;

    for (size_t i = 0; is_good && i < profile_ci_facts.count; i++)
        is_good = json_put(ci, profile_ci_facts.rows[i].name, json_null());
    if (is_good && rules->copies != NULL)
        is_good = claim_copies_put(rules->copies, claims, ci);
    return is_good && (rules->words == NULL || profile_put_words(rules->words, claims, ci));
}

/* ---- facts that several platforms derive the same way ---- */

bool profile_put_ref(json_t *ci, struct str ref)
{
    struct str type = { 0 };

    if (str_starts_with(ref, STR("refs/heads/")))
        type = STR("branch");
    else if (str_starts_with(ref, STR("refs/tags/")))
        type = STR("tag");
    return profile_put(ci, "ref", ref) && profile_put(ci, "ref_type", type);
}

/* Where the '@' behind the path is; 0 where there is none. */
static size_t path_len(struct str text)
{
    for (size_t at = str_find(text, '@'); at < text.len;
         at += 1 + str_find(str_slice(text, at + 1, text.len), '@')) {
        struct str path = str_slice(text, 0, at);

        if (str_ends_with(path, STR(".yml")) || str_ends_with(path, STR(".yaml")))
            return at;
    }
    return 0;
}

bool profile_put_workflow(json_t *ci, struct str repository, struct str path_and_ref)
{
    size_t len = path_len(path_and_ref);
    struct str path = str_slice(path_and_ref, 0, len);
    struct str ref = str_slice(path_and_ref, len + 1, path_and_ref.len);
    bool is_whole = repository.len > 0 && path.len > 0 && ref.len > 0;

    return profile_put(ci, "workflow_repository", is_whole ? repository : STR("")) &&
           profile_put(ci, "workflow_path", is_whole ? path : STR("")) &&
           profile_put(ci, "workflow_ref", is_whole ? ref : STR(""));
}

bool profile_is_uuid(struct str text)
{
    if (text.len != UUID_LEN)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (!str_is_made_of(str_slice(text, i, 1), is_dash ? "-" : "0123456789abcdefABCDEF"))
            return false;
    }
    return true;
}
