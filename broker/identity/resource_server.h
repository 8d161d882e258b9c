#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

/** The fewest bytes of a resource server's secret: 128 random bits are 22 of base64url. */
#define RESOURCE_SECRET_MIN ((size_t)22)
#define RESOURCE_SECRET_MAX ((size_t)256)

/**
 * A service that accepts our tokens, and may ask whether one is still good.
 *
 * It shows itself by its name and a secret, as a client of RFC 6749 2.3.1 does, and is told of
 * tokens for its own audience only.
 *
 * Threads: immutable once started
 * Source:  RFC 7662 2.1, 4
 */
struct resource_server {
    struct str name;
    struct str audience;
    const char *secret_file;
    uint8_t secret_sha256[SHA256_LEN]; /* resource_servers_start() fills it in */
};

/**
 * Read the secrets: what the files hold, white space at the ends apart.
 *
 * Errors: those of secret_read_file(); ERROR_CONFIG (too short)
 */
bool resource_servers_start(struct resource_server *servers, size_t count, struct error *error)
    MUST_USE;

/**
 * Who the value of an Authorization header shows; NULL: nobody. All are compared, and in the same
 * time, whatever came.
 *
 * Source: RFC 7617 2; RFC 6749 2.3.1
 */
const struct resource_server *resource_server_find(const struct resource_server *servers,
                                                   size_t count, struct str authorization);
