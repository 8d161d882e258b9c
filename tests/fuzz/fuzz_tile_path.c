#include <assert.h>
#include <stdint.h>

#include "ledger/tile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A path that is taken is written as it was read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = { (const char *)data, size };
    struct tile_path path = { 0 };
    char written[TILE_PATH_MAX];

    if (!tile_path_parse(text, &path))
        return 0;
    tile_path_write(&path, written);
    assert(str_eq(text, str_from(written)));
    return 0;
}
