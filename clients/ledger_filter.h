#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "clients/ledger_source.h"
#include "clients/options.h"
#include "ledger/query.h"

struct arena;
struct error;

/** Options of every command that looks at some of a ledger's entries. All-zero asks for all. */
struct ledger_filter_options {
    struct option_list fields[LEDGER_FIELD_COUNT];
    const char *since;
    const char *until;
    const char *text;
};

/** Their rows, for OPTION_GROUP, whose offset is that of the struct. */
#define LEDGER_FILTER_OPTION_COUNT (LEDGER_FIELD_COUNT + 3)
extern const struct option_row ledger_filter_option_rows[LEDGER_FILTER_OPTION_COUNT];

/** Add one to a query, which borrows `value`. Errors: ERROR_USAGE, which names the option */
bool ledger_filter_add(struct ledger_query *query, const char *name, const char *value,
                       int64_t now_ms, struct error *error) MUST_USE;

/** Make a query of them. Errors: ERROR_USAGE. Owns: it borrows the options' texts */
bool ledger_filter_read(const struct ledger_filter_options *options, int64_t now_ms,
                        struct ledger_query *query, struct error *error) MUST_USE;

/**
 * Whether a ledger has what a query asks for: a walk asks this first.
 *
 * Errors: ERROR_USAGE (personal values, and it has none)
 */
bool ledger_filter_check(const struct ledger_query *query, const struct ledger_source *source,
                         struct error *error) MUST_USE;

/** An entry that fits. All of it is gone with the next one. */
struct ledger_found {
    struct ledger_item item;
    const json_t *entry;
    const json_t *private_part; /* NULL: not wanted, none there, or none that can be read */
    struct arena *arena;        /* of this entry alone */
};

/** A walk over the entries that fit a query. */
struct ledger_scan {
    const struct ledger_query *query; /* NULL: all */
    bool wants_private;
    uint64_t from;
    uint64_t to;      /* entries behind it are not looked at; 0: all are */
    const char *what; /* as of a walk */
    /** NULL, or gets the leaves of all entries from the first on, whether or not they fit. */
    struct merkle_frontier *frontier;
    /** False ends it, as of a walk. */
    bool (*each)(const struct ledger_found *found, void *context, struct error *error);
    void *context;
    uint64_t skipped_count; /* that do not parse: told when it has ended */
    uint64_t pruned_count;  /* of which only hashes are left: the same */
    /** That fit but for a subject behind a digest, where there are no private parts: the same. */
    uint64_t hidden_count;
};

/**
 * Look through a ledger, from `since` to `until` of the query only. Private parts are asked for of
 * entries that fit in all else.
 *
 * Errors: as ledger_filter_check() and ledger_source_walk()
 */
bool ledger_scan_run(struct ledger_source *source, struct ledger_scan *scan, struct error *error)
    MUST_USE;

/** Tell on standard error of entries that were skipped. */
void ledger_scan_report(const struct ledger_scan *scan);
