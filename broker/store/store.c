#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/metrics.h"
#include "store/store_internal.h"

#define SEGMENT_LEN_DEFAULT ((size_t)64 * 1024 * 1024)
#define SEGMENT_LEN_MIN ((size_t)4096)
#define SNAPSHOT_EVERY_MS ((int64_t)60 * 1000)

/* Without proposals the thread still sweeps, and looks whether space has come back. */
#define TICK_S 1
#define SWEEPS_A_TICK 4

/* More waiting than this would only wait longer. */
#define QUEUE_MAX 65536

/* The wall clock, but never back. */
static int64_t next_time_ms(const struct store *store)
{
    int64_t now_ms = clock_wall_ms();

    return now_ms > store->time_ms ? now_ms : store->time_ms;
}

/*
 * The time by which marks end: the clock's, but from the log's on it goes at most twice as fast as
 * time passes. A clock that jumps ahead and comes back must not make a used token good again.
 */
static int64_t marks_time_s(struct store *store)
{
    int64_t now_ms = clock_wall_ms();
    int64_t at_ms = clock_monotonic_ms();
    int64_t most_ms = store->marks_ms + 2 * (at_ms - store->marks_at_ms);
    int64_t next_ms = now_ms < most_ms ? now_ms : most_ms;

    store->marks_at_ms = at_ms;
    if (next_ms > store->marks_ms)
        store->marks_ms = next_ms;
    return (now_ms < store->marks_ms ? now_ms : store->marks_ms) / 1000;
}

static void fence(struct store *store)
{
    atomic_store(&store->is_fenced, true);
}

static struct log_position position_after(const struct store *store)
{
    return (struct log_position){
        .size = store->next_index,
        .segment = store->writer.first_index,
        .offset = store->writer.used,
        .last_frame = store->writer.last_frame,
        .last_index = store->batch.frame.first_index,
        .time_ms = store->time_ms,
    };
}

/* Make the batch's rows visible, then its size. */
static void apply_batch(struct store *store)
{
    const struct pending *pending = &store->batch.pending;
    int64_t now_s = marks_time_s(store);

    store->next_index += store->batch.frame.entry_count;
    store->time_ms = store->batch.time_ms;
    for (size_t i = 0; i < pending->count; i++) {
        const struct pending_change *item = &pending->changes[i];

        /* What is durable must be known: the rows are rebuilt by a new start. */
        if (!state_apply(store->state, item->change, item->index, now_s))
            fence(store);
    }
    (void)pthread_mutex_lock(&store->position_lock);
    store->position = position_after(store);
    (void)pthread_mutex_unlock(&store->position_lock);
    atomic_store(&store->size, store->next_index);
    metric_add(METRIC_LEDGER_ENTRIES, store->batch.frame.entry_count);
    metric_set(METRIC_LEASES_LIVE, (int64_t)store->state->leases.live_count);
}

static enum writer_outcome write_batch(struct store *store)
{
    struct batch *batch = &store->batch;
    struct str frame = { 0 };
    enum writer_outcome outcome = WRITER_DURABLE;
    int64_t start_ns = clock_monotonic_ns();

    if (batch->frame.entry_count == 0)
        return WRITER_DURABLE;
    if (atomic_load(&store->is_fenced))
        return WRITER_BROKEN;
    frame = frame_builder_finish(&batch->frame, batch->time_ms);
    outcome =
        writer_append(&store->writer, frame, batch->frame.first_index, batch->has_only_revocations);
    metric_time(METRIC_TIMER_COMMIT, clock_monotonic_ns() - start_ns);
    metric_add(outcome == WRITER_DURABLE ? METRIC_LEDGER_BATCHES : METRIC_LEDGER_FAILURES, 1);
    return outcome;
}

/* The batch was not written: nobody in it has anything. */
static void fail_batch(struct batch *batch, const char *cause)
{
    for (struct store_proposal *each = batch->first; each != NULL; each = each->next) {
        if (!each->is_committed)
            continue;
        each->is_committed = false;
        (void)error_set(&each->error, ERROR_LEDGER, "%s", cause);
    }
}

static void call_done(struct batch *batch)
{
    struct store_proposal *each = batch->first;

    while (each != NULL) {
        struct store_proposal *next = each->next;

        each->done(each, each->context); /* `each` may be gone afterwards */
        each = next;
    }
    batch->first = NULL;
    batch->end = &batch->first;
}

