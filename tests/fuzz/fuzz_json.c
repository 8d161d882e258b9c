#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/json_plain.h"
#include "base/json_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is read quickly, jansson reads as well and as the same. */
static void compare_plain(struct str text)
{
    JSON_OWNED json_t *plain = json_plain_parse(text, JSON_LIMITS_REQUEST);
    JSON_OWNED json_t *expected = NULL;

    if (plain == NULL)
        return;
    expected = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
    assert(expected != NULL && json_equal(plain, expected));
}

/* What is written quickly, jansson writes the same. */
static void compare_written(const json_t *json)
{
    OWNED(buf_release) struct buf plain = { 0 };
    char *expected;

    buf_init(&plain, (size_t)1024 * 1024);
    if (!json_plain_write(&plain, json)) {
        assert(plain.len == 0);
        return;
    }
    expected = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    assert(expected != NULL && str_eq(buf_str(&plain), str_from(expected)));
    free(expected);
}

static bool take_member(void *context, struct str name, struct str value)
{
    struct str text = *(const struct str *)context;

    assert(name.data > text.data && value.data > name.data + name.len);
    assert(value.data + value.len <= text.data + text.len);
    return true;
}

/* What is walked is an object, with and without vectors. */
static void compare_walked(struct str text)
{
    JSON_OWNED json_t *expected = NULL;
    bool is_walked = json_walk(text, take_member, &text);

    assert(json_walk_portable(text, take_member, &text) == is_walked);
    if (!is_walked)
        return;
    expected = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
    assert(json_is_object(expected));
}

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
    compare_plain(text);
    compare_walked(text);
    if (!json_parse(text, JSON_LIMITS_REQUEST, &json, &error)) {
        assert(error.code != ERROR_NONE && json == NULL);
        return 0;
    }
    compare_written(json);
    assert(json_parse(json_text(arena, json), written, &again, &error));
    assert(json_equal(json, again));
    return 0;
}
