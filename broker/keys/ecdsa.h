#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"

/** A P-256 signature as JOSE writes it: r, then s, 32 bytes each. */
#define ECDSA_RAW_LEN 64
/** The longest DER form: a sequence of two integers of 33 bytes. */
#define ECDSA_DER_MAX 72

/**
 * Convert r||s to the DER that OpenSSL verifies; false unless both lie in 1 to n - 1.
 *
 * An s above n / 2 is legal in JOSE and SSH.
 *
 * Source: RFC 7518 3.4, SEC 1 C.5
 */
bool ecdsa_raw_to_der(const uint8_t raw[ECDSA_RAW_LEN], uint8_t der[ECDSA_DER_MAX], size_t *der_len)
    MUST_USE;

/** Convert strict DER, with nothing behind it, to r||s; false for anything else. */
bool ecdsa_der_to_raw(struct str der, uint8_t raw[ECDSA_RAW_LEN]) MUST_USE;
