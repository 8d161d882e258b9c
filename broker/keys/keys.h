#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

/**
 * Our own keys: files of mode 0600 in one folder, PKCS#8 PEM, or objects of a PKCS#11 token.
 *
 * `issuer-<algorithm>-<created>.key` sign tokens; `sealing.key` (32 random bytes) seals private
 * parts; the others are named by who uses them, such as `ledger` or a target's SSH CA. Missing keys
 * are made when asked for; processes that share the folder never make one twice.
 *
 * `NAME.pub`, the public half of a named key, is one OpenSSH line (Ed25519, ES256) or a PEM
 * SubjectPublicKeyInfo (RS256). The verifier key of signed notes needs the log's origin: the ledger
 * writes that one itself, into another file.
 *
 * Threads: shared, but keys_open() and keys_close(): one caller
 */
struct keys;
struct key;

enum key_algorithm {
    KEY_ED25519,
    KEY_ES256,
    KEY_RS256, /* 2048 bit */
};

/** The longest signature: RSA 4096. */
#define KEY_SIGNATURE_MAX 512
/** The longest token that we sign or read: verifiers refuse more. */
#define KEYS_TOKEN_MAX ((size_t)16 * 1024)
/** How long a key is published before it signs: longer than others keep our key set. */
#define KEYS_LEAD_S ((int64_t)24 * 3600)
/** What keys_seal() takes at most. */
#define KEYS_SEAL_MAX ((size_t)64 * 1024)
/** The longest name of a use of keys_mac(). */
#define KEYS_USE_MAX ((size_t)32)
/** What keys_seal() adds: 12 bytes of nonce, 16 of tag. */
#define KEYS_SEAL_OVERHEAD ((size_t)28)

struct keys_options {
    const char *directory;
    enum key_algorithm issuer_algorithm; /* KEY_ES256 or KEY_RS256 */
    int64_t rotate_every_s;              /* at least KEYS_LEAD_S */
    bool has_certificates;               /* of the issuer's keys, in the JWK set: `x5c` */

    /* A URI as keys_check_token() takes it: all keys that sign are there, but for those named in
     * `files`, and each has the name of its file without `.key` as label. NULL: there is none. */
    const char *token;
    const struct str *files; /* outlive the keys */
    size_t file_count;       /* at most KEYS_FILES_MAX */
};

/** Names of keys that stay in files beside a token, at most. */
#define KEYS_FILES_MAX ((size_t)64)

/**
 * Check the URI of a token, without looking for it.
 *
 * Errors: ERROR_CONFIG (nothing of the URI is in the cause), ERROR_MEMORY
 * Source: RFC 7512
 */
bool keys_check_token(const char *uri, struct error *error) MUST_USE;

/**
 * Open the folder (made with mode 0700 where it is missing) and the token, and load or make the
 * issuer's keys.
 *
 * Errors: ERROR_CONFIG (modes, a key of another kind, the token), ERROR_KEYS_UNAVAILABLE (the token
 * does not answer), ERROR_IO
 */
bool keys_open(const struct keys_options *options, int64_t now_s, struct keys **keys,
               struct error *error) MUST_USE;
void keys_close(struct keys *keys);

OWNED_POINTER(keys_close, struct keys)

/** Whether signing may wait for a token, for seconds where it is slow: then sign on a worker. */
bool keys_may_block(const struct keys *keys);

/** How the token is. */
struct keys_health {
    int64_t failing_s; /* for how long it has not served, at least 1; 0: it serves, or is none */
    char cause[256];
};

/** Tell how the token is, and have it looked after behind: call it once a second. */
void keys_tend_token(struct keys *keys, struct keys_health *health);

/**
 * Rotate where it is due: next, current, last; at most three are published an algorithm.
 *
 * The first key signs at once. `rotate_every_s` after a key was made the next one is made and
 * published, and KEYS_LEAD_S later it signs; the one before the last is then removed. All follows
 * from the files' names and `now_s`, so brokers that share the folder agree. Keys of an algorithm
 * that is not in use any more stay published until their files are removed. `*has_rotated` says
 * that another key signs now.
 *
 * Certificate authorities (keys/authority.h) rotate likewise.
 */
bool keys_rotate(struct keys *keys, int64_t now_s, bool *has_rotated, struct error *error) MUST_USE;

/**
 * Have keys of another algorithm beside the issuer's own: for verifiers that take nothing else.
 *
 * KEY_ES256 or KEY_RS256. From then on, until keys_close(), they rotate as the others do. The first
 * one signs at once, unless the folder has one already.
 *
 * Errors: ERROR_CONFIG (another algorithm), ERROR_IO, ERROR_LIMIT, ERROR_MEMORY, ERROR_CRYPTO
 */
bool keys_use(struct keys *keys, enum key_algorithm algorithm, int64_t now_s, struct error *error)
    MUST_USE;

/** What keys_sign_jwt() signs with. */
enum key_algorithm keys_issuer_algorithm(const struct keys *keys);

/** Whether a key of this algorithm is published: the issuer's own, one in use, or one that was. */
bool keys_publishes(struct keys *keys, enum key_algorithm algorithm);

/** The public JWK set as canonical JSON text, into the arena. */
bool keys_jwks(struct keys *keys, struct arena *arena, struct str *json, struct error *error)
    MUST_USE;

/**
 * Sign claims (an object) as a compact JWS with the issuer's current key.
 *
 * Header: `typ` (such as "at+jwt"), `alg`, `kid` (RFC 7638 thumbprint).
 *
 * Errors: ERROR_LIMIT (more than KEYS_TOKEN_MAX), ERROR_MEMORY, ERROR_CRYPTO
 */
