#pragma once

#include <stdbool.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/macros.h"

/**
 * A key that has proven itself; public half only.
 *
 * Beside it stand its parts as certificates have them, so that none is encoded anew: OpenSSL takes
 * four times as long for that as for a signature.
 */
struct certificate_request {
    EVP_PKEY *pkey;
    int algorithm;         /* NID */
    int curve;             /* NID of EC's; else 0 */
    unsigned char *public; /* the bits of the key; OPENSSL_free() */
    int public_len;
};

/** Put the key into a certificate. False without memory. */
bool certificate_request_put(const struct certificate_request *request, X509 *certificate) MUST_USE;
