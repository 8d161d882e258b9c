#include "stream/webhook_signature.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/secret.h"

#define PREFIX "whsec_"

static bool decode_key(struct str secret, struct secret *key, struct error *error)
{
    struct str text = str_trim(secret);
    size_t len = 0;

    if (!str_starts_with(text, STR(PREFIX)))
        return secret_init_copy(key, text, error);
    text = str_slice(text, sizeof(PREFIX) - 1, text.len);
    if (!secret_init(key, BASE64_DECODED_MAX(text.len), error))
        return false;
    if (!base64_decode(text, key->data, &len))
        return error_set(error, ERROR_CONFIG, "what follows whsec_ is no base64");
    key->len = len;
    return true;
}

bool webhook_sign(struct str secret, const char *id, int64_t now_s, struct str body,
                  char out[WEBHOOK_SIGNATURE_MAX], struct error *error)
{
    OWNED(secret_release) struct secret key = { 0 };
    OWNED(buf_release) struct buf message = { 0 };
    OWNED(buf_release) struct buf encoded = { 0 };
    uint8_t tag[SHA256_LEN];

    if (str_trim(secret).len == 0)
        return error_set(error, ERROR_CONFIG, "the secret is empty");
    if (!decode_key(secret, &key, error))
        return false;
    if (key.len < WEBHOOK_SECRET_MIN)
        return error_set(error, ERROR_CONFIG,
                         "a secret has at least %d bytes: openssl rand -hex 32",
                         WEBHOOK_SECRET_MIN);
    buf_init(&message, body.len + 128);
    buf_init(&encoded, BASE64_ENCODED_MAX(sizeof(tag)));
    buf_printf(&message, "%s.%" PRId64 ".", id, now_s);
    buf_add(&message, body);
    if (!buf_is_ok(&message))
        return error_set(error, ERROR_MEMORY, "no memory for a signature");
    hmac_sha256((struct str){ (const char *)key.data, key.len }, buf_str(&message), tag);
    buf_add_base64(&encoded, (struct str){ (const char *)tag, sizeof(tag) });
    (void)snprintf(out, WEBHOOK_SIGNATURE_MAX, "v1," STR_FMT, STR_ARG(buf_str(&encoded)));
    return buf_is_ok(&encoded) || error_set(error, ERROR_MEMORY, "no memory for a signature");
}