enum selection {
    SELECT_ALL,
    SELECT_REVOCATIONS, /* the others fail: there is no space for them */
};

/* Take proposals from the list until the batch is full. */
static void fill_batch(struct store *store, struct store_proposal **list, enum selection selection)
{
    struct batch *batch = &store->batch;
    int64_t now_s = marks_time_s(store);

    batch_start(batch, store->next_index, next_time_ms(store));
    while (*list != NULL && batch_has_room(batch, *list)) {
        struct store_proposal *proposal = *list;

        *list = proposal->next;
        if (selection == SELECT_REVOCATIONS && !proposal->is_revocation)
            batch_take_failed(batch, proposal, "no space left for the ledger");
        else
            batch_take(batch, store->state, proposal, now_s);
    }
}

/* Put what the batch took back in front of the list, as if it had not been looked at. */
static void give_back(struct batch *batch, struct store_proposal **list)
{
    for (struct store_proposal *each = batch->first; each != NULL; each = each->next) {
        each->is_committed = false;
        each->error = (struct error){ 0 };
    }
    *batch->end = *list;
    *list = batch->first;
}

static enum writer_outcome commit_some(struct store *store, struct store_proposal **list,
                                       enum selection selection)
{
    enum writer_outcome outcome = WRITER_DURABLE;

    fill_batch(store, list, selection);
    outcome = write_batch(store);
    if (outcome == WRITER_NO_SPACE)
        atomic_store(&store->is_full, true);
    if (outcome == WRITER_NO_SPACE && selection == SELECT_ALL) {
        give_back(&store->batch, list);
        return outcome;
    }
    if (outcome == WRITER_BROKEN)
        fence(store);
    if (outcome != WRITER_DURABLE)
        fail_batch(&store->batch, outcome == WRITER_BROKEN ? "the ledger met a write error"
                                                           : "no space left for the ledger");
    else if (store->batch.frame.entry_count > 0) {
        apply_batch(store);
        if (!store->batch.has_only_revocations)
            atomic_store(&store->is_full, false);
    }
    return outcome;
}

static void commit(struct store *store, struct store_proposal *list)
{
    while (list != NULL) {
        uint64_t size = store->next_index;

        if (commit_some(store, &list, SELECT_ALL) == WRITER_NO_SPACE)
            (void)commit_some(store, &list, SELECT_REVOCATIONS); /* the outcomes are set */
        call_done(&store->batch);
        if (store->next_index > size && store->on_commit != NULL)
            store->on_commit(store->next_index, store->on_commit_context);
    }
}

/* Marks are kept until an entry of a later time is there: after a restart they are known by it. */
static void sweep(struct store *store)
{
    int64_t marks_s = marks_time_s(store);

    if (marks_s > store->time_ms / 1000)
        marks_s = store->time_ms / 1000;
    for (size_t i = 0; i < SWEEPS_A_TICK; i++)
        state_sweep(store->state, marks_s, clock_wall_s());
}

static void tick(struct store *store)
{
    sweep(store);
    metric_set(METRIC_LEASES_LIVE, (int64_t)store->state->leases.live_count);
    if (!writer_is_sound(&store->writer))
        fence(store);
    if (atomic_load(&store->is_full) && writer_look_for_space(&store->writer))
        atomic_store(&store->is_full, false);
}

/* Wait for proposals or a tick; NULL with `*is_over` when closing and nothing is left. */
static struct store_proposal *take_queue(struct store *store, const struct timespec *tick_at,
                                         bool *is_over)
{
    struct store_proposal *list = NULL;
    int outcome = 0;

    (void)pthread_mutex_lock(&store->lock);
    while (store->first == NULL && !store->is_closing && outcome == 0)
        outcome = pthread_cond_timedwait(&store->wake, &store->lock, tick_at);
    list = store->first;
    store->first = NULL;
    store->end = &store->first;
    store->queued_count = 0;
    *is_over = list == NULL && store->is_closing;
    (void)pthread_mutex_unlock(&store->lock);
    return list;
}

static struct timespec next_tick(void)
{
    struct timespec at;

    (void)clock_gettime(CLOCK_MONOTONIC,
                        &at); /* for a wait of the system's, never moved by tests */
    at.tv_sec += TICK_S;
    return at;
}

static bool is_past(const struct timespec *at)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > at->tv_sec || (now.tv_sec == at->tv_sec && now.tv_nsec >= at->tv_nsec);
}

