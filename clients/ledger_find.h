#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "clients/ledger_filter.h"
#include "clients/ledger_source.h"

struct error;

/** How entries were found. */
enum ledger_found_by {
    FOUND_BY_INDEX, /* the store's, which nobody proves, and by reading what it has not seen */
    FOUND_BY_READING,
    FOUND_BY_BROKER,
};

/** A search, from new to old. */
struct ledger_find {
    const struct ledger_source_options *source;
    const struct ledger_filter_options *filter;
    size_t limit;
    bool reads_all; /* do not use an index */
    /** False with `error` set is a failure. */
    bool (*each)(const struct ledger_item *item, void *context, struct error *error);
    void *context;

    /* what came of it */
    enum ledger_found_by found_by;
    uint64_t size; /* of the ledger, as far as it was searched */
    size_t count;
    bool has_more; /* older ones fit, too */
};

/**
 * Find entries: in a store's folder by its index where it has one, in a mirror or export by reading
 * it, of a broker by asking it as the person who logged in.
 *
 * Errors: those of the source, the filter, and broker_reader_get()
 */
bool ledger_find_run(struct ledger_find *find, struct error *error) MUST_USE;
