#include "keys/crypto_pool.h"

#include <assert.h>
#include <string.h>

#include <openssl/ecerr.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "base/digest.h"
#include "base/error.h"
#include "keys/ecdsa.h"

/* How an algorithm uses OpenSSL. sign and verify return 1, 0 (does not verify) or less (broken). */
struct scheme {
    void *(*context_new)(EVP_PKEY *pkey, enum crypto_direction direction);
    void (*context_free)(void *context);
    int (*sign)(void *context, struct str message, uint8_t *signature, size_t *signature_len);
    int (*verify)(void *context, struct str message, struct str signature);
};

static void digest_context_free(void *context)
{
    EVP_PKEY_CTX_free(context);
}

/* RSA and ECDSA: the digest is ours, the context signs 32 bytes. */
static void *digest_context_new(EVP_PKEY *pkey, enum crypto_direction direction)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    int started;

    if (context == NULL)
        return NULL;
    started =
        direction == CRYPTO_SIGN ? EVP_PKEY_sign_init(context) : EVP_PKEY_verify_init(context);
    if (started == 1 && EVP_PKEY_is_a(pkey, "RSA"))
        started = EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING);
    if (started == 1 && EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()) == 1)
        return context;
    EVP_PKEY_CTX_free(context);
    return NULL;
}

static int rsa_sign(void *context, struct str message, uint8_t *signature, size_t *signature_len)
{
    uint8_t digest[SHA256_LEN];

    sha256(message, digest);
    *signature_len = KEY_SIGNATURE_MAX;
    return EVP_PKEY_sign(context, signature, signature_len, digest, sizeof(digest));
}

static int rsa_verify(void *context, struct str message, struct str signature)
{
    uint8_t digest[SHA256_LEN];

    sha256(message, digest);
    return EVP_PKEY_verify(context, (const uint8_t *)signature.data, signature.len, digest,
                           sizeof(digest));
}

static int ecdsa_sign(void *context, struct str message, uint8_t *signature, size_t *signature_len)
{
    uint8_t digest[SHA256_LEN];
    uint8_t der[ECDSA_DER_MAX];
    size_t der_len = sizeof(der);

    sha256(message, digest);
    if (EVP_PKEY_sign(context, der, &der_len, digest, sizeof(digest)) != 1)
        return -1;
    *signature_len = ECDSA_RAW_LEN;
    return ecdsa_der_to_raw((struct str){ (const char *)der, der_len }, signature) ? 1 : -1;
}

static int ecdsa_verify(void *context, struct str message, struct str signature)
{
    uint8_t digest[SHA256_LEN];
    uint8_t der[ECDSA_DER_MAX];
    size_t der_len;
    int outcome;

    if (!ecdsa_raw_to_der((const uint8_t *)signature.data, der, &der_len))
        return 0;
    sha256(message, digest);
    outcome = EVP_PKEY_verify(context, der, der_len, digest, sizeof(digest));
    /* a signer can choose r so that the sum has no x: OpenSSL calls that a failure of its own */
    if (outcome < 0 && ERR_GET_REASON(ERR_peek_error()) == EC_R_POINT_AT_INFINITY)
        return 0;
    return outcome;
}

static void message_context_free(void *context)
{
    EVP_MD_CTX_free(context);
}

/* Ed25519: the context takes the whole message and is armed anew for each. */
static void *message_context_new(EVP_PKEY *pkey, enum crypto_direction direction)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int started;

    if (context == NULL)
        return NULL;
    started = direction == CRYPTO_SIGN
                  ? EVP_DigestSignInit_ex(context, NULL, NULL, NULL, NULL, pkey, NULL)
                  : EVP_DigestVerifyInit_ex(context, NULL, NULL, NULL, NULL, pkey, NULL);
    if (started == 1)
        return context;
    EVP_MD_CTX_free(context);
    return NULL;
}

static int ed25519_sign(void *context, struct str message, uint8_t *signature,
                        size_t *signature_len)
{
    if (EVP_DigestSignInit_ex(context, NULL, NULL, NULL, NULL, NULL, NULL) != 1)
        return -1;
    *signature_len = KEY_SIGNATURE_MAX;
    return EVP_DigestSign(context, signature, signature_len, (const uint8_t *)message.data,
                          message.len);
}

