#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/network.h"
#include "base/str.h"
#include "exchange/exchange.h"
#include "identity/identity.h"

struct error;
struct keys;

/**
 * What was verified and asked in an exchange, kept for who goes on with it later without its token:
 * a renewal, or a poll for an approval.
 *
 * It stands sealed in the private part of an entry, under KEPT_MEMBER. Whoever restores it puts it
 * into a struct exchange_request, with the keys and the address of the request of now, and walks an
 * exchange as any other: the identity room is then entered by what was kept. There the issuer must
 * be configured still and `only` hold, the keys be those of then, and claims are read anew. A
 * decision never gives a grant that was not given then.
 *
 * A private part that was erased has nothing to restore.
 *
 * Threads: immutable
 */
struct kept {
    struct identity_kept token;
    struct identity_kept actor; /* who acted for the job; `claims` NULL: nobody */
    bool is_actor_person;       /* of people's provider; else of an issuer of runs */

    const char *thumbprint;  /* of the DPoP key, or NULL */
    const char *certificate; /* SHA-256 of the client certificate, in base64url, or NULL */
    struct address address;  /* that it was asked from */

    /* What was asked; `stage` is the full name of the one that was decided on. Without tokens,
     * keys and address. */
    struct exchange_request request;
    const struct str *grants; /* the names of those that were given */
    size_t grant_count;
};

/** The member of a private part. */
#define KEPT_MEMBER "kept"

/**
 * Keep a decided exchange in the private part of an entry, under the id of its lease or approval:
 * with another id it does not open. Everything else of the private part must be there by then.
 *
 * Errors: ERROR_LIMIT (the private part is more than STORE_PRIVATE_MAX with it), ERROR_MEMORY,
 *         ERROR_CRYPTO
 */
bool kept_put(const struct exchange *exchange, struct str id, json_t *private_part,
              struct error *error) MUST_USE;

/**
 * Read what was kept from a private part, as the ledger gives it.
 *
 * Errors: ERROR_NOT_FOUND (erased, or nothing was kept), ERROR_INVALID (not sealed by us for this
 *         id), ERROR_MEMORY
 * Owns:   `*kept` lives in `arena`
 */
bool kept_open(struct keys *keys, struct str private_part, struct str id, struct arena *arena,
               const struct kept **kept, struct error *error) MUST_USE;

/** Whether the keys that came along with a request are those of then, and no others. */
bool kept_is_held(const struct kept *kept, const struct exchange_proof *proof);
