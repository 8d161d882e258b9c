#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/claim.h"
#include "base/digest.h"
#include "base/macros.h"
#include "base/network.h"
#include "base/progress.h"
#include "base/str.h"

struct error;
struct profile;
struct upstream;

/** The longest token, bytes. */
#define TOKEN_MAX ((size_t)16 * 1024)

/** What must come along with an issuer's tokens. */
enum identity_binding {
    IDENTITY_BIND_NOTHING,
    IDENTITY_BIND_DPOP, /* a proof of a key */
    IDENTITY_BIND_MTLS, /* a client certificate */
};

/** One issuer as configured. Everything is borrowed and must outlive the identity. */
struct issuer_options {
    struct str name; /* [a-z0-9-]{1,40} */
    const struct profile *profile;
    struct str url;              /* compared with `iss` byte for byte */
    struct str audience;         /* every audience of a token must be this */
    struct str other_audience;   /* or this; empty: there is no other */
    int64_t max_age_s;           /* 0: the profile's */
    int64_t max_lifetime_s;      /* 0: the profile's */
    const json_t *only;          /* claim -> string: what its tokens must carry; NULL: nothing */
    struct claim_table claims;   /* the profile's, and the configuration's `claims` and `ids` */
    const char *ca_file;         /* NULL: the system's */
    const char *jwks_file;       /* a static key set instead of discovery; NULL: discovery */
    const struct str *key_hosts; /* further hosts that `jwks_uri` may be on */
    size_t key_host_count;
    const struct network *networks; /* `allow_networks` */
    size_t network_count;
    unsigned algorithms; /* enum jose_algorithm bits; 0: the profile's */
    bool may_use_http;
    enum identity_binding binding;
    bool revokes_on_replay; /* a token that comes again with another key ends its first lease */
    const char *typ; /* identity_verify_offline() only: the header's `typ`; NULL: absent or JWT */
};

struct identity_options {
    const struct issuer_options *issuers;
    size_t issuer_count; /* at most IDENTITY_ISSUERS_MAX */
    int64_t leeway_s;
    const char *keys_folder; /* where last good key sets are kept over a restart; NULL: nowhere */
};

#define IDENTITY_ISSUERS_MAX 1000

/**
 * The issuers we trust and their key sets: the strict envelope, the claims' rules, the profiles.
 *
 * Key sets are fetched when first needed and refreshed in the background; they are immutable
 * snapshots with a reference count. A hanging issuer delays no other.
 *
 * Threads: shared; reference-counted
 * Source:  security-rules.md 2, 3, 4; RFC 7515, 7519, 8725
 */
struct identity;

/**
 * Make one. `previous` (may be NULL) gives its key sets for issuers whose URL, CA and hosts stayed.
 *
 * Errors: ERROR_CONFIG, ERROR_MEMORY
 */
bool identity_new(const struct identity_options *options, struct upstream *upstream,
                  const struct identity *previous, struct identity **identity, struct error *error)
    MUST_USE;
struct identity *identity_ref(struct identity *identity);
void identity_unref(struct identity *identity);

OWNED_POINTER(identity_unref, struct identity)

/** What is new about an issuer's claims. */
enum claim_news_kind {
    CLAIM_NEWS_UNKNOWN, /* neither its profile nor the configuration knows the claim */
    CLAIM_NEWS_RETYPED, /* such a claim, with a type that it did not have before */
    CLAIM_NEWS_FULL,    /* so many that no further ones are watched */
};

/** Told once since the start. */
struct claim_news {
    enum claim_news_kind kind;
    struct str claim; /* foreign text, as verified */
    const char *type; /* of its JSON value */
};

/** A token that verified, with what follows from it. In the arena of the verification. */
struct verified_token {
    const struct issuer_options *issuer;
    const json_t *claims; /* the whole payload */
    const json_t *ci;     /* the same under one set of names; null is "the issuer cannot say" */
    const struct claim_danger *const *dangers; /* rows of the profile that hold for it */
    size_t danger_count;
    struct str subject;
    struct str kid; /* of the key that signed it; empty where that has none */
    int64_t issued_s;
    int64_t expires_s;
    bool is_key_bound;          /* its audience names the key that came with it */
    uint8_t mark[SHA256_LEN];   /* of single use: hash over issuer and jti, or header.payload */
    uint8_t sha256[SHA256_LEN]; /* of the token's text */
    const struct claim_news *news;
    size_t news_count;
};

/** When the job of a verified token is over at the latest, as its platform says; 0: it does not. */
int64_t identity_job_end_s(const struct verified_token *verified);

/** What is verified, and with what it came. */
struct identity_input {
    struct str token;
    int64_t now_s;
    const char *thumbprint;  /* of the key that a DPoP proof beside it is of, or NULL */
    const char *certificate; /* SHA-256 of the client certificate, in base64url, or NULL */
};

