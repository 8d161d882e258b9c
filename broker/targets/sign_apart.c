/*
 * What our own keys sign for a mint. Where they are in a token that may let us wait, the mint's
 * signing is done as a whole by one of the threads for that, and the mint waits.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/workers.h"
#include "keys/keys.h"
#include "targets/targets_internal.h"

#define QUEUED_MAX_NS (INT64_C(5) * 1000000000) /* then whoever asks has waited long enough */

struct mint_signing {
    struct worker_job job; /* first: the worker gives it back */
    struct mint *mint;
    bool (*sign)(struct mint *mint, struct error *error);
    int64_t queued_ns;
    bool is_signed;
    struct error error;
};

/* On a worker; the mint waits, and with it whoever has its arena. */
static void sign_there(struct worker_job *job)
{
    struct mint_signing *signing = (struct mint_signing *)job;
    struct waker waker = signing->mint->waker;

    if (clock_monotonic_ns() - signing->queued_ns > QUEUED_MAX_NS)
        signing->is_signed = error_set(&signing->error, ERROR_KEYS_UNAVAILABLE,
                                       "too many signatures wait for the PKCS#11 token");
    else
        signing->is_signed = signing->sign(signing->mint, &signing->error);
    waker.wake(waker.context); /* from here on the signing is not ours */
}

static enum progress give(struct mint *mint, bool (*sign)(struct mint *mint, struct error *error),
                          struct error *error)
{
    struct mint_signing *made = arena_alloc(mint->arena, sizeof(*made));
    struct error busy = { 0 };

    if (!made) {
        (void)error_set(error, ERROR_MEMORY, "no memory for a signature");
        return PROGRESS_FAILED;
    }
    made->job.run = sign_there;
    made->mint = mint;
    made->sign = sign;
    made->queued_ns = clock_monotonic_ns();
    mint->signing = made; /* before a worker may wake us */
    if (workers_submit(mint->tools->signers, &made->job, &busy))
        return PROGRESS_WAIT;
    mint->signing = NULL;
    (void)error_set(error, ERROR_KEYS_UNAVAILABLE, "no signature: %s", busy.cause);
    return PROGRESS_FAILED;
}

enum progress mint_sign(struct mint *mint, bool (*sign)(struct mint *mint, struct error *error),
                        struct error *error)
{
    struct mint_signing *signing = mint->signing;

    if (!signing && keys_may_block(mint->tools->keys))
        return give(mint, sign, error);
    if (!signing)
        return sign(mint, error) ? PROGRESS_DONE : PROGRESS_FAILED;
    mint->signing = NULL;
    if (!signing->is_signed)
        *error = signing->error;
    return signing->is_signed ? PROGRESS_DONE : PROGRESS_FAILED;
}
