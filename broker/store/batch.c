#include "store/batch.h"

#include <string.h>

bool batch_init(struct batch *batch)
{
    memset(batch, 0, sizeof(*batch));
    batch->end = &batch->first;
    return frame_builder_init(&batch->frame) && pending_init(&batch->pending);
}

void batch_release(struct batch *batch)
{
    frame_builder_release(&batch->frame);
    pending_release(&batch->pending);
    memset(batch, 0, sizeof(*batch));
}

void batch_start(struct batch *batch, uint64_t first_index, int64_t time_ms,
                 const struct state_times *times)
{
    frame_builder_clear(&batch->frame, first_index);
    pending_clear(&batch->pending);
    batch->first = NULL;
    batch->end = &batch->first;
    batch->refused_count = 0;
    batch->has_only_revocations = true;
    batch->times = *times;
    batch->time_ms = time_ms;
    time_text_ms(time_ms, batch->time_text);
}

static size_t proposal_len(const struct store_proposal *proposal)
{
    size_t len = 0;

    for (size_t i = 0; i < proposal->entry_count; i++)
        len += proposal->entries[i].len + proposal->entries[i].private_part.len;
    return len;
}

bool batch_has_room(const struct batch *batch, const struct store_proposal *proposal)
{
    return frame_builder_has_room(&batch->frame, proposal->entry_count, proposal_len(proposal));
}

static void append(struct batch *batch, struct store_proposal *proposal)
{
    proposal->next = NULL;
    *batch->end = proposal;
    batch->end = &proposal->next;
}

static void refuse(struct batch *batch, struct store_proposal *proposal, size_t failed_guard,
                   enum error_code code, const char *cause)
{
    proposal->is_committed = false;
    proposal->failed_guard = failed_guard;
    (void)error_set(&proposal->error, code, "%s", cause);
    batch->refused_count++;
    append(batch, proposal);
}

void batch_take_failed(struct batch *batch, struct store_proposal *proposal, const char *cause)
{
    refuse(batch, proposal, proposal->guard_count, ERROR_LEDGER, cause);
}

static size_t change_count(const struct store_proposal *proposal)
{
    size_t count = 0;

    for (size_t i = 0; i < proposal->entry_count; i++)
        count += proposal->entries[i].change_count;
    return count;
}

static size_t block_count(const struct store_proposal *proposal)
{
    size_t count = 0;

    for (size_t i = 0; i < proposal->entry_count; i++)
        for (size_t k = 0; k < proposal->entries[i].change_count; k++)
            count += proposal->entries[i].changes[k].kind == STORE_PUT_BLOCK;
    return count;
}

/* Where a proposal puts any, all of the batch's count. */
static size_t blocks_after(const struct batch *batch, const struct store_proposal *proposal)
{
    size_t count = block_count(proposal);

    for (size_t i = 0; count > 0 && i < batch->pending.count; i++)
        count += batch->pending.changes[i].change->kind == STORE_PUT_BLOCK;
    return count;
}

static void add_entry(struct batch *batch, const struct state *state, struct store_entry *entry)
{
    uint64_t index = batch->frame.first_index + batch->frame.entry_count;

    memcpy(entry->bytes + entry->time_offset, batch->time_text, TIME_TEXT_MS_LEN);
    frame_builder_add(&batch->frame, (struct str){ entry->bytes, entry->len }, entry->private_part);
    for (size_t i = 0; i < entry->change_count; i++) {
        struct pending_change change = { &entry->changes[i], index, batch->time_ms / 1000 };

        pending_add(&batch->pending, &state->leases, &change);
    }
}

/* Once the clock went back, a token can be good again whose mark has ended and is gone. */
static bool may_be_used(const struct state *state, const struct store_proposal *proposal)
{
    for (size_t i = 0; proposal->guard_count > 0 && i < proposal->entry_count; i++) {
        const struct store_entry *entry = &proposal->entries[i];

        for (size_t k = 0; k < entry->change_count; k++)
            if (entry->changes[k].kind == STORE_SET_MARK &&
                !state_remembers(state, entry->changes[k].expires_s))
                return true;
    }
    return false;
}

void batch_take(struct batch *batch, const struct state *state, struct store_proposal *proposal)
{
    for (size_t i = 0; i < proposal->guard_count; i++) {
        if (!state_guard_holds(state, &batch->pending, &proposal->guards[i], &batch->times)) {
            refuse(batch, proposal, i, ERROR_INVALID, "a guard does not hold");
            return;
        }
    }
    if (may_be_used(state, proposal)) {
        batch_take_failed(batch, proposal, "the clock went back: nobody knows of older marks");
        return;
    }
    if (!state_has_room(state, batch->pending.count + change_count(proposal))) {
        batch_take_failed(batch, proposal, "as many marks or leases as there may be");
        return;
    }
    if (!state_has_room_for_blocks(state, blocks_after(batch, proposal), batch->times.marks_s)) {
        batch_take_failed(batch, proposal, "as many blocks as there may be");
        return;
    }
    if (!state_has_room_for_approvals(state, &batch->pending, proposal, batch->times.rows_s)) {
        batch_take_failed(batch, proposal, "as many approvals as there may be");
        return;
    }
    proposal->failed_guard = proposal->guard_count;
    proposal->first_index = batch->frame.first_index + batch->frame.entry_count;
    proposal->is_committed = true; /* unless the batch fails */
    for (size_t i = 0; i < proposal->entry_count; i++)
        add_entry(batch, state, &proposal->entries[i]);
    batch->has_only_revocations = batch->has_only_revocations && proposal->is_revocation;
    append(batch, proposal);
}