bool keys_sign_jwt(struct keys *keys, const char *typ, const json_t *claims, struct arena *arena,
                   struct str *token, struct error *error) MUST_USE;

/** A token that is to be signed by the current key of an algorithm. */
struct keys_jwt {
    enum key_algorithm algorithm;
    const char *typ;
    const json_t *claims; /* an object */
};

/**
 * keys_sign_jwt() with the current key of an algorithm. RSA takes a millisecond: on a worker.
 *
 * Errors: as keys_sign_jwt(); ERROR_CONFIG (there is no key of it: keys_use())
 */
bool keys_sign_jwt_with(struct keys *keys, const struct keys_jwt *jwt, struct arena *arena,
                        struct str *token, struct error *error) MUST_USE;

/**
 * keys_sign_jwt() with a named key, for who knows it by the claims: the header has no `kid`.
 *
 * Errors: as keys_sign_jwt()
 */
bool keys_sign_jwt_by(struct key *key, const char *typ, const json_t *claims, struct arena *arena,
                      struct str *token, struct error *error) MUST_USE;

/**
 * Verify a JWT of ours (signature and `typ` only) and give its claims: for revocation.
 *
 * Errors: ERROR_INVALID, ERROR_SYNTAX, ERROR_LIMIT, ERROR_MEMORY, ERROR_CRYPTO
 * Owns:   `*claims` is the caller's (json_decref)
 */
bool keys_verify_own_jwt(struct keys *keys, struct str token, const char *typ, json_t **claims,
                         struct error *error) MUST_USE;

/**
 * A named key, loaded or made; lives as long as `keys`. `name` is [a-z0-9-]{1,40}, not `sealing`
 * and not `issuer-...`. Its public half is written anew each time it is loaded.
 *
 * Errors: ERROR_CONFIG (name, mode, a key of another kind), ERROR_IO, ERROR_LIMIT, ERROR_MEMORY,
 *         ERROR_CRYPTO
 */
bool keys_named(struct keys *keys, struct str name, enum key_algorithm algorithm, struct key **key,
                struct error *error) MUST_USE;

/**
 * The same of a key that others made and gave us, such as an App's of GitHub: PKCS#8 or PKCS#1 PEM.
 * It is never made here.
 *
 * Errors: as keys_named(); ERROR_CONFIG (it is not there: the cause says where to put it)
 */
bool keys_given(struct keys *keys, struct str name, enum key_algorithm algorithm, struct key **key,
                struct error *error) MUST_USE;

/** A named key and a certificate of it. */
struct keys_certified {
    struct key *key;
    const json_t *jwk; /* the public half; `x5c` */
};

/**
 * A named ES256 key with a certificate that it signed itself, `NAME.crt` beside it, made where it
 * is missing: for verifiers that are given a certificate and find it in a token's `x5c`. It does
 * not rotate; it lives as long as `keys`.
 *
 * Errors: as keys_named()
 */
bool keys_certified(struct keys *keys, struct str name, int64_t now_s,
                    struct keys_certified *certified, struct error *error) MUST_USE;

/**
 * keys_sign_jwt() with such a key; the header has `x5c` besides.
 *
 * Errors: as keys_sign_jwt()
 */
bool keys_sign_jwt_certified(const struct keys_certified *certified, const char *typ,
                             const json_t *claims, struct arena *arena, struct str *token,
                             struct error *error) MUST_USE;

enum key_algorithm key_algorithm(const struct key *key);

/**
 * Sign: Ed25519 64 bytes; ES256 raw r||s, 64 bytes; RS256 the modulus' length.
 *
 * Errors: ERROR_CRYPTO; with a token (it takes seconds at most) ERROR_KEYS_UNAVAILABLE (the token
 * is lost, does not answer, or signs wrongly), ERROR_CONFIG, ERROR_LIMIT, ERROR_MEMORY
 */
bool key_sign(struct key *key, struct str message, uint8_t signature[KEY_SIGNATURE_MAX],
              size_t *signature_len, struct error *error) MUST_USE;

/** Ed25519: 32 bytes. ES256: 0x04 || X || Y, 65 bytes. RS256 has none: ERROR_INVALID. */
bool key_public_raw(const struct key *key, uint8_t out[65], size_t *len, struct error *error)
    MUST_USE;

/**
 * The MAC (HMAC-SHA-256) of a message, by a key that is derived from the sealing key for one use:
 * `use` tells it from all others. Brokers that share the folder make the same.
 *
 * Source: RFC 5869 2, RFC 2104 2
 */
void keys_mac(const struct keys *keys, struct str use, struct str message, uint8_t mac[SHA256_LEN]);

/**
 * Seal (AES-256-GCM, random nonce in front, tag behind) with the sealing key and append to `out`;
 * `context` is authenticated, not kept.
 *
 * Nonces of 96 random bits allow 2^32 pieces a key.
 *
 * Errors: ERROR_LIMIT, ERROR_MEMORY, ERROR_CRYPTO
 * Source: NIST SP 800-38D 8.2.2, 8.3
 */
bool keys_seal(struct keys *keys, struct str plain, struct str context, struct buf *out,
               struct error *error) MUST_USE;

/**
 * Open what keys_seal() made with the same `context` and append it to `out`, or append nothing.
 *
 * Errors: ERROR_INVALID (not sealed by this key for this context), ERROR_LIMIT, ERROR_MEMORY
 */
bool keys_unseal(struct keys *keys, struct str sealed, struct str context, struct buf *out,
                 struct error *error) MUST_USE;
