#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/secret.h"
#include "base/str.h"

struct error;

/**
 * An ECDSA P-256 key for certificates, made for one lease: kept in memory as PEM, and written only
 * where a command is to use it. All-zero is none.
 *
 * Threads: confined
 */
struct tls_key {
    struct secret pem; /* PKCS#8 */
};

bool tls_key_init(struct tls_key *key, struct error *error) MUST_USE;
void tls_key_release(struct tls_key *key);

OWNED_VALUE(tls_key_release, struct tls_key)

/**
 * A request for a certificate (PKCS#10) as PEM, signed by the key. It asks for nothing else: what
 * the certificate says is the broker's policy's.
 *
 * Errors: ERROR_CRYPTO, ERROR_MEMORY
 * Source: RFC 2986
 */
bool tls_key_request(const struct tls_key *key, struct arena *arena, struct str *pem,
                     struct error *error) MUST_USE;

/** Whether a certificate (the first of a PEM text) is of this key. */
bool tls_key_fits(const struct tls_key *key, struct str certificate);
