#include "store/state.h"

#include <stdlib.h>
#include <string.h>

#include "store/lease_chains.h"
#include "store/lease_guards.h"

/* Few as they are, not every sweep looks at all approvals. */
#define APPROVALS_EVERY 16

/* How many rows are looked at under the lock, so that nobody waits for it for long. */
#define CLAIM_STEP ((size_t)512)

/* How many changes are applied under it, likewise. */
#define APPLY_STEP ((size_t)32)

struct state *state_new(void)
{
    struct state *state = calloc(1, sizeof(*state));

    if (state != NULL && pthread_mutex_init(&state->lock, NULL) == 0)
        return state;
    free(state);
    return NULL;
}

void state_free(struct state *state)
{
    if (state == NULL)
        return;
    state_clear(state);
    (void)pthread_mutex_destroy(&state->lock);
    free(state);
}

void state_clear(struct state *state)
{
    marks_release(&state->marks);
    leases_release(&state->leases);
    approvals_release(&state->approvals);
    state->blocks.count = 0;
    state->blocks.version = 0;
}

static bool is_nobody(const uint8_t holder[STORE_HOLDER_LEN])
{
    static const uint8_t nobody[STORE_HOLDER_LEN];

    return memcmp(holder, nobody, sizeof(nobody)) == 0;
}

/* Whether a change is the second entry of a lease that an earlier one opened. */
static bool is_counted(const struct state *state, const struct store_change *change, uint64_t index)
{
    uint32_t row = change->lease.id[0] == '\0' ? 0 : leases_find(&state->leases, change->lease.id);

    return row != 0 && lease_number_get(leases_row(&state->leases, row)->opened_index) < index;
}

/*
 * What a change makes of a mark (one without uses is not set). A snapshot may hold rows that are
 * newer than its position: what is then read again must not count twice.
 */
static struct store_mark mark_after(const struct state *state, struct store_mark mark,
                                    const struct pending_change *item)
{
    const struct store_change *change = item->change;

    if (mark.uses > 0 && item->index <= mark.latest_index)
        return mark;
    if (change->kind == STORE_SET_MARK && is_counted(state, change, item->index))
        return mark;
    if (change->kind == STORE_FREE_MARK && mark.uses <= 1)
        return (struct store_mark){ 0 };
    if (change->kind == STORE_FREE_MARK)
        mark.uses--;
    else if (mark.uses > 0 && !is_nobody(change->holder) &&
             memcmp(mark.holder, change->holder, sizeof(mark.holder)) == 0)
        mark.uses++;
    else {
        mark = (struct store_mark){ .uses = 1, .first_index = item->index };
        memcpy(mark.holder, change->holder, sizeof(mark.holder));
    }
    if (change->kind == STORE_SET_MARK && change->expires_s > mark.expires_s)
        mark.expires_s = change->expires_s;
    mark.latest_index = item->index;
    return mark;
}

static bool apply_mark(struct state *state, const struct pending_change *item, int64_t now_s)
{
    const uint8_t *key = item->change->mark;
    struct store_mark mark = marks_find(&state->marks, key, now_s);

    mark = mark_after(state, mark, item);
    if (mark.uses > 0 && mark.expires_s > now_s)
        return marks_set(&state->marks, key, &mark);
    marks_remove(&state->marks, key);
    return true;
}

void state_expect(const struct state *state, const struct store_proposal *proposal)
{
    for (size_t i = 0; i < proposal->entry_count; i++)
        for (size_t k = 0; k < proposal->entries[i].change_count; k++) {
            const struct store_change *change = &proposal->entries[i].changes[k];

            if (change->kind == STORE_SET_MARK || change->kind == STORE_FREE_MARK)
                marks_expect(&state->marks, change->mark);
            else if (change->kind == STORE_PUT_LEASE)
                leases_expect(&state->leases, &change->lease);
        }
}

static bool apply_locked(struct state *state, const struct pending_change *item, int64_t marks_s)
{
    const struct store_change *change = item->change;

    switch (change->kind) {
    case STORE_SET_MARK:
    case STORE_FREE_MARK:
        return apply_mark(state, item, marks_s);
    case STORE_PUT_LEASE:
        return leases_apply(&state->leases, &change->lease, item->index, item->entry_s);
    case STORE_PUT_APPROVAL:
        return approvals_apply(&state->approvals, &change->approval, item->index, item->entry_s);
    case STORE_PUT_BLOCK:
    case STORE_REMOVE_BLOCK:
        return blocks_apply(&state->blocks, change, item->index, marks_s);
    }
    return false;
}

bool state_apply(struct state *state, const struct pending_change *change, int64_t marks_s)
{
    bool is_applied = false;

    (void)pthread_mutex_lock(&state->lock);
    is_applied = apply_locked(state, change, marks_s);
    (void)pthread_mutex_unlock(&state->lock);
    return is_applied;
}

