#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

#define SCRAM_SALT_LEN 16
#define SCRAM_ITERATIONS 4096
#define SCRAM_PASSWORD_MAX 128
#define SCRAM_VERIFIER_MAX ((size_t)256)

/**
 * Append what a PostgreSQL server keeps of a password: "SCRAM-SHA-256$4096:SALT$STORED:SERVER". Who
 * has it can neither log in with it nor learn a password of 128 random bits from it.
 *
 * The password is printable ASCII without space, which SASLprep leaves as it is.
 *
 * Errors: ERROR_INVALID (another password, or none), ERROR_CRYPTO
 * Source: RFC 5802 3, RFC 7677; PostgreSQL 15, pg_authid.rolpassword
 */
bool scram_add_verifier(struct buf *buf, struct str password, const uint8_t salt[SCRAM_SALT_LEN],
                        struct error *error) MUST_USE;
