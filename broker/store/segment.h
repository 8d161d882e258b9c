#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"
#include "store/frame.h"

struct error;

/**
 * Segments: the files of a log, in the folder "segments", each named by the index of its first
 * entry
 * ("00000000000000001042.seg"). Frames follow each other; behind the last one are zeros.
 */
#define SEGMENT_NAME_LEN 24
#define SEGMENT_FOLDER "segments"

void segment_name(uint64_t first_index, char name[SEGMENT_NAME_LEN + 1]);

/** The first indices of all segments of a folder, ascending. All-zero is an empty list. */
struct segment_list {
    uint64_t *first_indices;
    size_t count;
};

/** Read the folder anew. Errors: ERROR_IO, ERROR_MEMORY */
bool segment_list_read(struct segment_list *list, int folder, struct error *error) MUST_USE;
void segment_list_release(struct segment_list *list);

/** The position of the segment that holds `index`, if any does; the list is not empty. */
size_t segment_list_find(const struct segment_list *list, uint64_t index);

/** Write all of it at `offset`; 0 or an errno value. */
int segment_write(int file, struct str bytes, uint64_t offset) MUST_USE;

/** Write `len` zeros at `offset`; 0 or an errno value. */
int segment_write_zeros(int file, uint64_t offset, uint64_t len) MUST_USE;

/**
 * The same past the page cache, where that can be. Whoever writes there next should write whole
 * pages: the cache has none of them, and of one that is written in part the rest is read from the
 * disk first. Nobody else writes by the same descriptor meanwhile.
 */
int segment_write_zeros_ahead(int file, uint64_t offset, uint64_t len) MUST_USE;

/**
 * One segment file, read through a window of memory. Threads: confined
 */
struct segment_view {
    int file; /* owned; -1 when closed */
    uint64_t first_index;
    uint8_t *window;
    size_t window_capacity;
    size_t window_len;
    uint64_t window_offset;
};

/** What stands at an offset. */
enum frame_status {
    FRAME_WHOLE,
    FRAME_END,     /* nothing but zeros from here on */
    FRAME_TORN,    /* a broken frame, and no later one behind it: a write that was not finished */
    FRAME_DAMAGED, /* a broken frame with later ones behind it */
};

void segment_view_init(struct segment_view *view);
void segment_view_release(struct segment_view *view);

/** Change to the segment that begins with `first_index`. Errors: ERROR_IO */
bool segment_view_open(struct segment_view *view, int folder, uint64_t first_index,
                       struct error *error) MUST_USE;

/** Forget what was read: the file may have grown. */
void segment_view_forget(struct segment_view *view);

/** The same, and overwrite it: what was read may have been erased. */
void segment_view_wipe(struct segment_view *view);

/**
 * The frame at `offset`, which must begin with entry `index`. A frame that a live writer has just
 * finished counts as whole. `*frame` borrows from the view until its next call.
 *
 * Errors: ERROR_IO, ERROR_MEMORY
 */
bool segment_view_frame(struct segment_view *view, uint64_t offset, uint64_t index,
                        enum frame_status *status, struct frame *frame, struct error *error)
    MUST_USE;

/** Only the head there: its checksum, and that it begins with `index`. For walking past frames. */
bool segment_view_head(struct segment_view *view, uint64_t offset, uint64_t index, bool *is_head,
                       struct frame_head *head, struct error *error) MUST_USE;

/**
 * The first head at `*offset` or a little behind it that begins with an entry up to `last`: for
 * leaping into the middle of a segment. `*offset` is then where it stands; what stands there may
 * still be something else, which reading the frame finds out.
 *
 * Errors: ERROR_IO, ERROR_MEMORY
 */
bool segment_view_near(struct segment_view *view, uint64_t *offset, uint64_t last, bool *is_head,
                       struct frame_head *head, struct error *error) MUST_USE;

/** How long the file is. Errors: ERROR_IO */
bool segment_view_len(const struct segment_view *view, uint64_t *len, struct error *error) MUST_USE;

/**
 * `len` bytes that must be there. Borrowed until the next call.
 *
 * Errors: ERROR_IO, ERROR_MEMORY, ERROR_INVALID (the file ends before)
 */
bool segment_view_bytes(struct segment_view *view, uint64_t offset, size_t len,
                        const uint8_t **bytes, struct error *error) MUST_USE;

/** ERROR_INVALID that names the segment and the offset; false. */
bool segment_view_refuse(const struct segment_view *view, uint64_t offset, const char *what,
                         struct error *error);
