#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/str.h"
#include "store/store.h"

struct error;

/** What is recorded. One row each in entry.c: name, mandatory and allowed members. */
enum entry_type {
    ENTRY_BROKER_STARTED,
    ENTRY_POLICY_ACTIVATED,
    ENTRY_KEYS_ROTATED,
    ENTRY_ISSUER_KEYS_CHANGED,
    ENTRY_EXCHANGE_DENIED,
    ENTRY_LEASE_REQUESTED,
    ENTRY_CREDENTIAL_ISSUED,
    ENTRY_CREDENTIAL_FAILED,
    ENTRY_CREDENTIAL_UNKNOWN,
    ENTRY_CREDENTIAL_REVOKED,
    ENTRY_LEASE_RELEASED,
    ENTRY_TYPE_COUNT
};

const char *entry_type_name(enum entry_type type);
bool entry_type_from(struct str name, enum entry_type *type) MUST_USE;

/** Claims past this many bytes are dropped, names only (`claims_dropped`). */
#define ENTRY_CLAIMS_MAX ((size_t)6 * 1024)

/**
 * A new entry object with `type` and `broker`; `time` is written by the store when it appends.
 * NULL without memory.
 */
json_t *entry_new(enum entry_type type, struct str broker) MUST_USE;

/**
 * Put a personal value: the entry gets a salted digest, `private_part` (an object) gets salt and value
 * under the member's path, so that it can be erased without breaking the log.
 *
 * The digest is base64url(SHA-256(base64url(JSON [salt, name, value]))) as in SD-JWT; the entry's
 * member is "sd:" and the digest.
 *
 * Source: RFC 9901 4.2; design.md 3.5
 */
bool entry_put_personal(json_t *object, const char *path, const char *name, const json_t *value,
                        json_t *private_part, struct error *error) MUST_USE;

/**
 * Put all verified claims as `claims`: personal ones (`is_personal(name, context)`) as digests; past
 * ENTRY_CLAIMS_MAX the longest are dropped and named in `claims_dropped`.
 */
bool entry_put_claims(json_t *entry, const json_t *claims,
                      bool (*is_personal)(const char *name, void *context), void *context,
                      json_t *private_part, struct error *error) MUST_USE;

/**
 * The one fold: which marks and leases follow from an entry. A `struct store_fold`'s function.
 *
 * A mark is set by what has `token.mark` among lease.requested and credential.issued, freed by
 * credential.failed (nothing released, nothing unknown). Leases follow the life in ARCHITECTURE.md.
 */
bool entry_fold(struct str entry, uint64_t index, struct store_change *changes, size_t *change_count,
                struct error *error) MUST_USE;
