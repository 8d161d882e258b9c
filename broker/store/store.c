#include "store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "pg/dsn.h"
#include "store/folder_store.h"
#include "store/pg_store.h"
#include "store/store_internal.h"

/* More waiting than this would only wait longer. */
#define QUEUE_MAX 65536

int64_t store_next_time_ms(const struct store *store)
{
    int64_t now_ms = clock_wall_ms();

    return now_ms > store->time_ms ? now_ms : store->time_ms;
}

int64_t store_marks_time_s(struct store *store)
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

void store_fence(struct store *store)
{
    atomic_store(&store->is_fenced, true);
}

void store_fail_batch(struct batch *batch, const char *cause)
{
    for (struct store_proposal *each = batch->first; each != NULL; each = each->next) {
        if (!each->is_committed)
            continue;
        each->is_committed = false;
        (void)error_set(&each->error, ERROR_LEDGER, "%s", cause);
    }
}

void store_call_done(struct batch *batch)
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

void store_fail_queue(struct store *store, const char *cause)
{
    struct store_proposal *list = NULL;

    (void)pthread_mutex_lock(&store->lock);
    list = store->first;
    store->first = NULL;
    store->end = &store->first;
    store->queued_count = 0;
    (void)pthread_mutex_unlock(&store->lock);
    while (list != NULL) {
        struct store_proposal *each = list;

        list = each->next;
        each->failed_guard = each->guard_count;
        (void)error_set(&each->error, ERROR_LEDGER, "%s", cause);
        each->done(each, each->context); /* `each` may be gone afterwards */
    }
}

bool store_is_closing(struct store *store)
{
    bool is_closing = false;

    (void)pthread_mutex_lock(&store->lock);
    is_closing = store->is_closing;
    (void)pthread_mutex_unlock(&store->lock);
    return is_closing;
}

