#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "store/bytes.h"
#include "store/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Offsets of frame.h's format: checksums are made right, so that the lengths behind them count. */
static void mend(uint8_t *bytes, size_t size)
{
    size_t body_len = get_u32(bytes + 24);

    if (body_len <= size - FRAME_HEAD_LEN)
        put_u32(bytes + 32, crc32c(0, (struct str){ (char *)bytes + FRAME_HEAD_LEN, body_len }));
    put_u32(bytes + 36, crc32c(0, (struct str){ (char *)bytes, 36 }));
}

/* All that a whole frame gives lies within it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_head head = { 0 };
    struct frame frame = { 0 };
    uint8_t *bytes = NULL;

    if (size < FRAME_HEAD_LEN || (bytes = malloc(size)) == NULL)
        return 0;
    memcpy(bytes, data, size);
    mend(bytes, size);
    if (frame_head_read(bytes, &head) && frame_len(&head) <= size &&
        frame_read(bytes, &head, &frame)) {
        struct str part = { 0 };

        for (uint32_t i = 0; i < head.entry_count; i++) {
            struct str entry = frame_entry(&frame, i);

            assert(entry.len <= head.body_len);
            (void)crc32c(0, entry); /* reads every byte of it */
            assert(!frame_private(&frame, i, &part) || part.len <= head.private_len);
        }
    }
    free(bytes);
    return 0;
}
