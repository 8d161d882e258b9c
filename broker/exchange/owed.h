#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"
#include "ledger/ledger.h"

struct error;
struct keys;
struct ledger;

/** A credential that a lease owes: that is to be ended at its target. */
struct owed {
    struct owed *next;
    uint64_t index;       /* of the entry that names it */
    size_t place;         /* among that entry's credentials */
    const json_t *record; /* as it stands there */
    struct str grant;
    struct str type;
    struct str target; /* empty: its kind takes none */
    json_t *handle;    /* as its mint gave it, secret; NULL: it gave none */
    bool is_sealed;    /* there is one, and it does not open */
    int64_t expires_s; /* 0: not known */
};

/** The most of one lease: those of many renewals. */
#define OWED_MAX 8192

struct owed_list {
    struct owed *first; /* the latest */
    size_t count;
    const json_t *opened; /* the entry that opened the lease */
    struct str stage;     /* full id, of that */
};

/**
 * What a lease owes still: the credentials of its latest entry that names some, and, where that is
 * a renewal, of those before it; only the `pending` ones where the lease's latest entry says which
 * these are (owed_put_pending()).
 *
 * Errors:  those of ledger_entry(), ERROR_INVALID (an entry that is none), ERROR_LIMIT,
 *          ERROR_MEMORY
 * Owns:    all is the arena's
 * Threads: any, not an HTTP thread: it reads several entries
 */
bool owed_read(struct ledger *ledger, struct keys *keys, const struct store_lease *lease,
               struct arena *arena, struct owed_list *list, struct error *error) MUST_USE;

/** So many are named as pending; where there are more all of the lease counts as that. */
#define OWED_PENDING_MAX 50

/** Add one to the list that owed_read() understands: `pending` of an entry. */
bool owed_put_pending(json_t *pending, const struct owed *owed) MUST_USE;
