#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "store/frame.h"
#include "store/leases.h"
#include "store/store.h"

#define PENDING_MAX ((size_t)FRAME_ENTRIES_MAX * STORE_ENTRY_CHANGES_MAX)
#define PENDING_SLOTS 4096
#define PENDING_MARK_BITS 4096

_Static_assert(PENDING_SLOTS >= 2 * PENDING_MAX, "half of the slots stay free");

/** What a proposal of the batch under way would change. */
struct pending_change {
    const struct store_change *change;
    uint64_t index;  /* of the entry it comes with */
    int64_t entry_s; /* its time */
};

/** A lease as it is once the batch is applied, and which row has it as it is now (0: none). */
struct pending_lease {
    struct store_lease lease;
    uint32_t row;
};

/**
 * All changes of the batch under way, in order, and what they make of leases.
 *
 * Threads: confined
 */
struct pending {
    struct pending_change *changes;
    size_t count;
    struct pending_lease *leases;
    size_t lease_count;
    uint16_t slots[PENDING_SLOTS];          /* by id: a place among `leases` + 1 */
    uint64_t marks[PENDING_MARK_BITS / 64]; /* a bit by the first bytes of each mark changed */
};

bool pending_init(struct pending *pending) MUST_USE;
void pending_release(struct pending *pending);
void pending_clear(struct pending *pending);

/** Add a change, of which there must not be PENDING_MAX yet. */
void pending_add(struct pending *pending, const struct leases *leases,
                 const struct pending_change *change);

/** Whether a mark may be among those that the batch changes; false: it is not. */
bool pending_may_change(const struct pending *pending, const uint8_t mark[32]);

/** The lease of an id that the batch changes, or NULL. */
const struct pending_lease *pending_lease(const struct pending *pending, const char id[ID_LEN]);
