#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"

struct delivery;
struct error;
struct session;

/** The longest refresh token that is taken. */
#define RENEWER_TOKEN_MAX 512

/**
 * Renews a lease in the background as long as its command runs, and delivers what it gets where
 * that can be replaced: a timer and an answer, each a descriptor that somebody waits for. All-zero
 * but for these (-1) is none.
 *
 * A broker that does not answer, or is busy, is asked again until the credentials end. One that
 * refuses is not: what the command has holds until then.
 *
 * Threads: confined, but for what the upstream thread writes before it wakes `answered`
 */
struct renewer {
    int timer;    /* readable: call renewer_send() */
    int answered; /* readable: call renewer_take() */
    struct session *session;
    struct delivery *delivery;
    char token[RENEWER_TOKEN_MAX + 1]; /* secret */
    int64_t expires_s;                 /* when the first of the credentials ends */
    bool is_under_way;
    bool has_failed;      /* which was reported */
    bool was_asked_nonce; /* the proof was sent again for it */
    atomic_int status;    /* of the answer; 0: none came */
    struct buf body;      /* of the answer; secret */
    struct buf nonce;     /* for the next proof */
};

/**
 * Begin, where the session's answer has a refresh token. Session and delivery must outlive it, and
 * it the upstream thread.
 *
 * Errors: ERROR_IO
 */
bool renewer_start(struct renewer *renewer, struct session *session, struct delivery *delivery,
                   struct error *error) MUST_USE;

/** Ask for a renewal. */
void renewer_send(struct renewer *renewer);

/** Take what came back; what people should know of it is reported. */
void renewer_take(struct renewer *renewer);

/** Renew no more. */
void renewer_stop(struct renewer *renewer);

/** Free it, once the upstream thread has stopped. */
void renewer_release(struct renewer *renewer);
