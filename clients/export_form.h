#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/str.h"
#include "ledger/merkle.h"

struct arena;
struct ledger_found;

/** What is known of the ledger that entries are exported from. */
struct export_context {
    struct str origin;   /* may be empty */
    const char *version; /* of this program */
    bool has_private;    /* private parts were asked for */
    struct str leaf_hex; /* of the entry at hand */
};

/** One way to write entries for another system: a file each. */
struct export_form {
    const char *name;
    /** What comes first; NULL: nothing. */
    void (*head)(struct buf *out);
    /** One entry, with its line end. `entry` is joined with its private part where that is wanted.
     */
    void (*write)(const struct export_context *context, const struct ledger_found *found,
                  const json_t *entry, struct buf *out);
};

/** For spreadsheets: a line an entry, cells that would be formulas defused. Source: RFC 4180 */
extern const struct export_form export_csv;

/** Open Cybersecurity Schema Framework, an event a line. */
extern const struct export_form export_ocsf;

/** ArcSight Common Event Format, an event a line. */
extern const struct export_form export_cef;

/** The first text at a path of at most two members, "" where there is none. */
struct str export_text(const json_t *entry, const char *outer, const char *inner);

/** Texts of a member of all of a list, joined by a space. In an arena. */
struct str export_list(const json_t *list, const char *member, struct arena *arena);

/** What an entry of a type says, in a word or two: "credential issued". */
struct str export_type_words(const json_t *entry, struct arena *arena);
