/*
 * A reader finds an entry by its segment (a file's name is the index of its first entry), then by
 * the nearest earlier spot it has seen there, or by leaping to where it should be and looking for a
 * head, then by walking from head to head.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/folder_store.h"
#include "store/segment.h"
#include "store/store_internal.h"

/* A spot is remembered every so many bytes of a segment. */
#define SPOT_DISTANCE ((uint64_t)64 * 1024)
#define SPOTS_MAX ((size_t)16 * 1024)

/* What is no farther away is walked to. */
#define LEAP_MIN 64
#define LEAPS_MAX 12

/* Where a frame begins. */
struct spot {
    uint64_t index;
    uint64_t segment;
    uint64_t offset;
};

/** Threads: confined */
struct folder_reader {
    struct store_reader reader; /* first, so that either is the other */
    const struct store *store;  /* or NULL: a folder */
    int folder;                 /* of the segments */
    struct segment_list segments;
    struct segment_view view;

    bool is_damaged; /* a folder's log goes on behind `end`, but cannot be read there */
    struct spot end; /* of a folder's log */

    bool has_frame;
    unsigned erasures;  /* of the store, when the last one was read */
    struct frame frame; /* the last one read; borrows from the view */
    struct spot at;     /* where it begins */

    bool has_hint;
    struct spot hint; /* the last one that was a frame */

    struct spot *spots; /* ascending */
    size_t spot_count;
    size_t spot_capacity;
};

static struct folder_reader *folder_of(struct store_reader *reader)
{
    return (struct folder_reader *)reader;
}

static void close_reader(struct store_reader *base)
{
    struct folder_reader *reader = folder_of(base);

    if (reader->folder >= 0)
        (void)close(reader->folder); /* read-only, nothing to lose */
    segment_view_release(&reader->view);
    segment_list_release(&reader->segments);
    free(reader->spots);
    free(reader);
}

/* Change to a segment unless it is the open one. */
static bool enter_segment(struct folder_reader *reader, uint64_t segment, struct error *error)
{
    if (reader->view.file >= 0 && reader->view.first_index == segment)
        return true;
    reader->has_frame = false;
    return segment_view_open(&reader->view, reader->folder, segment, error);
}

/* Move `end` behind the whole frames of its segment; `*status` says what stands there. */
static bool walk_to_end(struct folder_reader *reader, enum frame_status *status,
                        struct error *error)
{
    struct frame frame = { 0 };

    if (!enter_segment(reader, reader->end.segment, error))
        return false;
    for (;;) {
        if (!segment_view_frame(&reader->view, reader->end.offset, reader->end.index, status,
                                &frame, error))
            return false;
        if (*status != FRAME_WHOLE)
            return true;
        reader->end.offset += frame_len(&frame.head);
        reader->end.index += frame.head.entry_count;
    }
}

/* The first segment behind `end`'s, or false. */
static bool next_segment(const struct folder_reader *reader, uint64_t *segment)
{
    for (size_t i = 0; i < reader->segments.count; i++) {
        if (reader->segments.first_indices[i] > reader->end.segment) {
            *segment = reader->segments.first_indices[i];
            return true;
        }
    }
    return false;
}

/* Find a folder's end: from the last one known, else from the last segment's beginning. */
static bool find_end(struct folder_reader *reader, struct error *error)
{
    enum frame_status status = FRAME_END;
    uint64_t segment = 0;

    if (reader->segments.count == 0)
        return true;
    if (reader->end.index == 0) {
        segment = reader->segments.first_indices[reader->segments.count - 1];
        reader->end = (struct spot){ segment, segment, 0 };
    }
    if (!walk_to_end(reader, &status, error))
        return false;
    while (status == FRAME_END && next_segment(reader, &segment) && segment == reader->end.index) {
        reader->end = (struct spot){ segment, segment, 0 };
        if (!walk_to_end(reader, &status, error))
            return false;
    }
    reader->is_damaged = status == FRAME_DAMAGED || next_segment(reader, &segment);
    reader->reader.size = reader->end.index;
    return true;
}

