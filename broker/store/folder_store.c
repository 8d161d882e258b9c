#include "store/folder_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/metrics.h"
#include "store/erasure.h"
#include "store/index.h"
#include "store/recovery.h"
#include "store/snapshot.h"
#include "store/state.h"
#include "store/store_internal.h"
#include "store/writer.h"

#define SEGMENT_LEN_DEFAULT ((size_t)64 * 1024 * 1024)
#define SEGMENT_LEN_MIN ((size_t)4096)
#define SNAPSHOT_EVERY_MS ((int64_t)60 * 1000)

/* Each tick sweeps, and looks whether space has come back. */
#define TICK_MS 1000
#define SWEEPS_A_TICK 4

/* How many leases end or are forgotten at once. */
#define ADVANCE_STEP ((size_t)1024)

/** Threads: shared */
struct folder_store {
    struct store store; /* first, so that either is the other */
    struct store_folders folders;
    int lock_file; /* flock()ed as long as the store is open */
    struct state *state;

    /* the store's thread's alone */
    struct writer writer;
    struct batch batch;
    uint64_t next_index;

    pthread_mutex_t position_lock;
    struct log_position position; /* guarded by position_lock: all before it is in `state` */
    uint64_t snapshot_size;       /* the second thread's, then the closing one's */
};

static struct folder_store *folder_of(struct store *store)
{
    return (struct folder_store *)store;
}

static const struct folder_store *folder_of_const(const struct store *store)
{
    return (const struct folder_store *)store;
}

static struct log_position position_after(const struct folder_store *folder)
{
    return (struct log_position){
        .size = folder->next_index,
        .segment = folder->writer.first_index,
        .offset = folder->writer.used,
        .last_frame = folder->writer.last_frame,
        .last_index = folder->batch.frame.first_index,
        .time_ms = folder->store.time_ms,
    };
}

/* Make the batch's rows visible, then its size. */
static void apply_batch(struct folder_store *folder)
{
    const struct pending *pending = &folder->batch.pending;
    int64_t marks_s = store_marks_time_s(&folder->store);

    folder->next_index += folder->batch.frame.entry_count;
    folder->store.time_ms = folder->batch.time_ms;
    /* What is durable must be known: the rows are rebuilt by a new start. */
    if (!state_apply_all(folder->state, pending->changes, pending->count, marks_s))
        store_fence(&folder->store);
    atomic_store(&folder->store.blocks_version, folder->state->blocks.version);
    (void)pthread_mutex_lock(&folder->position_lock);
    folder->position = position_after(folder);
    (void)pthread_mutex_unlock(&folder->position_lock);
    atomic_store(&folder->store.size, folder->next_index);
    metric_add(METRIC_LEDGER_ENTRIES, folder->batch.frame.entry_count);
    metric_set(METRIC_LEASES_LIVE, (int64_t)folder->state->leases.live_count);
}

static enum writer_outcome write_batch(struct folder_store *folder)
{
    struct batch *batch = &folder->batch;
    struct str frame = { 0 };
    enum writer_outcome outcome = WRITER_DURABLE;
    int64_t start_ns = clock_monotonic_ns();

    if (batch->frame.entry_count == 0)
        return WRITER_DURABLE;
    if (atomic_load(&folder->store.is_fenced))
        return WRITER_BROKEN;
    frame = frame_builder_finish(&batch->frame, batch->time_ms);
    outcome = writer_append(&folder->writer, frame, batch->frame.first_index,
                            batch->has_only_revocations);
    metric_time(METRIC_TIMER_COMMIT, clock_monotonic_ns() - start_ns);
    metric_add(outcome == WRITER_DURABLE ? METRIC_LEDGER_BATCHES : METRIC_LEDGER_FAILURES, 1);
    return outcome;
}

enum selection {
    SELECT_ALL,
    SELECT_REVOCATIONS, /* the others fail: there is no space for them */
};

/* Whether leases that live are counted, so that those that ended must not be among them. */
static bool counts_live(const struct store_proposal *proposal)
{
    for (size_t i = 0; i < proposal->guard_count; i++)
        if (proposal->guards[i].kind == STORE_GUARD_FEWER_LIVE)
            return true;
    return false;
}

