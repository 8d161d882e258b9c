#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"
#include "ledger/merkle.h"

struct error;

/**
 * An export of a ledger: a text file of lines, each a JSON object.
 *
 * The first is the header: {"stagepass_export": 1, "complete", "private", "origin", "size",
 * "root", "checkpoint"}. `root` is that of entries 0 to below `size`, base64; `checkpoint` is the
 * signed note that says so. All lines behind it are entries in ascending order:
 *
 *   {"index":7,"entry":{...}}
 *   {"index":8,"entry":{...},"private":{...}}
 *
 * `entry` has the very bytes that were hashed. Where `complete` is true all of them are there: then
 * the file proves itself, and can be imported. Else it is a selection. `private` says whether
 * private parts were asked for.
 */
#define LEDGER_EXPORT_VERSION 1

/** Bytes of a line: entry and private part, and what is around them. */
#define LEDGER_EXPORT_LINE_MAX ((size_t)48 * 1024)

struct ledger_export_header {
    bool is_complete;
    bool has_private;
    struct str origin; /* may be empty */
    uint64_t size;
    struct merkle_hash root;
    struct str note; /* empty: there is none */
};

/** A line of an entry, as it stands in the file. */
struct ledger_export_line {
    uint64_t index;
    struct str entry;
    struct str private_part; /* empty: there is none */
};

/** Append a header, with its line feed. */
void ledger_export_write_header(const struct ledger_export_header *header, struct buf *out);

/** Append a line, with its line feed. */
void ledger_export_write_line(const struct ledger_export_line *line, struct buf *out);

/**
 * Read a header, without its line feed.
 *
 * Errors: ERROR_INVALID, ERROR_MEMORY
 * Owns:   texts live in `arena`
 */
bool ledger_export_read_header(struct str line, struct arena *arena,
                               struct ledger_export_header *header, struct error *error) MUST_USE;

/**
 * Read a line, without its line feed. Only the form that is written is one: so an entry's bytes are
 * found without parsing them.
 *
 * Errors: ERROR_INVALID
 * Owns:   borrows from `text`
 */
bool ledger_export_read_line(struct str text, struct ledger_export_line *line, struct error *error)
    MUST_USE;
