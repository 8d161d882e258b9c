#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/macros.h"

struct policy;
struct policy_world;

/** What is compared for a policy's entry. */
struct widening {
    const struct policy *after;
    const struct policy *before;  /* NULL: it is loaded from what was kept of it */
    const uint8_t *before_sha256; /* of the one before */
    const char *folder;           /* where policies are kept by hash */
    const struct policy_world *world;
    int64_t now_s;
};

/**
 * Put `widened` into an entry: the stages that let in or give more than before, each with the words
 * of what is wider, and the guardrails that do; as many as fit. Where it cannot be told there is no
 * `widened`, and `detail` says why. `*count` is how many there are.
 *
 * A policy that was in force before the broker stopped is read from what was kept, so that nobody
 * widens one unseen by changing it meanwhile.
 *
 * False without memory.
 */
bool widening_put(const struct widening *widening, json_t *entry, size_t *count) MUST_USE;

/** Bytes of a list in an entry, at most: an entry has 16 KiB. */
#define WIDENING_BYTES_MAX ((size_t)4 * 1024)

/**
 * Add to a list what still fits into `*bytes` of WIDENING_BYTES_MAX; behind the first that does not
 * nothing is added any more, so that a list has its beginning. False without memory.
 */
bool widening_add_bounded(json_t *list, json_t *take_item, size_t *bytes) MUST_USE;
