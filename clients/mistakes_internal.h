#pragma once

#include <jansson.h>

#include "base/diagnostic.h"
#include "base/macros.h"
#include "base/str.h"

/** Text of a diagnostic as JSON: what is not UTF-8 becomes U+FFFD. NULL without memory. */
json_t *mistake_text(struct str text) MUST_USE;

/** The column behind what a diagnostic is about. */
size_t mistake_end_column(const struct diagnostic *diagnostic);
