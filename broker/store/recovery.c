#include "store/recovery.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/error.h"
#include "store/segment.h"

/* Threads: confined */
struct recovery {
    const struct store_folders *folders;
    const struct store_fold *fold;
    struct state *state;
    struct segment_list segments;
    struct segment_view view;
    struct log_position position;
    bool is_torn;
    int64_t now_s;
    int64_t entry_s;        /* the time of the entries that are applied */
    uint32_t unswept_count; /* entries applied since the last sweep */
};

/* Rows are swept as often as so many entries came, so that a long log's fit into their limits. */
#define ENTRIES_A_SWEEP 128

/* The clock may be wrong at a start: of marks nothing ends before an entry is that late. */
static int64_t marks_time_s(const struct recovery *recovery)
{
    int64_t log_s = recovery->position.time_ms / 1000;

    return log_s < recovery->now_s ? log_s : recovery->now_s;
}

static bool apply_entry(struct recovery *recovery, struct str entry, uint64_t index,
                        struct error *error)
{
    int64_t marks_s = marks_time_s(recovery);

    struct store_change changes[STORE_ENTRY_CHANGES_MAX] = { 0 };
    size_t count = 0;

    if (store_entry_is_pruned(entry)) /* what followed from it has ended long ago */
        return true;
    if (!recovery->fold->entry(entry, index, changes, &count, error))
        return error_wrap(error, "entry %" PRIu64, index);
    for (size_t i = 0; i < count; i++) {
        struct pending_change change = { &changes[i], index, recovery->entry_s };

        if (!state_apply(recovery->state, &change, marks_s))
            return error_set(error, ERROR_MEMORY, "no memory for marks and leases");
    }
    return true;
}

static bool has_whole_privates(struct frame *frame)
{
    struct str part = { 0 };

    for (uint32_t i = 0; i < frame->head.entry_count; i++) {
        if (!frame_private(frame, i, &part))
            return false;
    }
    return true;
}

static void sweep(struct recovery *recovery, uint32_t entry_count)
{
    int64_t marks_s = marks_time_s(recovery);

    recovery->unswept_count += entry_count;
    for (; recovery->unswept_count >= ENTRIES_A_SWEEP; recovery->unswept_count -= ENTRIES_A_SWEEP)
        state_sweep(recovery->state, marks_s);
    while (!state_advance(recovery->state, marks_s, SIZE_MAX))
        ;
}

static bool apply_frame(struct recovery *recovery, struct frame *frame, struct error *error)
{
    struct log_position *position = &recovery->position;

    recovery->entry_s = frame->head.time_ms / 1000;
    for (uint32_t i = 0; i < frame->head.entry_count; i++) {
        if (!apply_entry(recovery, frame_entry(frame, i), frame->head.first_index + i, error))
            return false;
    }
    position->last_frame = position->offset;
    position->last_index = position->size;
    position->offset += frame_len(&frame->head);
    position->size += frame->head.entry_count;
    position->time_ms = frame->head.time_ms;
    sweep(recovery, frame->head.entry_count);
    return true;
}

static bool is_last_segment(const struct recovery *recovery)
{
    const struct segment_list *segments = &recovery->segments;

    return recovery->view.first_index == segments->first_indices[segments->count - 1];
}

/* A frame with a damaged private part is torn where it is the last one. */
static bool check_private_damage(struct recovery *recovery, struct frame *frame,
                                 struct error *error)
{
    uint64_t offset = recovery->position.offset + frame_len(&frame->head);
    uint64_t index = recovery->position.size + frame->head.entry_count;
    struct frame next = { 0 };
    enum frame_status status = FRAME_END;

    if (!segment_view_frame(&recovery->view, offset, index, &status, &next, error))
        return false;
    if (!is_last_segment(recovery) || status == FRAME_WHOLE || status == FRAME_DAMAGED)
        return segment_view_refuse(&recovery->view, recovery->position.offset,
                                   "damaged private part", error);
    recovery->is_torn = true;
    return true;
}

static bool check_end(struct recovery *recovery, enum frame_status status, struct error *error)
{
    if (status == FRAME_DAMAGED || (status == FRAME_TORN && !is_last_segment(recovery)))
        return segment_view_refuse(&recovery->view, recovery->position.offset, "damaged", error);
    recovery->is_torn = status == FRAME_TORN;
    return true;
}

