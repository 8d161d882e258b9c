#include "base/json.h"
#include "identity/profile_internal.h"
#include "keys/verifier.h"

/*
 * Jenkins, OpenID Connect Provider plugin. Its templates may not set `jti` or `nbf`. A job's URL
 * can be given to another job: nothing here is an id, so the configuration names one under `ids`.
 */
static const struct claim claims[] = {
    /* name  type  flags */
    PROFILE_REGISTERED,
    { "sub", CLAIM_STRING, CLAIM_CAN_BE_RENAMED }, /* the job's URL, by default */
    { "build_number", CLAIM_INTEGER, CLAIM_OPTIONAL },
};

static const struct claim_copy copy_rows[] = {
    { "run", "build_number", CLAIM_FORM_NUMBER },
    { "workflow", "sub", CLAIM_FORM_UNKNOWN },
};
static const struct claim_copies copies = { copy_rows, COUNT(copy_rows) };

static const struct profile_rules rules = { &copies, NULL };

/* Whoever opens a pull request writes what its job runs. */
static const struct claim_danger danger_rows[] = {
    /* claim  value  fact  its value  harmless where false */
    { NULL, "", "ci.pull_request", "true", NULL },
};
static const struct claim_dangers dangers = { danger_rows, COUNT(danger_rows) };

/* A multibranch pipeline has a job of its own for each pull request: .../job/PR-12/ */
static bool is_pull_request(struct str url)
{
    struct str job = str_slice(url, 0, str_ends_with(url, STR("/")) ? url.len - 1 : url.len);
    struct str number;

    while (str_find(job, '/') < job.len)
        job = str_slice(job, str_find(job, '/') + 1, job.len);
    number = str_slice(job, 3, job.len);
    return str_starts_with(job, STR("PR-")) && number.len > 0 &&
           str_is_made_of(number, "0123456789");
}

static bool fill_ci(const json_t *token_claims, json_t *ci)
{
    return profile_fill(&rules, token_claims, ci) &&
           (!is_pull_request(profile_text(token_claims, "sub")) ||
            json_put(ci, "pull_request", json_true()));
}

const struct profile profile_jenkins = {
    .name = "jenkins",
    .algorithms = JOSE_RS256,
    .replay = PROFILE_REPLAY_DIGEST,
    .uses = PROFILE_USES_VARIABLE,
    .max_age_s = 3600,
    .max_lifetime_s = 3600,
    .claims = { claims, COUNT(claims) },
    .dangers = &dangers,
    .fill_ci = fill_ci,
    .copies = &copies,
};
