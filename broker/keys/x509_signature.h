#pragma once

#include <stdbool.h>

#include <openssl/x509.h>

#include "base/macros.h"

struct error;
struct key;

/**
 * Signing what OpenSSL builds with a key of ours, wherever its private half is: OpenSSL's own
 * functions ask for one in memory.
 *
 * What is signed is complete by then, but for the algorithm, which is set here.
 *
 * Errors: those of key_sign(); ERROR_CRYPTO
 * Source: RFC 5280 4.1.1.2, 5.1.1.2; RFC 2986 4.2
 */
bool x509_sign_certificate(X509 *certificate, struct key *key, struct error *error) MUST_USE;

/** With a key of ES256, as those of authorities are. */
bool x509_sign_list(X509_CRL *list, struct key *key, struct error *error) MUST_USE;

bool x509_sign_request(X509_REQ *request, struct key *key, struct error *error) MUST_USE;
