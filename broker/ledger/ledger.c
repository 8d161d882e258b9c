#include "ledger/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "ledger/block.h"
#include "ledger/eraser.h"
#include "ledger/indexer.h"
#include "ledger/inquiry.h"
#include "ledger/ledger_internal.h"
#include "ledger/ledger_parts.h"
#include "ledger/note.h"
#include "ledger/proposals.h"
#include "ledger/publisher.h"

#define VERIFIER_MAX ((size_t)4096)
#define APPEND_NOW_MAX ((size_t)2 * 1024 * 1024)

static char *copy_text(struct str text)
{
    char *copy = malloc(text.len + 1);

    if (copy != NULL) {
        memcpy(copy, text.data, text.len);
        copy[text.len] = '\0';
    }
    return copy;
}

static char *path_in(const char *store, const char *name)
{
    size_t len = strlen(store) + strlen(name) + 2;
    char *path = malloc(len);

    if (path != NULL)
        (void)snprintf(path, len, "%s/%s", store, name);
    return path;
}

/* On the store's thread. */
static void note_commit(uint64_t size, void *context)
{
    struct ledger *ledger = context;

    publisher_commit(size, ledger->publisher);
    if (ledger->indexer)
        indexer_commit(size, ledger->indexer);
}

/* Both threads know of each other: the reader is told how far the index is. */
static bool start_index(struct ledger *ledger, struct error *error)
{
    struct indexer_options options = {
        .store = ledger->store,
        .path = ledger->index_path,
        .progressed = inquiries_progressed,
    };

    if (!inquiries_start(ledger->store, ledger->index_path, &ledger->inquiries, error))
        return false;
    options.context = ledger->inquiries;
    if (!indexer_start(&options, &ledger->indexer, error))
        return false;
    inquiries_follow(ledger->inquiries, ledger->indexer);
    return true;
}

