#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/digest.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

/** One credential of those that are approved. */
struct approval_grant {
    struct str name;
    struct str kind;
    struct str target;     /* empty: it has none */
    struct str scope;      /* of a jwt, narrowed; empty: all of it */
    const json_t *fields;  /* holes filled */
    const json_t *details; /* the caller's, or NULL; keys and their proofs are not approved */
    int64_t ttl_s;
};

/**
 * Whether a member of a detail is of the job's own key, made for one request, or names the detail:
 * what else there is says what is asked for, and people agree to it.
 */
bool approval_is_of_request(const char *member);

/** Whose workflow a run follows. */
enum approval_workflow {
    APPROVAL_WORKFLOW_AS_SAID,   /* that of `workflow_commit`; empty: the issuer says none */
    APPROVAL_WORKFLOW_OF_COMMIT, /* that of the commit itself, or the issuer says none */
};

/**
 * What is approved: what it is about, and nothing of the run that asks, so that a run again needs
 * no approval again. Any change of it asks anew.
 *
 * A run whose issuer says no commit is approved itself (`run`): nobody knows what another one does.
 *
 * Source: design.md 3.4, security-rules.md 8.4
 */
struct approval_subject {
    struct str stage;
    struct str instance;
    struct str commit; /* empty: the issuer says none */
    struct str issuer; /* where there is no commit: numbers of runs may be a repository's own */
    struct str repository;
    struct str run;
    struct str workflow_commit;
    enum approval_workflow workflow;
    struct str audience;
    bool breaks_glass; /* given by an operator, for times when nothing may be */
    const uint8_t *rule_sha256;
    const json_t *bindings; /* NAME: "sha256-HEX"; NULL: none */
    const struct approval_grant *grants;
    size_t grant_count;
};

/**
 * The grants as an entry has them and people are shown them, an array; NULL without memory. Fields
 * that are many are told by their hash: the policy has them.
 */
json_t *approval_grants_shown(const struct approval_grant *grants, size_t count) MUST_USE;

/**
 * The digest that an approval is for: SHA-256 over the subject as canonical JSON (keys sorted, no
 * white space).
 *
 * Errors: ERROR_LIMIT (more than 256 KiB), ERROR_MEMORY
 */
bool approval_digest(const struct approval_subject *subject, uint8_t digest[SHA256_LEN],
                     struct error *error) MUST_USE;
