#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/claim.h"
#include "base/macros.h"
#include "base/str.h"

/** What single use is counted by. */
enum profile_replay {
    PROFILE_REPLAY_JTI,    /* (issuer, jti); the claim is mandatory */
    PROFILE_REPLAY_DIGEST, /* SHA-256 of header.payload */
};

/**
 * What we know of a CI platform. profile.c has the table; a platform whose facts need code has a
 * file.
 *
 * Source: reference of CI issuers
 */
struct profile {
    const char *name;
    const char *default_url; /* NULL: the configuration must say it */
    bool is_shared;          /* many organisations share it: `only` on an id is mandatory */
    const char *shared_url;  /* shared under this URL only; NULL: wherever it is */
    unsigned algorithms;     /* enum jose_algorithm bits, by default */

    /* The job cannot ask for our audience, so others take its token too: the configuration must
     * bind it to a key or a certificate besides (security-rules.md 4.4). */
    bool audience_is_fixed;
    const char
        *added_audience; /* what the platform adds to each token's starts so; NULL: nothing */

    enum profile_replay replay;
    unsigned uses;          /* presentations of one token by the same proof key */
    int64_t max_age_s;      /* now - iat, by default */
    int64_t max_lifetime_s; /* exp - iat, by default */
    /* `exp` is when the job is over at the latest, its own time limit; but where a token lives just
     * `life_without_limit_s` the platform knew of none. */
    bool expires_with_job;
    int64_t life_without_limit_s;
    struct claim_table claims;
    const struct claim_lints *lints;     /* what to warn of in conditions; NULL: nothing */
    const struct claim_dangers *dangers; /* NULL: none are known */
    /** What is wrong between the claims, each of its type by now; NULL: nothing. May be NULL. */
    const char *(*find_flaw)(const json_t *claims);
    /**
     * Fill `ci` (an object) from verified claims. What the issuer cannot say is JSON null; what it
     * says is not so (no environment) is left out. False without memory.
     */
    bool (*fill_ci)(const json_t *claims, json_t *ci);
    /* Facts that fill_ci() copies from a claim, whatever else the claims say; NULL: none. */
    const struct claim_copies *copies;
    /* Facts that follow from one claim by these rows alone, and are null without one; NULL: none.
     */
    const struct claim_words *words;
};

const struct profile *profile_find(struct str name);
/** People's ID tokens (people.h); no profile of runners, so that profile_find() does not have it.
 */
extern const struct profile profile_person;

/** Whether many organisations get tokens from the issuer at this URL. */
bool profile_is_shared(const struct profile *profile, struct str url);

/** The names of all profiles, ended by NULL, for messages. */
const char *const *profile_names(void);

/**
 * All `ci.*` facts with their types (names without "ci."): run attempt job repository repository_id
 * owner owner_id ref ref_type ref_protected commit workflow workflow_repository workflow_path
 * workflow_ref workflow_commit environment environment_protected actor actor_id event pull_request
 * fork debug runner.
 */
extern const struct claim_table profile_ci_facts;
