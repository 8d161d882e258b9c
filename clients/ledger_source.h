#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/str.h"
#include "clients/options.h"
#include "ledger/merkle.h"

struct arena;
struct buf;
struct error;

/** Where a ledger is, unless --ledger or STAGEPASS_LEDGER says it. */
#define LEDGER_SOURCE_DEFAULT "/var/lib/stagepass"

/** Options of every command that reads a ledger. All-zero is none given. */
struct ledger_source_options {
    const char *ledger;
    const char *key;
    const char *ca_file;
};

/** Their rows, for OPTION_GROUP, whose offset is that of the struct. */
#define LEDGER_SOURCE_OPTION_COUNT 3
extern const struct option_row ledger_source_option_rows[LEDGER_SOURCE_OPTION_COUNT];

enum ledger_source_kind {
    LEDGER_STORE,  /* a store's folder: entries as they are, not proven */
    LEDGER_MIRROR, /* a folder of tiles and entry bundles: each bundle is proven as it is read */
    LEDGER_EXPORT, /* a file of `audit export`: proven when it is opened, if it is complete */
    LEDGER_BROKER, /* tiles and bundles over HTTP: proven like a mirror's */
};

/** What is known of a ledger besides its entries. */
struct ledger_facts {
    enum ledger_source_kind kind;
    const char *name;     /* as it was given */
    const char *policies; /* the folder of the policies that decided; NULL: not there */
    struct str origin;    /* empty: nothing says it */
    /* The checkpoint that entries are held against; of a store, the one that lies in it. */
    struct str note; /* empty: there is none */
    uint64_t signed_size;
    struct merkle_hash root;   /* of `signed_size` entries, as the checkpoint says */
    bool has_private;          /* private parts are to be had */
    bool is_proven;            /* entries that are given have that root */
    bool is_signature_checked; /* with the caller's key */
};

/**
 * A ledger that is read, wherever it is: entries in order from any index.
 *
 * Threads: confined
 */
struct ledger_source;

/** One entry. Borrowed until the next call. */
struct ledger_item {
    uint64_t index;
    struct str entry;        /* the very bytes that were hashed */
    struct str private_part; /* NULL: there is none, or it is not to be had; empty: it was erased */
};

/**
 * Open what `options->ledger` names: a folder, a file or a broker's URL (https://, or http:// on
 * loopback). A broker's entries need the login of an auditor.
 *
 * A checkpoint's signature is checked with `options->key` where one is given, and refused where it
 * does not verify; without one the checkpoint's word is taken for who made it.
 *
 * Errors: ERROR_USAGE, ERROR_IO, ERROR_INVALID (no ledger, or it does not hold), ERROR_REFUSED (not
 *         logged in, or without the role), ERROR_UNREACHABLE, ERROR_LATER, ERROR_MEMORY
 * Owns:   it borrows the options' texts
 */
bool ledger_source_open(const struct ledger_source_options *options, struct ledger_source **source,
                        struct error *error) MUST_USE;
void ledger_source_close(struct ledger_source *source);

OWNED_POINTER(ledger_source_close, struct ledger_source)

/**
 * Whether something is there by that name, and a folder; nothing is asked of a URL. The cause names
 * the option where nothing is. Errors: ERROR_IO
 */
bool ledger_source_check_place(const char *name, bool *is_folder, struct error *error) MUST_USE;

/** Valid until the source is refreshed or closed. */
const struct ledger_facts *ledger_source_facts(const struct ledger_source *source);

/** Entries that can be read: indices are below. */
uint64_t ledger_source_size(const struct ledger_source *source);

/**
 * Have private parts joined in: of a broker each needs a request of its own, and it records who
 * reads them.
 */
void ledger_source_want_private(struct ledger_source *source);

/** Look again how far it goes. What is new must stand on what was there: else ERROR_INVALID. */
bool ledger_source_refresh(struct ledger_source *source, struct error *error) MUST_USE;

/**
 * The entry at an index. Cheap in sequence.
 *
 * Errors: ERROR_NOT_FOUND (past the end), and those of opening
 */
bool ledger_source_get(struct ledger_source *source, uint64_t index, struct ledger_item *item,
                       struct error *error) MUST_USE;

/** The same with its private part, whether or not they are wanted of all. */
bool ledger_source_get_with_private(struct ledger_source *source, uint64_t index,
                                    struct ledger_item *item, struct error *error) MUST_USE;

/** A walk over entries `from` to below `to`, in order. */
struct ledger_walk {
    uint64_t from;
    uint64_t to;      /* what is past the end counts as the end */
    const char *what; /* a word for the bar: "reading"; NULL: no bar */
    /** False ends it: with `error` set as a failure, else all the same as at the end. */
    bool (*each)(const struct ledger_item *item, void *context, struct error *error);
    void *context;
};

bool ledger_source_walk(struct ledger_source *source, const struct ledger_walk *walk,
                        struct error *error) MUST_USE;

/**
 * The first entry that is not older than a time, or the size: a few readings, for times never go
 * back.
 */
bool ledger_source_find_time(struct ledger_source *source, int64_t time_ms, uint64_t *index,
                             struct error *error) MUST_USE;

/**
 * Append a `.tlog-proof` that an entry is in the tree of the checkpoint; it was held against it.
 *
 * Errors: ERROR_NOT_FOUND (no checkpoint covers it yet), ERROR_USAGE (an export has no tiles), and
 *         those of reading
 */
bool ledger_source_prove(struct ledger_source *source, uint64_t index, struct buf *proof,
                         struct error *error) MUST_USE;

/** An entry's object in an arena. Errors: ERROR_INVALID, ERROR_MEMORY */
bool ledger_item_parse(const struct ledger_item *item, struct arena *arena, const json_t **entry,
                       struct error *error) MUST_USE;

/** Its private part's object; NULL where there is none, or none that can be read. */
const json_t *ledger_item_private(const struct ledger_item *item, struct arena *arena);

/** When an entry was written; 0 where it does not say. */
int64_t ledger_entry_time_ms(const json_t *entry);

/** A line for people: what was proven of what they read, and what was not. */
struct str ledger_source_say_proof(const struct ledger_source *source, struct arena *arena);

/** The same for machines: a new object; NULL without memory. */
json_t *ledger_source_json(const struct ledger_source *source) MUST_USE;
