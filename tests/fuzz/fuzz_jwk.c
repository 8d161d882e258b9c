#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "keys/verifier.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A refusal has a code; a key that is taken has a thumbprint, and is refused where not allowed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct json_limits limits = { 16384, 16, 1000 };
    OWNED(verifier_free) struct verifier *verifier = NULL;
    JSON_OWNED json_t *jwk = NULL;
    struct str text = { (const char *)data, size };
    struct error error = { 0 };
    char thumbprint[44];

    if (!json_parse(text, limits, &jwk, &error))
        return 0;
    if (!verifier_new(jwk, JOSE_ANY, &verifier, &error)) {
        assert(error.code != ERROR_NONE && verifier == NULL);
        return 0;
    }
    assert(jwk_thumbprint(jwk, thumbprint, &error) && strlen(thumbprint) == 43);
    assert(!verifier_new(jwk, JOSE_ANY & ~verifier_algorithms(verifier), &verifier, &error));
    return 0;
}
