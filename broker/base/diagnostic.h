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

bool position_eq(const struct position *a, const struct position *b);

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
    struct str source;  /* the source line (of a long one the piece around the place), or empty */
    size_t caret;       /* characters of `source` before the place */
    size_t width;       /* characters from there on that it is about; at least 1 */
    const char *rule;   /* "github-environment-without-ref": its stable name, or NULL */
    struct position related;   /* another place that has to do with it; line 0: none */
    struct str related_note;   /* what is there: "used here" */
    struct str related_source; /* as `source` and `caret` */
    size_t related_caret;
    size_t repeat_count; /* how often it was also reported with other related places */
};

#define DIAGNOSTICS_MAX 100                 /* a run reports no more; the rest is counted */
#define DIAGNOSTIC_TEXT_MAX ((size_t)512)   /* bytes of a message or a hint; more is cut */
#define DIAGNOSTIC_SOURCE_MAX ((size_t)160) /* characters of a source line that are kept */

/**
 * All that is wrong in one run over configuration or policy, in order of reporting.
 *
 * Threads: confined
 */
struct diagnostics {
    struct arena *arena;
    struct diagnostic *list;
    size_t capacity; /* private */
    size_t count;
    size_t error_count;
    size_t dropped_count;
    bool last_was_dropped; /* private */
};

/**
 * "did you mean 'NAME'?" of the name that is nearest to one that is not there, in an arena; empty
 * where none is near. `names` may be NULL: then nothing is told.
 */
struct str diagnostic_nearest(struct arena *arena, struct str name, const struct str *names,
                              size_t count);

/** Collect into memory of `arena`, which must outlive it. */
void diagnostics_init(struct diagnostics *diagnostics, struct arena *arena);

/**
 * Add one; `hint` and `source` (the whole source line) may be empty. All texts are copied.
 *
 * Returns false for an error, true for a warning. Where there is no room the diagnostic is dropped,
 * but counted all the same: `error_count` never forgets. An error takes the room of the last
 * warning, so that no number of warnings hides one.
 */
bool diagnostics_add(struct diagnostics *diagnostics, enum diagnostic_severity severity,
                     struct position at, struct str source, struct str hint, const char *format,
                     ...) PRINTF_LIKE(6, 7);

/** Whether one more would be kept: else nobody needs its source line or a hint. */
bool diagnostics_have_room(const struct diagnostics *diagnostics,
                           enum diagnostic_severity severity);

/**
 * Add copies of another run's, in their order; what was dropped there counts as dropped here, and
 * what is here already, related to another place, as its repeat.
 */
void diagnostics_append(struct diagnostics *diagnostics, const struct diagnostics *from);

/** Give the one added last its stable name (a literal). Nothing where it was dropped. */
void diagnostics_name(struct diagnostics *diagnostics, const char *rule);

/** Say how many characters the one added last is about. Nothing where it was dropped. */
void diagnostics_underline(struct diagnostics *diagnostics, size_t width);

/**
 * Point the one added last to another place; `source` is the whole source line there, or empty.
 * Nothing where it was dropped.
 *
 * A mistake that is there already, related to another place, is one mistake: it is kept and counted
 * once, with the number of its repeats. So a template's is shown once, whoever uses it.
 */
void diagnostics_relate(struct diagnostics *diagnostics, struct position at, struct str source,
                        struct str note);

/**
 * "file:line:column: error: ... [rule]", the source line, what it is about underlined, the hint,
 * and "file:line:column: note: ..." for the related place: as compilers print it.
 *
 * What the file says reaches a terminal here, so control characters in it are shown as '?'.
 */
void diagnostics_write(const struct diagnostics *diagnostics, struct buf *buf);

/** What is written around the parts of a diagnostic: codes of a terminal. */
struct diagnostic_paint {
    const char *error;   /* the word, and what is underlined */
    const char *warning; /* the same of warnings */
    const char *place;   /* file, line and column */
    const char *faint;   /* "note", "hint", numbers of lines */
    const char *stop;    /* behind each of them */
};

/** diagnostics_write() with paint. */
void diagnostics_write_painted(const struct diagnostics *diagnostics,
                               const struct diagnostic_paint *paint, struct buf *buf);
