#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/workers.h"

struct keys;

/**
 * The housekeeping of our own keys: rotation, on a worker since making a key takes long, and how
 * the token is that has them.
 *
 * Threads: confined to main, but what the worker fills in, and key_tending_has_keys()
 */
struct key_tending {
    struct worker_job job; /* first: the worker gives it back */
    struct keys *keys;
    struct workers *workers;

    int64_t looked_s; /* when a rotation was looked for last */
    _Atomic bool is_at_work;
    bool is_looked; /* the worker is done, and told nobody yet; guarded by `is_at_work` */
    bool is_good;
    bool has_rotated;
    int64_t now_s;
    struct error error;

    _Atomic bool has_no_keys; /* the token does not serve */
};

/**
 * Every ten minutes have a rotation looked for, and tell of the last one: log what failed. True
 * where another key signs now, which is to be recorded.
 */
bool key_tending_rotate(struct key_tending *tending, int64_t now_s);

/** Once a second: look after the token, log when it is lost and when it is back. */
void key_tending_token(struct key_tending *tending);

/** Whether our keys are to be had, any thread's question. */
bool key_tending_has_keys(const struct key_tending *tending);
