#include "keys/crypto_pool.h"

#include <assert.h>
#include <string.h>

#include <openssl/ecerr.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "base/digest.h"
#include "base/error.h"
#include "keys/ecdsa.h"

#define ED25519_SIGNATURE_LEN 64

/* A digest: ours, and for OpenSSL. */
struct hash {
    void (*digest)(struct str bytes, uint8_t *out);
    size_t len;
    const EVP_MD *(*name)(void);
};

static const struct hash hash_256 = { sha256, SHA256_LEN, EVP_sha256 };
static const struct hash hash_384 = { sha384, SHA384_LEN, EVP_sha384 };
static const struct hash hash_512 = { sha512, SHA512_LEN, EVP_sha512 };

/* What a family of algorithms has in common. sign and verify return 1, 0 (does not verify) or less
 * (broken). */
struct family {
    void *(*context_new)(const struct scheme *scheme, EVP_PKEY *pkey,
                         enum crypto_direction direction);
    void (*context_free)(void *context);
    int (*sign)(const struct scheme *scheme, void *context, struct str message, uint8_t *signature,
                size_t *signature_len);
    int (*verify)(const struct scheme *scheme, void *context, struct str message,
                  struct str signature);
};

struct scheme {
    enum jose_algorithm algorithm;
    const struct family *family;
    const struct hash *hash; /* NULL: the family's own */
    int padding;             /* RSA */
    enum ecdsa_curve curve;  /* ECDSA */
};

static void digest_context_free(void *context)
{
    EVP_PKEY_CTX_free(context);
}

/* PSS: the salt is as long as the digest and its mask uses the same one. Source: RFC 7518 3.5 */
static int set_padding(const struct scheme *scheme, EVP_PKEY_CTX *context)
{
    int outcome = EVP_PKEY_CTX_set_rsa_padding(context, scheme->padding);

    if (outcome != 1 || scheme->padding != RSA_PKCS1_PSS_PADDING)
        return outcome;
    outcome = EVP_PKEY_CTX_set_rsa_mgf1_md(context, scheme->hash->name());
    return outcome != 1 ? outcome
                        : EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST);
}

/* RSA and ECDSA: the digest is ours, the context signs its bytes. */
static void *digest_context_new(const struct scheme *scheme, EVP_PKEY *pkey,
                                enum crypto_direction direction)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    int started;

    if (context == NULL)
        return NULL;
    started =
        direction == CRYPTO_SIGN ? EVP_PKEY_sign_init(context) : EVP_PKEY_verify_init(context);
    if (started == 1 && EVP_PKEY_CTX_set_signature_md(context, scheme->hash->name()) == 1 &&
        (scheme->padding == 0 || set_padding(scheme, context) == 1))
        return context;
    EVP_PKEY_CTX_free(context);
    return NULL;
}

static int rsa_sign(const struct scheme *scheme, void *context, struct str message,
                    uint8_t *signature, size_t *signature_len)
{
    uint8_t digest[SHA512_LEN];

    scheme->hash->digest(message, digest);
    *signature_len = KEY_SIGNATURE_MAX;
    return EVP_PKEY_sign(context, signature, signature_len, digest, scheme->hash->len);
}

static int rsa_verify(const struct scheme *scheme, void *context, struct str message,
                      struct str signature)
{
    uint8_t digest[SHA512_LEN];

    scheme->hash->digest(message, digest);
    return EVP_PKEY_verify(context, (const uint8_t *)signature.data, signature.len, digest,
                           scheme->hash->len);
}

static int ecdsa_sign(const struct scheme *scheme, void *context, struct str message,
                      uint8_t *signature, size_t *signature_len)
{
    uint8_t digest[SHA512_LEN];
    uint8_t der[ECDSA_DER_MAX];
    size_t der_len = sizeof(der);

    scheme->hash->digest(message, digest);
    if (EVP_PKEY_sign(context, der, &der_len, digest, scheme->hash->len) != 1)
        return -1;
    *signature_len = ecdsa_raw_len(scheme->curve);
    return ecdsa_der_to_raw(scheme->curve, (struct str){ (const char *)der, der_len }, signature)
               ? 1
               : -1;
}

static int ecdsa_verify(const struct scheme *scheme, void *context, struct str message,
                        struct str signature)
{
    uint8_t digest[SHA512_LEN];
    uint8_t der[ECDSA_DER_MAX];
    size_t der_len;
    int outcome;

    if (!ecdsa_raw_to_der(scheme->curve, (const uint8_t *)signature.data, der, &der_len))
        return 0;
    scheme->hash->digest(message, digest);
    outcome = EVP_PKEY_verify(context, der, der_len, digest, scheme->hash->len);
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
static void *message_context_new(const struct scheme *scheme, EVP_PKEY *pkey,
                                 enum crypto_direction direction)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int started;

