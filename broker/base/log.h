#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct error;

/** error: someone must act; warn: served but degraded; info: life cycle, outcomes; debug: off. */
enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
};

/** The longest line; a value that would pass it is left out, and the line ends with `cut=true`. */
#define LOG_LINE_MAX ((size_t)4096)

/**
 * One line under construction: `level=info event=broker.ready url=https://...`.
 *
 * Values with spaces, quotes, '=' or anything but printable ASCII are quoted and escaped, so that
 * foreign text cannot make a line or a key. Used by http, main and the client only.
 *
 * Threads: confined
 */
struct log_line {
    char text[LOG_LINE_MAX]; /* private; here, so that a line never lacks memory */
    size_t len;              /* private */
    bool is_off;             /* private */
    bool is_cut;             /* private */
};

void log_begin(struct log_line *line, enum log_level level, const char *event);
void log_str(struct log_line *line, const char *key, struct str value);
void log_text(struct log_line *line, const char *key, const char *value);
void log_int(struct log_line *line, const char *key, int64_t value);

/** `code=` and `cause=` of an error. */
void log_error(struct log_line *line, const struct error *error);

/** Write the line to standard error in one write(). */
void log_end(struct log_line *line);

/** Lines above this level are dropped. Threads: any. */
void log_set_level(enum log_level level);