static int ed25519_verify(void *context, struct str message, struct str signature)
{
    if (EVP_DigestVerifyInit_ex(context, NULL, NULL, NULL, NULL, NULL, NULL) != 1)
        return -1;
    return EVP_DigestVerify(context, (const uint8_t *)signature.data, signature.len,
                            (const uint8_t *)message.data, message.len);
}

static const struct scheme schemes[] = {
    [KEY_ED25519] = { message_context_new, message_context_free, ed25519_sign, ed25519_verify },
    [KEY_ES256] = { digest_context_new, digest_context_free, ecdsa_sign, ecdsa_verify },
    [KEY_RS256] = { digest_context_new, digest_context_free, rsa_sign, rsa_verify },
};

static void *take_context(struct crypto_pool *pool)
{
    void *context = NULL;

    pthread_mutex_lock(&pool->lock);
    if (pool->idle_count > 0)
        context = pool->idle[--pool->idle_count];
    pthread_mutex_unlock(&pool->lock);
    if (context != NULL)
        return context;
    return schemes[pool->algorithm].context_new(pool->pkey, pool->direction);
}

static void give_context(struct crypto_pool *pool, void *context)
{
    pthread_mutex_lock(&pool->lock);
    if (pool->idle_count < CRYPTO_POOL_IDLE_MAX) {
        pool->idle[pool->idle_count++] = context;
        context = NULL;
    }
    pthread_mutex_unlock(&pool->lock);
    if (context != NULL)
        schemes[pool->algorithm].context_free(context);
}

bool crypto_pool_init(struct crypto_pool *pool, EVP_PKEY *pkey, enum key_algorithm algorithm,
                      enum crypto_direction direction, struct error *error)
{
    void *context = schemes[algorithm].context_new(pkey, direction);
    int size = EVP_PKEY_get_size(pkey);

    if (context == NULL || size <= 0) {
        if (context != NULL)
            schemes[algorithm].context_free(context);
        return error_set_openssl(error, "a key's context");
    }
    *pool = (struct crypto_pool){ .pkey = pkey, .algorithm = algorithm, .direction = direction };
    (void)EVP_PKEY_up_ref(pkey);
    pool->signature_len = algorithm == KEY_RS256 ? (size_t)size : 64;
    pthread_mutex_init(&pool->lock, NULL);
    pool->idle[pool->idle_count++] = context;
    return true;
}

void crypto_pool_release(struct crypto_pool *pool)
{
    if (pool->pkey == NULL)
        return;
    while (pool->idle_count > 0)
        schemes[pool->algorithm].context_free(pool->idle[--pool->idle_count]);
    EVP_PKEY_free(pool->pkey);
    pthread_mutex_destroy(&pool->lock);
    *pool = (struct crypto_pool){ 0 };
}

bool crypto_pool_sign(struct crypto_pool *pool, struct str message,
                      uint8_t signature[KEY_SIGNATURE_MAX], size_t *signature_len,
                      struct error *error)
{
    void *context = take_context(pool);

    assert(pool->direction == CRYPTO_SIGN);
    if (context == NULL)
        return error_set_openssl(error, "a signing context");
    if (schemes[pool->algorithm].sign(context, message, signature, signature_len) != 1) {
        schemes[pool->algorithm].context_free(context);
        return error_set_openssl(error, "signing");
    }
    give_context(pool, context);
    return true;
}

bool crypto_pool_verify(struct crypto_pool *pool, struct str message, struct str signature,
                        struct error *error)
{
    void *context;
    int outcome;

    assert(pool->direction == CRYPTO_VERIFY);
    if (signature.len != pool->signature_len)
        return error_set(error, ERROR_INVALID, "a signature of %zu bytes, not %zu", signature.len,
                         pool->signature_len);
    context = take_context(pool);
    if (context == NULL)
        return error_set_openssl(error, "a verifying context");
    outcome = schemes[pool->algorithm].verify(context, message, signature);
    if (outcome < 0) {
        schemes[pool->algorithm].context_free(context);
        return error_set_openssl(error, "verifying");
    }
    give_context(pool, context);
    if (outcome == 1)
        return true;
    ERR_clear_error();
    return error_set(error, ERROR_INVALID, "the signature does not verify");
}
