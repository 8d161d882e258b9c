#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "base/error.h"
#include "base/str.h"
#include "keys/keys.h"
#include "keys/verifier.h"

#define ANY_ALGORITHM ((unsigned)JOSE_RS256 | (unsigned)JOSE_ES256 | (unsigned)JOSE_EDDSA)

/** A public key, a message and its signature, as RFCs print them. */
struct vector {
    const char *name;
    const char *jwk;
    enum jose_algorithm algorithm;
    const char *message;
    const char *signature; /* base64url */
};

/** RFC 7515 A.2 and A.3, RFC 8037 A.4. */
extern const struct vector vectors[3];

/** Parse JSON that the test wrote itself. */
json_t *json_of(const char *text);

/** A verifier of such a JWK; fails the test where it is refused. */
struct verifier *verifier_of(const char *jwk);

/** Decode base64url that the test wrote itself; `out` has room for KEY_SIGNATURE_MAX bytes. */
struct str decode(const char *text, uint8_t *out);

/** The text of a new folder's path below the system's temporary one; free() it. */
char *temporary_folder(void);

/** Remove a folder with the files in it, and free its path. */
void remove_folder(char *path);
