#include <assert.h>
#include <stdint.h>

#include "base/base64.h"
#include "base/error.h"
#include "identity/identity.h"
#include "identity/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A refusal has a code; what is opened has one spelling only: it is written the same again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    OWNED(buf_release) struct buf again = { 0 };
    struct str text = { (const char *)data, size };
    struct token_envelope envelope = { 0 };
    struct error error = { 0 };

    if (arena == NULL)
        return 0;
    buf_init(&again, TOKEN_MAX);
    if (!token_open(text, NULL, arena, &envelope, &error)) {
        assert(error.code == ERROR_TOKEN);
        return 0;
    }
    buf_add(&again, str_slice(envelope.signing_input, 0, str_find(text, '.') + 1));
    buf_add_base64url(&again, envelope.payload);
    buf_add_text(&again, ".");
    buf_add_base64url(&again, envelope.signature);
    assert(str_eq(buf_str(&again), text));
    return 0;
}
