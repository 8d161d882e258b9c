#include "keys/pem.h"

bool pem_take(BIO *take_output, int is_written, struct buf *out)
{
    const char *data = NULL;
    long len = is_written == 1 ? BIO_get_mem_data(take_output, &data) : 0;

    if (len > 0)
        buf_add(out, (struct str){ data, (size_t)len });
    BIO_free(take_output);
    return len > 0 && buf_is_ok(out);
}
