#pragma once

#include "base/str.h"

/**
 * A bit set of JOSE signature algorithms: those of security-rules.md 2.3, and no others.
 *
 * Source: RFC 7518 3, RFC 8037 3.1, RFC 9864 2.2
 */
enum jose_algorithm {
    JOSE_RS256 = 1 << 0,
    JOSE_RS384 = 1 << 1,
    JOSE_RS512 = 1 << 2,
    JOSE_PS256 = 1 << 3,
    JOSE_PS384 = 1 << 4,
    JOSE_PS512 = 1 << 5,
    JOSE_ES256 = 1 << 6,
    JOSE_ES384 = 1 << 7,
    JOSE_ES512 = 1 << 8,
    JOSE_EDDSA = 1 << 9, /* Ed25519 alone, under both of its names */
};

/** Sets of them: what RSA keys can do, and all. */
#define JOSE_OF_RSA 0x03fu
#define JOSE_ANY 0x3ffu

/** How many a key can have at most: the RSA ones. */
#define JOSE_OF_A_KEY_MAX 6

/** For messages: all names. */
#define JOSE_NAMES "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519"

/**
 * The bit of an algorithm's name, byte for byte; 0 for anything else. "EdDSA" and "Ed25519" are two
 * names of one.
 */
unsigned jose_algorithm_from(struct str name);

/** Its name in headers, of two the older. */
const char *jose_algorithm_name(enum jose_algorithm algorithm);
