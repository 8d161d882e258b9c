#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"
#include "keys/certificate.h"

struct error;
struct key;

static inline void x509_free(X509 *certificate)
{
    X509_free(certificate);
}

OWNED_POINTER(x509_free, X509)

/** Who signs: a certificate and its key. */
struct certificate_signer {
    X509 *certificate;
    struct key *key;
};

/**
 * Sign what a plan says for the key of a request.
 *
 * Errors: ERROR_INVALID (a plan that no certificate may have, or that the signer's name constraints
 *         forbid), ERROR_MEMORY, ERROR_CRYPTO
 * Owns:   `*certificate` is the caller's
 * Source: RFC 5280 4.1, 4.2; X.509-SVID 4, 5
 */
bool certificate_sign(const struct certificate_plan *plan,
                      const struct certificate_request *request,
                      const struct certificate_signer *signer, X509 **certificate,
                      struct error *error) MUST_USE;

/** What the certificate of an authority says. */
struct certificate_authority_plan {
    struct str common_name;
    int path_length;                          /* authorities that may stand below it */
    const struct certificate_name *permitted; /* a DNS domain with all below it, a URI's host */
    size_t permitted_count;                   /* 0: any name */
    int64_t now_s;
    int64_t valid_before_s;
};

/**
 * Sign the certificate of an authority's key. Without a signer's certificate (NULL) it is a root,
 * signed by itself.
 *
 * Where names are permitted, a kind of which none is, IP addresses among them, is excluded.
 *
 * Errors: as certificate_sign()
 */
bool certificate_sign_authority(const struct certificate_authority_plan *plan, struct key *subject,
                                const struct certificate_signer *signer, X509 **certificate,
                                struct error *error) MUST_USE;

/** Whether an authority's name constraints are what the plan's would be. */
bool certificate_is_constrained_so(const X509 *certificate,
                                   const struct certificate_authority_plan *plan);

/** Ask for an authority's certificate elsewhere: a request as PEM, appended. */
bool certificate_request_write(struct str common_name, struct key *key, struct buf *pem,
                               struct error *error) MUST_USE;

/** A certificate as PEM at most. */
#define CERTIFICATE_PEM_MAX ((size_t)16 * 1024)

/** Append a certificate as PEM. False without memory. */
bool certificate_write(X509 *certificate, struct buf *pem) MUST_USE;

/** Fill in what a certificate of ours says: all but its chain, root and issuer. */
bool certificate_tell(X509 *certificate, struct arena *arena, struct certificate *out,
                      struct error *error) MUST_USE;

/** From when it holds, and the first second after its life; false where it says no such thing. */
bool certificate_times(const X509 *certificate, int64_t *begins_s, int64_t *ends_s) MUST_USE;

/** Its subject key identifier as lower-case hex, in the arena; false where it has none. */
bool certificate_key_id(X509 *certificate, struct arena *arena, struct str *id) MUST_USE;
