#include "identity/resource_server.h"

#include <string.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/secret.h"

#define BASIC "Basic "
#define NAME_MAX_BYTES ((size_t)40)
#define TEXT_MAX (NAME_MAX_BYTES + 1 + RESOURCE_SECRET_MAX)
#define ROOM BASE64_DECODED_MAX(BASE64_ENCODED_MAX(TEXT_MAX))

static bool read_secret(struct resource_server *server, struct error *error)
{
    OWNED(secret_release) struct secret secret = { 0 };
    struct str text;

    if (!secret_read_file(&secret, server->secret_file, RESOURCE_SECRET_MAX + 2, error))
        return false;
    text = str_trim((struct str){ (const char *)secret.data, secret.len });
    if (text.len < RESOURCE_SECRET_MIN || text.len > RESOURCE_SECRET_MAX)
        return error_set(error, ERROR_CONFIG, "a secret has %zu to %zu bytes, not %zu",
                         RESOURCE_SECRET_MIN, RESOURCE_SECRET_MAX, text.len);
    sha256(text, server->secret_sha256);
    return true;
}

bool resource_servers_start(struct resource_server *servers, size_t count, struct error *error)
{
    for (size_t i = 0; i < count; i++)
        if (!read_secret(&servers[i], error))
            return error_wrap(error, "resource server " STR_FMT, STR_ARG(servers[i].name));
    return true;
}

/* Name and secret of the header. The form's escapes (RFC 6749 2.3.1) are not undone: names have
 * none, and whoever chose a secret with '%' in it sends it as it is. */
static bool decode(struct str authorization, char out[ROOM], struct str *name, struct str *secret)
{
    struct str text;
    size_t len = 0;

    if (authorization.len <= sizeof(BASIC) - 1 ||
        !str_eq_ignore_case(str_slice(authorization, 0, sizeof(BASIC) - 1), STR(BASIC)))
        return false;
    text = str_slice(authorization, sizeof(BASIC) - 1, authorization.len);
    if (text.len > BASE64_ENCODED_MAX(TEXT_MAX) || !base64_decode(text, (uint8_t *)out, &len))
        return false;
    return str_cut((struct str){ out, len }, ':', name, secret);
}

const struct resource_server *resource_server_find(const struct resource_server *servers,
                                                   size_t count, struct str authorization)
{
    const struct resource_server *found = NULL;
    char text[ROOM];
    uint8_t digest[SHA256_LEN] = { 0 };
    struct str secret = { 0 };
    struct str name = { 0 };
    bool is_there = decode(authorization, text, &name, &secret);

    if (is_there)
        sha256(secret, digest);
    for (size_t i = 0; i < count; i++) {
        struct str held = { (const char *)servers[i].secret_sha256, SHA256_LEN };

        if (secret_eq(held, (struct str){ (const char *)digest, SHA256_LEN }) &&
            str_eq(servers[i].name, name) && is_there)
            found = &servers[i];
    }
    secret_wipe(text, sizeof(text));
    return found;
}