static bool open_tiles(struct ledger *ledger, struct arena *arena, struct error *error)
{
    const char *path = file_join(arena, ledger->log_path, "tile");

    if (path == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for the ledger");
    if (!file_make_folder(path, 0700, error))
        return false;
    ledger->tiles = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (ledger->tiles < 0)
        return error_set_errno(error, "%s: cannot open", path);
    /* Brokers that share a database each have a folder of their own. */
    if (flock(ledger->tiles, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (errno == EWOULDBLOCK)
        return error_set(error, ERROR_IO, "%s: another broker writes into this folder", path);
    return error_set_errno(error, "%s: cannot lock", path);
}

/* The text of "log/verifier": the keys that sign, one a line. */
static bool write_keys(const struct ledger *ledger, const struct ledger_options *options,
                       struct buf *text, struct error *error)
{
    struct str origin = str_from(ledger->origin);

    if (!note_verifier_write(origin, options->key, text, error))
        return false;
    buf_add_text(text, "\n");
    for (size_t i = 0; i < options->next_key_count; i++) {
        if (!note_verifier_write(origin, options->next_keys[i], text, error))
            return false;
        buf_add_text(text, "\n");
    }
    return buf_is_ok(text) || error_set(error, ERROR_MEMORY, "no memory for the ledger");
}

/*
 * The verifier keys beside the log, for `audit verify`. Where others are there these are kept until
 * the change is recorded.
 */
static bool write_verifier(struct ledger *ledger, const struct ledger_options *options,
                           struct arena *arena, struct error *error)
{
    const char *path = file_join(arena, ledger->log_path, "verifier");
    OWNED(buf_release) struct buf text = { 0 };
    struct str present = { 0 };

    buf_init(&text, VERIFIER_MAX);
    if (path == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for the ledger");
    if (!write_keys(ledger, options, &text, error))
        return false;
    if (!file_read(arena, path, VERIFIER_MAX, &present, &(struct error){ 0 }))
        return file_replace(path, buf_str(&text), 0644, error);
    if (str_eq(present, buf_str(&text)))
        return true;
    ledger->keys_before = copy_text(present);
    ledger->keys_now = copy_text(buf_str(&text));
    return (ledger->keys_before != NULL && ledger->keys_now != NULL) ||
           error_set(error, ERROR_MEMORY, "no memory for the ledger");
}

bool ledger_keys_changed(const struct ledger *ledger, struct str *before, struct str *now)
{
    *before = str_from(ledger->keys_before);
    *now = str_from(ledger->keys_now);
    return ledger->keys_now != NULL;
}

bool ledger_keep_keys(struct ledger *ledger, struct error *error)
{
    char *path = path_in(ledger->log_path, "verifier");
    bool is_kept = path != NULL ? file_replace(path, str_from(ledger->keys_now), 0644, error)
                                : error_set(error, ERROR_MEMORY, "no memory for the ledger");

    free(path);
    return is_kept;
}

static bool start(struct ledger *ledger, const struct ledger_options *options, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)64 * 1024);
    struct store_options store_options = {
        .location = options->database != NULL ? options->database : options->store,
        .fold = { entry_fold },
        .dsn_file = options->dsn_file,
        .segment_bytes = options->segment_bytes,
    };
    struct publisher_options publisher_options = {
        .folder = ledger->log_path,
        .origin = str_from(ledger->origin),
        .key = options->key,
        .next_keys = options->next_keys,
        .next_key_count = options->next_key_count,
        .witnesses = options->witnesses,
        .witness_count = options->witness_count,
        .quorum = options->quorum,
        .mirrors = options->mirrors,
        .mirror_count = options->mirror_count,
        .upstream = options->upstream,
    };

    if (arena == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for the ledger");
    if (!store_open(&store_options, &ledger->store, error) || !open_tiles(ledger, arena, error))
        return false;
    publisher_options.store = ledger->store;
    publisher_options.tiles = ledger->tiles;
    if (!publisher_start(&publisher_options, &ledger->publisher, error) ||
        !write_verifier(ledger, options, arena, error) ||
        (!options->has_no_index && !start_index(ledger, error)))
        return false;
    ledger->eraser = eraser_new(
        &(struct eraser_options){ ledger, ledger->store, ledger->indexer, ledger->log_path });
    ledger->blocks = block_book_new();
    if (ledger->eraser == NULL || ledger->blocks == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for the ledger");
    store_on_commit(ledger->store, note_commit, ledger);
    return true;
}

bool ledger_open(const struct ledger_options *options, struct ledger **out, struct error *error)
{
    struct ledger *ledger = calloc(1, sizeof(*ledger));

    if (ledger == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for the ledger");
    ledger->tiles = -1;
    ledger->log_path = path_in(options->store, "log");
    ledger->index_path = path_in(options->store, STORE_INDEX_NAME);
    ledger->origin = copy_text(options->origin);
    ledger->broker = copy_text(options->broker);
    if (ledger->log_path == NULL || ledger->index_path == NULL || ledger->origin == NULL ||
        ledger->broker == NULL || pthread_mutex_init(&ledger->lock, NULL) != 0 ||
        !proposals_init(&ledger->proposals))
        (void)error_set(error, ERROR_MEMORY, "no memory for the ledger");
    else if (start(ledger, options, error)) {
        *out = ledger;
        return true;
    }
    ledger_close(ledger);
    return false;
}

void ledger_leave_witnesses(struct ledger *ledger)
{
    if (ledger != NULL)
        publisher_leave_witnesses(ledger->publisher);
}

size_t ledger_mirrors(struct ledger *ledger, struct watcher_status status[MIRROR_WATCH_MAX])
{
    return publisher_mirrors(ledger->publisher, status);
}

size_t ledger_witnesses(struct ledger *ledger, struct watcher_status status[NOTE_WITNESSES_MAX])
{
    return publisher_witnesses(ledger->publisher, status);
}

void ledger_close(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    /* First whoever appends, then the thread that tells the publisher of commits. */
    eraser_free(ledger->eraser);
    if (ledger->store != NULL)
        store_drain(ledger->store);
    publisher_stop(ledger->publisher);
    inquiries_stop(ledger->inquiries);
    indexer_stop(ledger->indexer);
    inquiries_free(ledger->inquiries);
    for (size_t i = 0; i < ledger->reader_count; i++)
        store_reader_close(ledger->readers[i]);
    block_book_free(ledger->blocks);
    store_close(ledger->store);
    if (ledger->tiles >= 0)
        (void)close(ledger->tiles); /* read-only, nothing to lose */
    proposals_release(&ledger->proposals);
    (void)pthread_mutex_destroy(&ledger->lock);
    free(ledger->keys_before);
    free(ledger->keys_now);
    free(ledger->log_path);
    free(ledger->index_path);
    free(ledger->origin);
    free(ledger->broker);
    free(ledger);
}

struct store *ledger_store(const struct ledger *ledger)
{
    return ledger->store;
}

struct block_book *ledger_block_book(const struct ledger *ledger)
{
    return ledger->blocks;
}

struct str ledger_broker(const struct ledger *ledger)
{
    return str_from(ledger->broker);
}

bool ledger_is_writable(const struct ledger *ledger)
{
    return store_is_writable(ledger->store);
}

bool ledger_has_failed(const struct ledger *ledger)
{
    return store_is_fenced(ledger->store);
}

static void give_proposal_back(struct ledger_append *append)
{
    proposals_give(&append->ledger->proposals, append->proposal);
    append->proposal = NULL;
}

/* On the store's thread. The waker is the last act: `append` may be gone after it. */
static void append_done(struct store_proposal *proposal, void *context)
{
    struct ledger_append *append = context;
    struct waker waker = append->waker;

    append->is_committed = proposal->is_committed;
    append->failed_guard = proposal->failed_guard;
    append->first_index = proposal->first_index;
    append->error = proposal->error;
    give_proposal_back(append);
    waker.wake(waker.context);
}

bool ledger_erase(struct ledger *ledger, struct ledger_erasure *erasure, struct error *error)
{
    return erasure_check(erasure, error) && eraser_submit(ledger->eraser, erasure, error);
}

void ledger_erase_now(struct ledger *ledger, struct ledger_erasure *erasure)
{
    eraser_do(ledger->eraser, erasure);
}

uint64_t ledger_published_size(struct ledger *ledger)
{
    OWNED(publication_put) struct publication *publication = publisher_current(ledger->publisher);

    return publication == NULL ? 0 : publication->size;
}

void ledger_prune(struct ledger *ledger, int64_t before_ms)
{
    eraser_prune(ledger->eraser, before_ms);
}

static bool encode_private(const json_t *part, struct arena *arena, struct store_entry *entry,
                           struct error *error)
{
    if (part == NULL || json_object_size(part) == 0)
        return true;
    entry->private_part = json_text(arena, part);
    if (entry->private_part.data == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for an entry");
    if (entry->private_part.len > STORE_PRIVATE_MAX)
        return error_set(error, ERROR_LEDGER, "a private part of more than %zu bytes",
                         STORE_PRIVATE_MAX);
    return true;
}

static bool encode(struct ledger_append *append, struct arena *arena, struct error *error)
{
    struct store_proposal *proposal = append->proposal;

    for (size_t i = 0; i < append->entry_count; i++) {
        struct store_entry *entry = &proposal->entries[i];

        if (!entry_encode(append->entries[i], arena, entry, error) ||
            !encode_private(append->private_parts[i], arena, entry, error))
            return false;
        append->written[i] = (struct str){ entry->bytes, entry->len };
    }
    return true;
}

static bool propose(struct ledger_append *append, struct arena *arena, struct error *error)
{
    struct store_proposal *proposal = append->proposal;

    if (!encode(append, arena, error))
        return false;
    memcpy(proposal->guards, append->guards, append->guard_count * sizeof(*append->guards));
    proposal->guard_count = append->guard_count;
    proposal->is_revocation = append->is_revocation;
    proposal->done = append_done;
    proposal->context = append;
    append->is_committed = false;
    append->failed_guard = append->guard_count;
    append->error = (struct error){ 0 };
    return true;
}

bool ledger_submit(struct ledger *ledger, struct ledger_append *append, struct arena *arena,
                   struct error *error)
{
    if (append->entry_count == 0 || append->entry_count > STORE_PROPOSAL_ENTRIES_MAX ||
        append->guard_count > STORE_PROPOSAL_GUARDS_MAX)
        return error_set(error, ERROR_LEDGER, "too many entries or guards, or none");
    append->ledger = ledger;
    append->proposal = proposals_take(&ledger->proposals, append->entry_count);
    if (append->proposal == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for an entry");
    if (propose(append, arena, error) && store_submit(ledger->store, append->proposal, error))
        return true;
    give_proposal_back(append);
    return false;
}

void ledger_hash_leaves(struct ledger_append *append)
{
    for (size_t i = 0; i < append->entry_count; i++)
        append->leaf_hashes[i] = merkle_leaf(append->written[i]);
}

/* What ledger_append_now() waits on. */
struct completion {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_complete; /* guarded by lock */
};

static void complete(void *context)
{
    struct completion *completion = context;

    (void)pthread_mutex_lock(&completion->lock);
    completion->is_complete = true;
    (void)pthread_cond_signal(&completion->changed);
    (void)pthread_mutex_unlock(&completion->lock);
}

static void wait_for(struct completion *completion)
{
    (void)pthread_mutex_lock(&completion->lock);
    while (!completion->is_complete)
        (void)pthread_cond_wait(&completion->changed, &completion->lock);
    (void)pthread_mutex_unlock(&completion->lock);
}

bool ledger_append_now(struct ledger *ledger, struct ledger_append *append, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(APPEND_NOW_MAX);
    struct completion completion = {
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .changed = PTHREAD_COND_INITIALIZER,
    };
    bool is_submitted = false;

    if (arena == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for an entry");
    append->waker = (struct waker){ complete, &completion };
    is_submitted = ledger_submit(ledger, append, arena, error);
    if (is_submitted)
        wait_for(&completion);
    append->waker = (struct waker){ 0 }; /* it is of this call only */
    if (!is_submitted)
        return false;
    if (append->is_committed)
        ledger_hash_leaves(append);
    else
        *error = append->error;
    return append->is_committed;
}

bool ledger_record(struct ledger *ledger, json_t *entry, struct error *error)
{
    struct ledger_append append = { .entries = { entry }, .entry_count = 1 };

    if (entry == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for an entry");
    return ledger_append_now(ledger, &append, error);
}

bool ledger_lease_by_id(struct ledger *ledger, struct str id, struct store_lease *lease,
                        struct error *error)
{
    return store_lease_by_id(ledger->store, id, lease, error);
}

bool ledger_approval_by_id(struct ledger *ledger, struct str id, struct store_approval *approval,
                           struct error *error)
{
    return store_approval_by_id(ledger->store, id, approval, error);
}

bool ledger_approval_by_code(struct ledger *ledger, const uint8_t code_sha256[32],
                             struct store_approval *approval, struct error *error)
{
    return store_approval_by_code(ledger->store, code_sha256, approval, error);
}

bool ledger_approvals_of(struct ledger *ledger, const uint8_t digest[32],
                         struct store_approval *approvals, size_t max, size_t *count,
                         struct error *error)
{
    return store_approvals_of(ledger->store, digest, approvals, max, count, error);
}

bool ledger_approvals(struct ledger *ledger, struct store_approval *approvals, size_t max,
                      size_t *count, struct error *error)
{
    return store_approvals(ledger->store, approvals, max, count, error);
}

bool ledger_lease_by_handle(struct ledger *ledger, const uint8_t handle_sha256[32],
                            struct store_lease *lease, struct error *error)
{
    return store_lease_by_handle(ledger->store, handle_sha256, lease, error);
}

bool ledger_mark(struct ledger *ledger, const uint8_t key[32], struct store_mark *mark,
                 struct error *error)
{
    return store_mark(ledger->store, key, mark, error);
}

bool ledger_live_of_stage(struct ledger *ledger, const uint8_t key[STORE_KEY_LEN],
                          struct store_lease *leases, size_t max, size_t *live, struct error *error)
{
    return store_live_of_stage(ledger->store, key, leases, max, live, error);
}

bool ledger_beat(struct ledger *ledger, const uint8_t handle_sha256[32], struct store_lease *lease,
                 struct error *error)
{
    return store_beat(ledger->store, handle_sha256, lease, error);
}

bool ledger_claim_due(struct ledger *ledger, int64_t again_s, struct store_claims *claims,
                      struct error *error)
{
    return store_claim_due(ledger->store, again_s, claims, error);
}

bool ledger_put_off(struct ledger *ledger, const char id[ID_LEN], int64_t due_s,
                    struct error *error)
{
    return store_put_off(ledger->store, id, due_s, error);
}

size_t ledger_owed_count(const struct ledger *ledger, int64_t *oldest_ended_s)
{
    return store_owed_count(ledger->store, oldest_ended_s);
}

size_t ledger_live_lease_count(const struct ledger *ledger)
{
    return store_live_lease_count(ledger->store);
}

uint64_t ledger_size(const struct ledger *ledger)
{
    return store_size(ledger->store);
}

bool ledger_reader(struct ledger *ledger, struct store_reader **reader, struct error *error)
{
    return store_reader_new(ledger->store, reader, error);
}

bool ledger_inquire(struct ledger *ledger, struct ledger_inquiry *inquiry, struct error *error)
{
    if (!ledger->inquiries)
        return error_set(error, ERROR_INDEX, "the ledger keeps no index");
    return inquiries_submit(ledger->inquiries, inquiry, error);
}

bool ledger_forget_inquiry(struct ledger *ledger, const struct ledger_inquiry *inquiry)
{
    return ledger->inquiries && inquiries_forget(ledger->inquiries, inquiry);
}
