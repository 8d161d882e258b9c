#include <assert.h>
#include <stdint.h>

#include "base/base64.h"
#include "base/error.h"
#include "keys/ssh.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A refusal has a code; what is read, written and read again is the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    OWNED(buf_release) struct buf line;
    struct ssh_public_key key = { 0 };
    struct ssh_public_key again = { 0 };
    struct error error = { 0 };

    buf_init(&line, SSH_LINE_MAX);
    if (arena == NULL)
        return 0;
    if (!ssh_public_key_parse((struct str){ (const char *)data, size }, arena, &key, &error)) {
        assert(error.code != ERROR_NONE);
        return 0;
    }
    buf_add(&line, key.type);
    buf_add_byte(&line, ' ');
    buf_add_base64(&line, key.blob);
    assert(ssh_public_key_parse(buf_str(&line), arena, &again, &error));
    assert(str_eq(key.blob, again.blob) && str_eq(key.fields, again.fields));
    return 0;
}
