#include <assert.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A refusal has a code; what is read, written and read again is the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_limits written = { 1024 * 1024, 32, 1000 };
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    JSON_OWNED json_t *json = NULL;
    JSON_OWNED json_t *again = NULL;
    struct error error = { 0 };
    struct str text = { (const char *)data, size };

    if (arena == NULL)
        return 0;
    if (!json_parse(text, JSON_LIMITS_REQUEST, &json, &error)) {
        assert(error.code != ERROR_NONE && json == NULL);
        return 0;
    }
    assert(json_parse(json_text(arena, json), written, &again, &error));
    assert(json_equal(json, again));
    return 0;
}
