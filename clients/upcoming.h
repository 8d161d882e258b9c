#pragma once

#include <stdint.h>

#include <jansson.h>

#include "base/str.h"

/** Tell on standard error what an answer of the broker says will end, or is due, soon. */
void upcoming_report(const json_t *answer, struct str stage, int64_t now_s);

/**
 * A sentence's end for a date: "is due on 2026-12-12, in 12 days", "was due on ..., 3 days ago".
 * `what` is a word of the broker's answers; an unknown one "ends".
 */
void upcoming_phrase(struct str what, int64_t at_s, int64_t now_s, char *out, size_t size);
