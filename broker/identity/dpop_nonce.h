#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"

struct error;

/**
 * The nonces that a broker gives for proofs: no two brokers take each other's, and none is kept.
 *
 * A nonce is an HMAC over the broker's name and the minute. Its key is made at start and never
 * leaves: after a restart older nonces are refused, and whoever is refused gets a new one.
 *
 * Threads: immutable
 * Source:  RFC 9449 8
 */
struct dpop_nonces;

#define DPOP_NONCE_LEN 22

/** A nonce is taken in the minute that it was given in, and in the one after. */
#define DPOP_NONCE_BUCKET_S 60

bool dpop_nonces_new(struct str broker, struct dpop_nonces **nonces, struct error *error) MUST_USE;
void dpop_nonces_free(struct dpop_nonces *nonces);

OWNED_POINTER(dpop_nonces_free, struct dpop_nonces)

/** The nonce of the minute, ended by a NUL. */
void dpop_nonce_make(const struct dpop_nonces *nonces, int64_t now_s,
                     char nonce[DPOP_NONCE_LEN + 1]);

/** Whether a nonce is ours and fresh. In constant time. */
bool dpop_nonce_is_fresh(const struct dpop_nonces *nonces, struct str nonce, int64_t now_s);
