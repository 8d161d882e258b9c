#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"
#include "store/grower.h"

struct error;

/** The end of zeroed space that only revocations may use: a full disk must not keep leases alive.
 */
#define WRITER_RESERVE_LEN ((uint64_t)1024 * 1024)

/** Where frames are appended. Threads: confined to the store's thread */
struct writer {
    int folder;
    int file;
    uint64_t first_index; /* of the segment */
    uint64_t used;
    uint64_t last_frame;  /* offset of the frame before `used`; `used` when there is none */
    uint64_t segment_len; /* a segment is not used past it */
    struct grower grower;
};

enum writer_outcome {
    WRITER_DURABLE,
    WRITER_NO_SPACE, /* nothing was written */
    WRITER_BROKEN,   /* nothing that is on disk can be trusted any more: stop writing */
};

/**
 * Open the segment for appending behind `used`, make what is there durable, make all behind it zero
 * if `is_torn`, start growing.
 *
 * Errors: ERROR_IO, ERROR_MEMORY
 */
bool writer_open(struct writer *writer, bool is_torn, struct error *error) MUST_USE;
void writer_close(struct writer *writer);

/**
 * Append a frame whose first entry is `index`, and sync it. FRAME_ZEROS_BEHIND zeros stand behind
 * it in memory.
 */
enum writer_outcome writer_append(struct writer *writer, struct str frame, uint64_t index,
                                  bool is_revocation) MUST_USE;

/** False once working ahead has met an error that was not about space. */
bool writer_is_sound(struct writer *writer) MUST_USE;

/** Ask for more space where there is none for ordinary frames; whether there is by now. */
bool writer_look_for_space(struct writer *writer);
