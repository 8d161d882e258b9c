#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct remote_call;

/**
 * Until when a peer wants to be left alone, which counts our requests. Zeroed: it may be asked.
 *
 * Threads: shared
 */
struct remote_quiet {
    _Atomic int64_t until_s;
};

#define REMOTE_QUIET_S 60 /* where a refusal does not say for how long */
#define REMOTE_QUIET_MAX_S 3600

/** Seconds that are left; 0: it may be asked. A clock that was set back is not waited for. */
int64_t remote_quiet_left_s(struct remote_quiet *quiet, int64_t now_s);

/**
 * Heed an answer: one that is refused because there were too many requests, or any that says that
 * it was the last one before a reset. How many seconds; 0: it may be asked on.
 *
 * Source: Retry-After; RateLimit-Remaining and RateLimit-Reset, a Unix time, with and without "X-".
 *         A refusal that has some remaining is not about these (GitHub: wait a minute at least).
 */
int64_t remote_quiet_heed(struct remote_quiet *quiet, const struct remote_call *call,
                          bool is_refused, int64_t now_s);
