#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"
#include "keys/ssh.h"
#include "targets/targets_internal.h"

struct error;
struct key;

/** What an OpenSSH user certificate says. Texts are checked by whoever fills it in. */
struct ssh_certificate {
    const struct ssh_public_key *key; /* the user's */
    uint64_t serial;
    struct str key_id;         /* in sshd's log */
    struct texts principals;   /* at least one: none would mean any user */
    int64_t valid_after_s;     /* > 0 */
    int64_t valid_before_s;    /* > valid_after_s */
    struct str force_command;  /* empty: none */
    struct str source_address; /* CIDR ranges, joined by ','; empty: any */
    struct texts extensions;   /* sorted */
};

/**
 * Sign it with an Ed25519 CA key: one line "TYPE BASE64 COMMENT", without its end.
 *
 * Errors: ERROR_MINT (no principals, a time that means "for ever", a key type), ERROR_MEMORY,
 *         ERROR_CRYPTO
 * Source: openssh PROTOCOL.certkeys
 */
bool ssh_certificate_sign(const struct ssh_certificate *certificate, struct key *ca,
                          struct str comment, struct arena *arena, struct str *line,
                          struct error *error) MUST_USE;

/** An Ed25519 CA key as a blob (RFC 4253 6.6), appended. */
bool ssh_ca_blob(struct key *ca, struct buf *out, struct error *error) MUST_USE;

/** The SHA256: fingerprint of an Ed25519 CA key, in the arena. */
bool ssh_ca_fingerprint(struct key *ca, struct arena *arena, struct str *fingerprint,
                        struct error *error) MUST_USE;
