#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/macros.h"
#include "base/str.h"

struct arena;
struct error;

/**
 * An index of a log: a file that can be thrown away, and made anew from the log, at any time.
 *
 * Knows bytes and rows, not what they mean; the ledger's one projection fills it. Postings say in
 * which entries a key stands, by chunks of entries; rows are values by key; places say where in the
 * log entries are, and when they were written.
 *
 * An index is SQLite in WAL mode: one writer, and readers that it does not disturb. What is in it
 * is a hint: whoever finds an entry by it reads the entry itself. It may have seen less than the
 * log.
 *
 * Threads: confined (each thread and process opens its own)
 * Source:  design.md 4 "Storage"
 */
struct store_index;

#define STORE_INDEX_NAME "index.sqlite" /* in a store's folder */

#define INDEX_CHUNK_ENTRIES 256
#define INDEX_BITS_LEN (INDEX_CHUNK_ENTRIES / 8)
#define INDEX_ROW_KEY_MAX ((size_t)4 * 1024)
#define INDEX_ROW_VALUE_MAX ((size_t)16 * 1024)
#define INDEX_TERMS_MAX 32
#define INDEX_TERM_KEYS_MAX 16

/** Which entries of a chunk: bit N % 8 of byte N / 8 is entry N of it. */
struct index_bits {
    uint8_t bytes[INDEX_BITS_LEN];
};

/**
 * Open it for writing. Where there is none, or one of another `version` or that does not read as
 * ours, an empty one is made. A file of mode 0600.
 *
 * Errors: ERROR_IO, ERROR_MEMORY
 */
bool store_index_open(const char *path, uint32_t version, struct store_index **index,
                      struct error *error) MUST_USE;

/**
 * Open it for reading only; from a folder that cannot be written too, once its writer is gone.
 *
 * Errors: ERROR_NOT_FOUND (there is none, or none of this version), ERROR_INVALID (it does not read
 *         as ours), ERROR_IO, ERROR_MEMORY
 */
bool store_index_open_to_read(const char *path, uint32_t version, struct store_index **index,
                              struct error *error) MUST_USE;

void store_index_close(struct store_index *index);

OWNED_POINTER(store_index_close, struct store_index)

/** Remove the file and what SQLite keeps beside it. Nobody may have it open. Errors: ERROR_IO */
bool store_index_remove(const char *path, struct error *error) MUST_USE;

/*
 * All that follows fails with ERROR_INVALID where the file turns out to be damaged: remove it and
 * make it anew; ERROR_INDEX where it took too long (see store_index_set_deadline()), ERROR_IO,
 * ERROR_MEMORY.
 */

/** How far it has seen the log, and the digest of the last entry that it has seen. */
struct index_state {
    uint64_t size;
    uint8_t last_sha256[SHA256_LEN]; /* all zero: of an empty log */
};

/** Begin to read or to write: what is read until store_index_end() is of one moment. */
bool store_index_begin(struct store_index *index, struct index_state *state, struct error *error)
    MUST_USE;

/** Commit what was written: entries up to `state` are in it. */
bool store_index_commit(struct store_index *index, const struct index_state *state,
                        struct error *error) MUST_USE;

/**
 * Bring what was committed into the file, and empty SQLite's log beside it: what was removed is in
 * neither then. ERROR_INDEX: somebody reads meanwhile.
 */
bool store_index_settle(struct store_index *index, struct error *error) MUST_USE;

/** End without a change: what was written since the beginning is forgotten. */
void store_index_end(struct store_index *index);

/** After this moment of clock_monotonic_ns() reading is cut off. 0: never. */
void store_index_set_deadline(struct store_index *index, int64_t deadline_ns);

/* ---- postings ---- */

/** Where a key stands: `space` tells kinds of keys apart. */
struct index_posting {
    uint8_t space;
    uint64_t key;
    uint64_t chunk;
    struct index_bits bits;
};

/** Add to what is there. */
bool store_index_add_posting(struct store_index *index, const struct index_posting *posting,
                             struct error *error) MUST_USE;

/** Take out of what is there. */
bool store_index_remove_posting(struct store_index *index, const struct index_posting *posting,
                                struct error *error) MUST_USE;

/** Entries that have one of these keys. */
struct index_term {
    uint8_t space;
    const uint64_t *keys;
    size_t key_count; /* 1 to INDEX_TERM_KEYS_MAX */
};

/** A search from new to old for entries that all terms hold for. */
struct index_search {
    const struct index_term *terms;
    size_t term_count; /* 1 to INDEX_TERMS_MAX */
    uint64_t chunk;    /* the newest that is still to be looked at */
    uint64_t oldest;   /* chunk: the search ends behind it */
    size_t budget;     /* look-ups that it may still take; each costs some microseconds */
    bool is_over;      /* nothing is left */

    /* what was found, where store_index_search() has set `has_found` */
    bool has_found;
    uint64_t found_chunk;
    struct index_bits found;
};

/**
 * Find the next chunk with such entries. Neither `has_found` nor `is_over`: the budget is used up;
 * all chunks above `search->chunk` are done.
 */
bool store_index_search(struct store_index *index, struct index_search *search, struct error *error)
    MUST_USE;

/* ---- rows ---- */

/** Set a row; an empty value removes it. */
bool store_index_put_row(struct store_index *index, uint8_t space, struct str key, struct str value,
                         struct error *error) MUST_USE;

/** A row's value in the arena; empty where there is no such row. */
bool store_index_row(struct store_index *index, uint8_t space, struct str key, struct arena *arena,
                     struct str *value, struct error *error) MUST_USE;

/**
 * Visit a space's rows in the order of their keys, from the one behind `after` (empty: all of
 * them), until there is none or `visit` says false. Key and value are borrowed for the call.
 */
bool store_index_each_row(struct store_index *index, uint8_t space, struct str after,
                          bool (*visit)(struct str key, struct str value, void *context),
                          void *context, struct error *error) MUST_USE;

/* ---- places ---- */

/** A place is kept for every so many entries: what is between is found by walking. */
#define INDEX_PLACE_ENTRIES 32

/** Where an entry is. */
struct index_place {
    uint64_t index;       /* a multiple of INDEX_PLACE_ENTRIES */
    int64_t time_ms;      /* when it was written */
    uint64_t first_index; /* of the frame that holds it */
    uint64_t segment;
    uint64_t offset;
};

bool store_index_put_place(struct store_index *index, const struct index_place *place,
                           struct error *error) MUST_USE;

/** The place at or before an entry, INDEX_PLACE_ENTRIES away at most; `*is_known`: it is there. */
bool store_index_place(struct store_index *index, uint64_t entry, struct index_place *place,
                       bool *is_known, struct error *error) MUST_USE;

/**
 * The last place that is older than a time, or 0: entries are in order of time, so the first that
 * is not older stands behind it, and before the next place.
 */
bool store_index_before_time(struct store_index *index, int64_t time_ms, uint64_t *entry,
                             struct error *error) MUST_USE;
