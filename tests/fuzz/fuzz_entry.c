#include <assert.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "ledger/entry.h"
#include "ledger/entry_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What an audit takes quickly, the whole check takes as well, with the same time. */
static void compare_check(struct str text)
{
    JSON_OWNED json_t *entry = NULL;
    struct error error = { 0 };
    struct str time = { 0 };
    struct str expected = { 0 };

    if (!entry_text_check(text, &time))
        return;
    assert(entry_parse(text, &entry, &error) && entry_check(entry, &error));
    assert(json_get_str(entry, "time", &expected) && str_eq(time, expected));
}

/* A refusal has a code; what may be written folds, and its bytes read back as the same entry. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct str text = { (const char *)data, size };
    struct store_entry encoded = { 0 };
    JSON_OWNED json_t *entry = NULL;
    JSON_OWNED json_t *again = NULL;
    struct error error = { 0 };

    compare_check(text);
    if (arena == NULL || !entry_parse(text, &entry, &error))
        return 0;
    if (!entry_encode(entry, arena, &encoded, &error)) {
        assert(error.code != ERROR_NONE);
        return 0;
    }
    assert(entry_fold_json(entry, encoded.changes, &encoded.change_count, &error));
    assert(entry_parse((struct str){ encoded.bytes, encoded.len }, &again, &error));
    assert(json_equal(entry, again));
    return 0;
}
