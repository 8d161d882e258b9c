#pragma once

#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"

struct error;

/** Length of "2026-11-22T10:00:00.123Z" and of "2026-11-22T10:00:00Z", without a NUL. */
#define TIME_TEXT_MS_LEN 24
#define TIME_TEXT_S_LEN 20

/** Write RFC 3339 UTC with milliseconds; NUL-terminated. Years 1970 to 9999, else clamped. */
void time_text_ms(int64_t wall_ms, char out[TIME_TEXT_MS_LEN + 1]);

/** Write RFC 3339 UTC with whole seconds; NUL-terminated. */
void time_text_s(int64_t wall_s, char out[TIME_TEXT_S_LEN + 1]);

/** Read "2026-11-22T10:00:00Z", with or without milliseconds, or a date "2026-11-22" (its start).
 */
bool time_text_parse(struct str text, int64_t *wall_ms) MUST_USE;

/**
 * Read a duration, `90s`, `15m`, `8h` or `30d`, as seconds: one positive number and one unit.
 */
bool duration_parse(struct str text, int64_t *seconds) MUST_USE;

/** Longest text of a duration, with NUL. */
#define DURATION_TEXT_MAX 24

/** Write a duration as duration_parse() reads it, in the largest unit that leaves no rest. */
void duration_text(int64_t seconds, char out[DURATION_TEXT_MAX]);
