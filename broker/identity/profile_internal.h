#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/macros.h"
#include "identity/profile.h"

/* The platforms; profile.c has the table. */
extern const struct profile profile_github;
extern const struct profile profile_forgejo;
extern const struct profile profile_gitlab;
extern const struct profile profile_jenkins;
extern const struct profile profile_circleci;
extern const struct profile profile_buildkite;
extern const struct profile profile_bitbucket;
extern const struct profile profile_azure_devops;
extern const struct profile profile_terraform;
extern const struct profile profile_kubernetes;
extern const struct profile profile_spiffe;
extern const struct profile profile_google;
extern const struct profile profile_aws;
extern const struct profile profile_harness;
extern const struct profile profile_semaphore;
extern const struct profile profile_codefresh;
extern const struct profile profile_generic;

/*
 * How often a key may present the same token. A job that can fetch a fresh one needs no second
 * time; one whose token stands in a variable runs a few commands with it; a token that a machine
 * keeps in a cache serves all that run there.
 */
#define PROFILE_USES_FRESH 1
#define PROFILE_USES_VARIABLE 8
#define PROFILE_USES_CACHED 100

/** The registered claims that each token of a platform has; `sub` differs. */
#define PROFILE_REGISTERED                                                                         \
    { "iss", CLAIM_STRING, 0 }, { "aud", CLAIM_STRINGS, CLAIM_SET_BY_USER },                       \
        { "exp", CLAIM_INTEGER, 0 }, { "iat", CLAIM_INTEGER, 0 },                                  \
    {                                                                                              \
        "nbf", CLAIM_INTEGER, CLAIM_OPTIONAL                                                       \
    }

/** What tables can say of how `ci` is filled; facts that no row gives a value are null. */
struct profile_rules {
    const struct claim_copies *copies; /* NULL: none */
    const struct claim_words *words;   /* NULL: none */
};

/** Fill all of `ci` by tables. False without memory. */
bool profile_fill(const struct profile_rules *rules, const json_t *claims, json_t *ci) MUST_USE;

/** Set what rows of words say. */
bool profile_put_words(const struct claim_words *words, const json_t *claims, json_t *ci) MUST_USE;

/** Set a fact by its type: text, or of a boolean "true" and "false". Empty text makes it null. */
bool profile_put(json_t *ci, const char *fact, struct str value) MUST_USE;

/** Set a fact to a prefix and a text; null where the text is empty. */
bool profile_put_joined(json_t *ci, const char *fact, const char *prefix, struct str text) MUST_USE;

/** A claim's text, without copying; empty where it is absent or no text. */
struct str profile_text(const json_t *claims, const char *name);

/** Set `ref`, and `ref_type` where the ref says it: refs/heads/ a branch, refs/tags/ a tag. */
bool profile_put_ref(json_t *ci, struct str ref) MUST_USE;

/**
 * Set workflow_repository, workflow_path and workflow_ref from "OWNER/REPOSITORY", "PATH@REF".
 *
 * All of them, or none. The path ends at the first '@' behind the ending of a workflow's file:
 * names of files and refs may hold others.
 */
bool profile_put_workflow(json_t *ci, struct str repository, struct str path_and_ref) MUST_USE;

/** Whether it is a UUID of RFC 9562: 8-4-4-4-12 hexadecimal digits. */
bool profile_is_uuid(struct str text);

/** Events of GitHub's and Forgejo's jobs, with what they say of pull requests and forks. */
extern const struct claim_words profile_github_events;

/** Events of them that strangers start with the repository's own trust. */
extern const struct claim_dangers profile_github_dangers;

/** Correct what the event says where the refs say that it is a pull request. */
bool profile_put_github_refs(const json_t *claims, json_t *ci) MUST_USE;

/** Split "OWNER/REPOSITORY/PATH@REF" into the workflow facts. */
bool profile_put_github_workflow(const json_t *claims, const char *claim, json_t *ci) MUST_USE;
