#pragma once

#include <stddef.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/str.h"
#include "targets/target.h"

struct error;
struct keys;

/**
 * What ending a credential will need, sealed beside the entry that names it: the member
 * `revocation` of its private part, a list of {"grant", "sealed"}. A piece opens for its lease and
 * grant only.
 *
 * Source: design.md 3.5
 */

/** Bytes of all sealed handles of one entry: the private part has room for people besides. */
#define HANDLES_MAX ((size_t)8 * 1024)

/**
 * Add a mint's handle, if it has one.
 *
 * Errors: ERROR_MINT (longer than TARGET_HANDLE_MAX, or more than HANDLES_MAX with those that are
 *         there), ERROR_MEMORY, ERROR_CRYPTO
 */
bool handles_put(struct keys *keys, const struct mint *mint, json_t *private_part,
                 struct error *error) MUST_USE;

/**
 * The handle of a grant: a new reference, secret. NULL where none was kept.
 *
 * Errors: ERROR_INVALID (not sealed by our key for this lease and grant), ERROR_MEMORY
 */
bool handles_get(struct keys *keys, struct str lease, struct str grant, const json_t *private_part,
                 json_t **handle, struct error *error) MUST_USE;