    (void)scheme;
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

static int ed25519_sign(const struct scheme *scheme, void *context, struct str message,
                        uint8_t *signature, size_t *signature_len)
{
    (void)scheme;
    if (EVP_DigestSignInit_ex(context, NULL, NULL, NULL, NULL, NULL, NULL) != 1)
        return -1;
    *signature_len = KEY_SIGNATURE_MAX;
    return EVP_DigestSign(context, signature, signature_len, (const uint8_t *)message.data,
                          message.len);
}

static int ed25519_verify(const struct scheme *scheme, void *context, struct str message,
                          struct str signature)
{
    (void)scheme;
    if (EVP_DigestVerifyInit_ex(context, NULL, NULL, NULL, NULL, NULL, NULL) != 1)
        return -1;
    return EVP_DigestVerify(context, (const uint8_t *)signature.data, signature.len,
                            (const uint8_t *)message.data, message.len);
}

static const struct family rsa = { digest_context_new, digest_context_free, rsa_sign, rsa_verify };
static const struct family ecdsa = { digest_context_new, digest_context_free, ecdsa_sign,
                                     ecdsa_verify };
static const struct family ed25519 = { message_context_new, message_context_free, ed25519_sign,
                                       ed25519_verify };

static const struct scheme schemes[] = {
    { JOSE_RS256, &rsa, &hash_256, .padding = RSA_PKCS1_PADDING },
    { JOSE_RS384, &rsa, &hash_384, .padding = RSA_PKCS1_PADDING },
    { JOSE_RS512, &rsa, &hash_512, .padding = RSA_PKCS1_PADDING },
    { JOSE_PS256, &rsa, &hash_256, .padding = RSA_PKCS1_PSS_PADDING },
    { JOSE_PS384, &rsa, &hash_384, .padding = RSA_PKCS1_PSS_PADDING },
    { JOSE_PS512, &rsa, &hash_512, .padding = RSA_PKCS1_PSS_PADDING },
    { JOSE_ES256, &ecdsa, &hash_256, .curve = ECDSA_P256 },
    { JOSE_ES384, &ecdsa, &hash_384, .curve = ECDSA_P384 },
    { JOSE_ES512, &ecdsa, &hash_512, .curve = ECDSA_P521 },
    { JOSE_EDDSA, &ed25519, NULL, 0, 0 },
};

/* There is one of each. */
static const struct scheme *scheme_of(enum jose_algorithm algorithm)
{
    const struct scheme *scheme = schemes;

    while (scheme->algorithm != algorithm)
        scheme++;
    return scheme;
}

static size_t signature_len_of(const struct scheme *scheme, size_t key_size)
{
    if (scheme->family == &rsa)
        return key_size;
    return scheme->family == &ecdsa ? ecdsa_raw_len(scheme->curve) : ED25519_SIGNATURE_LEN;
}

static void *take_context(struct crypto_pool *pool)
{
    void *context = NULL;

    pthread_mutex_lock(&pool->lock);
    if (pool->idle_count > 0)
        context = pool->idle[--pool->idle_count];
    pthread_mutex_unlock(&pool->lock);
    if (context != NULL)
        return context;
    return pool->scheme->family->context_new(pool->scheme, pool->pkey, pool->direction);
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
        pool->scheme->family->context_free(context);
}

bool crypto_pool_init(struct crypto_pool *pool, EVP_PKEY *pkey, enum jose_algorithm algorithm,
                      enum crypto_direction direction, struct error *error)
{
    const struct scheme *scheme = scheme_of(algorithm);
    void *context = scheme->family->context_new(scheme, pkey, direction);
    int size = EVP_PKEY_get_size(pkey);

    if (context == NULL || size <= 0) {
        if (context != NULL)
            scheme->family->context_free(context);
        return error_set_openssl(error, "a key's context");
    }
    *pool = (struct crypto_pool){ .pkey = pkey, .scheme = scheme, .direction = direction };
    (void)EVP_PKEY_up_ref(pkey);
    pool->signature_len = signature_len_of(scheme, (size_t)size);
    pthread_mutex_init(&pool->lock, NULL);
    pool->idle[pool->idle_count++] = context;
    return true;
}

void crypto_pool_release(struct crypto_pool *pool)
{
    if (pool->pkey == NULL)
        return;
    while (pool->idle_count > 0)
        pool->scheme->family->context_free(pool->idle[--pool->idle_count]);
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
    if (pool->scheme->family->sign(pool->scheme, context, message, signature, signature_len) != 1) {
        pool->scheme->family->context_free(context);
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
    outcome = pool->scheme->family->verify(pool->scheme, context, message, signature);
    if (outcome < 0) {
        pool->scheme->family->context_free(context);
        return error_set_openssl(error, "verifying");
    }
    give_context(pool, context);
    if (outcome == 1)
        return true;
    ERR_clear_error();
    return error_set(error, ERROR_INVALID, "the signature does not verify");
}
