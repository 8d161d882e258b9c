#pragma once

#include "base/buf.h"
#include "base/str.h"

/**
 * Foreign text in documents: nothing of it is mark-up there. What is no plain character (controls,
 * line ends, bidirectional overrides, broken UTF-8) becomes '?', in a cell a blank.
 */

/** In Markdown's text: no mark-up, no link, nobody mentioned. */
void escape_markdown(struct str text, struct buf *out);

/** In HTML's text, and in attributes within double quotes. */
void escape_html(struct str text, struct buf *out);

/**
 * A cell of a CSV, quoted. One that a spreadsheet would take for a formula gets an apostrophe in
 * front.
 *
 * Source: RFC 4180; OWASP "CSV Injection"
 */
void escape_csv_cell(struct str text, struct buf *out);
