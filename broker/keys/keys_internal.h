#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "base/macros.h"
#include "base/secret.h"
#include "keys/authority_internal.h"
#include "keys/issuer.h"
#include "keys/key_folder.h"
#include "keys/keys.h"

/** Length of a key's name at most. */
#define KEY_NAME_MAX 40
/** Named keys at most: the ledger's and one or two a target. */
#define KEYS_NAMED_MAX 64
/** Certificate authorities at most. */
#define KEYS_AUTHORITIES_MAX 32

struct named_key {
    char name[KEY_NAME_MAX + 1];
    struct key *key;
    json_t *jwk; /* with `x5c`: keys_certified(); NULL: has no certificate */
};

/**
 * Our own keys.
 *
 * Threads: shared; makers of keys besides hold the folder's lock, never together with this one
 */
struct keys {
    struct key_folder folder;
    struct keys_options options; /* without the folder's name and the token's */
    struct secret sealing_key;
    EVP_CIPHER *sealing_cipher;

    pthread_mutex_t tending; /* held, before `lock`, while keys are made and chosen */
    unsigned in_use;         /* guarded by tending: algorithms, as issuer_refresh() takes them */

    pthread_mutex_t lock;
    struct issuer_set *issuer;                           /* guarded by lock; set under tending */
    struct named_key named[KEYS_NAMED_MAX];              /* guarded by lock */
    size_t named_count;                                  /* guarded by lock */
    struct authority *authorities[KEYS_AUTHORITIES_MAX]; /* guarded by lock */
    size_t authority_count;                              /* guarded by lock */
};

/** The issuer's keys as they stand now; give them back with keys_give_issuer(). */
struct issuer_set *keys_take_issuer(struct keys *keys);
void keys_give_issuer(struct keys *keys, struct issuer_set *set);

/** Load or make the sealing key. */
bool sealing_open(struct keys *keys, struct error *error) MUST_USE;
void sealing_close(struct keys *keys);
