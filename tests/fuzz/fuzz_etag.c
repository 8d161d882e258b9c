#include <assert.h>
#include <stdint.h>

#include "base/buf.h"
#include "console/console.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What fits has the tag in it, or a star; what fits alone fits as the first of a list, too. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct console_file file = { .etag = STR("\"tag\"") };
    struct str value = { (const char *)data, size };
    OWNED(buf_release) struct buf list = { 0 };

    if (!console_is_known(&file, value))
        return 0;
    assert(str_contains(value, file.etag) || str_contains(value, STR("*")));
    buf_init(&list, size + 16);
    buf_add_text(&list, "W/\"other\", ");
    buf_add(&list, value);
    assert(buf_is_ok(&list));
    assert(console_is_known(&file, buf_str(&list)) || str_eq(str_trim(value), STR("*")));
    return 0;
}
