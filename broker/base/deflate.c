#include "base/deflate.h"

#include <stdlib.h>
#include <zlib.h>

#include "base/error.h"

bool deflate_zlib(struct str bytes, struct buf *out, struct error *error)
{
    uLongf len;
    Bytef *room;
    bool is_good;

    if (bytes.len > DEFLATE_MAX)
        return error_set(error, ERROR_LIMIT, "%zu bytes to compress", bytes.len);
    len = compressBound((uLong)bytes.len);
    room = malloc(len);
    is_good = room != NULL && compress2(room, &len, (const Bytef *)bytes.data, (uLong)bytes.len,
                                        Z_BEST_COMPRESSION) == Z_OK;
    if (is_good)
        buf_add(out, (struct str){ (const char *)room, len });
    free(room);
    return (is_good && buf_is_ok(out)) || error_set(error, ERROR_MEMORY, "no memory to compress");
}
