#include <assert.h>
#include <stdint.h>

#include "base/error.h"
#include "clients/ledger_export.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A line that is read is the one that is written of it; a header says the same when it is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)4 * 1024 * 1024);
    OWNED(buf_release) struct buf text = { 0 };
    struct str given = { (const char *)data, size };
    struct ledger_export_header header;
    struct ledger_export_header again;
    struct ledger_export_line line;
    struct error error = { 0 };

    buf_init(&text, (size_t)1024 * 1024);
    if (ledger_export_read_line(given, &line, &error)) {
        ledger_export_write_line(&line, &text);
        assert(str_eq(str_slice(buf_str(&text), 0, text.len - 1), given));
    } else {
        assert(error.code != ERROR_NONE);
    }
    buf_clear(&text);
    if (!arena || !ledger_export_read_header(given, arena, &header, &(struct error){ 0 }))
        return 0;
    ledger_export_write_header(&header, &text);
    assert(ledger_export_read_header(str_slice(buf_str(&text), 0, text.len - 1), arena, &again,
                                     &error));
    assert(again.size == header.size && str_eq(again.note, header.note) &&
           merkle_hash_eq(&again.root, &header.root) && again.is_complete == header.is_complete);
    return 0;
}
