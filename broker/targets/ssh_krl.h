#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"

struct error;
struct key;

/** A key revocation list as sshd reads it: certificates of one CA, by serial. */
struct ssh_krl {
    struct str ca; /* the CA's public key as a blob (RFC 4253 6.6) */
    const uint64_t *serials;
    size_t count;
    uint64_t version; /* grows */
    int64_t now_s;
    struct str comment;
};

#define SSH_KRL_MAX ((size_t)4 * 1024 * 1024)

/**
 * Append a list. Serials need no order.
 *
 * Errors: ERROR_LIMIT (past SSH_KRL_MAX), ERROR_MEMORY
 * Source: openssh PROTOCOL.krl
 */
bool ssh_krl_write(const struct ssh_krl *krl, struct buf *out, struct error *error) MUST_USE;