bool state_apply_all(struct state *state, const struct pending_change *changes, size_t count,
                     int64_t marks_s)
{
    bool is_applied = true;

    for (size_t i = 0; i < count;) {
        size_t end = count - i < APPLY_STEP ? count : i + APPLY_STEP;

        (void)pthread_mutex_lock(&state->lock);
        for (; i < end; i++)
            is_applied = apply_locked(state, &changes[i], marks_s) && is_applied;
        (void)pthread_mutex_unlock(&state->lock);
    }
    return is_applied;
}

bool state_has_room(const struct state *state, size_t change_count)
{
    return state->marks.count + change_count <= MARKS_MAX &&
           state->leases.count + change_count <= LEASES_MAX;
}

bool state_has_room_for_blocks(const struct state *state, size_t block_count, int64_t now_s)
{
    return block_count == 0 ||
           blocks_count(&state->blocks, now_s) + block_count <= STORE_BLOCKS_MAX;
}

/* Whether a change may open an approval; those that are there only change. */
static bool opens_approval(const struct state *state, const struct store_change *change)
{
    if (change->kind != STORE_PUT_APPROVAL || change->approval.expires_s == 0)
        return false;
    return approvals_find(&state->approvals, APPROVAL_BY_ID, change->approval.id).version == 0;
}

bool state_has_room_for_approvals(const struct state *state, const struct pending *pending,
                                  const struct store_proposal *proposal, int64_t now_s)
{
    size_t count = 0;

    for (size_t i = 0; i < proposal->entry_count; i++)
        for (size_t k = 0; k < proposal->entries[i].change_count; k++)
            count += opens_approval(state, &proposal->entries[i].changes[k]);
    if (count == 0)
        return true;
    for (size_t i = 0; i < pending->count; i++)
        count += opens_approval(state, pending->changes[i].change);
    return state->approvals.count + state->approvals.elsewhere_count + count <=
               STORE_APPROVALS_MAX ||
           approvals_count(&state->approvals, now_s) + count <= STORE_APPROVALS_MAX;
}

static bool is_of_mark(const struct store_change *change)
{
    return change->kind == STORE_SET_MARK || change->kind == STORE_FREE_MARK;
}

static bool is_of_block(const struct store_change *change)
{
    return change->kind == STORE_PUT_BLOCK || change->kind == STORE_REMOVE_BLOCK;
}

/* A mark once `pending` is applied; without uses where it is not set or has expired. */
static struct store_mark expected_mark(const struct state *state, const struct pending *pending,
                                       const uint8_t key[MARK_LEN], int64_t now_s)
{
    struct store_mark mark = marks_find(&state->marks, key, now_s);

    for (size_t i = 0; i < pending->count && pending_may_change(pending, key); i++) {
        const struct pending_change *item = &pending->changes[i];

        if (is_of_mark(item->change) && memcmp(item->change->mark, key, MARK_LEN) == 0)
            mark = mark_after(state, mark, item);
    }
    return mark.expires_s > now_s ? mark : (struct store_mark){ 0 };
}

/* Absent, or used by its own holder fewer times than it may be. */
static bool is_usable(const struct store_mark *mark, const struct store_guard *guard)
{
    if (mark->uses == 0)
        return true;
    return !is_nobody(guard->holder) && mark->uses < guard->uses_max &&
           mark->uses < STORE_MARK_USES_MAX &&
           memcmp(mark->holder, guard->holder, sizeof(mark->holder)) == 0;
}

/* Whether blocks are still those of a version once `pending` is applied. */
static bool are_blocks_of(const struct state *state, const struct pending *pending,
                          uint64_t version)
{
    for (size_t i = 0; i < pending->count; i++)
        if (is_of_block(pending->changes[i].change))
            return false;
    return state->blocks.version == version;
}

/* An approval once `pending` is applied is as it was said, and serves still. */
static bool is_approved(const struct state *state, const struct pending *pending,
                        const struct store_guard *guard, int64_t now_s)
{
    struct store_approval approval =
        approvals_find(&state->approvals, APPROVAL_BY_ID, guard->lease_id);

    for (size_t i = 0; i < pending->count; i++) {
        const struct pending_change *item = &pending->changes[i];

        if (item->change->kind == STORE_PUT_APPROVAL &&
            memcmp(item->change->approval.id, guard->lease_id, ID_LEN) == 0)
            approval_change(&approval, &item->change->approval, item->index, item->entry_s);
    }
    return approval.version != 0 && approval.version == guard->version &&
           approval.state == guard->approval && approval.expires_s > now_s;
}