/* In steps, so that nobody waits for the lock for long. */
static void advance_all(struct folder_store *folder)
{
    while (!state_advance(folder->state, clock_wall_s(), ADVANCE_STEP))
        ;
}

/* Where many leases end in one second proposals go before them, each batch with one step. */
static void advance_idly(struct folder_store *folder)
{
    while (!state_advance(folder->state, clock_wall_s(), ADVANCE_STEP) &&
           !store_is_busy(&folder->store))
        ;
}

#define CACHE_LINE ((size_t)64)

static void fetch(const void *start, size_t len)
{
    for (size_t i = 0; i < len; i += CACHE_LINE)
        __builtin_prefetch((const char *)start + i);
}

/* The usual parts of a proposal: one guard, and an entry with a mark and a lease. */
static void fetch_proposal(const struct store_proposal *proposal)
{
    const struct store_entry *entry = &proposal->entries[0];

    fetch(&proposal->entry_count, 2 * CACHE_LINE);
    fetch(&proposal->is_revocation, 2 * CACHE_LINE);
    fetch(entry, offsetof(struct store_entry, changes) + CACHE_LINE);
    fetch(&entry->changes[1], sizeof(entry->changes[1].kind) + 3 * CACHE_LINE);
}

/* What another thread wrote takes long to come: the next two proposals are asked for ahead. */
static void expect(const struct folder_store *folder, const struct store_proposal *next)
{
    if (next == NULL)
        return;
    if (next->next != NULL)
        fetch_proposal(next->next);
    state_expect(folder->state, next);
}

/* Take proposals from the list until the batch is full. */
static void fill_batch(struct folder_store *folder, struct store_proposal **list,
                       enum selection selection)
{
    struct batch *batch = &folder->batch;
    struct state_times times = {
        .marks_s = store_marks_time_s(&folder->store),
        .rows_s = clock_wall_s(),
    };