static bool refresh(struct store_reader *base, struct error *error)
{
    struct folder_reader *reader = folder_of(base);

    if (reader->store != NULL)
        reader->reader.size = store_size(reader->store);
    reader->has_frame = false;
    segment_view_forget(&reader->view);
    if (!segment_list_read(&reader->segments, reader->folder, error))
        return false;
    return reader->store != NULL || find_end(reader, error);
}

/* How many spots stand at or before `index`. */
static size_t spots_until(const struct folder_reader *reader, uint64_t index)
{
    size_t low = 0;
    size_t high = reader->spot_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (reader->spots[middle].index <= index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Remember a place far enough from the one before it. Without memory the next search walks more. */
static void remember(struct folder_reader *reader, struct spot spot)
{
    size_t position = spots_until(reader, spot.index);
    uint64_t previous = 0;

    if (position > 0 && reader->spots[position - 1].segment == spot.segment)
        previous = reader->spots[position - 1].offset;
    if (spot.offset < previous + SPOT_DISTANCE)
        return;
    if (reader->spot_count == reader->spot_capacity) {
        size_t capacity = reader->spot_capacity == 0 ? 64 : reader->spot_capacity * 2;
        struct spot *grown = NULL;

        if (capacity > SPOTS_MAX)
            return;
        grown = realloc(reader->spots, capacity * sizeof(*grown));
        if (grown == NULL)
            return;
        reader->spots = grown;
        reader->spot_capacity = capacity;
    }
    memmove(&reader->spots[position + 1], &reader->spots[position],
            (reader->spot_count - position) * sizeof(spot));
    reader->spots[position] = spot;
    reader->spot_count++;
}

static void take_nearer(const struct spot *other, uint64_t index, struct spot *spot)
{
    if (other->segment == spot->segment && other->index <= index && other->index >= spot->index)
        *spot = *other;
}

/* The nearest known place at or before `index`. */
static struct spot nearest(const struct folder_reader *reader, uint64_t index)
{
    uint64_t segment = reader->segments.first_indices[segment_list_find(&reader->segments, index)];
    size_t position = spots_until(reader, index);
    struct spot spot = { segment, segment, 0 };

    if (position > 0 && reader->spots[position - 1].segment == segment)
        spot = reader->spots[position - 1];
    if (reader->has_hint)
        take_nearer(&reader->hint, index, &spot);
    if (reader->has_frame)
        take_nearer(&reader->at, index, &spot);
    return spot;
}

/* What is looked for begins behind `low` and before `high_offset`, or is the frame at `low`. */
struct stretch {
    struct spot low;
    uint64_t low_count;  /* entries of the frame there */
    uint64_t high_index; /* of the first entry at `high_offset` or behind it */
    uint64_t high_offset;
    bool is_empty; /* nothing was found in its last part, which may be a large one */
};

/* All behind a spot: to the next one, or the segment's end. */
static bool stretch_behind(struct folder_reader *reader, const struct spot *spot,
                           struct stretch *stretch, struct error *error)
{
    size_t next = spots_until(reader, spot->index);
    size_t segment = segment_list_find(&reader->segments, spot->segment) + 1;
    struct frame_head head = { 0 };
    bool is_head = false;

    *stretch = (struct stretch){ .low = *spot };
    if (!segment_view_head(&reader->view, spot->offset, spot->index, &is_head, &head, error))
        return false;
    stretch->low_count = head.entry_count;
    if (next < reader->spot_count && reader->spots[next].segment == spot->segment) {
        stretch->high_index = reader->spots[next].index;
        stretch->high_offset = reader->spots[next].offset;
        return true;
    }
    stretch->high_index = segment < reader->segments.count ? reader->segments.first_indices[segment]
                                                           : reader->reader.size;
    return segment_view_len(&reader->view, &stretch->high_offset, error);
}

/* Whether it is far enough to leap. */
static bool is_far(const struct stretch *stretch, uint64_t index)
{
    return index - stretch->low.index >= stretch->low_count + LEAP_MIN &&
           stretch->high_offset > stretch->low.offset + SPOT_DISTANCE &&
           stretch->high_index > index;
}

/* Where an entry should be, and a little before: entries are not all of one length. */
static uint64_t guess(const struct stretch *stretch, uint64_t index)
{
    uint64_t len = stretch->high_offset - stretch->low.offset;
    double share =
        (double)(index - stretch->low.index) / (double)(stretch->high_index - stretch->low.index);
    uint64_t offset = stretch->is_empty ? len / 2 : (uint64_t)((double)len * share);

    return stretch->low.offset + (offset > SPOT_DISTANCE ? offset - SPOT_DISTANCE / 2 : offset / 2);
}

/* Narrow the stretch by what stands behind `offset`; false where that led nowhere. */
static bool narrow(struct stretch *stretch, uint64_t index, uint64_t offset,
                   const struct frame_head *head, uint64_t at)
{
    stretch->is_empty = head == NULL || at >= stretch->high_offset;
    if (stretch->is_empty || head->first_index > index) {
        stretch->high_index = stretch->is_empty ? stretch->high_index : head->first_index;
        stretch->high_offset = offset;
        return true;
    }
    if (head->first_index <= stretch->low.index || at <= stretch->low.offset)
        return false;
    stretch->low = (struct spot){ head->first_index, stretch->low.segment, at };
    stretch->low_count = head->entry_count;
    return true;
}

/* From a spot to one that is nearer, if there is one. */
static bool leap(struct folder_reader *reader, struct spot *spot, uint64_t index,
                 struct error *error)
{
    bool goes_on = index - spot->index >= LEAP_MIN;
    struct stretch stretch;

    if (goes_on && !stretch_behind(reader, spot, &stretch, error))
        return false;
    for (size_t i = 0; goes_on && i < LEAPS_MAX && is_far(&stretch, index); i++) {
        uint64_t offset = guess(&stretch, index);
        struct frame_head head = { 0 };
        bool is_head = false;
        uint64_t at = offset;

        if (!segment_view_near(&reader->view, &at, stretch.high_index, &is_head, &head, error))
            return false;
        goes_on = narrow(&stretch, index, offset, is_head ? &head : NULL, at);
        *spot = stretch.low;
    }
    return true;
}

/* Walk from head to head until the frame that holds `index`. */
static bool walk_to(struct folder_reader *reader, struct spot *spot, uint64_t index,
                    struct error *error)
{
    for (;;) {
        struct frame_head head = { 0 };
        bool is_head = false;

        if (!segment_view_head(&reader->view, spot->offset, spot->index, &is_head, &head, error))
            return false;
        if (!is_head)
            return segment_view_refuse(&reader->view, spot->offset, "damaged", error);
        remember(reader, *spot);
        if (index - spot->index < head.entry_count)
            return true;
        spot->index += head.entry_count;
        spot->offset += frame_len(&head);
    }
}

static bool load_frame(struct folder_reader *reader, uint64_t index, struct error *error)
{
    struct spot spot = nearest(reader, index);
    enum frame_status status = FRAME_END;

    if (!enter_segment(reader, spot.segment, error))
        return false;
    reader->has_frame = false;
    if (!leap(reader, &spot, index, error) || !walk_to(reader, &spot, index, error) ||
        !segment_view_frame(&reader->view, spot.offset, spot.index, &status, &reader->frame, error))
        return false;
    if (status != FRAME_WHOLE)
        return segment_view_refuse(&reader->view, spot.offset, "damaged", error);
    reader->at = spot;
    reader->has_frame = true;
    return true;
}

/* What was read before an erasure may hold what was erased. */
static void notice_erasures(struct folder_reader *reader)
{
    unsigned erasures = reader->store == NULL ? 0 : atomic_load(&reader->store->erasures);

    if (erasures == reader->erasures)
        return;
    reader->erasures = erasures;
    reader->has_frame = false;
    segment_view_wipe(&reader->view);
}

static bool holds(const struct folder_reader *reader, uint64_t index)
{
    return reader->has_frame && index >= reader->at.index &&
           index - reader->at.index < reader->frame.head.entry_count;
}

static bool get(struct store_reader *base, uint64_t index, struct str *entry,
                struct str *private_part, struct error *error)
{
    struct folder_reader *reader = folder_of(base);
    uint32_t position = 0;

    if (index >= reader->reader.size && reader->is_damaged)
        return segment_view_refuse(&reader->view, reader->end.offset, "damaged", error);
    if (index >= reader->reader.size)
        return error_set(error, ERROR_NOT_FOUND, "there is no entry %" PRIu64, index);
    notice_erasures(reader);
    if (!holds(reader, index) && !load_frame(reader, index, error))
        return false;
    position = (uint32_t)(index - reader->at.index);
    if (private_part != NULL && !frame_private(&reader->frame, position, private_part))
        return segment_view_refuse(&reader->view, reader->at.offset, "damaged private part", error);
    *entry = frame_entry(&reader->frame, position);
    return true;
}

static bool place(const struct store_reader *base, struct store_place *place)
{
    const struct folder_reader *reader = (const struct folder_reader *)base;

    if (!reader->has_frame)
        return false;
    *place = (struct store_place){ reader->at.index, reader->at.segment, reader->at.offset };
    return true;
}

static bool is_spot_near(const struct folder_reader *reader, const struct store_place *place)
{
    size_t position = spots_until(reader, place->first_index);
    const struct spot *spot = position > 0 ? &reader->spots[position - 1] : NULL;

    return spot && spot->segment == place->segment && spot->offset <= place->offset &&
           place->offset - spot->offset < SPOT_DISTANCE;
}

/* Whoever gives the hint may be wrong: a spot is one where the head says so. */
static void hint(struct store_reader *base, const struct store_place *place)
{
    struct folder_reader *reader = folder_of(base);
    const struct segment_list *segments = &reader->segments;
    struct error ignored = { 0 };
    struct frame_head head = { 0 };
    bool is_head = false;

    if (place->first_index >= reader->reader.size || place->offset > INT64_MAX / 2 ||
        segments->count == 0 ||
        segments->first_indices[segment_list_find(segments, place->first_index)] !=
            place->segment ||
        is_spot_near(reader, place))
        return;
    reader->has_frame = false;
    if (enter_segment(reader, place->segment, &ignored) &&
        segment_view_head(&reader->view, place->offset, place->first_index, &is_head, &head,
                          &ignored) &&
        is_head) {
        reader->has_hint = true;
        reader->hint = (struct spot){ place->first_index, place->segment, place->offset };
    }
}

static const struct store_reader_backend folder_reader_backend = {
    .close = close_reader,
    .refresh = refresh,
    .get = get,
    .place = place,
    .hint = hint,
};

static bool open_reader(int parent, const char *path, const struct store *store,
                        struct store_reader **out, struct error *error)
{
    struct folder_reader *reader = calloc(1, sizeof(*reader));

    if (reader == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a reader");
    reader->reader.backend = &folder_reader_backend;
    reader->store = store;
    segment_view_init(&reader->view);
    reader->folder = openat(parent, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (reader->folder < 0)
        (void)error_set_errno(error, SEGMENT_FOLDER ": cannot open");
    else if (refresh(&reader->reader, error)) {
        *out = &reader->reader;
        return true;
    }
    close_reader(&reader->reader);
    return false;
}

bool folder_reader_new(const struct store *store, int segments, struct store_reader **reader,
                       struct error *error)
{
    return open_reader(segments, ".", store, reader, error);
}

bool folder_reader_open(const char *folder, struct store_reader **reader, struct error *error)
{
    int parent = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_open = false;

    if (parent < 0)
        return error_set_errno(error, "store %s: cannot open", folder);
    if (faccessat(parent, SEGMENT_FOLDER, X_OK, 0) != 0 && errno == ENOENT) {
        (void)close(parent); /* read-only, nothing to lose */
        return error_set(error, ERROR_INVALID, "%s: there is no store", folder);
    }
    is_open = open_reader(parent, SEGMENT_FOLDER, NULL, reader, error);
    (void)close(parent); /* read-only, nothing to lose */
    return is_open || error_wrap(error, "store %s", folder);
}
