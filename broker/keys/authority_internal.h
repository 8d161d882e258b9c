#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/macros.h"
#include "keys/authority.h"
#include "keys/certificate_internal.h"
#include "keys/key_folder.h"

/** Intermediates of one authority at most: each change of names makes one. */
#define AUTHORITY_SIGNERS_MAX 16

/** An intermediate. */
struct authority_signer {
    int64_t created_s;
    int64_t signs_from_s;
    int64_t begins_s;
    int64_t ends_s;
    bool fits; /* its name constraints are those that are wanted */
    struct certificate_signer self;
    struct str chain; /* PEM: its certificate, and those above it but for the root */
    struct str id;    /* subject key identifier, hex */
};

/**
 * An authority as it stands: made anew whenever it changes.
 *
 * Threads: immutable, but `references`
 */
struct authority_set {
    struct arena *arena;
    struct authority_options options; /* texts in the arena */
    struct certificate_signer root;   /* all NULL where it is not ours */
    struct str root_pem;
    struct authority_signer signers[AUTHORITY_SIGNERS_MAX]; /* by `created_s` */
    size_t count;
    bool is_waiting; /* a key of it has no certificate yet: somebody is to sign its request */

    size_t references; /* guarded by the authority's lock */
};

struct authority {
    char name[AUTHORITY_NAME_MAX + 1];
    struct str user; /* of the first set; in `arena` */
    struct arena *arena;
    pthread_mutex_t lock;
    struct authority_set *set; /* guarded by lock */
};

bool authority_new(const struct key_folder *folder, const struct authority_options *options,
                   int64_t now_s, struct authority **authority, struct error *error) MUST_USE;
void authority_free(struct authority *authority);

OWNED_POINTER(authority_free, struct authority)

/** Have it be as other options say. */
bool authority_change(struct authority *authority, const struct key_folder *folder,
                      const struct authority_options *options, int64_t now_s, struct error *error)
    MUST_USE;

/** Look into the folder, make what is due, remove what is over. */
bool authority_tend(struct authority *authority, const struct key_folder *folder, int64_t now_s,
                    struct error *error) MUST_USE;

struct authority_set *authority_take(struct authority *authority);
void authority_give(struct authority *authority, struct authority_set *set);

/** The intermediate that signs at a time; NULL: none may. */
const struct authority_signer *authority_choose(const struct authority_set *set, int64_t now_s);

/**
 * Bring the files up to date, and load them into a set that has its options already.
 *
 * Errors: ERROR_CONFIG (a file that is not what it should be: the cause names it), ERROR_IO,
 *         ERROR_LIMIT, ERROR_MEMORY, ERROR_CRYPTO
 */
bool authority_load(const struct key_folder *folder, int64_t now_s, struct authority_set *set,
                    struct error *error) MUST_USE;

/** Release what a set holds, but its arena. */
void authority_set_clear(struct authority_set *set);
