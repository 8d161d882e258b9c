#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/progress.h"
#include "base/str.h"
#include "ledger/block.h"

struct arena;
struct error;
struct ledger;

/**
 * Whom a block would meet: leases that live, and who was issued something in the last 30 days, as
 * far as the ledger's index can tell. Read on the ledger's reading thread.
 *
 * Threads: confined; handed over while it waits
 */
struct block_preview;

#define BLOCK_PREVIEW_S (INT64_C(86400) * 30)

/** It borrows `value`. NULL, with an error: ERROR_MEMORY, ERROR_REQUEST. */
struct block_preview *block_preview_new(struct arena *arena, enum block_kind kind, struct str value,
                                        struct error *error) MUST_USE;

/** Errors: ERROR_BUSY, ERROR_STOPPING; then the waker is never called */
bool block_preview_begin(struct block_preview *preview, struct ledger *ledger, struct waker waker,
                         struct error *error) MUST_USE;

/** Forget it while it waits: true when the waker will not be called any more. */
bool block_preview_forget(struct block_preview *preview, struct ledger *ledger);

/** Once the waker was called: why it failed, or NULL. */
const struct error *block_preview_error(const struct block_preview *preview);

/** Put what was found into an answer: `users`, `leases`, `is_complete`, or `is_unknown`. */
bool block_preview_put(const struct block_preview *preview, json_t *body) MUST_USE;
