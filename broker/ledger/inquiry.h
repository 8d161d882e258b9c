#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/progress.h"
#include "store/index.h"

struct indexer;
struct store;
struct store_reader;

/**
 * Reading much, away from the threads that answer: one thread, with a reader of the log and a
 * read-only connection to its index, takes inquiries in order of their coming.
 *
 * Threads: shared
 * Source:  design.md 4 "Threads", "Storage"
 */
struct inquiries;

/** Inquiries that wait, at most; one more is refused (ERROR_BUSY). */
#define INQUIRIES_MAX 64

/** One may work so long, and so long it may have waited before it is begun. */
#define INQUIRY_RUN_MS 5000
#define INQUIRY_QUEUE_MS 10000

/** So long a reading that decides waits for the index to have seen all; security-rules.md 7. */
#define INQUIRY_FRESH_MS 1000

/** The ledger at one moment. */
struct ledger_view {
    struct store_index *index; /* begun */
    struct index_state seen;   /* what the index has seen */
    struct store_reader *reader;
};

/** One inquiry; it must stay until its waker was called, or inquiries_forget() said so. */
struct ledger_inquiry {
    /** On the reader's thread. What it fails with is the outcome. */
    bool (*run)(const struct ledger_view *view, void *context, struct error *error);
    void *context;
    bool must_be_fresh; /* only once the index has seen what the log has now; else ERROR_INDEX */
    struct waker waker; /* called on the reader's thread, as the last act */

    /* the outcome */
    bool is_good;
    struct error error;

    /* private */
    struct ledger_inquiry *next;
    uint64_t size;
    int64_t since_ms;
};

bool inquiries_start(const struct store *store, const char *path, struct inquiries **inquiries,
                     struct error *error) MUST_USE;

/**
 * Refuse what waits (ERROR_STOPPING), finish what is under way: the thread ends. Then the indexer
 * can be stopped, which tells of its progress until then, and after it inquiries_free() called.
 * Both accept NULL.
 */
void inquiries_stop(struct inquiries *inquiries);
void inquiries_free(struct inquiries *inquiries);

/** Whose index it is. Once, before inquiries come. */
void inquiries_follow(struct inquiries *inquiries, struct indexer *indexer);

/** The index has seen more; `context` are the inquiries. Cheap. */
void inquiries_progressed(void *context);

/** Queue one. Errors: ERROR_BUSY, ERROR_STOPPING; then the waker is never called */
bool inquiries_submit(struct inquiries *inquiries, struct ledger_inquiry *inquiry,
                      struct error *error) MUST_USE;

/** Forget one that waits: true when its waker will not be called any more. */
bool inquiries_forget(struct inquiries *inquiries, const struct ledger_inquiry *inquiry);
