#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/macros.h"
#include "keys/key.h"
#include "keys/key_folder.h"

struct error;

/**
 * Certificates of the issuer's keys, for verifiers that take a key only by its `x5c`.
 *
 * Each is signed by its own key and says nothing of anybody: who trusts the key set trusts it. It
 * stands in the folder beside its key, so that brokers of one folder show the same, and goes with
 * it.
 *
 * Source: RFC 7517 4.7, 4.9
 */

/** As long as any key may be published: twice the longest rotation, and some. */
#define ISSUER_CERTIFICATE_LIFE_S ((int64_t)1000 * 24 * 3600)

/**
 * Put `x5c` and `x5t#S256` into a key's JWK. The certificate is the file `name`; made where it is
 * missing, by a key that was made at `created_s`. Hold the folder's lock.
 *
 * Errors: ERROR_CONFIG (a file that is no certificate of this key), ERROR_IO, ERROR_MEMORY,
 *         ERROR_CRYPTO
 */
bool issuer_certificate_put(const struct key_folder *folder, const char *name, struct key *key,
                            int64_t created_s, json_t *jwk, struct error *error) MUST_USE;
