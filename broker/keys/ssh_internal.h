#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "base/macros.h"
#include "base/str.h"
#include "keys/keys.h"
#include "keys/ssh.h"

struct error;

/** Take a big-endian u32 off the front. Source: RFC 4251 5 */
bool ssh_take_u32(struct str *rest, uint32_t *value) MUST_USE;

/** Take a `string`, which is a u32 length and bytes, off the front. */
bool ssh_take_string(struct str *rest, struct str *value) MUST_USE;

/** The OpenSSL key of a public key's type and fields; all checks of ssh_public_key_parse(). */
bool ssh_public_key_open(const struct ssh_public_key *key, enum key_algorithm *algorithm,
                         EVP_PKEY **pkey, struct error *error) MUST_USE;
