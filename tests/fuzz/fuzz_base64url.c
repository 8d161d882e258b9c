#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct str text, bool (*decode)(struct str text, uint8_t *out, size_t *out_len),
                  void (*encode)(struct buf *buf, struct str bytes))
{
    OWNED(buf_release) struct buf again = { 0 };
    uint8_t *bytes = malloc(BASE64_DECODED_MAX(text.len) + 1);
    size_t len = 0;

    buf_init(&again, text.len + 1);
    if (bytes != NULL && decode(text, bytes, &len)) {
        assert(len <= BASE64_DECODED_MAX(text.len));
        encode(&again, (struct str){ (const char *)bytes, len });
        assert(buf_is_ok(&again) && str_eq(buf_str(&again), text));
    }
    free(bytes);
}

/* Bytes have one spelling: what is decoded is encoded the same again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = { (const char *)data, size };

    check(text, base64url_decode, buf_add_base64url);
    check(text, base64_decode, buf_add_base64);
    return 0;
}
