#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

struct error;
struct gnutls_session_int; /* a gnutls_session_t points at it */

/**
 * What a TLS listener shows and trusts: certificate, key and the authorities of its clients.
 *
 * Each new connection takes the identity in force and keeps it to its end; a reload swaps it for
 * those that come after.
 *
 * Threads: shared
 */
struct tls;
struct tls_identity;

/** TLS 1.2 and 1.3, AEAD and ephemeral ECDH only. Source: security-rules.md 8.3 */
extern const char tls_priorities[];

/**
 * Load the identity. `client_ca_file` may be NULL.
 *
 * Errors: ERROR_IO (a file), ERROR_CONFIG (content, a key that does not fit, its mode)
 * Owns:   `*tls`; borrows the names
 */
bool tls_open(const char *certificate_file, const char *key_file, const char *client_ca_file,
              struct tls **tls, struct error *error) MUST_USE;
void tls_close(struct tls *tls);

OWNED_POINTER(tls_close, struct tls)

/** When the certificate ends that new sessions get, in seconds since 1970; 0: it cannot be told. */
int64_t tls_end_s(struct tls *tls);

/** Load the files anew; on failure the identity stays. */
bool tls_reload(struct tls *tls, struct error *error) MUST_USE;

/** Let a session that did not begin yet use the identity in force. Owns: unref it after the session
 */
struct tls_identity *tls_greet(struct tls *tls, struct gnutls_session_int *session);

/** Accepts NULL. */
void tls_identity_unref(struct tls_identity *identity);

/** Whether the peer showed a certificate. */
bool tls_has_peer(struct gnutls_session_int *session);

/** Whether it is valid for a client, now; `sha256` is of its DER form. */
bool tls_verify_peer(struct gnutls_session_int *session, uint8_t sha256[32]) MUST_USE;
