#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"
#include "keys/crypto_pool.h"
#include "keys/key_folder.h"
#include "keys/keys.h"

struct error;

struct pkcs11;

/** A key of ours that signs. Threads: shared */
struct key {
    enum key_algorithm algorithm;
    struct crypto_pool pool; /* with a token of its public half, which verifies */
    struct pkcs11 *token;    /* that has the private half; NULL: `pool` has it */
    char name[KEY_FILE_NAME_MAX];
};

/**
 * Read a private key from PEM, which must be of the algorithm (RSA: 2048 to 4096 bits),
 * unencrypted, and sign what its public half verifies.
 *
 * Errors: ERROR_CONFIG (not such a key), ERROR_MEMORY, ERROR_CRYPTO
 */
bool key_from_pem(struct str pem, enum key_algorithm algorithm, struct key **key,
                  struct error *error) MUST_USE;
void key_free(struct key *key);

OWNED_POINTER(key_free, struct key)

/**
 * What follows is about keys by the names of their files, `NAME.key`. With a token they are objects
 * of it labelled NAME, but for those that the folder's `files` name: `NAME`, `NAME-root` and
 * `NAME-<number>`. Then keys whose names end in a number, which rotate, are also taken from files
 * that are still there, until they have rotated out.
 */

/**
 * Make a key: in a file that must not be there, or in the token. Hold the folder's lock.
 *
 * Errors: those of pkcs11_make(); ERROR_CONFIG (it belongs into the token, and is in a file),
 *         ERROR_IO, ERROR_MEMORY, ERROR_CRYPTO
 */
bool key_make(const struct key_folder *folder, const char *name, enum key_algorithm algorithm,
              struct error *error) MUST_USE;

/** Load a key from where it belongs; `*key` stays NULL where it is not there. */
bool key_load(const struct key_folder *folder, const char *name, enum key_algorithm algorithm,
              struct key **key, struct error *error) MUST_USE;

/** The same of one whose name ends in a number, which may still be in a file. */
bool key_load_rotating(const struct key_folder *folder, const char *name,
                       enum key_algorithm algorithm, struct key **key, struct error *error)
    MUST_USE;

/** Remove one whose name ends in a number from where it is. Hold the folder's lock. */
bool key_remove_rotating(const struct key_folder *folder, const char *name, struct error *error)
    MUST_USE;

/** Keys whose names end in a number: which there are. */
struct key_numbers {
    int64_t list[KEY_FILES_MAX + 1]; /* ascending, with room for one more */
    size_t count;
    bool lacks_own; /* none of them is in the token, where they belong */
};

/**
 * The numbers N of the keys `<prefix>N`.
 *
 * Errors: ERROR_LIMIT (more than KEY_FILES_MAX), those of key_folder_list() and pkcs11_list()
 */
bool key_list(const struct key_folder *folder, struct str prefix, struct key_numbers *numbers,
              struct error *error) MUST_USE;

/** Which number the next one gets, at a time. */
int64_t key_next_number(const struct key_numbers *numbers, int64_t now_s);

/** The public half as text: an OpenSSH line with `comment`, for RSA a PEM SubjectPublicKeyInfo. */
bool key_public_text(const struct key *key, struct str comment, struct buf *out,
                     struct error *error) MUST_USE;
