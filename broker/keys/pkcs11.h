#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "base/macros.h"
#include "base/str.h"
#include "keys/key_folder.h"
#include "keys/keys.h"

struct error;

/**
 * A PKCS#11 token: keys whose private halves do not leave it.
 *
 * A key is a pair of objects with its name as label. Calls into the module are made on threads of
 * the token's own, each with a session, and have a deadline: a module that does not come back holds
 * up nobody for longer than that, and nobody at all while all threads are in it. A session that was
 * lost is opened anew, with the PIN read anew; where that fails calls fail at once, and the token
 * is tried once a second. A PIN that was refused is not shown again until its file says another
 * one.
 *
 * Threads: shared
 * Source:  PKCS #11 2.40, 3.0 (Ed25519); RFC 7512
 */
struct pkcs11;

/** Calls at a time, and sessions. */
#define PKCS11_THREADS 4
#define PKCS11_SIGN_MS 5000   /* a signature, from when it is asked for */
#define PKCS11_LOOK_MS 15000  /* finding keys; a start, with the module's */
#define PKCS11_MAKE_MS 120000 /* making a pair: some cards take half a minute for RSA */

/**
 * Check a URI: exactly one `module-path` and one `pin-source`, a file, and the token by one or more
 * of its attributes. A PIN in it is refused, and nothing of the URI is in the error.
 *
 * Errors: ERROR_CONFIG, ERROR_MEMORY
 * Source: RFC 7512 2.3, 2.4
 */
bool pkcs11_check_uri(const char *uri, struct error *error) MUST_USE;

/**
 * Load the module and log in.
 *
 * Errors: ERROR_CONFIG (URI, module, token, PIN), ERROR_KEYS_UNAVAILABLE (it does not answer),
 * ERROR_IO, ERROR_MEMORY; here and below
 */
bool pkcs11_open(const char *uri, struct pkcs11 **token, struct error *error) MUST_USE;

/** Log out; threads that are in the module are left there. NULL is fine. */
void pkcs11_close(struct pkcs11 *token);

OWNED_POINTER(pkcs11_close, struct pkcs11)

/** The numbers N of private keys named `<prefix>N`, ascending. Errors: besides, ERROR_LIMIT */
bool pkcs11_list(struct pkcs11 *token, struct str prefix, int64_t numbers[KEY_FILES_MAX],
                 size_t *count, struct error *error) MUST_USE;

/**
 * The public half of a key; NULL where there is no such key. Its private half must be such that it
 * signs by itself and cannot be taken out.
 */
bool pkcs11_find(struct pkcs11 *token, struct str name, enum key_algorithm algorithm,
                 EVP_PKEY **pkey, struct error *error) MUST_USE;

/** Have the token make a key that cannot be taken out. */
bool pkcs11_make(struct pkcs11 *token, struct str name, enum key_algorithm algorithm,
                 struct error *error) MUST_USE;

/** Remove both halves, where they are there. */
bool pkcs11_remove(struct pkcs11 *token, struct str name, struct error *error) MUST_USE;

/** Sign, in JOSE's form. What it gives has not been verified. Errors: besides, ERROR_CRYPTO */
bool pkcs11_sign(struct pkcs11 *token, struct str name, enum key_algorithm algorithm,
                 struct str message, uint8_t signature[KEY_SIGNATURE_MAX], size_t *signature_len,
                 struct error *error) MUST_USE;

/** How a token is. */
struct pkcs11_health {
    int64_t failing_ms; /* for how long; -1: it serves */
    char cause[256];
};

/**
 * How the token is, and ask it anew behind, where it fails or was not asked for a while: call it
 * once a second.
 */
void pkcs11_tend(struct pkcs11 *token, struct pkcs11_health *health);
