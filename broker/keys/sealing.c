#include <assert.h>
#include <limits.h>
#include <string.h>

#include <openssl/err.h>

#include "base/error.h"
#include "keys/keys.h"
#include "keys/keys_internal.h"

#define SEALING_FILE "sealing.key"
#define SEALING_KEY_LEN 32
#define NONCE_LEN 12
#define TAG_LEN 16

static_assert(NONCE_LEN + TAG_LEN == KEYS_SEAL_OVERHEAD, "what the header says");
static_assert(KEYS_SEAL_MAX + KEYS_SEAL_OVERHEAD <= INT_MAX, "OpenSSL counts in int");

static bool make_key(const struct key_folder *folder, struct error *error)
{
    OWNED(secret_release) struct secret key = { 0 };

    return secret_init(&key, SEALING_KEY_LEN, error) && secret_random(key.data, key.len, error) &&
           key_folder_write(folder, SEALING_FILE, (struct str){ (const char *)key.data, key.len },
                            0600, error);
}

bool sealing_open(struct keys *keys, struct error *error)
{
    OWNED(key_folder_unlock) int lock = -1;
    bool is_there;

    keys->sealing_cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    if (keys->sealing_cipher == NULL)
        return error_set_openssl(error, "AES-256-GCM");
    if (!key_folder_lock(&keys->folder, &lock, error) ||
        !key_folder_read(&keys->folder, SEALING_FILE, &keys->sealing_key, &is_there, error))
        return false;
    if (!is_there &&
        (!make_key(&keys->folder, error) ||
         !key_folder_read(&keys->folder, SEALING_FILE, &keys->sealing_key, &is_there, error)))
        return false;
    if (keys->sealing_key.len != SEALING_KEY_LEN)
        return error_set(error, ERROR_CONFIG, "%s: expected %d bytes, not %zu", SEALING_FILE,
                         SEALING_KEY_LEN, keys->sealing_key.len);
    return true;
}

void sealing_close(struct keys *keys)
{
    secret_release(&keys->sealing_key);
    EVP_CIPHER_free(keys->sealing_cipher);
}

static const uint8_t *bytes_of(struct str string)
{
    return (const uint8_t *)string.data;
}

/* `out` has room for KEYS_SEAL_OVERHEAD bytes more than `plain`. */
static bool seal_bytes(EVP_CIPHER_CTX *cipher, const struct keys *keys, struct str plain,
                       struct str context, uint8_t *out)
{
    uint8_t *text = out + NONCE_LEN;
    uint8_t *tag = text + plain.len;
    int len;

    return EVP_EncryptInit_ex2(cipher, keys->sealing_cipher, keys->sealing_key.data, out, NULL) ==
               1 &&
           EVP_EncryptUpdate(cipher, NULL, &len, bytes_of(context), (int)context.len) == 1 &&
           EVP_EncryptUpdate(cipher, text, &len, bytes_of(plain), (int)plain.len) == 1 &&
           EVP_EncryptFinal_ex(cipher, tag, &len) == 1 &&
           EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag) == 1;
}

/* `out` has room for KEYS_SEAL_OVERHEAD bytes less than `sealed`. */
static bool unseal_bytes(EVP_CIPHER_CTX *cipher, const struct keys *keys, struct str sealed,
                         struct str context, uint8_t *out)
{
    size_t plain_len = sealed.len - KEYS_SEAL_OVERHEAD;
    const uint8_t *text = bytes_of(sealed) + NONCE_LEN;
    uint8_t tag[TAG_LEN];
    int len;

    memcpy(tag, text + plain_len, TAG_LEN);
    return EVP_DecryptInit_ex2(cipher, keys->sealing_cipher, keys->sealing_key.data,
                               bytes_of(sealed), NULL) == 1 &&
           EVP_DecryptUpdate(cipher, NULL, &len, bytes_of(context), (int)context.len) == 1 &&
           EVP_DecryptUpdate(cipher, out, &len, text, (int)plain_len) == 1 &&
           EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) == 1 &&
           EVP_DecryptFinal_ex(cipher, out + plain_len, &len) == 1;
}

