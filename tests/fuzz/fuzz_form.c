#include <assert.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "http/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A refusal has a code; what is read, written and read again is the same, where it still fits. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const known[] = { "grant_type", "audience", NULL };
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    OWNED(buf_release) struct buf written = { 0 };
    struct error error = { 0 };
    struct form form;
    struct form again;

    if (arena == NULL)
        return 0;
    if (!form_parse((struct str){ (const char *)data, size }, known, arena, &form, &error)) {
        assert(error.code != ERROR_NONE);
        return 0;
    }
    buf_init(&written, FORM_BYTES_MAX);
    for (size_t i = 0; i < form.count; i++) {
        buf_add_percent(&written, form.list[i].name);
        buf_add_byte(&written, '=');
        buf_add_percent(&written, form.list[i].value);
        buf_add_byte(&written, '&');
    }
    if (!buf_is_ok(&written))
        return 0;
    assert(form_parse(buf_str(&written), known, arena, &again, &error));
    assert(again.count == form.count);
    for (size_t i = 0; i < form.count; i++)
        assert(str_eq(again.list[i].name, form.list[i].name) &&
               str_eq(again.list[i].value, form.list[i].value));
    return 0;
}
