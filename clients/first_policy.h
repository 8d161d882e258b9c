#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"

struct error;
struct profile;

/** What a first policy is made from. Texts may be empty: then they come from the claims. */
struct first_policy_options {
    const struct profile *profile;
    const json_t *claims; /* of a job that shall be let in; nobody verified them */
    struct str issuer;    /* what the catalog calls the issuer */
    struct str pipeline;
    struct str owner;
};

/** The files that it comes to. */
struct first_policy {
    struct buf catalog;  /* catalog.yaml */
    struct buf pipeline; /* the pipeline, with tests */
    struct buf claims;   /* what its tests read: the job's claims without times and persons */
};

void first_policy_release(struct first_policy *policy);

OWNED_VALUE(first_policy_release, struct first_policy)

/**
 * Write a first policy that lets in jobs such as this one: its identity by an id, and a stage whose
 * conditions are the ref, the event and the environment that the job has.
 *
 * Errors: ERROR_TOKEN (claims that no policy should be made from: there is no id, or they are of a
 *         dangerous trigger), ERROR_MEMORY
 */
bool first_policy_write(const struct first_policy_options *options, struct arena *arena,
                        struct first_policy *policy, struct error *error) MUST_USE;
