#pragma once

#include "base/arena.h"
#include "base/str.h"

/**
 * What is wrong with how a text is formatted, or NULL: the result reads as the same values, plain
 * ones plain and quoted ones quoted; it has the same comments; and it stays as it is when it is
 * formatted again. A text that is refused is refused with a report, and nothing more is asked.
 */
const char *fmt_flaw(struct str text, struct arena *arena, bool *is_refused);
