#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/progress.h"
#include "base/str.h"
#include "targets/stage_token.h"
#include "targets/targets_internal.h"
#include "upstream/upstream.h"

struct error;

/** Limits of Google. Source: iamcredentials generateAccessToken; Credential Access Boundaries */
#define GCP_LIFE_MIN_S 1
#define GCP_LIFE_MAX_S ((int64_t)3600)
#define GCP_BOUNDARY_MAX ((size_t)2048) /* characters of the exchange's option */
#define GCP_RULES_MAX 10
#define GCP_ROLES_MAX 10
#define GCP_SCOPE_PREFIX "https://www.googleapis.com/auth/"

/** A target of this kind. Immutable. */
struct gcp_settings {
    struct texts projects;
    struct str provider; /* //iam.googleapis.com/projects/1/locations/global/... */
    struct str audience; /* of our token */
    bool is_subject_the_run;
    enum stage_token_algorithm algorithm;
    struct str sts_endpoint; /* URLs, NUL-terminated; without a path */
    struct str iam_endpoint;
    struct upstream_peer peer;
};

/** A grant as it is asked of Google. Its texts live in the reader's arena or in the policy. */
struct gcp_grant {
    struct str service_account; /* empty: the stage's own access */
    struct str project;         /* the account's; empty likewise */
    struct texts scopes;
    struct str boundary; /* the exchange's option, as JSON; empty: none */
};

/**
 * Read the fields of a grant. `settings` may be NULL (a target that is itself in error): then
 * projects are not checked.
 */
bool gcp_grant_read(struct grant_reader *reader, const json_t *fields, int64_t ttl_s,
                    const struct gcp_settings *settings, struct gcp_grant *grant) MUST_USE;

/** Report what is wrong with a grant's fields. */
void gcp_grant_check(const struct yaml_reader *yaml, const struct policy_grant_view *view);

/** What a grant gives: its scopes, or the roles of its boundary, as its service account. */
bool gcp_grant_gives(const struct policy_grant_view *view, struct arena *arena,
                     struct policy_given *given) MUST_USE;

/** `mint` of the kind. */
enum progress gcp_mint(struct mint *mint, struct error *error) MUST_USE;
