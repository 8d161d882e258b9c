#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

/** How an option's value is read, and what stands at its offset. */
enum option_kind {
    OPTION_FLAG,     /* bool */
    OPTION_TEXT,     /* const char * */
    OPTION_LIST,     /* struct option_list; may be repeated */
    OPTION_DURATION, /* int64_t: seconds, written as 90s or 15m */
    OPTION_COUNT,    /* int64_t: 0 or more */
    OPTION_CHOICE,   /* size_t: which of the names in `value`, which '|' separates */
};

/** Values of an option that may be repeated. */
#define OPTION_LIST_MAX 16
struct option_list {
    const char *items[OPTION_LIST_MAX];
    size_t count;
};

/** One option of a command. */
struct option_row {
    const char *name; /* without "--" */
    enum option_kind kind;
    char letter;             /* -x for short, or NUL */
    const char *value;       /* what the help calls its value; NULL for a flag */
    const char *environment; /* the variable that stands in for it, or NULL */
    const char *help;
    size_t offset; /* in the group's struct */
};

/** The row of `--output`, of commands that print facts: an enum output of clients/report.h. */
#define OUTPUT_NAMES "text|json"
#define OUTPUT_ROW(type, text)                                                                     \
    {                                                                                              \
        .name = "output", .kind = OPTION_CHOICE, .value = OUTPUT_NAMES, .help = (text),            \
        .offset = offsetof(type, output), .letter = 'o'                                            \
    }

/** The row of `--reason`, of what becomes an entry. */
#define REASON_ROW(type)                                                                           \
    {                                                                                              \
        .name = "reason", .kind = OPTION_TEXT, .value = "TEXT",                                    \
        .help = "Why, for the ledger: it stays, so it must not name a person",                     \
        .offset = offsetof(type, reason)                                                           \
    }

/** Options that belong together: some commands share a group. */
struct option_group {
    const struct option_row *rows;
    size_t row_count;
    size_t offset; /* of the group's struct in the command's */
};

/** The shape of a command line. */
struct option_shape {
    const struct option_group *groups;
    size_t group_count;
    bool stops_at_operand; /* what follows the first operand is all operands */
};

/** What is not an option. */
struct operands {
    char **items; /* borrowed from argv; NULL behind the last */
    size_t count;
    bool asks_help; /* "--help" or "-h" stood among the options: nothing behind it was read */
};

/**
 * Read `argv` (without the program's and the command's name) into `values`.
 *
 * Options and operands may be mixed; after "--" all are operands. `argv` is reordered: operands are
 * moved to its front. Options not given are read from their environment variable, where that is set
 * and not empty; else `values` stays as the caller prepared it.
 *
 * Errors: ERROR_USAGE: unknown (with the nearest name), repeated, without value or with a bad one
 */
bool options_read(const struct option_shape *shape, int argc, char **argv, void *values,
                  struct operands *operands, struct error *error) MUST_USE;

/** Append the options as the help shows them, one a paragraph. */
void options_describe(const struct option_shape *shape, struct buf *out);
