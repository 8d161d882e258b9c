#pragma once

#include <stdbool.h>

#include "base/macros.h"
#include "keys/certificate.h"

struct error;
struct mint;

/**
 * Read what the caller asks a certificate for: `csr`, a request that its own key has signed, and
 * nothing else. `grant` says whose it is, for messages: "an x509 grant".
 *
 * Errors: ERROR_DETAILS, ERROR_MEMORY, ERROR_CRYPTO
 * Owns:   the request is the mint's arena's
 */
bool csr_details(struct mint *mint, const char *grant, struct certificate_request **request,
                 struct error *error) MUST_USE;
