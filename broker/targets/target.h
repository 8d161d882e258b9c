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
struct mint_signing;
struct target_kind;
struct token_status;
struct upstream;
struct workers;

/** What every target works with. */
struct target_tools {
    struct keys *keys;
    struct upstream *upstream; /* requests by HTTP */
    struct workers *workers;   /* calls that block, and RSA: base/workers.h */
    struct workers *signers;   /* where keys_may_block(): signatures by our own keys */
    struct str issuer;         /* our own issuer URL */
};

/** A configured target. Immutable after configuration. */
struct target {
    struct str name;
    const struct target_kind *kind;
    struct str environment;
    const struct str *tenants;
    size_t tenant_count;
    void *settings;       /* the kind's own, in the configuration's arena */
    bool removes_orphans; /* `orphans: remove`: what a sweep finds and no lease owns is ended */
    bool is_catalog;      /* read where there is no broker: `own_settings` are not there */
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
    struct str attempt;      /* what tells the mints of a lease apart; empty: its first */
    struct str run;          /* ci.run, or empty */
    struct str repository;   /* ci.repository, or empty */
    const json_t *ci;        /* all facts, ci.* */
    struct str ci_issuer;    /* URL of who says them */
    struct str ci_subject;   /* its token's `sub`; empty where that may name a person */
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
    /*
     * What `revoke` will need besides the record, or NULL: secret, likewise; kept sealed beside the
     * entry until the lease has ended. Also set where `may_exist` is and it can be looked for.
     */
    json_t *handle;
    int64_t expires_s;
    bool may_exist;               /* it failed, but the credential may have been made */
    void *state;                  /* the kind's, while it waits */
    struct mint_signing *signing; /* mint_sign()'s, while it waits */
    /* For `sign`: where its status stands; NULL: it says nothing of one. */
    const struct token_status *status;
};

#define TARGET_HANDLE_MAX ((size_t)4096) /* bytes of a mint's `handle` as JSON */

/**
 * A credential that is to be ended at its target before its time.
 *
 * Threads: confined to who ends leases
 */
struct revocation {
    const struct target_tools *tools;
    const struct target *target; /* as it is configured now; NULL where the kind takes none */
    struct str stage;            /* full id */
    struct str lease;
    struct str grant;
    /* As the ledger has it: with `id`, unless its mint is unknown, and `attempt`, unless empty. */
    const json_t *record;
    const json_t *handle; /* as the mint gave it; NULL: it gave none */
    int64_t expires_s;    /* of the credential */
    int64_t now_s;
    struct arena *arena;
    struct waker waker;
    void *state; /* the kind's, while it waits */
};

#define SWEEP_FOUND_MAX 1000

/** Something that exists at a target and was made by this broker: which lease it is of, and how. */
struct sweep_found {
    struct str lease; /* ID_LEN characters */
    json_t *record;   /* as a mint's: what is told of an orphan; `id` */
    json_t *handle;   /* as a mint's, for `revoke`; NULL: none is needed */
};

/**
 * Looking for what exists at a target. What it lists is bounded: the oldest SWEEP_FOUND_MAX, and
 * `is_complete` says whether that was all.
 *
 * Threads: confined to who sweeps
 * Owns:    records and handles are references of the sweep's owner
 */
struct sweep {
    const struct target_tools *tools;
    const struct target *target;
    int64_t now_s;
    struct arena *arena;
    struct waker waker;
    void *state; /* the kind's, while it waits */

    struct sweep_found *found; /* in the arena */
    size_t found_count;
    bool is_complete;
};

/** A certificate that was revoked before its end: of any kind and CA, from the ledger. */
struct target_revoked {
    struct str ca; /* as mints record it */
    struct str id;
    int64_t revoked_s;
};

/** A file for whoever checks credentials of a target: which of them not to take any more. */
struct target_list {
    struct str path; /* where it is served: "/krl/fleet" */
    const char *content_type;
    struct str bytes;
};

#define TARGET_LISTS_MAX 32

/** The making of a target's lists. Threads: confined */
struct target_listing {
    const struct target *target;
    const struct target_revoked *revoked; /* each once, of those that have not ended */
    size_t revoked_count;
    uint64_t size; /* entries of the log that they follow from: grows */
    int64_t now_s;
    struct arena *arena;

    struct target_list lists[TARGET_LISTS_MAX];
    size_t list_count;
};

/**
 * A kind of target: one file, one const table, one row in target.c, one test file, one section in
 * README.md.
 */