    batch_start(batch, folder->next_index, store_next_time_ms(&folder->store), &times);
    while (*list != NULL && batch_has_room(batch, *list)) {
        struct store_proposal *proposal = *list;

        *list = proposal->next;
        expect(folder, *list);
        if (selection == SELECT_REVOCATIONS && !proposal->is_revocation)
            batch_take_failed(batch, proposal, "no space left for the ledger");
        else {
            if (counts_live(proposal))
                advance_all(folder);
            batch_take(batch, folder->state, proposal);
        }
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

static enum writer_outcome commit_some(struct folder_store *folder, struct store_proposal **list,
                                       enum selection selection)
{
    enum writer_outcome outcome = WRITER_DURABLE;

    fill_batch(folder, list, selection);
    outcome = write_batch(folder);
    if (outcome == WRITER_NO_SPACE)
        atomic_store(&folder->store.is_full, true);
    if (outcome == WRITER_NO_SPACE && selection == SELECT_ALL) {
        give_back(&folder->batch, list);
        return outcome;
    }
    if (outcome == WRITER_BROKEN)
        store_fence(&folder->store);
    if (outcome != WRITER_DURABLE)
        store_fail_batch(&folder->batch, outcome == WRITER_BROKEN ? "the ledger met a write error"
                                                                  : "no space left for the ledger");
    else if (folder->batch.frame.entry_count > 0) {
        apply_batch(folder);
        if (!folder->batch.has_only_revocations)
            atomic_store(&folder->store.is_full, false);
    }
    return outcome;
}

static void commit(struct store *store, struct store_proposal *list)
{
    struct folder_store *folder = folder_of(store);

    while (list != NULL) {
        uint64_t size = folder->next_index;

        if (commit_some(folder, &list, SELECT_ALL) == WRITER_NO_SPACE)
            (void)commit_some(folder, &list, SELECT_REVOCATIONS); /* the outcomes are set */
        store_call_done(&folder->batch);
        (void)state_advance(folder->state, clock_wall_s(), ADVANCE_STEP); /* ticks do the rest */
        if (folder->next_index > size && store->on_commit != NULL)
            store->on_commit(folder->next_index, store->on_commit_context);
    }
}

/* Marks are kept until an entry of a later time is there: after a restart they are known by it. */
static void sweep(struct folder_store *folder)
{
    int64_t marks_s = store_marks_time_s(&folder->store);

    if (marks_s > folder->store.time_ms / 1000)
        marks_s = folder->store.time_ms / 1000;
    for (size_t i = 0; i < SWEEPS_A_TICK; i++)
        state_sweep(folder->state, marks_s);
    advance_idly(folder);
}

static void tick(struct store *store)
{
    struct folder_store *folder = folder_of(store);

    sweep(folder);
    metric_set(METRIC_LEASES_LIVE, (int64_t)folder->state->leases.live_count);
    if (!writer_is_sound(&folder->writer))
        store_fence(&folder->store);
    if (atomic_load(&folder->store.is_full) && writer_look_for_space(&folder->writer))
        atomic_store(&folder->store.is_full, false);
}

/* Runs on the second thread, and once more when closing. A failure leaves the old snapshot. */
static void write_snapshot(void *context)
{
    struct folder_store *folder = context;
    struct log_position position = { 0 };
    struct error error = { 0 };

    (void)pthread_mutex_lock(&folder->position_lock);
    position = folder->position;
    (void)pthread_mutex_unlock(&folder->position_lock);
    if (atomic_load(&folder->store.is_fenced) || position.size == folder->snapshot_size)
        return;
    if (snapshot_write(folder->folders.store, folder->state, &position, &error))
        folder->snapshot_size = position.size;
}

static bool open_folders(struct folder_store *folder, const char *location, struct error *error)
{
    struct store_folders *folders = &folder->folders;

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

static bool take_lock(struct folder_store *folder, const char *location, struct error *error)
{
    folder->lock_file =
        openat(folder->folders.store, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (folder->lock_file < 0)
        return error_set_errno(error, "%s/lock: cannot open", location);
    if (flock(folder->lock_file, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (errno == EWOULDBLOCK)
        return error_set(error, ERROR_IO, "%s: locked by another broker", location);
    return error_set_errno(error, "%s/lock: cannot lock", location);
}

static bool recover(struct folder_store *folder, const struct store_options *options,
                    struct error *error)
{
    size_t segment_len = options->segment_bytes == 0 ? SEGMENT_LEN_DEFAULT : options->segment_bytes;
    bool is_torn = false;

    if (options->reads_all && unlinkat(folder->folders.store, SNAPSHOT_NAME, 0) != 0 &&
        errno != ENOENT)
        return error_set_errno(error, SNAPSHOT_NAME ": cannot remove");
    if (!recovery_run(&folder->folders, &options->fold, folder->state, &folder->position, &is_torn,
                      error))
        return false;
    folder->next_index = folder->position.size;
    store_begin_at(&folder->store, folder->position.size, folder->position.time_ms);
    atomic_store(&folder->store.blocks_version, folder->state->blocks.version);
    advance_all(folder);
    state_begin(folder->state, clock_wall_s());
    folder->batch.frame.first_index = folder->position.last_index;
    folder->writer.folder = folder->folders.segments;
    folder->writer.first_index = folder->position.segment;
    folder->writer.used = folder->position.offset;
    folder->writer.last_frame = folder->position.last_frame;
    folder->writer.segment_len = segment_len < SEGMENT_LEN_MIN ? SEGMENT_LEN_MIN : segment_len;
    folder->writer.grower.chore = write_snapshot;
    folder->writer.grower.context = folder;
    folder->writer.grower.chore_every_ms = SNAPSHOT_EVERY_MS;
    return writer_open(&folder->writer, is_torn, error);
}

static void close_file(int file)
{
    if (file >= 0)
        (void)close(file); /* folders and the lock: nothing to lose */
}

static void folder_free(struct folder_store *folder)
{
    writer_close(&folder->writer);
    batch_release(&folder->batch);
    state_free(folder->state);
    close_file(folder->folders.segments);
    close_file(folder->folders.store);
    close_file(folder->lock_file);
    (void)pthread_mutex_destroy(&folder->position_lock);
    store_release(&folder->store);
    free(folder);
}

static void close_store(struct store *store)
{
    struct folder_store *folder = folder_of(store);

    writer_close(&folder->writer);
    write_snapshot(folder);
    folder_free(folder);
}

static bool tell_lease(bool is_found, struct error *error)
{
    return is_found || error_set(error, ERROR_NOT_FOUND, "there is no such lease");
}

static bool lease_by_id(const struct store *store, const char id[ID_LEN], struct store_lease *lease,
                        struct error *error)
{
    return tell_lease(state_lease_by_id(folder_of_const(store)->state, id, lease), error);
}

static bool lease_by_handle(const struct store *store, const uint8_t handle[STORE_HANDLE_LEN],
                            struct store_lease *lease, struct error *error)
{
    return tell_lease(state_lease_by_handle(folder_of_const(store)->state, handle, lease), error);
}

static bool find_mark(const struct store *store, const uint8_t key[32], struct store_mark *mark,
                      struct error *error)
{
    return state_mark(folder_of_const(store)->state, key, clock_wall_s(), mark) ||
           error_set(error, ERROR_NOT_FOUND, "there is no such mark");
}

static bool all_blocks(const struct store *store, struct store_blocks *blocks, struct error *error)
{
    (void)error; /* they are in memory */
    state_blocks(folder_of_const(store)->state, blocks);
    return true;
}

static bool find_approval(const struct store *store, enum approval_key by, const void *key,
                          struct store_approval *approval, struct error *error)
{
    return state_approval(folder_of_const(store)->state, by, key, approval) ||
           error_set(error, ERROR_NOT_FOUND, "there is no such approval");
}

static bool approvals_of(const struct store *store, const uint8_t digest[32],
                         struct store_approval *approvals, size_t max, size_t *count,
                         struct error *error)
{
    (void)error; /* they are in memory */
    *count =
        state_approvals_of(folder_of_const(store)->state, digest, clock_wall_s(), approvals, max);
    return true;
}

static bool open_approvals(const struct store *store, struct store_approval *approvals, size_t max,
                           size_t *count, struct error *error)
{
    return state_approvals(folder_of_const(store)->state, clock_wall_s(), approvals, max, count) ||
           error_set(error, ERROR_MEMORY, "no memory for approvals");
}

static bool beat(struct store *store, const uint8_t handle[STORE_HANDLE_LEN],
                 struct store_lease *lease, struct error *error)
{
    return tell_lease(state_beat(folder_of(store)->state, handle, clock_wall_s(), lease), error);
}

static bool claim_due(struct store *store, int64_t again_s, struct store_claims *claims,
                      struct error *error)
{
    (void)error; /* they are in memory */
    claims->count = state_claim_due(folder_of(store)->state, clock_wall_s(), again_s,
                                    claims->leases, claims->max);
    return true;
}

static bool put_off(struct store *store, const char id[ID_LEN], int64_t due_s, struct error *error)
{
    (void)error; /* the same */
    state_put_off(folder_of(store)->state, id, due_s);
    return true;
}

static size_t owed_count(const struct store *store, int64_t *oldest_ended_s)
{
    return state_owed_count(folder_of_const(store)->state, oldest_ended_s);
}

static bool leases_under(const struct store *store, const struct store_leases_query *query,
                         size_t *count, struct error *error)
{
    (void)error; /* they are in memory */
    *count = state_leases_under(folder_of_const(store)->state, query->kind, query->key,
                                query->leases, query->max);
    return true;
}

static bool live_of_stage(const struct store *store, const struct store_leases_query *query,
                          size_t *live, struct error *error)
{
    (void)error; /* they are in memory */
    *live = state_live_of_stage(folder_of_const(store)->state, query->key, clock_wall_s(),
                                query->leases, query->max);
    return true;
}

static size_t live_lease_count(const struct store *store)
{
    return state_live_lease_count(folder_of_const(store)->state);
}

static bool new_reader(const struct store *store, struct store_reader **reader, struct error *error)
{
    return folder_reader_new(store, folder_of_const(store)->folders.segments, reader, error);
}

/* Nothing is certain of a disk that failed: it needs a new start, which finishes the erasure. */
static bool erase(struct store *store, const uint64_t *indices, size_t count, struct error *error)
{
    const struct store_folders *folders = &folder_of(store)->folders;

    if (!erasure_note(folders, indices, count, error))
        return false;
    if (erasure_run(folders, indices, count, error))
        return true;
    if (error->code == ERROR_IO)
        store_fence(store);
    return false;
}

static bool prune(struct store *store, uint64_t from, uint64_t below, uint64_t *to,
                  struct error *error)
{
    const struct store_folders *folders = &folder_of(store)->folders;
    OWNED(pruning_release) struct pruning pruning = { 0 };

    if (!pruning_plan(folders, from, below, &pruning, error))
        return false;
    *to = from + pruning.count;
    if (pruning.count == 0)
        return true;
    if (!pruning_note(folders, &pruning, error))
        return false;
    if (pruning_run(folders, &pruning, error))
        return true;
    if (error->code == ERROR_IO)
        store_fence(store);
    return false;
}

static bool end_erasure(struct store *store, struct error *error)
{
    return erasure_end(&folder_of(store)->folders, error);
}

static bool oldest_live(const struct store *store, uint64_t *index, struct error *error)
{
    (void)error;
    *index = state_oldest_live(folder_of_const(store)->state, clock_wall_s());
    return true;
}

/* An erasure that was interrupted is finished; what an index may know of it nobody can tell. */
static bool finish_erasure(const struct folder_store *folder, const char *location,
                           struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    const char *index = NULL;
    bool was_interrupted = false;

    if (!erasure_resume(&folder->folders, &was_interrupted, error))
        return false;
    if (!was_interrupted)
        return true;
    index = arena == NULL ? NULL : file_join(arena, location, STORE_INDEX_NAME);
    if (index == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for the store");
    return store_index_remove(index, error) && erasure_end(&folder->folders, error);
}

/* The position stays where it was: no snapshot may say that rows were made of these entries. */
static bool import(struct store *store, const struct store_import_item *items, size_t count,
                   struct error *error)
{
    struct folder_store *folder = folder_of(store);
    struct frame_builder *builder = &folder->batch.frame;
    enum writer_outcome outcome = WRITER_DURABLE;
    struct str frame = { 0 };

    frame_builder_clear(builder, folder->next_index);
    for (size_t i = 0; i < count; i++)
        frame_builder_add(builder, items[i].entry, items[i].private_part);
    frame = frame_builder_finish(builder, items[count - 1].time_ms);
    outcome = writer_append(&folder->writer, frame, folder->next_index, false);
    if (outcome != WRITER_DURABLE)
        return error_set(error, ERROR_IO,
                         outcome == WRITER_NO_SPACE ? "no space left for the ledger"
                                                    : "the ledger met a write error");
    folder->next_index += count;
    atomic_store(&store->size, folder->next_index);
    return true;
}

static const struct store_backend folder_backend = {
    .tick_ms = TICK_MS,
    .commit = commit,
    .tick = tick,
    .close = close_store,
    .lease_by_id = lease_by_id,
    .lease_by_handle = lease_by_handle,
    .mark = find_mark,
    .blocks = all_blocks,
    .live_lease_count = live_lease_count,
    .leases_under = leases_under,
    .live_of_stage = live_of_stage,
    .approval = find_approval,
    .approvals_of = approvals_of,
    .approvals = open_approvals,
    .beat = beat,
    .claim_due = claim_due,
    .put_off = put_off,
    .owed_count = owed_count,
    .reader_new = new_reader,
    .import = import,
    .erase = erase,
    .prune = prune,
    .oldest_live = oldest_live,
    .end_erasure = end_erasure,
};

static bool init(struct folder_store *folder, struct error *error)
{
    folder->folders = (struct store_folders){ -1, -1 };
    folder->lock_file = -1;
    folder->writer.file = -1;
    folder->state = state_new();
    if (!store_init(&folder->store, &folder_backend, error))
        return false;
    if (pthread_mutex_init(&folder->position_lock, NULL) != 0 || folder->state == NULL ||
        !batch_init(&folder->batch))
        return error_set(error, ERROR_MEMORY, "no memory for the store");
    return true;
}

bool folder_store_open(const struct store_options *options, struct store **out, struct error *error)
{
    struct folder_store *folder = calloc(1, sizeof(*folder));

    if (folder == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for the store");
    if (!init(folder, error) || !open_folders(folder, options->location, error) ||
        !take_lock(folder, options->location, error) ||
        !finish_erasure(folder, options->location, error) || !recover(folder, options, error)) {
        folder_free(folder);
        return false;
    }
    *out = &folder->store;
    return true;
}
