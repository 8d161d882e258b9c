#include <assert.h>
#include <stdint.h>

#include "base/error.h"
#include "keys/ssh.h"

/* Who signed the corpus. */
static const char line[] =
    "ecdsa-sha2-nistp256 "
    "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEzh6kwN8lCyAukbEyS1I0RdVzQs"
    "cTb5ycP4OoOcNuGfihPK8SS0RuAHkpawej6W7B0HGq8g863+vcU/QV2/W9k=";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A refusal has a code; what is taken is refused for another message. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct str text = { (const char *)data, size };
    struct ssh_public_key key;
    struct error error = { 0 };

    if (arena == NULL)
        return 0;
    assert(ssh_public_key_parse(str_from(line), arena, &key, &error));
    if (!sshsig_check(text, STR("message"), &key, arena, &error)) {
        assert(error.code != ERROR_NONE);
        return 0;
    }
    assert(!sshsig_check(text, STR("another"), &key, arena, &error));
    assert(error.code == ERROR_INVALID);
    return 0;
}
