#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/macros.h"
#include "clients/answer.h"
#include "clients/broker.h"
#include "clients/options.h"
#include "clients/ssh_key.h"
#include "clients/tls_key.h"

struct error;
struct proof_key;
struct upstream;

/** What is asked for: the options that `exec` and `credentials` share. */
struct session_options {
    const char *broker;
    const char *ca_file;
    const char *token_file;
    const char *audience;
    const char *stage;
    const char *reason;
    struct option_list grants;
    struct option_list ssh_grants;
    struct option_list csr_grants;
    struct option_list bindings;
    int64_t ttl_s;
    int64_t wait_s;
    bool has_no_wait;
    bool has_no_proof;
    bool has_plain_audience;
    const char *certificate_file;
    const char *key_file;
};

#define SESSION_OPTION_COUNT 17
extern const struct option_row session_option_rows[SESSION_OPTION_COUNT];

/** How long a busy broker is waited for, unless --wait says it. */
#define SESSION_WAIT_S 30

/** How long a stage that is full is waited for, unless --wait says it. */
#define SESSION_ROOM_WAIT_S ((int64_t)30 * 60)

/**
 * One job's dealing with the broker: token, exchange, lease.
 *
 * All-zero but for `signals` (-1) is an empty one.
 *
 * Threads: confined
 */
struct session {
    struct arena *arena;
    struct upstream *upstream;
    struct broker broker;
    struct proof_key *proof_key; /* NULL: unbound */
    struct str dpop_nonce;       /* that the broker gave last; empty: none yet */
    char nonce[128];             /* it, while people are waited for */
    struct ssh_key ssh_key;      /* made when a grant needs it */
    struct tls_key tls_key;      /* likewise */
    int signals;                 /* as process_catch_signals() gave it, or -1 */

    struct str subject_token;
    struct str approval_code; /* what is asked with while people think; empty: with the token */
    struct answer answer;     /* `handle` is empty while there is no lease */
    struct refusal refusal;   /* `status` is 0 unless the broker refused */
};

/**
 * Get ready: arena, upstream thread, keys.
 *
 * Errors: ERROR_USAGE, ERROR_MEMORY, ERROR_CRYPTO, ERROR_IO
 */
bool session_open(struct session *session, const struct session_options *options,
                  struct error *error) MUST_USE;

/** End; a lease is not released by this. */
void session_close(struct session *session);

OWNED_VALUE(session_close, struct session)

/** Get the job's identity token. Errors: as id_token_get(). */
bool session_identify(struct session *session, const struct session_options *options,
                      struct error *error) MUST_USE;

/**
 * Exchange the token for credentials.
 *
 * The first request has keys for the grants that were named as such only. A broker that wants more
 * says for which, and is asked a second time. A busy one (429, 503) is asked again, with
 * longer and longer pauses, for up to `wait_s`; nothing was released then, and the token still
 * counts. A stage that is full is waited for likewise, with a line of progress a minute and a fresh
 * token each time, unless `has_no_wait`.
 *
 * Where people have to approve they are waited for, and what is waited for is told: by code and
 * keys, since the token may expire meanwhile. With `has_no_wait`, and where they do not in time,
 * it fails; a run again uses what was approved.
 *
 * Errors: ERROR_APPROVAL_PENDING, ERROR_APPROVAL_EXPIRED, ERROR_REFUSED (`session->refusal` has
 * why), ERROR_LATER, ERROR_UNREACHABLE, ERROR_SYNTAX, ERROR_IO, ERROR_LIMIT, ERROR_MEMORY,
 * ERROR_CRYPTO
 */
bool session_exchange(struct session *session, const struct session_options *options,
                      struct error *error) MUST_USE;

/**
 * A DPoP proof for one request of POST /token, as a header in `arena`; NULL where there is no key.
 *
 * Errors: ERROR_CRYPTO, ERROR_MEMORY
 */
bool session_prove(const struct session *session, struct str nonce, struct arena *arena,
                   const char **header, struct error *error) MUST_USE;

/**
 * Renew a lease of an earlier session, by the key that it is bound to (NULL: none), which becomes
 * this session's; it is asked once. The answer has no handle, so that it is not released by this
 * session.
 *
 * Errors: as session_exchange()
 */
bool session_renew(struct session *session, struct str token, struct proof_key *take_key,
                   struct error *error) MUST_USE;

/** Report why it failed, for people, and give the exit code. */
int session_report(const struct session *session, const struct error *error);

/** Release the lease, if there is one. What fails is reported: the lease ends by itself then. */
void session_release(struct session *session, enum broker_outcome outcome);
