#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/str.h"
#include "identity/token.h"
#include "keys/verifier.h"

struct error;

/** What is accepted of a set: more is refused as a whole. */
#define KEY_SET_MAX_BYTES ((size_t)512 * 1024)
#define KEY_SET_KEYS_MAX 100

/**
 * An issuer's published keys: those we can use.
 *
 * Threads: immutable; reference-counted
 */
struct key_set;

/**
 * Read a JWK set. Keys that we cannot use are skipped; `algorithms` (enum jose_algorithm bits) are
 * the issuer's.
 *
 * Errors: ERROR_INVALID (no set, too many keys, no usable key), ERROR_MEMORY
 * Source: RFC 7517 5; security-rules.md 3.2, 3.3
 */
bool key_set_parse(struct str jwks, unsigned algorithms, struct key_set **set, struct error *error)
    MUST_USE;

/** As key_set_parse(), of a set that is JSON already. */
bool key_set_read(const json_t *jwks, unsigned algorithms, struct key_set **set,
                  struct error *error) MUST_USE;

/** Who is told of each key of a set as it is read: usable (`why` is NULL), or why it is not. */
struct key_visitor {
    void (*visit)(const json_t *jwk, const char *why, void *context);
    void *context;
};

/** As key_set_parse(), and tell `visitor` (may be NULL) of each key. */
bool key_set_parse_telling(struct str jwks, unsigned algorithms, const struct key_visitor *visitor,
                           struct key_set **set, struct error *error) MUST_USE;
struct key_set *key_set_ref(struct key_set *set);
void key_set_unref(struct key_set *set);

OWNED_POINTER(key_set_unref, struct key_set)

/**
 * The usable keys of a set, so that sets can be compared: an object with one member a key, named by
 * thumbprint and kid, whose value is what people know the key by: its kid, or without one its
 * thumbprint. NULL without memory.
 */
json_t *key_set_names(const struct key_set *set) MUST_USE;

/** The set as a JWK set of its usable keys, which key_set_read() takes. NULL without memory. */
json_t *key_set_json(const struct key_set *set) MUST_USE;

enum key_match {
    KEY_MATCH_FOUND,
    KEY_MATCH_UNKNOWN, /* no such key: perhaps it is new */
    KEY_MATCH_REFUSED, /* a new set would not help */
};

/**
 * The key that a token names. Without a `kid`, only if exactly one key fits its algorithm.
 *
 * Errors: ERROR_TOKEN with KEY_MATCH_REFUSED
 */
enum key_match key_set_find(const struct key_set *set, const struct token_envelope *envelope,
                            struct verifier **verifier, struct error *error);

/** What the set calls a key that was found in it, also where the token did not; may be empty. */
struct str key_set_kid(const struct key_set *set, const struct verifier *verifier);
