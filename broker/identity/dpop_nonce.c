#include "identity/dpop_nonce.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/secret.h"

#define KEY_LEN SHA256_LEN
#define TAG_LEN 16
#define NAME_MAX_BYTES 255

struct dpop_nonces {
    uint8_t key[KEY_LEN];
    uint8_t name[NAME_MAX_BYTES];
    size_t name_len;
};

bool dpop_nonces_new(struct str broker, struct dpop_nonces **nonces, struct error *error)
{
    OWNED(dpop_nonces_free) struct dpop_nonces *made = calloc(1, sizeof(*made));

    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for nonces");
    if (broker.len > NAME_MAX_BYTES)
        return error_set(error, ERROR_LIMIT, "a broker's name of %zu bytes", broker.len);
    if (!secret_random(made->key, sizeof(made->key), error))
        return false;
    made->name_len = broker.len;
    if (broker.len > 0)
        memcpy(made->name, broker.data, broker.len);
    *nonces = TAKE(made);
    return true;
}

void dpop_nonces_free(struct dpop_nonces *nonces)
{
    if (nonces == NULL)
        return;
    secret_wipe(nonces, sizeof(*nonces));
    free(nonces);
}

static struct str bytes_of(const uint8_t *bytes, size_t len)
{
    return (struct str){ (const char *)bytes, len };
}

static void make(const struct dpop_nonces *nonces, int64_t bucket, char nonce[DPOP_NONCE_LEN + 1])
{
    uint8_t message[sizeof(uint64_t) + NAME_MAX_BYTES];
    uint8_t tag[SHA256_LEN];
    OWNED(buf_release) struct buf text = { 0 };

    for (size_t i = 0; i < sizeof(uint64_t); i++)
        message[i] = (uint8_t)((uint64_t)bucket >> (56 - 8 * i));
    memcpy(message + sizeof(uint64_t), nonces->name, nonces->name_len);
    hmac_sha256(bytes_of(nonces->key, KEY_LEN),
                bytes_of(message, sizeof(uint64_t) + nonces->name_len), tag);
    buf_init(&text, DPOP_NONCE_LEN);
    buf_add_base64url(&text, bytes_of(tag, TAG_LEN));
    memset(nonce, 0, DPOP_NONCE_LEN + 1);
    if (buf_is_ok(&text)) /* without memory: an empty one, which is never taken */
        memcpy(nonce, text.data, text.len);
}

void dpop_nonce_make(const struct dpop_nonces *nonces, int64_t now_s,
                     char nonce[DPOP_NONCE_LEN + 1])
{
    make(nonces, now_s / DPOP_NONCE_BUCKET_S, nonce);
}

static bool is_of(const struct dpop_nonces *nonces, struct str nonce, int64_t bucket)
{
    char expected[DPOP_NONCE_LEN + 1];

    make(nonces, bucket, expected);
    return nonce.len == DPOP_NONCE_LEN && strlen(expected) == DPOP_NONCE_LEN &&
           secret_eq(nonce, (struct str){ expected, DPOP_NONCE_LEN });
}

bool dpop_nonce_is_fresh(const struct dpop_nonces *nonces, struct str nonce, int64_t now_s)
{
    int64_t bucket = now_s / DPOP_NONCE_BUCKET_S;

    return is_of(nonces, nonce, bucket) || is_of(nonces, nonce, bucket - 1);
}