bool store_is_busy(struct store *store)
{
    bool is_busy = false;

    (void)pthread_mutex_lock(&store->lock);
    is_busy = store->first != NULL;
    (void)pthread_mutex_unlock(&store->lock);
    return is_busy;
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

static struct timespec next_tick(const struct store *store)
{
    struct timespec at;

    (void)clock_gettime(CLOCK_MONOTONIC,
                        &at); /* for a wait of the system's, never moved by tests */
    at.tv_sec += store->backend->tick_ms / 1000;
    at.tv_nsec += (long)(store->backend->tick_ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

static bool is_past(const struct timespec *at)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > at->tv_sec || (now.tv_sec == at->tv_sec && now.tv_nsec >= at->tv_nsec);
}

/* Without proposals the thread still has its housekeeping. */
static void *run(void *context)
{
    struct store *store = context;
    struct timespec tick_at = next_tick(store);
    bool is_over = false;

    for (;;) {
        struct store_proposal *list = take_queue(store, &tick_at, &is_over);

        if (is_over)
            return NULL;
        if (list != NULL)
            store->backend->commit(store, list);
        if (is_past(&tick_at)) {
            store->backend->tick(store);
            tick_at = next_tick(store);
        }
    }
}

bool store_init(struct store *store, const struct store_backend *backend, struct error *error)
{
    pthread_condattr_t attributes;
    bool is_ok = false;

    store->backend = backend;
    store->end = &store->first;
    if (pthread_condattr_init(&attributes) == 0) {
        is_ok = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                pthread_mutex_init(&store->lock, NULL) == 0 &&
                pthread_mutex_init(&store->erasing, NULL) == 0 &&
                pthread_cond_init(&store->wake, &attributes) == 0;
        (void)pthread_condattr_destroy(&attributes);
    }
    return is_ok || error_set(error, ERROR_MEMORY, "no memory for the store");
}

void store_release(struct store *store)
{
    (void)pthread_cond_destroy(&store->wake);
    (void)pthread_mutex_destroy(&store->lock);
    (void)pthread_mutex_destroy(&store->erasing);
}

void store_begin_at(struct store *store, uint64_t size, int64_t time_ms)
{
    store->time_ms = time_ms;
    store->marks_ms = size > 0 ? time_ms : clock_wall_ms();
    store->marks_at_ms = clock_monotonic_ms();
    atomic_store(&store->size, size);
}

bool store_open(const struct store_options *options, struct store **out, struct error *error)
{
    bool is_database = options->dsn_file != NULL || pg_dsn_is_url(options->location);
    struct store *store = NULL;

    if (is_database && !pg_store_open(options, &store, error))
        return error_wrap(error, "store");
    if (!is_database && !folder_store_open(options, &store, error))
        return error_wrap(error, "store %s", options->location);
    if (pthread_create(&store->thread, NULL, run, store) != 0) {
        store->backend->close(store);
        return error_set(error, ERROR_MEMORY, "cannot start the store's thread");
    }
    *out = store;
    return true;
}

bool store_migrate(const char *dsn_file, struct error *error)
{
    return pg_store_migrate(dsn_file, error);
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
    store->backend->close(store);
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

/* What did not forget once is made anew by the next start, which needs a note: the last stays. */
static bool end_erasure(struct store *store, bool (*forget)(void *context, struct error *error),
                        void *context, struct error *error)
{
    if (forget != NULL && !forget(context, error)) {
        store->must_start_anew = true;
        return false;
    }
    return store->must_start_anew || store->backend->end_erasure == NULL ||
           store->backend->end_erasure(store, error);
}

static bool erase(struct store *store, const uint64_t *indices, size_t count,
                  bool (*forget)(void *context, struct error *error), void *context,
                  struct error *error)
{
    bool is_erased = store->backend->erase(store, indices, count, error);

    /* Also where it failed: a part of it may be gone. */
    (void)atomic_fetch_add(&store->erasures, 1);
    return is_erased && end_erasure(store, forget, context, error);
}

/* NOLINTNEXTLINE(readability-function-size): a function and its context are two parameters */
bool store_erase(struct store *store, const uint64_t *indices, size_t count,
                 bool (*forget)(void *context, struct error *error), void *context,
                 struct error *error)
{
    bool is_erased = false;

    if (count == 0)
        return true;
    if (count > STORE_ERASE_MAX || indices[count - 1] >= store_size(store))
        return error_set(error, ERROR_INVALID, "more to erase than there is, or at once may be");
    if (store_is_fenced(store))
        return error_set(error, ERROR_LEDGER, "the store met a write error");
    (void)pthread_mutex_lock(&store->erasing);
    is_erased = erase(store, indices, count, forget, context, error);
    (void)pthread_mutex_unlock(&store->erasing);
    return is_erased;
}

bool store_entry_is_pruned(struct str entry)
{
    return entry.len == STORE_PRUNED_LEN && entry.data[0] == '\0';
}

/* From `*to` on. */
static bool prune(struct store *store, uint64_t below, uint64_t *to,
                  bool (*forget)(void *context, struct error *error), void *context,
                  struct error *error)
{
    bool is_pruned = store->backend->prune(store, *to, below, to, error);

    (void)atomic_fetch_add(&store->erasures, 1);
    return is_pruned && end_erasure(store, forget, context, error);
}

/* NOLINTNEXTLINE(readability-function-size): a range, and a function with its context */
bool store_prune(struct store *store, uint64_t from, uint64_t below, uint64_t *to,
                 bool (*forget)(void *context, struct error *error), void *context,
                 struct error *error)
{
    uint64_t size = store_size(store);
    bool is_pruned = false;

    *to = from;
    if (size == 0 || from >= size - 1)
        return true;
    if (below > size - 1)
        below = size - 1;
    if (below > from + STORE_PRUNE_MAX)
        below = from + STORE_PRUNE_MAX;
    if (below <= from)
        return true;
    if (store_is_fenced(store))
        return error_set(error, ERROR_LEDGER, "the store met a write error");
    (void)pthread_mutex_lock(&store->erasing);
    is_pruned = prune(store, below, to, forget, context, error);
    (void)pthread_mutex_unlock(&store->erasing);
    return is_pruned;
}

bool store_oldest_live(const struct store *store, uint64_t *index, struct error *error)
{
    return store->backend->oldest_live(store, index, error);
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

bool store_lease_by_id(const struct store *store, struct str id, struct store_lease *lease,
                       struct error *error)
{
    if (id.len != ID_LEN)
        return error_set(error, ERROR_NOT_FOUND, "there is no such lease");
    return store->backend->lease_by_id(store, id.data, lease, error);
}

bool store_lease_by_handle(const struct store *store, const uint8_t handle[STORE_HANDLE_LEN],
                           struct store_lease *lease, struct error *error)
{
    return store->backend->lease_by_handle(store, handle, lease, error);
}

bool store_mark(const struct store *store, const uint8_t key[32], struct store_mark *mark,
                struct error *error)
{
    return store->backend->mark(store, key, mark, error);
}

bool store_blocks(const struct store *store, struct store_blocks *blocks, struct error *error)
{
    return store->backend->blocks(store, blocks, error);
}

uint64_t store_blocks_version(const struct store *store)
{
    return atomic_load(&store->blocks_version);
}

/* NOLINTNEXTLINE(readability-function-size): a key is two parameters, and so is an array */
bool store_leases_under(const struct store *store, enum store_lease_key kind,
                        const uint8_t key[STORE_KEY_LEN], struct store_lease *leases, size_t max,
                        size_t *count, struct error *error)
{
    struct store_leases_query query = { kind, key, leases, max };

    *count = 0;
    return (unsigned)kind >= STORE_KEY_COUNT ||
           store->backend->leases_under(store, &query, count, error);
}

bool store_live_of_stage(const struct store *store, const uint8_t key[STORE_KEY_LEN],
                         struct store_lease *leases, size_t max, size_t *live, struct error *error)
{
    struct store_leases_query query = { STORE_KEY_STAGE, key, leases, max };

    *live = 0;
    return store->backend->live_of_stage(store, &query, live, error);
}

bool store_approval_by_id(const struct store *store, struct str id, struct store_approval *approval,
                          struct error *error)
{
    if (id.len != ID_LEN)
        return error_set(error, ERROR_NOT_FOUND, "there is no such approval");
    return store->backend->approval(store, APPROVAL_BY_ID, id.data, approval, error);
}

bool store_approval_by_code(const struct store *store, const uint8_t code_sha256[32],
                            struct store_approval *approval, struct error *error)
{
    return store->backend->approval(store, APPROVAL_BY_CODE, code_sha256, approval, error);
}

bool store_approvals_of(const struct store *store, const uint8_t digest[32],
                        struct store_approval *approvals, size_t max, size_t *count,
                        struct error *error)
{
    *count = 0;
    return store->backend->approvals_of(store, digest, approvals, max, count, error);
}

bool store_approvals(const struct store *store, struct store_approval *approvals, size_t max,
                     size_t *count, struct error *error)
{
    *count = 0;
    return store->backend->approvals(store, approvals, max, count, error);
}

bool store_beat(struct store *store, const uint8_t handle[STORE_HANDLE_LEN],
                struct store_lease *lease, struct error *error)
{
    return store->backend->beat(store, handle, lease, error);
}

bool store_claim_due(struct store *store, int64_t again_s, struct store_claims *claims,
                     struct error *error)
{
    claims->count = 0;
    claims->ahead_s = 0;
    return claims->max == 0 ||
           store->backend->claim_due(store, again_s < 1 ? 1 : again_s, claims, error);
}

bool store_put_off(struct store *store, const char id[ID_LEN], int64_t due_s, struct error *error)
{
    return store->backend->put_off(store, id, due_s, error);
}

size_t store_owed_count(const struct store *store, int64_t *oldest_ended_s)
{
    *oldest_ended_s = 0;
    return store->backend->owed_count(store, oldest_ended_s);
}

size_t store_live_lease_count(const struct store *store)
{
    return store->backend->live_lease_count(store);
}

bool store_offer_checkpoint(const struct store *store, uint64_t size, struct str note,
                            struct arena *arena, struct str *newest, struct error *error)
{
    if (store->backend->offer_checkpoint != NULL)
        return store->backend->offer_checkpoint(store, size, note, arena, newest, error);
    *newest = arena_copy(arena, note);
    return newest->data != NULL || error_set(error, ERROR_MEMORY, "no memory for a checkpoint");
}

bool store_newest_checkpoint(const struct store *store, struct arena *arena, struct str *newest,
                             struct error *error)
{
    *newest = (struct str){ 0 };
    return store->backend->newest_checkpoint == NULL ||
           store->backend->newest_checkpoint(store, arena, newest, error);
}

bool store_read_checkpoint(const char *location, struct arena *arena, struct str *note,
                           struct error *error)
{
    *note = (struct str){ 0 };
    return !pg_dsn_is_url(location) || pg_reader_checkpoint(location, arena, note, error) ||
           error_wrap(error, "store");
}

bool store_reader_new(const struct store *store, struct store_reader **reader, struct error *error)
{
    return store->backend->reader_new(store, reader, error);
}

bool store_reader_open(const char *location, struct store_reader **reader, struct error *error)
{
    if (pg_dsn_is_url(location))
        return pg_reader_open(location, reader, error) || error_wrap(error, "store");
    return folder_reader_open(location, reader, error);
}

void store_reader_close(struct store_reader *reader)
{
    if (reader != NULL)
        reader->backend->close(reader);
}

bool store_reader_refresh(struct store_reader *reader, struct error *error)
{
    return reader->backend->refresh(reader, error);
}

uint64_t store_reader_size(const struct store_reader *reader)
{
    return reader->size;
}

bool store_reader_get(struct store_reader *reader, uint64_t index, struct str *entry,
                      struct str *private_part, struct error *error)
{
    return reader->backend->get(reader, index, entry, private_part, error);
}

bool store_reader_place(const struct store_reader *reader, struct store_place *place)
{
    return reader->backend->place && reader->backend->place(reader, place);
}

void store_reader_hint(struct store_reader *reader, const struct store_place *place)
{
    if (reader->backend->hint)
        reader->backend->hint(reader, place);
}
