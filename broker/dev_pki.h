#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

struct error;

/** How long the development certificates are good, seconds. */
#define DEV_PKI_LIFE_S ((int64_t)90 * 24 * 3600)
/** With less left than this they are made anew, seconds. */
#define DEV_PKI_RENEW_S ((int64_t)7 * 24 * 3600)

/**
 * Make `ca.pem`, `tls.crt` and `tls.key` in the folder where neither certificate nor key is there,
 * and again where they are ours but do not fit together or less than a week of their life is left.
 * A certificate that somebody else made, and a key without one, stay as they are.
 *
 * The server's names are localhost, 127.0.0.1 and ::1. The authority's private key is never
 * written, so that nobody can sign more in its name: with the certificate it is made anew, and
 * `ca.pem` has to be trusted anew.
 *
 * Errors: ERROR_IO, ERROR_LIMIT (a file too large for a certificate), ERROR_CRYPTO, ERROR_MEMORY
 */
bool dev_pki_prepare(const char *folder, int64_t now_s, struct error *error) MUST_USE;
