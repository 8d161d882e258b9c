#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/str.h"

struct error;

/** What `--output` chooses between on commands that print facts: OUTPUT_ROW of clients/options.h.
 */
enum output {
    OUTPUT_PLAIN,
    OUTPUT_JSON,
};

/**
 * Write foreign text to a terminal or log: what is not a plain character (controls, line ends,
 * bidirectional overrides, broken UTF-8), or is not seen, becomes '?': so nobody's answer steers a
 * terminal, makes a line of its own, or looks like another.
 */
void print_clean(FILE *file, struct str text);

/** A text of an answer on standard output, behind another; nothing where there is none. */
void print_member(const json_t *object, const char *name, const char *before);

/** A line "stagepass: ..." on standard error, in one write; cleaned as print_clean() does. */
void report_line(const char *format, ...) PRINTF_LIKE(1, 2);

/** The word for a count: `one` for one, else `many`. */
const char *report_word(uint64_t count, const char *one, const char *many);

/** The error as a line, and its exit code. */
int report_failure(const struct error *error);

struct diagnostics;

/** Print what is wrong in files on standard error, as compilers do. */
void report_diagnostics(const struct diagnostics *diagnostics);

/** Print JSON, indented, and a line feed. In strings what is not plain is escaped: the same JSON.
 */
bool print_clean_json(FILE *file, const json_t *json);

/** The same of JSON that is text already; false where it is not UTF-8. */
bool print_clean_json_text(FILE *file, struct str json);

/** Print JSON on standard output, indented, and a line feed; 0, or the exit code of a failure. */
int report_json(const json_t *json);

/** Flush standard output: 0, or after a report 1: what was asked for did not get out. */
int report_finish(void);

/**
 * Tell GitHub Actions' runner to mask a secret in its log, where GITHUB_ACTIONS=true.
 *
 * On standard error, which the runner reads as it does standard output: that is the command's.
 */
void report_mask(struct str secret);
