#include "base/json.h"
#include "identity/profile_internal.h"
#include "keys/verifier.h"

/*
 * Buildkite: one issuer for all customers, and whoever asks chooses claims, subject and life. So
 * the ids that are on request only are mandatory here: `--claim organization_id,pipeline_id`.
 */
static const struct claim claims[] = {
    /* name  type  flags */
    PROFILE_REGISTERED,
    { "sub", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_SET_BY_USER },
    { "organization_id", CLAIM_STRING, CLAIM_ID | CLAIM_OWNER_ID },
    { "pipeline_id", CLAIM_STRING, CLAIM_ID },
    { "organization_slug", CLAIM_STRING, CLAIM_CAN_BE_RENAMED },
    { "pipeline_slug", CLAIM_STRING, CLAIM_CAN_BE_RENAMED },
    { "build_number", CLAIM_INTEGER, 0 },
    { "build_branch", CLAIM_STRING, CLAIM_SET_BY_USER | CLAIM_OPTIONAL },
    { "build_tag", CLAIM_STRING, CLAIM_SET_BY_USER | CLAIM_OPTIONAL },
    { "build_commit", CLAIM_STRING, CLAIM_SET_BY_USER | CLAIM_OPTIONAL },
    { "build_source", CLAIM_STRING, 0 },
    { "step_key", CLAIM_STRING, CLAIM_OPTIONAL },
    { "job_id", CLAIM_STRING, 0 },
    { "agent_id", CLAIM_STRING, CLAIM_OPTIONAL },
    { "build_id", CLAIM_STRING, CLAIM_OPTIONAL },
    { "cluster_id", CLAIM_STRING, CLAIM_OPTIONAL },
    { "cluster_name", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
    { "queue_id", CLAIM_STRING, CLAIM_OPTIONAL },
    { "queue_key", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
    { "runner_environment", CLAIM_STRING, CLAIM_OPTIONAL },
    { "agent_tag:", CLAIM_STRING, CLAIM_SET_BY_USER | CLAIM_OPTIONAL | CLAIM_PREFIX },
    { "https://aws.amazon.com/tags", CLAIM_OBJECT, CLAIM_OPTIONAL },
};

static const struct claim_copy copy_rows[] = {
    { "run", "build_number", CLAIM_FORM_NUMBER },
    { "job", "job_id", CLAIM_FORM_UNKNOWN },
    { "owner", "organization_slug", CLAIM_FORM_UNKNOWN },
    { "owner_id", "organization_id", CLAIM_FORM_UNKNOWN },
    { "commit", "build_commit", CLAIM_FORM_UNKNOWN },
    { "workflow", "pipeline_slug", CLAIM_FORM_UNKNOWN },
    { "event", "build_source", CLAIM_FORM_UNKNOWN },
};
static const struct claim_copies copies = { copy_rows, COUNT(copy_rows) };

static const struct claim_word word_rows[] = {
    { "runner_environment", "buildkite-hosted", "runner", "hosted" },
    { "runner_environment", "self-hosted", "runner", "self-hosted" },
};
static const struct claim_words words = { word_rows, COUNT(word_rows) };

static const struct profile_rules rules = { &copies, &words };

/* Branch and commit are what the build's creator typed. */
static const struct claim_danger danger_rows[] = {
    /* claim  value  fact  its value  harmless where false */
    { "build_source", "ui", "ci.event", "ui", NULL },
    { "build_source", "api", "ci.event", "api", NULL },
};
static const struct claim_dangers dangers = { danger_rows, COUNT(danger_rows) };

/* As the platform does in its subject: a tag where there is one, else the branch. */
static bool put_ref(const json_t *token_claims, json_t *ci)
{
    struct str tag = profile_text(token_claims, "build_tag");
    struct str branch = profile_text(token_claims, "build_branch");

    if (tag.len > 0)
        return profile_put_joined(ci, "ref", "refs/tags/", tag) &&
               profile_put(ci, "ref_type", STR("tag"));
    return profile_put_joined(ci, "ref", "refs/heads/", branch) &&
           profile_put(ci, "ref_type", branch.len > 0 ? STR("branch") : STR(""));
}

/* Conditions that say less than they seem to. */
static const struct claim_lint lint_rows[] = {
    { .rule = "buildkite-sub",
      .claims = CLAIM_NAMES("sub"),
      .message = "is what the job asks for",
      .hint = "name what you mean: pipeline_id, step_key" },
    { .rule = "buildkite-typed-build",
      .claims = CLAIM_NAMES("build_source", "ci.event"),
      .has = "ui",
      .message = "lets in builds of the web page: somebody types their branch and their commit",
      .hint = "use 'webhook'" },
    { .rule = "buildkite-called-build",
      .claims = CLAIM_NAMES("build_source", "ci.event"),
      .has = "api",
      .message =
          "lets in builds of the API: whoever calls it chooses their branch and their commit",
      .hint = "use 'webhook'" },
    { .rule = "buildkite-pipeline-without-id",
      .claims = CLAIM_NAMES("pipeline_slug", "ci.workflow"),
      .unless = CLAIM_NAMES("pipeline_id"),
      .message = "is a name that can be given to another pipeline",
      .hint = "add 'pipeline_id'" },
    { .rule = "buildkite-owner-without-id",
      .claims = CLAIM_NAMES("organization_slug", "ci.owner"),
      .unless = CLAIM_NAMES("organization_id", "pipeline_id", "ci.owner_id"),
      .message = "is a name that can be given to somebody else",
      .hint = "add 'organization_id'" },
    { .rule = "buildkite-agent-tag",
      .claims = CLAIM_NAMES("agent_tag:"),
      .unless = CLAIM_NAMES("cluster_id", "queue_id"),
      .message = "is what whoever starts the agent says",
      .hint = "add 'queue_id', whose agents are yours" },
};
static const struct claim_lints lints = { lint_rows, COUNT(lint_rows) };

static bool fill_ci(const json_t *token_claims, json_t *ci)
{
    return profile_fill(&rules, token_claims, ci) && put_ref(token_claims, ci);
}

const struct profile profile_buildkite = {
    .name = "buildkite",
    .default_url = "https://agent.buildkite.com",
    .is_shared = true,
    .algorithms = JOSE_RS256,
    .replay = PROFILE_REPLAY_DIGEST,
    .uses = PROFILE_USES_FRESH,
    .max_age_s = 300,
    .max_lifetime_s = 600, /* 300 s, unless the job asks for more */
    .claims = { claims, COUNT(claims) },
    .lints = &lints,
    .dangers = &dangers,
    .fill_ci = fill_ci,
    .copies = &copies,
    .words = &words,
};
