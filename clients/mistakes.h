#pragma once

#include <jansson.h>

#include "base/diagnostic.h"
#include "base/macros.h"

/*
 * What is wrong in files, for programs: editors, code hosts, CI systems.
 *
 * Texts that are not UTF-8 (a file's line may be the mistake) have U+FFFD for each stray byte.
 */

/**
 * As a list of objects: severity, rule, file, line, column, end_column, message, hint, source,
 * caret, width, related (file, line, column, note, source, caret), repeats. What there is nothing
 * to say of is left out; line 0 is the whole file. A new reference; NULL without memory.
 */
json_t *mistakes_json(const struct diagnostics *diagnostics) MUST_USE;

/**
 * As a SARIF log of one run. Files are relative to the working directory where they are in it
 * (%SRCROOT%), else file URIs. `exit_code` is the program's. A new reference; NULL without memory.
 *
 * Source: OASIS SARIF 2.1.0 Errata 01
 */
json_t *mistakes_sarif(const struct diagnostics *diagnostics, int exit_code) MUST_USE;
