#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"

/** A place in a file: line and column count from 1, columns in characters; 0 is the whole file. */
struct position {
    struct str file;
    size_t line;
    size_t column;
};

enum diagnostic_severity {
    DIAGNOSTIC_ERROR,
    DIAGNOSTIC_WARNING,
};

/** Something wrong in a file that a person wrote. */
struct diagnostic {
    enum diagnostic_severity severity;
    struct position at;
    struct str message; /* what is wrong and what was expected */
    struct str hint;    /* "did you mean 'when'?", or empty */
    struct str source;  /* the source line, or empty */
};

#define DIAGNOSTICS_MAX 100 /* a run reports no more; the rest is counted */

/**
 * All that is wrong in one run over configuration or policy, in order of reporting.
 *
 * Threads: confined
 */
struct diagnostics {
    struct arena *arena;
    struct diagnostic *list;
    size_t count;
    size_t error_count;
    size_t dropped_count;
};

/** Collect into memory of `arena`, which must outlive it. */
void diagnostics_init(struct diagnostics *diagnostics, struct arena *arena);

/** Add one; `hint` and `source` may be empty. Returns false for an error, true for a warning. */
bool diagnostics_add(struct diagnostics *diagnostics, enum diagnostic_severity severity,
                     struct position at, struct str source, struct str hint, const char *format,
                     ...) PRINTF_LIKE(6, 7);

/** "file:line:column: error: ...", the source line, a caret, the hint: as compilers print it. */
void diagnostics_write(const struct diagnostics *diagnostics, struct buf *buf);
