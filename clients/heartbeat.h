#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"

struct answer;
struct broker;
struct error;

/**
 * Says to the broker that a job lives, as often as its lease asks for, in the background: a timer
 * and an answer, each a descriptor that somebody waits for. All-zero but for these (-1) is none.
 *
 * Threads: confined, but for `status`, which the upstream thread writes
 */
struct heartbeat {
    int timer;    /* readable: call heartbeat_send() */
    int answered; /* readable: call heartbeat_take() */
    const struct broker *broker;
    struct str lease;
    struct str url;
    struct str bearer;
    int64_t every_s;
    bool is_under_way;
    bool is_missed;     /* the last one did not get through, which was reported */
    bool has_ended;     /* the lease was ended by somebody else */
    _Atomic int status; /* of the answer; 0: none came */
};

/** Begin, where the lease has a heartbeat; it must live until the upstream thread has stopped. */
bool heartbeat_start(struct heartbeat *heartbeat, const struct broker *broker,
                     const struct answer *answer, struct arena *arena, struct error *error)
    MUST_USE;

void heartbeat_send(struct heartbeat *heartbeat);

/** What came back; what people should know of it is reported. */
void heartbeat_take(struct heartbeat *heartbeat);

/** Beat no more, and free it once the upstream thread has stopped. */
void heartbeat_release(struct heartbeat *heartbeat);

OWNED_VALUE(heartbeat_release, struct heartbeat)
