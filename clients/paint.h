#pragma once

#include <stdbool.h>
#include <stdio.h>

/**
 * How output for people is dressed: marks and colours.
 *
 * Marks are characters of Unicode where the locale's variables (LC_ALL, LC_CTYPE, LANG: the first
 * that is set) say UTF-8, else ASCII: also where nobody looks at a terminal, for CI systems' logs
 * are read by people. Colours are for terminals only, and not where NO_COLOR is set or TERM is
 * "dumb".
 */
struct paint {
    bool is_utf8;
    bool is_coloured;
};

enum paint_style {
    PAINT_PLAIN,
    PAINT_GOOD,
    PAINT_BAD,
    PAINT_UNSURE,
    PAINT_FAINT,
    PAINT_STRONG,
};

/** How `file` is to be dressed. */
struct paint paint_for(FILE *file);

/** Start a style; it lasts until paint_stop(). */
void paint_start(const struct paint *paint, enum paint_style style, FILE *file);
void paint_stop(const struct paint *paint, FILE *file);

/** What paint_start() writes, and paint_stop() for PAINT_PLAIN; "" where there are no colours. */
const char *paint_code(const struct paint *paint, enum paint_style style);

/** The mark of a style: a tick, a cross, a question mark; one character, and nothing else. */
void paint_mark(const struct paint *paint, enum paint_style style, FILE *file);
