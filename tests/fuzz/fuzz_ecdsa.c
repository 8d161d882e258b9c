#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "keys/ecdsa.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* There is one DER for each pair of numbers, and no other is read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t raw[ECDSA_RAW_LEN];
    uint8_t der[ECDSA_DER_MAX];
    size_t len;

    if (!ecdsa_der_to_raw((struct str){ (const char *)data, size }, raw))
        return 0;
    assert(ecdsa_raw_to_der(raw, der, &len));
    assert(len == size && memcmp(der, data, len) == 0);
    return 0;
}
