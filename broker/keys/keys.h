#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

/**
 * Our own keys: files of mode 0600 in one folder, PKCS#8 PEM.
 *
 * `issuer-<algorithm>-<created>.key` sign tokens; `ledger.key` (Ed25519) signs checkpoints;
 * `sealing.key` (32 random bytes) seals private parts; the others are named by targets, such as an
 * SSH CA. Missing keys are made when asked for, with their public half beside them
 * (`NAME.pub`: an OpenSSH line for SSH CAs, a signed-note verifier key for the ledger).
 *
 * Threads: shared, but keys_open(), keys_rotate() and keys_close(): one caller
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

struct keys_options {
    const char *directory;
    enum key_algorithm issuer_algorithm; /* KEY_ES256 or KEY_RS256 */
    int64_t rotate_every_s;
};

/**
 * Open the folder (made with mode 0700 where it is missing) and load or make the issuer's keys.
 *
 * Errors: ERROR_CONFIG (modes, a key of another kind), ERROR_IO
 */
bool keys_open(const struct keys_options *options, int64_t now_s, struct keys **keys,
               struct error *error) MUST_USE;
void keys_close(struct keys *keys);

OWNED_POINTER(keys_close, struct keys)

/**
 * Rotate where it is due: next, current, last; at most three are published an algorithm, the next one
 * `24 h` before its use. `*has_rotated` says that another key signs now.
 */
bool keys_rotate(struct keys *keys, int64_t now_s, bool *has_rotated, struct error *error) MUST_USE;

/** The public JWK set as JSON text, into the arena. */
bool keys_jwks(struct keys *keys, struct arena *arena, struct str *json, struct error *error)
    MUST_USE;

/** The `kid` of the key that signs tokens now, into the arena. */
bool keys_issuer_kid(struct keys *keys, struct arena *arena, struct str *kid, struct error *error)
    MUST_USE;

/**
 * Sign claims as a compact JWS with the issuer's current key.
 *
 * Header: `typ` (such as "at+jwt"), `alg`, `kid` (RFC 7638 thumbprint).
 */
bool keys_sign_jwt(struct keys *keys, const char *typ, const json_t *claims, struct arena *arena,
                   struct str *token, struct error *error) MUST_USE;

/** Verify a JWT of ours (signature and `typ` only) and give its claims: for revocation. */
bool keys_verify_own_jwt(struct keys *keys, struct str token, const char *typ, json_t **claims,
                         struct error *error) MUST_USE;

/** A named key, loaded or made; lives as long as `keys`. `name` is [a-z0-9-]{1,40}. */
bool keys_named(struct keys *keys, struct str name, enum key_algorithm algorithm, struct key **key,
                struct error *error) MUST_USE;

enum key_algorithm key_algorithm(const struct key *key);

/** Sign: Ed25519 64 bytes; ES256 raw r||s, 64 bytes; RS256 the modulus' length. */
bool key_sign(struct key *key, struct str message, uint8_t signature[KEY_SIGNATURE_MAX],
              size_t *signature_len, struct error *error) MUST_USE;

/** Ed25519: 32 bytes. ES256: 0x04 || X || Y, 65 bytes. `out` has room for 65. */
bool key_public_raw(struct key *key, uint8_t out[65], size_t *len, struct error *error) MUST_USE;

/** Seal (AES-256-GCM, random nonce in front) with the sealing key; `context` is authenticated. */
bool keys_seal(struct keys *keys, struct str plain, struct str context, struct buf *out,
               struct error *error) MUST_USE;
bool keys_unseal(struct keys *keys, struct str sealed, struct str context, struct buf *out,
                 struct error *error) MUST_USE;