/** Between our audience and a key's thumbprint, where a job asks for a token bound to its key. */
#define IDENTITY_KEY_AUDIENCE "#jkt="

/**
 * Verify a subject token.
 *
 * Every audience must be ours, or ours with IDENTITY_KEY_AUDIENCE and the thumbprint of the key
 * that came along: such a token is no use to whoever lacks the key. So is one whose `cnf` names
 * keys, all of which must have come along.
 *
 * Where the issuer's keys must be fetched first: PROGRESS_WAIT, and `waker` is called when to enter
 * again with the same arguments; `*state` (start with NULL) carries on between the calls. Nothing
 * of a token steers a fetch but the choice among the configured issuers.
 *
 * Errors: ERROR_TOKEN; only once it verified and meets `only`: ERROR_TOKEN_EXPIRED,
 *         ERROR_TOKEN_TOO_OLD, ERROR_TOKEN_AUDIENCE; ERROR_KEYS_UNAVAILABLE; ERROR_MEMORY
 */
enum progress identity_verify(struct identity *identity, const struct identity_input *input,
                              struct arena *arena, struct waker waker, void **state,
                              struct verified_token *verified, struct error *error);

/** What is kept of a token that was verified, where whoever showed it comes back without it. */
struct identity_kept {
    struct str issuer; /* its name */
    json_t *claims;    /* the whole payload */
    struct str kid;
    bool is_key_bound;
    uint8_t mark[SHA256_LEN];
    uint8_t sha256[SHA256_LEN];
};

/**
 * Make a verified token again of what was kept of it: its issuer must be configured still, with
 * that name and URL, and the claims must be what its profile and `only` say now; facts and dangers
 * are read anew. Neither its times nor its audiences are looked at again, and the keys that came
 * with it are the caller's to compare.
 *
 * Errors: ERROR_TOKEN, ERROR_MEMORY
 * Owns:   `*verified` borrows `kept` and lives in `arena`
 */
bool identity_restore(const struct identity *identity, const struct identity_kept *kept,
                      struct arena *arena, struct verified_token *verified, struct error *error)
    MUST_USE;

/** Whether a token says that it is of one of these issuers. Nothing of it is verified by that. */
bool identity_is_named(const struct identity *identity, struct str token, struct arena *arena);

/** Whether an issuer has this name or URL. */
bool identity_has_issuer(const struct identity *identity, struct str name_or_url);

/**
 * Forget a waker that a verification took; true when it will not be called any more. For waiting
 * requests whose peer is gone.
 */
bool identity_forget(struct identity *identity, const void *waker_context);

/**
 * Note that a stage gives something to a verified token's workflow (`ci.workflow_repository` and
 * `ci.workflow_path`): true where it is the first time since the start. False where the issuer
 * cannot say.
 */
bool identity_note_workflow(struct identity *identity, const struct verified_token *verified,
                            struct str stage);

/** What is amiss with the issuers' keys, for readiness: NULL where all is well, else a name. */
const char *identity_degraded(const struct identity *identity);

/** How many issuers' keys cannot be refreshed, and for how long at most. */
struct identity_health {
    size_t failing;
    int64_t longest_s;
};

/** Add what is amiss here to `health`. */
void identity_measure(const struct identity *identity, struct identity_health *health);

/** A change of an issuer's keys: names as people know them, "*" for what is past a limit. */
struct identity_keys_change {
    struct str issuer;
    const json_t *added; /* arrays of strings */
    const json_t *removed;
};

/** Who is told by identity_tend(), on its thread. */
struct identity_listener {
    /** The usable keys of an issuer changed. False: told again later. */
    bool (*keys_changed)(const struct identity_keys_change *change, void *context);
    /** An issuer's keys could not be kept for the next start, or what was kept is not used. */
    void (*not_kept)(struct str issuer, const struct error *why, void *context);
    void *context;
};

/**
 * What is due once a second: tell which issuers' keys changed since they were told last, over a
 * restart too, an issuer at most every 10 minutes; keep the last good sets in `keys_folder`.
 *
 * A few issuers a call, in turn. Blocks on files: never on an HTTP thread. An identity and those
 * that it was made from are tended by one thread.
 */
void identity_tend(struct identity *identity, const struct identity_listener *listener);

/**
 * Verify a token against one key set without network: `token verify --jwks FILE`.
 *
 * The same code as identity_verify(), with `issuer` as the only one; `cnf` is passed over, since
 * nobody shows the token to anybody. Errors say the exact reason in the cause.
 */
bool identity_verify_offline(const struct issuer_options *issuer, struct str jwks,
                             const struct identity_input *input, int64_t leeway_s,
                             struct arena *arena, struct verified_token *verified,
                             struct error *error) MUST_USE;

/**
 * The name of a claim by which claims do not meet the issuer's `only`; NULL: they do. Every token
 * is verified with this; here it tells what a broker would make of claims that are no token yet.
 */
const char *identity_only_missed(const struct issuer_options *issuer, const json_t *claims);
