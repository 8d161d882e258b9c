#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/digest.h"
#include "base/macros.h"
#include "base/network.h"
#include "base/progress.h"
#include "base/str.h"
#include "base/yaml.h"
#include "policy/policy.h"

struct error;
struct keys;
struct target_kind;
struct upstream;

/** What every target works with. */
struct target_tools {
    struct keys *keys;
    struct upstream *upstream;
    struct str issuer; /* our own issuer URL */
};

/** A configured target. Immutable after configuration. */
struct target {
    struct str name;
    const struct target_kind *kind;
    struct str environment;
    const struct str *tenants;
    size_t tenant_count;
    void *settings; /* the kind's own, in the configuration's arena */
};

/**
 * One credential on its way. The conductor fills in the first part; the kind the second.
 *
 * Threads: confined to the exchange
 */
struct mint {
    const struct target_tools *tools;
    const struct target *target;         /* NULL where the kind takes none */
    struct str grant;                    /* its name in the policy */
    const json_t *fields;                /* policy's, holes filled */
    const json_t *details;               /* the caller's authorization_details for it, or NULL */
    const uint8_t *subject_token_sha256; /* what a key's proof signs; SHA256_LEN bytes */
    struct str stage;                    /* full id */
    struct str lease;
    struct str run;          /* ci.run, or empty */
    struct str repository;   /* ci.repository, or empty */
    struct str scope;        /* of a jwt grant, narrowed; empty: all of the grant's */
    const char *thumbprint;  /* of the proof key: binds tokens (cnf.jkt); NULL: none */
    const char *certificate; /* SHA-256 of the client's: binds them too (cnf.x5t#S256) */
    struct str actor_issuer; /* URL, of who acts for the job; empty: nobody does */
    struct str actor_subject;
    const struct address *address; /* of the request */
    int64_t now_s;
    int64_t ttl_s;
    struct arena *arena;
    struct waker waker; /* a remote kind calls it when to be entered again */

    json_t *credential; /* what the caller gets: secret; a new object, the conductor's */
    json_t *record;     /* what the ledger gets: `id`, and what else identifies it; likewise */
    int64_t expires_s;
    bool may_exist; /* it failed, but the credential may have been made */
    void *state;    /* the kind's, while it waits */
};

/**
 * A kind of target: one file, one const table, one row in target.c, one test file, one section in
 * README.md.
 */
struct target_kind {
    struct policy_grant_kind grant; /* its name is the `type` in broker.yaml too */
    const char *const *settings;    /* its own keys in broker.yaml, ended by NULL */
    bool is_local;                  /* signed by us: no request leaves */
    /** Read the settings; report through the reader. NULL where there are none. */
    bool (*configure)(const struct yaml_reader *reader, const json_t *node, struct arena *arena,
                      struct target *target);
    /** Load what a start must have (CA keys). NULL: nothing. */
    bool (*start)(struct target *target, const struct target_tools *tools, struct error *error);
    /**
     * Check what the caller asks for, before anything is signed or recorded. NULL: no details
     * taken.
     *
     * Errors: ERROR_DETAILS
     */
    bool (*check_details)(struct mint *mint, struct error *error);
    /**
     * Make the credential. A local kind never waits. A remote one may; it is entered again after
     * its waker. What came back is checked against what was asked: longer or wider is a failure.
     *
     * Errors: ERROR_DETAILS, ERROR_SCOPE, ERROR_MINT, ERROR_MINT_UNKNOWN (`may_exist` is set),
     *         ERROR_MEMORY, ERROR_CRYPTO
     */
    enum progress (*mint)(struct mint *mint, struct error *error);
};

/** All kinds, and the policy language's view of them. */
extern const struct target_kind *const target_kinds[];
extern const size_t target_kind_count;
const struct target_kind *target_kind_find(struct str name);
/** The kinds' grant rows, `target_kind_count` of them. */
const struct policy_grant_kind *const *target_grant_kinds(void);
/** The kind that a grant row belongs to. */
const struct target_kind *target_kind_of(const struct policy_grant_kind *grant);
