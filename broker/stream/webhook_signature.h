#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"

struct error;

#define WEBHOOK_SECRET_MIN 24             /* bytes of the key */
#define WEBHOOK_SECRET_MAX ((size_t)1024) /* of its file */
#define WEBHOOK_SIGNATURE_MAX 64

/**
 * The value of a `webhook-signature` header: "v1," and the base64 of HMAC-SHA256 over
 * "ID.SECONDS.BODY".
 *
 * `secret` is what a file holds, white space at its ends apart: "whsec_" and base64, or the key's
 * bytes as they are.
 *
 * Errors: ERROR_CONFIG (a key of fewer than WEBHOOK_SECRET_MIN bytes, or bad base64), ERROR_MEMORY
 * Source: Standard Webhooks 1.0, "Signature scheme"
 */
bool webhook_sign(struct str secret, const char *id, int64_t now_s, struct str body,
                  char out[WEBHOOK_SIGNATURE_MAX], struct error *error) MUST_USE;
