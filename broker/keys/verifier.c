#include "keys/verifier.h"

#include <stdlib.h>

#include "base/error.h"
#include "keys/crypto_pool.h"
#include "keys/jwk.h"
#include "keys/public_key.h"

struct verifier {
    enum jose_algorithm algorithm;
    struct crypto_pool pool;
};

bool verifier_new(const json_t *jwk, unsigned allowed, struct verifier **verifier,
                  struct error *error)
{
    OWNED(verifier_free) struct verifier *made = calloc(1, sizeof(*made));
    OWNED(public_key_free) EVP_PKEY *pkey = NULL;
    enum key_algorithm kind;

    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "a verifier");
    if (!jwk_read(jwk, allowed, &made->algorithm, &kind, &pkey, error) ||
        !crypto_pool_init(&made->pool, pkey, kind, CRYPTO_VERIFY, error))
        return false;
    *verifier = TAKE(made);
    return true;
}

void verifier_free(struct verifier *verifier)
{
    if (verifier == NULL)
        return;
    crypto_pool_release(&verifier->pool);
    free(verifier);
}

enum jose_algorithm verifier_algorithm(const struct verifier *verifier)
{
    return verifier->algorithm;
}

bool verifier_check(struct verifier *verifier, struct str message, struct str signature,
                    struct error *error)
{
    return crypto_pool_verify(&verifier->pool, message, signature, error);
}
