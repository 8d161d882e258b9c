#pragma once

#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"

struct error;

/** Characters of a ULID, without a NUL. */
#define ID_LEN 26

/**
 * A new ULID: 48 bits of milliseconds and 80 random bits, Crockford's base 32, upper case.
 *
 * For decisions, leases, credentials' ids. Not a secret. `out` is NUL-terminated.
 */
bool id_new(int64_t wall_ms, char out[ID_LEN + 1], struct error *error) MUST_USE;

bool id_is_valid(struct str text);

/** Crockford's base 32: no I, L, O, U. */
extern const char id_digits[32 + 1];

/** The value of each digit with ID_DIGIT besides, so that of all that is none it is 0. */
#define ID_DIGIT 0x20
extern const uint8_t id_digit_values[256];

/** When a valid one was made, in seconds. */
int64_t id_time_s(struct str id);
