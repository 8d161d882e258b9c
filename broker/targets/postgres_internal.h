#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/progress.h"
#include "base/str.h"
#include "base/workers.h"
#include "keys/authority.h"
#include "pg/connection.h"
#include "pg/quote.h"
#include "targets/targets_internal.h"

/** What broker.yaml says of a target. */
struct postgres_settings {
    struct arena *arena;  /* of the configuration */
    const char *dsn_file; /* of the broker's own role; NULL: there is no mode `role` */
    struct str host;      /* where jobs connect to: as configured, else the DSN's */
    struct str port;
    const char *ca_file;         /* that jobs know the server by; NULL: none */
    struct str ca;               /* what is in it; set at start */
    struct str key;              /* the authority that signs for mode `certificate`; empty: none */
    struct authority *authority; /* set at start */
    bool is_catalog;             /* the broker's own settings are not there */
    int64_t sessions;            /* that a lease's role may have at once */
    struct postgres_pool *pool;  /* NULL without `dsn_file` */
};

/* --- connections: postgres_pool.c --- */

/** Sessions that a broker has with a target at most; each keeps a worker busy while it is used. */
#define POSTGRES_CONNECTIONS_MAX 4
/** Calls that wait for one of them, at most. */
#define POSTGRES_WAITING_MAX 1024

struct postgres_call;

/** What a call does with a connection, on a worker. What fails is in the call's error. */
typedef bool (*postgres_work)(struct postgres_call *call, struct pg_connection *connection,
                              struct error *error);

/**
 * One call of a target: the exchange's, then a worker's until the waker is called, then the
 * exchange's again.
 *
 * Threads: confined to whom it belongs
 */
struct postgres_call {
    struct worker_job job;      /* private; first */
    struct postgres_pool *pool; /* private */
    struct postgres_call *next; /* private */
    int64_t deadline_ms;        /* private; by the system's monotonic clock */
    postgres_work work;
    struct waker waker;
    bool is_good;       /* `work` was done */
    struct error error; /* or why not */
};

/**
 * The sessions of a target: a few, used again, and the calls that wait for one.
 *
 * A call that waits keeps no worker, so that a server that hangs holds up POSTGRES_CONNECTIONS_MAX
 * of them and nobody else's calls.
 *
 * Threads: shared; reference-counted, since a worker may be in it when the configuration goes
 */
struct postgres_pool;

/** A pool for the DSN in a file; NULL without memory. */
struct postgres_pool *postgres_pool_new(const char *dsn_file) MUST_USE;
void postgres_pool_unref(struct postgres_pool *pool);

/**
 * Have a call done within so long; its waker is called when it is, or is not.
 *
 * Errors: ERROR_BUSY; then the waker is not called
 */
bool postgres_pool_submit(struct postgres_pool *pool, struct workers *workers,
                          struct postgres_call *call, int total_ms, struct error *error) MUST_USE;

/** A session of its own with another database of the same server, for this call only. */
bool postgres_pool_open(const struct postgres_pool *pool, const char *database, int64_t deadline_ms,
                        struct pg_connection *connection, struct error *error) MUST_USE;

/* --- roles: postgres_role.c --- */

/** What a role's maker and its end can trip over: for what is told of a SQLSTATE. */
enum postgres_step {
    POSTGRES_CONNECTING,
    POSTGRES_MAKING,
    POSTGRES_ENDING,
};

/** Have what the server said as ERROR_MINT, with what an operator can do about it; false. */
bool postgres_explain(const struct pg_connection *connection, enum postgres_step step,
                      const struct error *said, struct error *error);

#define POSTGRES_PASSWORD_LEN 32 /* characters, 192 random bits */

/** A role that is to be made. Texts are in the exchange's arena, NUL-terminated. */
struct postgres_making {
    struct postgres_call call; /* first */
    const char *role;
    const char *member_of; /* with ',' between them */
    const char *becomes;   /* NULL: its sessions are what they log in as */
    const char *heir;      /* who gets what it owns */
    const char *database;
    const char *lease;
    const char *stage;
    int64_t sessions;
    int64_t expires_s;
    char password[POSTGRES_PASSWORD_LEN + 1];
    bool may_exist; /* the COMMIT was sent, and its outcome is not known */
};

bool postgres_make_role(struct postgres_call *call, struct pg_connection *connection,
                        struct error *error);

/** A role that is to be ended. */
struct postgres_ending {
    struct postgres_call call; /* first */
    const char *role;
};

/**
 * Lock it, end its sessions, hand on what it owns in every database, drop it; then look whether all
 * of that is so. Each step is done by itself, and again where it was done already.
 */
bool postgres_end_role(struct postgres_call *call, struct pg_connection *connection,
                       struct error *error);

/** The roles of a broker that are there, in `rows`, the oldest first: one column. */
struct postgres_search {
    struct postgres_call call; /* first */
    const char *tag;
    struct pg_result *rows;
};

bool postgres_find_roles(struct postgres_call *call, struct pg_connection *connection,
                         struct error *error);

/* --- certificates: postgres_certificate.c --- */

/** A client certificate for a role that is there, by mint_sign(). */
bool postgres_certificate_mint(struct mint *mint, struct str role, struct str database,
                               struct error *error) MUST_USE;

/** What an answer says of where to log in; in `postgres`. */
bool postgres_put_place(json_t *postgres, const struct postgres_settings *own, const char *database,
                        const char *user) MUST_USE;

/* --- names --- */

#define POSTGRES_TAG_LEN 8

/** What tells a broker's roles from another's, and a grant's: hex digits of a digest. */
void postgres_tag(struct str text, char tag[POSTGRES_TAG_LEN + 1]);

/**
 * "stagepass_TAG_LEASE_GRANT": of the broker by its issuer, the lease in small letters, of the
 * grant, and the attempt where that is not empty, their tag. In the arena; `data` is NULL without
 * memory.
 */
struct str postgres_role_name(struct str issuer, struct str lease, struct str grant,
                              struct str attempt, struct arena *arena);

/** The lease of a role's name, in the arena; empty where it is no such name. */
struct str postgres_lease_of(struct str role, struct arena *arena);