bool state_guard_holds(const struct state *state, const struct pending *pending,
                       const struct store_guard *guard, const struct state_times *times)
{
    struct store_mark mark;

    switch (guard->kind) {
    case STORE_GUARD_MARK_ABSENT:
        return expected_mark(state, pending, guard->mark, times->marks_s).uses == 0;
    case STORE_GUARD_MARK_USABLE:
        mark = expected_mark(state, pending, guard->mark, times->marks_s);
        return is_usable(&mark, guard);
    case STORE_GUARD_BLOCKS:
        return are_blocks_of(state, pending, guard->blocks);
    case STORE_GUARD_LEASE:
    case STORE_GUARD_FEWER_LIVE:
    case STORE_GUARD_FEWER_OPENED:
    case STORE_GUARD_LATEST:
        return lease_guard_holds(&state->leases, pending, guard, times->rows_s);
    case STORE_GUARD_APPROVAL:
        return is_approved(state, pending, guard, times->rows_s);
    }
    return false;
}

bool state_remembers(const struct state *state, int64_t expires_s)
{
    return expires_s > state->forgotten_s;
}

void state_sweep(struct state *state, int64_t marks_s)
{
    (void)pthread_mutex_lock(&state->lock);
    marks_sweep(&state->marks, state->sweep_shard, marks_s);
    if (state->sweep_shard % APPROVALS_EVERY == 0)
        approvals_sweep(&state->approvals, marks_s - APPROVALS_TOLD_S);
    (void)pthread_mutex_unlock(&state->lock);
    if (marks_s > state->forgotten_s)
        state->forgotten_s = marks_s;
    state->sweep_shard = (state->sweep_shard + 1) % MARK_SHARDS;
}

bool state_advance(struct state *state, int64_t rows_s, size_t budget)
{
    bool is_done = false;

    (void)pthread_mutex_lock(&state->lock);
    is_done = leases_advance(&state->leases, rows_s, budget);
    (void)pthread_mutex_unlock(&state->lock);
    return is_done;
}

bool state_mark(struct state *state, const uint8_t key[MARK_LEN], int64_t now_s,
                struct store_mark *mark)
{
    (void)pthread_mutex_lock(&state->lock);
    *mark = marks_find(&state->marks, key, now_s);
    (void)pthread_mutex_unlock(&state->lock);
    return mark->uses > 0;
}

bool state_lease_by_id(struct state *state, const char id[ID_LEN], struct store_lease *lease)
{
    (void)pthread_mutex_lock(&state->lock);
    *lease = leases_by_id(&state->leases, id);
    (void)pthread_mutex_unlock(&state->lock);
    return lease->version != 0;
}

bool state_lease_by_handle(struct state *state, const uint8_t handle[STORE_HANDLE_LEN],
                           struct store_lease *lease)
{
    (void)pthread_mutex_lock(&state->lock);
    *lease = leases_by_handle(&state->leases, handle);
    (void)pthread_mutex_unlock(&state->lock);
    return lease->version != 0;
}

size_t state_leases_under(struct state *state, enum store_lease_key kind,
                          const uint8_t key[STORE_KEY_LEN], struct store_lease *leases, size_t max)
{
    size_t count = 0;
    uint32_t row = 0;

    (void)pthread_mutex_lock(&state->lock);
    row = lease_chains_first(&state->leases, kind, key);
    for (; row != 0 && count < max; row = leases_row(&state->leases, row)->chains[kind].next)
        lease_row_read(leases_row(&state->leases, row), &leases[count++]);
    (void)pthread_mutex_unlock(&state->lock);
    return count;
}

/* Whether a row lives; most of a long chain are told by the flag alone. */
static bool read_live(const struct lease_row *row, int64_t now_s, struct store_lease *lease)
{
    if (!row->is_live)
        return false;
    lease_row_read(row, lease);
    return lease_is_live(lease, now_s);
}

size_t state_live_of_stage(struct state *state, const uint8_t key[STORE_KEY_LEN], int64_t now_s,
                           struct store_lease *leases, size_t max)
{
    const struct lease_row *row = NULL;
    struct store_lease lease;
    size_t live = 0;
    size_t skipped = 0;
    uint32_t first = 0;

    (void)pthread_mutex_lock(&state->lock);
    first = lease_chains_first(&state->leases, STORE_KEY_STAGE, key);
    for (uint32_t i = first; i != 0; i = row->chains[STORE_KEY_STAGE].next) {
        row = leases_row(&state->leases, i);
        live += read_live(row, now_s, &lease);
    }
    for (uint32_t i = first; i != 0; i = row->chains[STORE_KEY_STAGE].next) {
        row = leases_row(&state->leases, i);
        /* The chain begins with the latest, the list with the oldest. */
        if (read_live(row, now_s, &lease) && live - skipped++ <= max)
            leases[live - skipped] = lease;
    }
    (void)pthread_mutex_unlock(&state->lock);
    return live;
}