/* Apply what is behind the position in its segment. */
static bool walk_segment(struct recovery *recovery, struct error *error)
{
    struct log_position *position = &recovery->position;

    for (;;) {
        struct frame frame = { 0 };
        enum frame_status status = FRAME_END;

        if (!segment_view_frame(&recovery->view, position->offset, position->size, &status, &frame,
                                error))
            return false;
        if (status != FRAME_WHOLE)
            return check_end(recovery, status, error);
        if (!has_whole_privates(&frame))
            return check_private_damage(recovery, &frame, error);
        if (!apply_frame(recovery, &frame, error))
            return false;
    }
}

static bool enter_segment(struct recovery *recovery, uint64_t first_index, struct error *error)
{
    struct log_position *position = &recovery->position;

    if (!segment_view_open(&recovery->view, recovery->folders->segments, first_index, error))
        return false;
    if (position->segment == first_index && position->offset > 0)
        return true;
    if (position->size != first_index)
        return segment_view_refuse(&recovery->view, 0, "the entries before it are missing", error);
    position->segment = first_index;
    position->offset = 0;
    position->last_frame = 0;
    return true;
}

static bool walk(struct recovery *recovery, struct error *error)
{
    const struct segment_list *segments = &recovery->segments;
    size_t first = segment_list_find(segments, recovery->position.segment);

    for (size_t i = first; i < segments->count; i++) {
        if (!enter_segment(recovery, segments->first_indices[i], error) ||
            !walk_segment(recovery, error))
            return false;
    }
    return true;
}

/* The frame that the snapshot knows as the last one must still be there. */
static bool check_snapshot(struct recovery *recovery, struct error *error)
{
    const struct log_position *position = &recovery->position;
    const struct segment_list *segments = &recovery->segments;
    size_t found = segment_list_find(segments, position->segment);
    enum frame_status status = FRAME_END;
    struct frame frame = { 0 };

    if (segments->first_indices[found] != position->segment)
        return error_set(error, ERROR_INVALID, "the snapshot's segment is missing");
    if (!segment_view_open(&recovery->view, recovery->folders->segments, position->segment, error))
        return false;
    if (position->last_frame == position->offset)
        return true;
    if (!segment_view_frame(&recovery->view, position->last_frame, position->last_index, &status,
                            &frame, error))
        return false;
    if (status != FRAME_WHOLE ||
        position->last_frame + frame_len(&frame.head) != position->offset ||
        position->last_index + frame.head.entry_count != position->size)
        return segment_view_refuse(&recovery->view, position->last_frame,
                                   "damaged: the snapshot knows more entries", error);
    return true;
}

/* Where to start: behind the snapshot, or at the first entry. */
static bool find_start(struct recovery *recovery, struct error *error)
{
    struct error cause = { 0 };

    if (recovery->segments.first_indices[0] != 0)
        return error_set(error, ERROR_INVALID, "the first segment is missing");
    if (snapshot_read(recovery->folders->store, recovery->state, &recovery->position, &cause))
        return check_snapshot(recovery, error);
    recovery->position = (struct log_position){ 0 };
    if (cause.code == ERROR_NOT_FOUND || cause.code == ERROR_INVALID)
        return true;
    *error = cause;
    return false;
}

static bool run(struct recovery *recovery, struct error *error)
{
    if (!segment_list_read(&recovery->segments, recovery->folders->segments, error))
        return false;
    if (recovery->segments.count == 0) {
        if (!snapshot_read(recovery->folders->store, recovery->state, &recovery->position,
                           &(struct error){ 0 }) ||
            recovery->position.size == 0)
            return true;
        return error_set(error, ERROR_INVALID, "there is a snapshot, but no segments");
    }
    return find_start(recovery, error) && walk(recovery, error);
}

bool recovery_run(const struct store_folders *folders, const struct store_fold *fold,
                  struct state *state, struct log_position *position, bool *is_torn,
                  struct error *error)
{
    struct recovery recovery = {
        .folders = folders,
        .fold = fold,
        .state = state,
        .now_s = clock_wall_s(),
    };
    bool is_done = false;

    segment_view_init(&recovery.view);
    is_done = run(&recovery, error);
    *position = recovery.position;
    *is_torn = recovery.is_torn;
    segment_view_release(&recovery.view);
    segment_list_release(&recovery.segments);
    return is_done;
}
