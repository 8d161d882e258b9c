#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

/** The longest OpenSSH public key line we take. */
#define SSH_LINE_MAX ((size_t)2048)
/** The longest SSHSIG we take, armour included. */
#define SSHSIG_MAX ((size_t)2048)

/** A public key in SSH's own form. Points into the text or arena that it was read from. */
struct ssh_public_key {
    struct str type;   /* "ssh-ed25519" or "ecdsa-sha2-nistp256" */
    struct str blob;   /* RFC 4253 6.6: string type, then the key's fields */
    struct str fields; /* of the blob, what follows the type */
};

/**
 * Read one OpenSSH public key line: type, base64, optional comment; nothing else.
 *
 * One space stands between them; one newline may end the line. Options before the type and control
 * characters in the comment are refused.
 *
 * Taken are Ed25519 and ECDSA P-256 with points checked; certificates, RSA, DSA, security keys are
 * not.
 *
 * Errors: ERROR_SYNTAX, ERROR_LIMIT, ERROR_INVALID (a key we do not take), ERROR_MEMORY
 */
bool ssh_public_key_parse(struct str line, struct arena *arena, struct ssh_public_key *key,
                          struct error *error) MUST_USE;

/**
 * Check an SSHSIG (armoured, or the base64 of its blob) over `message` in namespace "stagepass".
 *
 * The signature's own key must be `key`; hash sha256 or sha512; Ed25519 and ECDSA P-256.
 *
 * Errors: ERROR_SYNTAX, ERROR_INVALID, ERROR_LIMIT, ERROR_MEMORY
 * Source: openssh PROTOCOL.sshsig
 */
bool sshsig_check(struct str signature, struct str message, const struct ssh_public_key *key,
                  struct arena *arena, struct error *error) MUST_USE;

/** "SHA256:" and the unpadded base64 of the blob's SHA-256, as OpenSSH prints it; `data` is NULL on
 * failure. */
struct str ssh_fingerprint(const struct ssh_public_key *key, struct arena *arena);
