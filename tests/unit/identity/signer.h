#pragma once

#include <stddef.h>

#include <jansson.h>

#include "base/str.h"

/**
 * An issuer's key in a test: signs whatever it is given, well-formed or not. Straight on OpenSSL,
 * so that nothing of ours vouches for itself. Every failure aborts.
 */
struct signer;

enum signer_kind {
    SIGNER_RSA_1024,
    SIGNER_RSA_2048,
    SIGNER_EC_P256,
    SIGNER_EC_P384,
    SIGNER_EC_P521,
    SIGNER_ED25519,
};

struct signer *signer_new(enum signer_kind kind);
void signer_free(struct signer *signer);

/** The public JWK, with `kid` unless it is NULL. The caller's reference. */
json_t *signer_jwk(const struct signer *signer, const char *kid);

/** {"keys": [...]} of one key, as text to be freed. */
char *signer_jwks(const struct signer *signer, const char *kid);

/** base64url(header).base64url(payload).base64url(signature), to be freed. */
char *signer_token(const struct signer *signer, const char *header, const char *payload);

/** As signer_token(), with another digest and padding: "RS512", "PS256"; RSA only. */
char *signer_token_as(const struct signer *signer, const char *algorithm, const char *header,
                      const char *payload);

/** As signer_token(), with an HMAC keyed by `key`: for algorithm confusion. */
char *signer_hmac_token(struct str key, const char *header, const char *payload);

/** The public key as PEM, to be freed. */
char *signer_pem(const struct signer *signer);

/** base64url of some bytes, to be freed. */
char *signer_base64url(struct str bytes);