struct target_kind {
    struct policy_grant_kind grant; /* its name is the `type` in broker.yaml too */
    const char *const *settings;    /* its own keys in broker.yaml, ended by NULL */
    /* Those of them that no catalog may have: secrets, and what is of the broker's machine. */
    const char *const *own_settings;
    bool is_local; /* signed by us: no request leaves */
    /* The member of an answer that names grants of the kind whose details are missing; NULL: none
     * are taken. "grants_needing_keys": a public key and its proof; "grants_needing_csrs": a
     * certificate request. */
    const char *needing;
    /**
     * Read the settings, which are zero before; report through the reader, in whose arena they are.
     * NULL where there are none: see target_configure().
     */
    bool (*configure)(const struct yaml_reader *reader, const json_t *node, struct target *target);
    size_t settings_size; /* of a target's `settings` */
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
     * Begin `record` with what `revoke` must know where nobody hears of the outcome: before the
     * intent is recorded, which has it. NULL: it follows from lease, grant and attempt.
     *
     * Errors: ERROR_MINT (the fields, filled in, are none), ERROR_MEMORY
     */
    bool (*intend)(struct mint *mint, struct error *error);
    /** Whether this mint is one that is `needing`: where a grant's fields decide it. NULL: all. */
    bool (*is_needing)(const struct mint *mint);
    /**
     * Make the credential. A remote kind may wait, a local one only for a signature of ours; then
     * it is entered again after its waker. What came back is checked against what was asked: longer
     * or wider is a failure.
     *
     * Errors: ERROR_DETAILS, ERROR_SCOPE, ERROR_MINT, ERROR_MINT_UNKNOWN (`may_exist` is set),
     *         ERROR_MEMORY, ERROR_CRYPTO
     */
    enum progress (*mint)(struct mint *mint, struct error *error);
    /**
     * Make the credential of what was minted once its entry is durable, since it says where its
     * status stands (the mint's `status`), which follows from that entry. Waiting is as with
     * `mint`. Until then there is none, only a record. What the ledger then says of its end has the
     * status besides. NULL: `mint` makes it.
     *
     * Errors: ERROR_MEMORY, ERROR_CRYPTO
     */
    enum progress (*sign)(struct mint *mint, struct error *error);
    /**
     * End a credential at its target; NULL where that cannot be done (`grant.revocation` says so,
     * and `explain`, `who-can` and answers tell it). It may be asked several times, also of what is
     * gone already, never was (a mint whose outcome is unknown) or has expired: that is done.
     * Waiting is as with `mint`.
     *
     * Errors: ERROR_MINT (refused or not reached: it is tried again), ERROR_MEMORY
     */
    enum progress (*revoke)(struct revocation *revocation, struct error *error);
    /**
     * Whether what this mint makes is to be ended by `revoke`: where a grant's fields decide it.
     * NULL: all of the kind, if there is `revoke`.
     */
    bool (*is_revocable)(const struct mint *mint);
    /* Nothing of a credential is left at its target once it has expired: `revoke` is not asked. So
     * of all that are ended by a list or a name, which the ledger's fold relies on; of others
     * their entries say it (`lapses`). */
    bool is_gone_by_expiry;
    /**
     * Look for what exists at the target and is ours, whatever lease it is of. NULL: it cannot be
     * looked for. Waiting is as with `mint`.
     *
     * Errors: ERROR_MINT, ERROR_MEMORY
     */
    enum progress (*sweep)(struct sweep *sweep, struct error *error);
    /**
     * Make the lists that a target's revoked certificates stand in. NULL: nothing is listed. What
     * such a kind records has `ca` and `id`, and its `revoke` is target_revoke_by_list().
     *
     * Errors: ERROR_MINT (its CA is not loaded), ERROR_LIMIT, ERROR_MEMORY, ERROR_CRYPTO
     */
    bool (*list)(struct target_listing *listing, struct error *error);
};

/** All kinds, and the policy language's view of them. */
extern const struct target_kind *const target_kinds[];
extern const size_t target_kind_count;
const struct target_kind *target_kind_find(struct str name);

/**
 * Read the settings of a target, whose kind is known, from `node`. False where something is wrong,
 * which is reported.
 *
 * Owns: they are in `arena`
 */
bool target_configure(struct target *target, const struct yaml_reader *reader, const json_t *node,
                      struct arena *arena);

/** The kinds' grant rows, `target_kind_count` of them. */
const struct policy_grant_kind *const *target_grant_kinds(void);
/** The kind that a grant row belongs to. */
const struct target_kind *target_kind_of(const struct policy_grant_kind *grant);

/**
 * How what a mint makes, or is to make, can be ended before its time: in fact, whatever its kind
 * says of itself.
 */
enum policy_revocation target_revocation(const struct target_kind *kind, const struct mint *mint);

/** "now", "name", "list" or "expiry": as entries and answers have it. */
const char *target_revocation_name(enum policy_revocation revocation);
