#include <assert.h>
#include <stdint.h>

#include <openssl/err.h>

#include "base/error.h"
#include "keys/certificate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A refusal has a code and is the caller's; what OpenSSL had to say of it is not left behind. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    OWNED(certificate_request_free) struct certificate_request *request = NULL;
    struct error error = { 0 };

    if (certificate_request_parse((struct str){ (const char *)data, size }, &request, &error))
        assert(request != NULL);
    else
        assert(request == NULL && error.code != ERROR_NONE && error.code != ERROR_CRYPTO);
    assert(ERR_peek_error() == 0);
    return 0;
}
