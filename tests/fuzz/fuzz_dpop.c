#include <assert.h>
#include <stdint.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/error.h"
#include "identity/dpop.h"
#include "identity/identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The key of RFC 8037 A.1. */
static const uint8_t seed[32] = {
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
    0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
};
static const char header[] =
    "{\"typ\":\"dpop+jwt\",\"alg\":\"EdDSA\",\"jwk\":{\"kty\":\"OKP\",\"crv\":"
    "\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}}";

/* A proof of these claims, well signed: what follows the signature is reached, too. */
static void sign(struct str claims, struct buf *proof)
{
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint8_t signature[64];
    size_t len = sizeof(signature);

    buf_add_base64url(proof, STR(header));
    buf_add_text(proof, ".");
    buf_add_base64url(proof, claims);
    assert(EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1);
    assert(EVP_DigestSign(context, signature, &len, (const uint8_t *)proof->data, proof->len) == 1);
    buf_add_text(proof, ".");
    buf_add_base64url(proof, (struct str){ (const char *)signature, len });
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
}

/* Claims (what starts with a brace) or a whole proof: a refusal has a code, a key its thumbprint.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct dpop_options options = { .method = STR("POST"),
                                          .url = STR("https://server.example.com/token"),
                                          .now_s = 1562262616 };
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    OWNED(buf_release) struct buf proof = { 0 };
    struct dpop_proof checked = { 0 };
    struct error error = { 0 };

    buf_init(&proof, TOKEN_MAX);
    if (size > 0 && data[0] == '{')
        sign((struct str){ (const char *)data, size }, &proof);
    else
        buf_add(&proof, (struct str){ (const char *)data, size });
    if (arena == NULL || !buf_is_ok(&proof))
        return 0;
    if (!dpop_check(buf_str(&proof), &options, arena, &checked, &error))
        assert(error.code == ERROR_DPOP);
    else
        assert(strlen(checked.thumbprint) == 43 && checked.expires_s >= options.now_s);
    return 0;
}
