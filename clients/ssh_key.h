#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "base/secret.h"
#include "base/str.h"

struct error;

#define SSH_KEY_LEN 32

/** The longest certificate that an agent is given; OpenSSH's own are about 500 bytes. */
#define SSH_CERTIFICATE_MAX ((size_t)8 * 1024)

/**
 * An Ed25519 key for SSH, made for one lease and never written to a disk. All-zero is none.
 *
 * Threads: confined
 */
struct ssh_key {
    struct secret seed; /* SSH_KEY_LEN bytes */
    uint8_t public_key[SSH_KEY_LEN];
};

bool ssh_key_init(struct ssh_key *key, struct error *error) MUST_USE;
void ssh_key_release(struct ssh_key *key);

OWNED_VALUE(ssh_key_release, struct ssh_key)

/** Its OpenSSH line, "ssh-ed25519 AAAA...", without comment. On failure `data` is NULL. */
struct str ssh_key_line(const struct ssh_key *key, struct arena *arena);

/**
 * Sign `message` in a namespace, as `ssh-keygen -Y sign` does: an armoured SSHSIG.
 *
 * Errors: ERROR_CRYPTO, ERROR_MEMORY
 * Source: openssh PROTOCOL.sshsig
 */
bool ssh_key_sign(const struct ssh_key *key, const char *name_space, struct str message,
                  struct arena *arena, struct str *signature, struct error *error) MUST_USE;

/**
 * Append the body of an agent's SSH_AGENTC_ADD_ID_CONSTRAINED: key and certificate, to be forgotten
 * after `lifetime_s` (1 or more).
 *
 * `certificate` is one OpenSSH line, of this very key; its blob's type and key are checked, no
 * more.
 *
 * Errors: ERROR_SYNTAX, ERROR_LIMIT, ERROR_INVALID (another key's, or of another type),
 * ERROR_MEMORY Source: draft-miller-ssh-agent 3.2; openssh PROTOCOL.certkeys
 */
bool ssh_key_add_agent_message(const struct ssh_key *key, struct str certificate,
                               struct str comment, uint32_t lifetime_s, struct buf *out,
                               struct error *error) MUST_USE;
