#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "keys/ecdsa.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* There is one DER for each pair of numbers, and no other is read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum ecdsa_curve curves[] = { ECDSA_P256, ECDSA_P384, ECDSA_P521 };
    uint8_t raw[ECDSA_RAW_MAX];
    uint8_t der[ECDSA_DER_MAX];
    size_t len;

    for (size_t i = 0; i < COUNT(curves); i++) {
        if (!ecdsa_der_to_raw(curves[i], (struct str){ (const char *)data, size }, raw))
            continue;
        assert(ecdsa_raw_to_der(curves[i], raw, der, &len));
        assert(len == size && memcmp(der, data, len) == 0);
    }
    return 0;
}
