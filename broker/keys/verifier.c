#include "keys/verifier.h"

#include <stdlib.h>

#include "base/error.h"
#include "keys/crypto_pool.h"
#include "keys/jwk.h"
#include "keys/public_key.h"

struct verifier {
    unsigned algorithms;
    size_t pool_count;
    struct crypto_pool *pools[JOSE_OF_A_KEY_MAX]; /* one an algorithm, lowest bit first */
};

/* Where the pool of an algorithm stands: as many are in front of it as lower bits are set. */
static size_t index_of(const struct verifier *verifier, unsigned algorithm)
{
    return (size_t)__builtin_popcount(verifier->algorithms & (algorithm - 1));
}

static bool add_pools(struct verifier *verifier, EVP_PKEY *pkey, struct error *error)
{
    for (unsigned bit = 1; (bit & JOSE_ANY) != 0; bit <<= 1) {
        struct crypto_pool *pool;

        if ((verifier->algorithms & bit) == 0)
            continue;
        pool = calloc(1, sizeof(*pool));
        if (pool == NULL)
            return error_set(error, ERROR_MEMORY, "a verifier");
        verifier->pools[verifier->pool_count++] = pool;
        if (!crypto_pool_init(pool, pkey, (enum jose_algorithm)bit, CRYPTO_VERIFY, error))
            return false;
    }
    return true;
}

bool verifier_new(const json_t *jwk, unsigned allowed, struct verifier **verifier,
                  struct error *error)
{
    OWNED(verifier_free) struct verifier *made = calloc(1, sizeof(*made));
    OWNED(public_key_free) EVP_PKEY *pkey = NULL;

    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "a verifier");
    if (!jwk_read(jwk, allowed, &made->algorithms, &pkey, error) || !add_pools(made, pkey, error))
        return false;
    *verifier = TAKE(made);
    return true;
}

void verifier_free(struct verifier *verifier)
{
    if (verifier == NULL)
        return;
    for (size_t i = 0; i < verifier->pool_count; i++) {
        crypto_pool_release(verifier->pools[i]);
        free(verifier->pools[i]);
    }
    free(verifier);
}

unsigned verifier_algorithms(const struct verifier *verifier)
{
    return verifier->algorithms;
}

bool verifier_check(struct verifier *verifier, unsigned algorithm, struct str message,
                    struct str signature, struct error *error)
{
    if (algorithm == 0 || (algorithm & (algorithm - 1)) != 0 ||
        (verifier->algorithms & algorithm) == 0)
        return error_set(error, ERROR_INVALID, "the key is for another algorithm");
    return crypto_pool_verify(verifier->pools[index_of(verifier, algorithm)], message, signature,
                              error);
}
