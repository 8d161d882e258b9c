#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"

/** The curves of ES256, ES384 and ES512. */
enum ecdsa_curve {
    ECDSA_P256,
    ECDSA_P384,
    ECDSA_P521,
};

/** A signature as JOSE writes it: r, then s, each as long as the curve's order. */
#define ECDSA_P256_RAW_LEN 64
#define ECDSA_RAW_MAX 132
/** The longest DER form: a sequence, with a length of two octets, of two integers of P-521. */
#define ECDSA_DER_MAX 139

/** The length of a curve's signatures, as JOSE writes them. */
size_t ecdsa_raw_len(enum ecdsa_curve curve);

/**
 * Convert r||s, ecdsa_raw_len() bytes, to the DER that OpenSSL verifies; false unless both lie in 1
 * to n - 1.
 *
 * An s above n / 2 is legal in JOSE and SSH.
 *
 * Source: RFC 7518 3.4, SEC 1 C.5
 */
bool ecdsa_raw_to_der(enum ecdsa_curve curve, const uint8_t *raw, uint8_t der[ECDSA_DER_MAX],
                      size_t *der_len) MUST_USE;

/**
 * Convert strict DER, with nothing behind it, to r||s; false for anything else.
 *
 * `raw` has room for ecdsa_raw_len() bytes.
 */
bool ecdsa_der_to_raw(enum ecdsa_curve curve, struct str der, uint8_t *raw) MUST_USE;
