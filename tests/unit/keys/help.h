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

/** A public key, a message and its signature, as RFCs print them. */
struct vector {
    const char *name;
    const char *jwk;
    enum jose_algorithm algorithm;
    const char *message;
    const char *signature; /* base64url */
};

/** RFC 7515 A.2 and A.3, RFC 8037 A.4; then one of each other algorithm, made with Python. */
#define VECTOR_COUNT 10
extern const struct vector vectors[VECTOR_COUNT];

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

/** "folder/name" in `out`. */
void join_path(const char *folder, const char *name, char out[256]);

/** How many files of the folder start and end so. */
size_t count_files(const char *folder, const char *prefix, const char *suffix);

/** When the tests' keys are opened first, seconds since the epoch. */
#define TEST_START_S ((int64_t)1763800000)
#define TEST_DAY_S ((int64_t)24 * 3600)
#define TEST_MONTH_S (30 * TEST_DAY_S)

/** Keys in a folder, rotated every 30 days; fails the test where they do not open. */
struct keys *keys_of(const char *folder, enum key_algorithm algorithm, int64_t now_s);

/** The `kid` of the key that signs tokens now, as it stands in the header of one. */
struct str kid_of(struct keys *keys, struct arena *arena);

/** keys_open() that fails: with which error. */
enum error_code keys_refused(const char *folder, enum key_algorithm algorithm);

/** Run a program of the system's, `arguments` ending in NULL, without output; fails the test where
 * it fails. */
void run_program(const char *const *arguments);

/** Write a file, mode 0600. */
void write_text(const char *folder, const char *name, struct str text);

/** Read a file into the arena. */
struct str read_text(struct arena *arena, const char *folder, const char *name);