void state_blocks(struct state *state, struct store_blocks *blocks)
{
    (void)pthread_mutex_lock(&state->lock);
    blocks->version = state->blocks.version;
    blocks->count = state->blocks.count;
    memcpy(blocks->rows, state->blocks.rows, blocks->count * sizeof(*blocks->rows));
    (void)pthread_mutex_unlock(&state->lock);
}

size_t state_live_lease_count(struct state *state)
{
    size_t count = 0;

    (void)pthread_mutex_lock(&state->lock);
    count = state->leases.live_count;
    (void)pthread_mutex_unlock(&state->lock);
    return count;
}

/* Block by block, so that nobody waits for long. */
uint64_t state_oldest_live(struct state *state, int64_t now_s)
{
    uint64_t oldest = UINT64_MAX;
    uint64_t found = UINT64_MAX;

    (void)pthread_mutex_lock(&state->lock);
    oldest = blocks_oldest(&state->blocks, now_s);
    found = approvals_oldest(&state->approvals, now_s);
    oldest = found < oldest ? found : oldest;
    (void)pthread_mutex_unlock(&state->lock);
    for (size_t block = 0; block < LEASE_BLOCKS_MAX; block++) {
        (void)pthread_mutex_lock(&state->lock);
        found = leases_oldest_needed(&state->leases, block, now_s);
        (void)pthread_mutex_unlock(&state->lock);
        oldest = found < oldest ? found : oldest;
    }
    return oldest;
}

void state_begin(struct state *state, int64_t now_s)
{
    (void)pthread_mutex_lock(&state->lock);
    leases_begin(&state->leases, now_s);
    (void)pthread_mutex_unlock(&state->lock);
}

bool state_approval(struct state *state, enum approval_key by, const void *key,
                    struct store_approval *approval)
{
    (void)pthread_mutex_lock(&state->lock);
    *approval = approvals_find(&state->approvals, by, key);
    (void)pthread_mutex_unlock(&state->lock);
    return approval->version != 0;
}

size_t state_approvals_of(struct state *state, const uint8_t digest[32], int64_t now_s,
                          struct store_approval *approvals, size_t max)
{
    size_t count;

    (void)pthread_mutex_lock(&state->lock);
    count = approvals_of_digest(&state->approvals, digest, now_s, approvals, max);
    (void)pthread_mutex_unlock(&state->lock);
    return count;
}

bool state_approvals(struct state *state, int64_t now_s, struct store_approval *approvals,
                     size_t max, size_t *count)
{
    struct store_approval *all = calloc(STORE_APPROVALS_MAX, sizeof(*all));
    size_t all_count = 0;
    size_t open_count = 0;
    size_t place = 0;

    if (all == NULL)
        return false;
    (void)pthread_mutex_lock(&state->lock);
    all_count = approvals_read(&state->approvals, &place, all, STORE_APPROVALS_MAX);
    (void)pthread_mutex_unlock(&state->lock);
    for (size_t i = 0; i < all_count; i++)
        if (approval_is_open(&all[i], now_s))
            all[open_count++] = all[i];
    approvals_sort(all, open_count);
    *count = open_count < max ? open_count : max;
    if (*count > 0)
        memcpy(approvals, all, *count * sizeof(*all));
    free(all);
    return true;
}

bool state_beat(struct state *state, const uint8_t handle[STORE_HANDLE_LEN], int64_t now_s,
                struct store_lease *lease)
{
    uint32_t row = 0;

    (void)pthread_mutex_lock(&state->lock);
    row = leases_beat(&state->leases, handle, now_s);
    if (row != 0)
        lease_row_read(leases_row(&state->leases, row), lease);
    (void)pthread_mutex_unlock(&state->lock);
    return row != 0;
}

size_t state_claim_due(struct state *state, int64_t now_s, int64_t again_s,
                       struct store_lease *leases, size_t max)
{
    size_t count = 0;
    size_t budget = 0;

    do {
        budget = CLAIM_STEP;
        (void)pthread_mutex_lock(&state->lock);
        count += leases_claim(&state->leases, now_s, again_s, leases + count, max - count, &budget);
        (void)pthread_mutex_unlock(&state->lock);
    } while (budget == 0 && count < max);
    return count;
}

void state_put_off(struct state *state, const char id[ID_LEN], int64_t due_s)
{
    (void)pthread_mutex_lock(&state->lock);
    leases_put_off(&state->leases, id, due_s);
    (void)pthread_mutex_unlock(&state->lock);
}

size_t state_owed_count(struct state *state, int64_t *oldest_ended_s)
{
    size_t count = 0;

    (void)pthread_mutex_lock(&state->lock);
    count = state->leases.owed_count;
    *oldest_ended_s = leases_oldest_owed_s(&state->leases);
    (void)pthread_mutex_unlock(&state->lock);
    return count;
}
