#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"
#include "base/str.h"

/**
 * What was seen of an issuer since the start, so that what is new is told once: hashes only, in a
 * table of fixed size. Two things of one hash pass for one: a watch for people, no check.
 *
 * Threads: shared, without a lock; reference-counted
 */
struct watch;

/** Things that one watch remembers; past it nothing is new any more. */
#define WATCH_MAX 2048

enum watch_sight {
    WATCH_SEEN,
    WATCH_NEW,
    WATCH_FULL, /* new, and there is no room for it: told once */
};

/** NULL without memory or random bytes. */
struct watch *watch_new(void) MUST_USE;
struct watch *watch_ref(struct watch *watch);
void watch_unref(struct watch *watch);

/** Note a thing of `count` parts; of several threads that note the same, one is told WATCH_NEW. */
enum watch_sight watch_note(struct watch *watch, const struct str *parts, size_t count);