/* What comes out is no secret: it needs no memory of its own. */
bool keys_seal(struct keys *keys, struct str plain, struct str context, struct buf *out,
               struct error *error)
{
    size_t len = out->len;
    EVP_CIPHER_CTX *cipher;
    uint8_t *sealed;
    bool is_sealed;

    if (plain.len > KEYS_SEAL_MAX || context.len > KEYS_SEAL_MAX)
        return error_set(error, ERROR_LIMIT, "more than %zu bytes to seal", KEYS_SEAL_MAX);
    sealed = (uint8_t *)buf_extend(out, plain.len + KEYS_SEAL_OVERHEAD);
    if (sealed == NULL)
        return error_set(error, ERROR_MEMORY, "no room for what was sealed");
    cipher = EVP_CIPHER_CTX_new();
    is_sealed = secret_random(sealed, NONCE_LEN, error) && cipher != NULL &&
                seal_bytes(cipher, keys, plain, context, sealed);
    EVP_CIPHER_CTX_free(cipher);
    if (is_sealed)
        return true;
    buf_truncate(out, len);
    return error_set_openssl(error, "sealing");
}

bool keys_unseal(struct keys *keys, struct str sealed, struct str context, struct buf *out,
                 struct error *error)
{
    OWNED(secret_release) struct secret plain = { 0 };
    EVP_CIPHER_CTX *cipher;
    bool is_open;

    if (sealed.len > KEYS_SEAL_MAX + KEYS_SEAL_OVERHEAD || context.len > KEYS_SEAL_MAX)
        return error_set(error, ERROR_LIMIT, "more than %zu bytes to unseal", KEYS_SEAL_MAX);
    if (sealed.len < KEYS_SEAL_OVERHEAD)
        return error_set(error, ERROR_INVALID, "%zu bytes are too few to be sealed", sealed.len);
    if (!secret_init(&plain, sealed.len - KEYS_SEAL_OVERHEAD, error))
        return false;
    cipher = EVP_CIPHER_CTX_new();
    is_open = cipher != NULL && unseal_bytes(cipher, keys, sealed, context, plain.data);
    EVP_CIPHER_CTX_free(cipher);
    ERR_clear_error();
    if (!is_open)
        return error_set(error, ERROR_INVALID, "not sealed with this key for this use");
    buf_add(out, (struct str){ (const char *)plain.data, plain.len });
    return buf_is_ok(out) || error_set(error, ERROR_MEMORY, "no room for what was unsealed");
}

/* The first block of RFC 5869's output, without salt: all that a key of this length takes. */
static void derive(const struct keys *keys, struct str use, uint8_t key[SHA256_LEN])
{
    static const uint8_t no_salt[SHA256_LEN];
    uint8_t extracted[SHA256_LEN];
    uint8_t info[KEYS_USE_MAX + 1];

    assert(use.len <= KEYS_USE_MAX);
    memcpy(info, use.data, use.len);
    info[use.len] = 1;
    hmac_sha256((struct str){ (const char *)no_salt, sizeof(no_salt) },
                (struct str){ (const char *)keys->sealing_key.data, keys->sealing_key.len },
                extracted);
    hmac_sha256((struct str){ (const char *)extracted, sizeof(extracted) },
                (struct str){ (const char *)info, use.len + 1 }, key);
    secret_wipe(extracted, sizeof(extracted));
}

void keys_mac(const struct keys *keys, struct str use, struct str message, uint8_t mac[SHA256_LEN])
{
    uint8_t key[SHA256_LEN];

    derive(keys, use, key);
    hmac_sha256((struct str){ (const char *)key, sizeof(key) }, message, mac);
    secret_wipe(key, sizeof(key));
}