static void *run(void *context)
{
    struct store *store = context;
    struct timespec tick_at = next_tick();
    bool is_over = false;

    for (;;) {
        struct store_proposal *list = take_queue(store, &tick_at, &is_over);

        if (is_over)
            return NULL;
        commit(store, list);
        if (is_past(&tick_at)) {
            tick(store);
            tick_at = next_tick();
        }
    }
}

/* Runs on the second thread, and once more when closing. A failure leaves the old snapshot. */
static void write_snapshot(void *context)
{
    struct store *store = context;
    struct log_position position = { 0 };
    struct error error = { 0 };

    (void)pthread_mutex_lock(&store->position_lock);
    position = store->position;
    (void)pthread_mutex_unlock(&store->position_lock);
    if (atomic_load(&store->is_fenced) || position.size == store->snapshot_size)
        return;
    if (snapshot_write(store->folders.store, store->state, &position, &error))
        store->snapshot_size = position.size;
}

static bool open_folders(struct store *store, const char *location, struct error *error)
{
    struct store_folders *folders = &store->folders;

    if (!file_make_folder(location, 0700, error))
        return false;
    folders->store = open(location, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folders->store < 0)
        return error_set_errno(error, "%s: cannot open", location);
    if (mkdirat(folders->store, SEGMENT_FOLDER, 0700) != 0 && errno != EEXIST)
        return error_set_errno(error, "%s/" SEGMENT_FOLDER ": cannot make", location);
    folders->segments =
        openat(folders->store, SEGMENT_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (folders->segments < 0 || fsync(folders->store) != 0)
        return error_set_errno(error, "%s/" SEGMENT_FOLDER ": cannot open", location);
    return true;
}

static bool take_lock(struct store *store, const char *location, struct error *error)
{
    store->lock_file =
        openat(store->folders.store, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (store->lock_file < 0)
        return error_set_errno(error, "%s/lock: cannot open", location);
    if (flock(store->lock_file, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (errno == EWOULDBLOCK)
        return error_set(error, ERROR_IO, "%s: locked by another broker", location);
    return error_set_errno(error, "%s/lock: cannot lock", location);
}

static bool recover(struct store *store, const struct store_options *options, struct error *error)
{
    size_t segment_len = options->segment_bytes == 0 ? SEGMENT_LEN_DEFAULT : options->segment_bytes;
    bool is_torn = false;

    if (!recovery_run(&store->folders, &options->fold, store->state, &store->position, &is_torn,
                      error))
        return false;
    store->next_index = store->position.size;
    store->time_ms = store->position.time_ms;
    store->marks_ms = store->next_index > 0 ? store->time_ms : clock_wall_ms();
    store->marks_at_ms = clock_monotonic_ms();
    store->batch.frame.first_index = store->position.last_index;
    store->writer.folder = store->folders.segments;
    store->writer.first_index = store->position.segment;
    store->writer.used = store->position.offset;
    store->writer.last_frame = store->position.last_frame;
    store->writer.segment_len = segment_len < SEGMENT_LEN_MIN ? SEGMENT_LEN_MIN : segment_len;
    store->writer.grower.chore = write_snapshot;
    store->writer.grower.context = store;
    store->writer.grower.chore_every_ms = SNAPSHOT_EVERY_MS;
    atomic_store(&store->size, store->next_index);
    return writer_open(&store->writer, is_torn, error);
}

static bool init(struct store *store, struct error *error)
{
    pthread_condattr_t attributes;
    bool is_ok = false;

    store->folders = (struct store_folders){ -1, -1 };
    store->lock_file = -1;
    store->writer.file = -1;
    store->end = &store->first;
    if (pthread_condattr_init(&attributes) == 0) {
        is_ok = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                pthread_mutex_init(&store->lock, NULL) == 0 &&
                pthread_mutex_init(&store->position_lock, NULL) == 0 &&
                pthread_cond_init(&store->wake, &attributes) == 0;
        (void)pthread_condattr_destroy(&attributes);
    }
    store->state = state_new();
    if (!is_ok || store->state == NULL || !batch_init(&store->batch))
        return error_set(error, ERROR_MEMORY, "no memory for the store");
    return true;
}

static void close_file(int file)
{
    if (file >= 0)
        (void)close(file); /* folders and the lock: nothing to lose */
}

static void store_free(struct store *store)
{
    writer_close(&store->writer);
    batch_release(&store->batch);
    state_free(store->state);
    close_file(store->folders.segments);
    close_file(store->folders.store);
    close_file(store->lock_file);
    (void)pthread_cond_destroy(&store->wake);
    (void)pthread_mutex_destroy(&store->lock);
    (void)pthread_mutex_destroy(&store->position_lock);
    free(store);
}

bool store_open(const struct store_options *options, struct store **out, struct error *error)
{
    struct store *store = calloc(1, sizeof(*store));

    if (store == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for the store");
    if (!init(store, error) || !open_folders(store, options->location, error) ||
        !take_lock(store, options->location, error) || !recover(store, options, error)) {
        store_free(store);
        return error_wrap(error, "store %s", options->location);
    }
    if (pthread_create(&store->thread, NULL, run, store) != 0) {
        store_free(store);
        return error_set(error, ERROR_MEMORY, "cannot start the store's thread");
    }
    *out = store;
    return true;
}

void store_drain(struct store *store)
{
    bool is_drained = false;

    (void)pthread_mutex_lock(&store->lock);
    is_drained = store->is_closing;
    store->is_closing = true;
    (void)pthread_cond_signal(&store->wake);
    (void)pthread_mutex_unlock(&store->lock);
    if (!is_drained)
        (void)pthread_join(store->thread, NULL);
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    store_drain(store);
    writer_close(&store->writer);
    write_snapshot(store);
    store_free(store);
}

static bool entry_fits(const struct store_entry *entry)
{
    return entry->len > 0 && entry->len <= STORE_ENTRY_MAX &&
           entry->private_part.len <= STORE_PRIVATE_MAX && entry->time_offset <= entry->len &&
           entry->len - entry->time_offset >= TIME_TEXT_MS_LEN &&
           entry->change_count <= STORE_ENTRY_CHANGES_MAX;
}

static bool proposal_fits(const struct store_proposal *proposal)
{
    if (proposal->entry_count == 0 || proposal->entry_count > STORE_PROPOSAL_ENTRIES_MAX ||
        proposal->guard_count > STORE_PROPOSAL_GUARDS_MAX)
        return false;
    for (size_t i = 0; i < proposal->entry_count; i++) {
        if (!entry_fits(&proposal->entries[i]))
            return false;
    }
    return true;
}

bool store_submit(struct store *store, struct store_proposal *proposal, struct error *error)
{
    const char *refusal = NULL;

    if (!proposal_fits(proposal))
        return error_set(error, ERROR_LEDGER, "a proposal is larger than it may be");
    proposal->next = NULL;
    proposal->is_committed = false;
    proposal->error = (struct error){ 0 };
    (void)pthread_mutex_lock(&store->lock);
    if (store->is_closing)
        refusal = "the store is closing";
    else if (atomic_load(&store->is_fenced))
        refusal = "the store met a write error";
    else if (store->queued_count == QUEUE_MAX)
        refusal = "too many proposals wait for the store";
    if (refusal == NULL) {
        *store->end = proposal;
        store->end = &proposal->next;
        store->queued_count++;
        (void)pthread_cond_signal(&store->wake);
    }
    (void)pthread_mutex_unlock(&store->lock);
    return refusal == NULL || error_set(error, ERROR_LEDGER, "%s", refusal);
}

bool store_is_writable(const struct store *store)
{
    return !atomic_load(&store->is_fenced) && !atomic_load(&store->is_full);
}

bool store_is_fenced(const struct store *store)
{
    return atomic_load(&store->is_fenced);
}

uint64_t store_size(const struct store *store)
{
    return atomic_load(&store->size);
}

void store_on_commit(struct store *store, void (*function)(uint64_t size, void *context),
                     void *context)
{
    store->on_commit = function;
    store->on_commit_context = context;
}

bool store_lease_by_id(const struct store *store, struct str id, struct store_lease *lease)
{
    return id.len == ID_LEN && state_lease_by_id(store->state, id.data, lease);
}

bool store_lease_by_handle(const struct store *store, const uint8_t handle_sha256[32],
                           struct store_lease *lease)
{
    return state_lease_by_handle(store->state, handle_sha256, lease);
}

bool store_mark(const struct store *store, const uint8_t key[32], struct store_mark *mark)
{
    return state_mark(store->state, key, clock_wall_s(), mark);
}

bool store_has_mark(const struct store *store, const uint8_t mark[32])
{
    return state_has_mark(store->state, mark, clock_wall_s());
}

size_t store_live_lease_count(const struct store *store)
{
    return state_live_lease_count(store->state);
}
