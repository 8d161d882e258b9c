#include "store/state.h"

#include <stdlib.h>
#include <string.h>

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
}

static bool is_nobody(const uint8_t holder[STORE_HOLDER_LEN])
{
    static const uint8_t nobody[STORE_HOLDER_LEN];

    return memcmp(holder, nobody, sizeof(nobody)) == 0;
}

/* Whether a change is the second entry of a lease that an earlier one opened. */
static bool is_counted(const struct state *state, const struct store_change *change, uint64_t index)
{
    const struct store_lease *lease = NULL;

    if (change->lease.id[0] != '\0')
        lease = leases_by_id(&state->leases, change->lease.id);
    return lease != NULL && lease->opened_index < index;
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

static bool apply_mark(struct state *state, const struct store_change *change, uint64_t index,
                       int64_t now_s)
{
    struct pending_change item = { change, index };
    struct store_mark mark = marks_find(&state->marks, change->mark, now_s);

    mark = mark_after(state, mark, &item);
    if (mark.uses > 0 && mark.expires_s > now_s)
        return marks_set(&state->marks, change->mark, &mark);
    marks_remove(&state->marks, change->mark);
    return true;
}

static bool apply_locked(struct state *state, const struct store_change *change, uint64_t index,
                         int64_t now_s)
{
    switch (change->kind) {
    case STORE_SET_MARK:
    case STORE_FREE_MARK:
        return apply_mark(state, change, index, now_s);
    case STORE_PUT_LEASE:
        return leases_apply(&state->leases, &change->lease, index);
    }
    return false;
}

bool state_apply(struct state *state, const struct store_change *change, uint64_t index,
                 int64_t now_s)
{
    bool is_applied = false;

    (void)pthread_mutex_lock(&state->lock);
    is_applied = apply_locked(state, change, index, now_s);
    (void)pthread_mutex_unlock(&state->lock);
    return is_applied;
}

bool state_has_room(const struct state *state, size_t change_count)
{
    return state->marks.count + change_count <= MARKS_MAX &&
           state->leases.count + change_count <= LEASES_MAX;
}

/* A mark once `pending` is applied; without uses where it is not set or has expired. */
static struct store_mark expected_mark(const struct state *state, const struct pending *pending,
                                       const uint8_t key[MARK_LEN], int64_t now_s)
{
    struct store_mark mark = marks_find(&state->marks, key, now_s);

    for (size_t i = 0; i < pending->count; i++) {
        const struct pending_change *item = &pending->changes[i];

        if (item->change->kind != STORE_PUT_LEASE && memcmp(item->change->mark, key, MARK_LEN) == 0)
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

/* Version and state of a lease once `pending` is applied; version 0 where there is none. */
static struct store_lease expected_lease(const struct state *state, const struct pending *pending,
                                         const char id[ID_LEN])
{
    const struct store_lease *row = leases_by_id(&state->leases, id);
    struct store_lease lease = { 0 };

    if (row != NULL)
        lease = *row;
    for (size_t i = 0; i < pending->count; i++) {
        const struct store_change *change = pending->changes[i].change;

        if (change->kind != STORE_PUT_LEASE || memcmp(change->lease.id, id, ID_LEN) != 0)
            continue;
        if (lease.version == 0 && change->lease.expires_s == 0)
            continue;
        lease.version++;
        lease.state = change->lease.state;
    }
    return lease;
}

bool state_guard_holds(const struct state *state, const struct pending *pending,
                       const struct store_guard *guard, int64_t now_s)
{
    struct store_lease lease;
    struct store_mark mark;

    switch (guard->kind) {
    case STORE_GUARD_MARK_ABSENT:
        return expected_mark(state, pending, guard->mark, now_s).uses == 0;
    case STORE_GUARD_MARK_USABLE:
        mark = expected_mark(state, pending, guard->mark, now_s);
        return is_usable(&mark, guard);
    case STORE_GUARD_LEASE:
        lease = expected_lease(state, pending, guard->lease_id);
        return lease.version != 0 && lease.version == guard->version && lease.state == guard->state;
    }
    return false;
}

bool state_remembers(const struct state *state, int64_t expires_s)
{
    return expires_s > state->forgotten_s;
}

void state_sweep(struct state *state, int64_t marks_s, int64_t leases_s)
{
    size_t block_count = (state->leases.row_count + LEASE_BLOCK - 1) / LEASE_BLOCK;

    (void)pthread_mutex_lock(&state->lock);
    marks_sweep(&state->marks, state->sweep_shard, marks_s);
    leases_sweep(&state->leases, state->sweep_block, leases_s);
    (void)pthread_mutex_unlock(&state->lock);
    if (marks_s > state->forgotten_s)
        state->forgotten_s = marks_s;
    state->sweep_shard = (state->sweep_shard + 1) % MARK_SHARDS;
    state->sweep_block = state->sweep_block + 1 < block_count ? state->sweep_block + 1 : 0;
}

bool state_mark(struct state *state, const uint8_t key[MARK_LEN], int64_t now_s,
                struct store_mark *mark)
{
    (void)pthread_mutex_lock(&state->lock);
    *mark = marks_find(&state->marks, key, now_s);
    (void)pthread_mutex_unlock(&state->lock);
    return mark->uses > 0;
}

bool state_has_mark(struct state *state, const uint8_t mark[MARK_LEN], int64_t now_s)
{
    struct store_mark found;

    return state_mark(state, mark, now_s, &found);
}

/* With the lock held, so that the row is copied before it can change. */
static bool copy_row(const struct store_lease *row, struct store_lease *lease)
{
    if (row == NULL)
        return false;
    *lease = *row;
    return true;
}

bool state_lease_by_id(struct state *state, const char id[ID_LEN], struct store_lease *lease)
{
    bool is_found = false;

    (void)pthread_mutex_lock(&state->lock);
    is_found = copy_row(leases_by_id(&state->leases, id), lease);
    (void)pthread_mutex_unlock(&state->lock);
    return is_found;
}

bool state_lease_by_handle(struct state *state, const uint8_t handle_sha256[32],
                           struct store_lease *lease)
{
    bool is_found = false;

    (void)pthread_mutex_lock(&state->lock);
    is_found = copy_row(leases_by_handle(&state->leases, handle_sha256), lease);
    (void)pthread_mutex_unlock(&state->lock);
    return is_found;
}

size_t state_live_lease_count(struct state *state)
{
    size_t count = 0;

    (void)pthread_mutex_lock(&state->lock);
    count = state->leases.live_count;
    (void)pthread_mutex_unlock(&state->lock);
    return count;
}
