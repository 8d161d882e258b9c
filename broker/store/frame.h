#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"

/**
 * A frame: the entries of one batch, as they stand in a segment. It is whole or it is not there.
 *
 *      0  4  magic: F5 "SP1" (F5 never occurs in UTF-8, so no entry holds it)
 *      4  4  number of entries
 *      8  8  index of the first
 *     16  8  the entries' time, milliseconds since the epoch
 *     24  4  bytes of the body
 *     28  4  bytes of the private area
 *     32  4  CRC-32C of the body
 *     36  4  CRC-32C of bytes 0 to 35
 *     40     body: for each entry its length and its private part's (4 + 4), then the entries
 *            private area: for each private part that is not empty its CRC-32C and its bytes
 *            zeros up to a multiple of 8
 *
 * Numbers are big-endian. A private part can be erased in place: FRAME_ERASED instead of the CRC,
 * then zeros. All else is covered by a checksum, but for a frame whose entries were all pruned: of
 * each its first bytes are a NUL and its leaf hash, which is not all zeros, and the rest are zeros.
 */
#define FRAME_HEAD_LEN 40
#define FRAME_ALIGNMENT 8
#define FRAME_ENTRIES_MAX 512
#define FRAME_BODY_MAX ((size_t)1536 * 1024)
#define FRAME_PRIVATE_MAX ((size_t)1536 * 1024)
#define FRAME_LEN_MAX (FRAME_HEAD_LEN + FRAME_BODY_MAX + FRAME_PRIVATE_MAX + FRAME_ALIGNMENT)
#define FRAME_ERASED 0x45524153U /* "ERAS" */

struct frame_head {
    uint64_t first_index;
    uint32_t entry_count;
    int64_t time_ms;
    uint32_t body_len;
    uint32_t private_len;
    uint32_t body_crc;
};

/** A frame in memory; borrows. */
struct frame {
    struct frame_head head;
    const uint8_t *bytes;
    struct {
        uint32_t position;
        size_t entry;        /* where it stands */
        size_t private_part; /* and what is beside it */
    } at;                    /* what was asked for last: most ask for one behind the other */
};

/** Whether 40 bytes are a head: magic, checksum, numbers within their limits. */
bool frame_head_read(const uint8_t bytes[FRAME_HEAD_LEN], struct frame_head *head) MUST_USE;

/** Bytes of the whole frame, padding included. */
size_t frame_len(const struct frame_head *head);

/** Whether body, lengths and padding fit the head; then `*frame` can be read. Not the private area.
 */
bool frame_read(const uint8_t *bytes, const struct frame_head *head, struct frame *frame) MUST_USE;

/** The entry at `position` (below entry_count); STORE_PRUNED_LEN bytes where it was pruned. */
struct str frame_entry(struct frame *frame, uint32_t position);

/**
 * Its private part, empty when it was erased, empty and NULL when it has none; false when it is
 * damaged. Where it is marked as erased its bytes do not matter any more.
 */
bool frame_private(struct frame *frame, uint32_t position, struct str *part) MUST_USE;

/** How many bytes it takes with its checksum, which stands at `*offset` of the frame; 0: none. */
size_t frame_private_place(struct frame *frame, uint32_t position, size_t *offset);

/** Builds frames in memory that it keeps, entry by entry. All-zero is a valid empty one. */
struct frame_builder {
    uint64_t first_index;
    uint32_t entry_count;
    uint8_t *bytes;    /* room for the head, the records' heads, the entries and the private area */
    uint8_t *privates; /* the private area until it is known where it goes */
    size_t entries_len;
    size_t private_len;
};

bool frame_builder_init(struct frame_builder *builder) MUST_USE;
void frame_builder_release(struct frame_builder *builder);

/** Start anew. */
void frame_builder_clear(struct frame_builder *builder, uint64_t first_index);

/**
 * Whether `entry_count` more entries with `bytes` in all, private parts included, still fit. One
 * proposal always fits into an empty frame.
 */
bool frame_builder_has_room(const struct frame_builder *builder, size_t entry_count, size_t bytes);

/** Add an entry; there must be room. */
void frame_builder_add(struct frame_builder *builder, struct str entry, struct str private_part);

/** So many zeros stand behind a finished frame. */
#define FRAME_ZEROS_BEHIND ((size_t)4096)

/** The finished frame, borrowed until the next change. */
struct str frame_builder_finish(struct frame_builder *builder, int64_t time_ms);
