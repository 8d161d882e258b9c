#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "base/macros.h"
#include "base/str.h"
#include "keys/ecdsa.h"

struct error;

#define PUBLIC_KEY_ED25519_LEN 32
/** An uncompressed point, 0x04, X, Y: of P-256, and the longest (P-521). */
#define PUBLIC_KEY_P256_LEN 65
#define PUBLIC_KEY_POINT_MAX 133
#define PUBLIC_KEY_RSA_MIN_BITS 2048
#define PUBLIC_KEY_RSA_MAX_BITS 8192

/**
 * Make an Ed25519 public key; refused are other lengths, encodings that are not canonical, points
 * off the curve and points of low order (anybody can sign for these).
 *
 * Errors: ERROR_INVALID, ERROR_MEMORY, ERROR_CRYPTO
 * Owns:   `*out` is the caller's (EVP_PKEY_free), here and below
 * Source: RFC 8032 5.1.3, 5.1.7
 */
bool public_key_ed25519(struct str point, EVP_PKEY **out, struct error *error) MUST_USE;

/** Make an ECDSA public key from an uncompressed point, which must lie on the curve. */
bool public_key_ec(enum ecdsa_curve curve, struct str point, EVP_PKEY **out, struct error *error)
    MUST_USE;

/**
 * Make an RSA public key from big-endian numbers; leading zero octets are passed over.
 *
 * Refused: a modulus outside 2048 to 8192 bits or even; an exponent even, < 65537 or >= 2^32.
 *
 * Source: security-rules.md 3.3
 */
bool public_key_rsa(struct str n, struct str e, EVP_PKEY **out, struct error *error) MUST_USE;

/** Free a key at the end of its scope; NULL is fine. */
static inline void public_key_free(EVP_PKEY *pkey)
{
    EVP_PKEY_free(pkey);
}

OWNED_POINTER(public_key_free, EVP_PKEY)
