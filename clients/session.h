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
    int64_t ttl_s;
    int64_t wait_s;
    bool has_no_proof;
    bool has_plain_audience;
    const char *certificate_file;
    const char *key_file;
};

#define SESSION_OPTION_COUNT 14
extern const struct option_row session_option_rows[SESSION_OPTION_COUNT];

/** How long a busy broker is waited for, unless --wait says it. */
#define SESSION_WAIT_S 30

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
    struct ssh_key ssh_key;      /* made when a grant needs it */
    int signals;                 /* as process_catch_signals() gave it, or -1 */

    struct str subject_token;
    struct answer answer;   /* `handle` is empty while there is no lease */
    struct refusal refusal; /* `status` is 0 unless the broker refused */
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
 * The first request has keys for the ssh grants that were named only. A broker that wants keys for
 * more says for which, and is asked a second time. A busy one (429, 503) is asked again, with
 * longer and longer pauses, for up to `wait_s`; nothing was released then, and the token still
 * counts.
 *
 * Errors: ERROR_REFUSED (`session->refusal` has why), ERROR_LATER, ERROR_UNREACHABLE, ERROR_SYNTAX,
 *         ERROR_IO, ERROR_LIMIT, ERROR_MEMORY, ERROR_CRYPTO
 */
bool session_exchange(struct session *session, const struct session_options *options,
                      struct error *error) MUST_USE;

/** Report why it failed, for people, and give the exit code. */
int session_report(const struct session *session, const struct error *error);

/** Release the lease, if there is one. What fails is reported: the lease ends by itself then. */
void session_release(struct session *session, enum broker_outcome outcome);
