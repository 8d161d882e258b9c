#include "exchange/refresh_token.h"

#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/secret.h"
#include "keys/keys.h"

#define USE "refresh token"
#define PREFIX_LEN (sizeof(REFRESH_TOKEN_PREFIX) - 1)
#define NUMBER_LEN 4
#define NAMED_LEN (PREFIX_LEN + ID_LEN + NUMBER_LEN)
#define MAC_BYTES 16

static void write_mac(const struct keys *keys, struct str named, struct buf *text)
{
    uint8_t mac[SHA256_LEN];

    keys_mac(keys, STR(USE), named, mac);
    buf_add_base64url(text, (struct str){ (const char *)mac, MAC_BYTES });
    secret_wipe(mac, sizeof(mac));
}

bool refresh_token_write(const struct keys *keys, const struct refresh_token *token,
                         char text[REFRESH_TOKEN_LEN + 1], struct error *error)
{
    char named[NAMED_LEN + 1];
    OWNED(buf_release) struct buf mac = { 0 };

    (void)snprintf(named, sizeof(named), REFRESH_TOKEN_PREFIX "%.*s%04x", ID_LEN, token->lease_id,
                   (unsigned)token->renewal);
    buf_init(&mac, REFRESH_TOKEN_LEN);
    write_mac(keys, str_from(named), &mac);
    if (!buf_is_ok(&mac))
        return error_set(error, ERROR_MEMORY, "refresh token");
    (void)snprintf(text, REFRESH_TOKEN_LEN + 1, "%s%s", named, mac.data);
    return true;
}

static bool read_number(struct str text, uint16_t *number)
{
    uint8_t bytes[2];

    if (!str_is_made_of(text, "0123456789abcdef") || !hex_decode(text, bytes))
        return false;
    *number = (uint16_t)(bytes[0] << 8 | bytes[1]);
    return true;
}

static bool has_our_mac(const struct keys *keys, struct str text)
{
    OWNED(buf_release) struct buf mac = { 0 };

    buf_init(&mac, REFRESH_TOKEN_LEN);
    write_mac(keys, str_slice(text, 0, NAMED_LEN), &mac);
    return buf_is_ok(&mac) && secret_eq(buf_str(&mac), str_slice(text, NAMED_LEN, text.len));
}

bool refresh_token_read(const struct keys *keys, struct str text, struct refresh_token *token)
{
    struct str id = str_slice(text, PREFIX_LEN, ID_LEN);
    struct refresh_token read = { 0 };

    if (text.len != REFRESH_TOKEN_LEN || !str_starts_with(text, STR(REFRESH_TOKEN_PREFIX)) ||
        !id_is_valid(id) ||
        !read_number(str_slice(text, PREFIX_LEN + ID_LEN, NUMBER_LEN), &read.renewal) ||
        !has_our_mac(keys, text))
        return false;
    memcpy(read.lease_id, id.data, ID_LEN);
    *token = read;
    return true;
}
