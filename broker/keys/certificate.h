#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

/**
 * X.509 certificates that we sign: what one says is the signer's plan. Of whoever asks for it comes
 * a public key, by a certificate request (CSR), and nothing else.
 *
 * `authority.h` has the keys that sign.
 */

/** The longest request we take, as PEM: one with an RSA key of 4096 bits has 1.7 KiB. */
#define CERTIFICATE_REQUEST_MAX ((size_t)8 * 1024)
/** A serial: 128 random bits, as lower-case hex digits. */
#define CERTIFICATE_SERIAL_LEN ((size_t)32)
/** So long before its making a certificate holds, for peers whose clocks are behind ours. */
#define CERTIFICATE_BACKDATED_S ((int64_t)60)
#define CERTIFICATE_NAMES_MAX 16

/** A public key whose holder has shown that the private half is theirs. */
struct certificate_request;

/**
 * Read a request, one PEM block and nothing else, and check its signature with its own key: that is
 * the proof of possession. Subject, extensions and attributes are not looked at.
 *
 * Taken are ECDSA on P-256 and P-384 (named curves), Ed25519, and RSA of 2048 to 4096 bits; signed
 * with SHA-256 or better.
 *
 * Errors: ERROR_LIMIT, ERROR_SYNTAX, ERROR_INVALID (the key, or the signature), ERROR_MEMORY,
 *         ERROR_CRYPTO
 * Owns:   `*request` is the caller's
 * Source: RFC 2986 4; security-rules.md 6.1
 */
bool certificate_request_parse(struct str pem, struct certificate_request **request,
                               struct error *error) MUST_USE;
void certificate_request_free(struct certificate_request *request);

OWNED_POINTER(certificate_request_free, struct certificate_request)

/** What a certificate is good for: its extended key usages. */
enum certificate_use {
    CERTIFICATE_CLIENT = 1,
    CERTIFICATE_SERVER = 2,
    CERTIFICATE_CODE_SIGNING = 4,
};

enum certificate_name_kind {
    CERTIFICATE_DNS,
    CERTIFICATE_URI,
};

struct certificate_name {
    enum certificate_name_kind kind;
    struct str text; /* ASCII */
};

/** An extension of somebody's own, never critical. */
struct certificate_extension {
    const char *oid;  /* "1.3.6.1.4.1.57264.1.8" */
    struct str value; /* what stands in its OCTET STRING */
};

/**
 * What a certificate of an end says. It never is an authority's.
 *
 * Names are checked by whoever fills it in; a text that is empty or has a NUL is refused.
 */
struct certificate_plan {
    struct str common_name; /* the whole subject; empty: no subject, and the names are critical */
    const struct certificate_name *names; /* subject alternative names */
    size_t name_count;                    /* at most CERTIFICATE_NAMES_MAX; 0 needs a common name */
    unsigned uses;                        /* of enum certificate_use, at least one */
    int64_t now_s;                        /* it holds from CERTIFICATE_BACKDATED_S before that */
    int64_t valid_before_s;               /* the signer's own end, where that is earlier */
    struct str crl_url;                   /* where revoked ones are listed; empty: nowhere */
    const struct certificate_extension *extensions;
    size_t extension_count;
};

/** One that was signed; texts in the arena it was made with. */
struct certificate {
    struct str pem;
    struct str
        chain; /* PEM: who signed it, and who signed that one, without the root; may be empty */
    struct str root;   /* PEM, where we have it; or empty */
    struct str serial; /* CERTIFICATE_SERIAL_LEN lower-case hex digits, the first two not 00 */
    struct str sha256; /* of its DER: lower-case hex */
    struct str issuer; /* the signer's key: its subject key identifier, lower-case hex */
    int64_t expires_s;
};
