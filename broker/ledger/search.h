#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/str.h"
#include "ledger/query.h"

struct error;
struct store_index;
struct store_reader;

/** What whoever asks may see of an entry. */
enum search_access {
    SEARCH_HIDDEN,
    SEARCH_PUBLIC, /* without who a person is, neither to see nor to search by */
    SEARCH_ALL,
};

/** An entry that was found. Borrowed for the call. */
struct search_hit {
    uint64_t index;
    struct str bytes;
    const json_t *entry;
    struct str private_part; /* empty: there is none, or it is not to be seen */
};

/** A tenant or an owner: an entry that has one of those that are given is not hidden. */
struct search_name {
    enum ledger_field field;
    struct str value;
};

#define SEARCH_NAMES_MAX 256

/**
 * A search from new to old, a page at a time.
 *
 * Where there is an index, entries below `indexed` are found by it; each is then read and looked
 * at, so that an index can hide entries, but never show a wrong one. What is not indexed is read
 * one after the other.
 */
struct ledger_search {
    const struct ledger_query *query;
    struct store_reader *reader;
    struct store_index *index; /* between store_index_begin() and _end(); NULL: there is none */
    uint64_t indexed;          /* entries that it has seen */

    /* What it may cost at most; the page may end early, with more to come. */
    size_t limit;       /* entries found */
    size_t reads_max;   /* entries parsed; of others SEARCH_SKIPS_A_READ count as one */
    size_t lookups_max; /* in the index */

    /** NULL: everything may be seen, which costs less: then only what may fit is parsed. */
    enum search_access (*access)(const json_t *entry, void *context);
    /**
     * With `access`: names of which each entry has one that is not hidden, SEARCH_NAMES_MAX at
     * most. Only entries with one are looked for then, so that neither where a page ends nor what
     * it costs depends on others. NULL: they are not known, and no index is used.
     */
    const struct search_name *names;
    size_t name_count;
    bool sees_persons; /* of all entries with one of them */
    bool (*visit)(const struct search_hit *hit, void *context, struct error *error);
    void *context;

    uint64_t before; /* entries with smaller indices are to come; set to SEARCH_NEWEST to begin */
    uint64_t from;   /* and none smaller than this */
    bool is_over;    /* nothing is left */
};

#define SEARCH_NEWEST UINT64_MAX
#define SEARCH_SKIPS_A_READ 4

/**
 * Visit the next page, newest first. Afterwards `before` is where the one behind it begins.
 *
 * Errors: those of the reader, the index and `visit`
 */
bool ledger_search_next(struct ledger_search *search, struct error *error) MUST_USE;
