#include "ledger/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "ledger/note.h"
#include "ledger/publisher.h"

/* Readers that are kept; more are opened and closed as they are needed. */
#define READERS_KEPT 4

#define VERIFIER_MAX 1024
#define PROOF_MAX ((size_t)32 * 1024)
#define APPEND_NOW_MAX ((size_t)2 * 1024 * 1024)

struct ledger {
    char *log_path; /* "log" in the store's folder */
    char *origin;
    char *broker;
    int tiles; /* the folder "log/tile" */
    struct store *store;
    struct publisher *publisher;

    pthread_mutex_t lock;
    struct store_reader *readers[READERS_KEPT]; /* guarded by lock */
    size_t reader_count;                        /* guarded by lock */
};

static char *copy_text(struct str text)
{
    char *copy = malloc(text.len + 1);

    if (copy != NULL) {
        memcpy(copy, text.data, text.len);
        copy[text.len] = '\0';
    }
    return copy;
}

static char *log_path_of(const char *store)
{
    size_t len = strlen(store) + sizeof("/log");
    char *path = malloc(len);

    if (path != NULL)
        (void)snprintf(path, len, "%s/log", store);
    return path;
}

static bool open_tiles(struct ledger *ledger, struct arena *arena, struct error *error)
{
    const char *path = file_join(arena, ledger->log_path, "tile");

    if (path == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for the ledger");
    if (!file_make_folder(path, 0700, error))
        return false;
    ledger->tiles = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return ledger->tiles >= 0 || error_set_errno(error, "%s: cannot open", path);
}

/* The verifier key beside the log, for `audit verify`; written only where it changed. */
static bool write_verifier(const struct ledger *ledger, struct key *key, struct arena *arena,
                           struct error *error)
{
    const char *path = file_join(arena, ledger->log_path, "verifier");
    OWNED(buf_release) struct buf text = { 0 };
    struct str present = { 0 };

    buf_init(&text, VERIFIER_MAX);
    if (!note_verifier_write(str_from(ledger->origin), key, &text, error))
        return false;
    buf_add_text(&text, "\n");
    if (path == NULL || !buf_is_ok(&text))
        return error_set(error, ERROR_MEMORY, "no memory for the ledger");
    if (file_read(arena, path, VERIFIER_MAX, &present, &(struct error){ 0 }) &&
        str_eq(present, buf_str(&text)))
        return true;
    return file_replace(path, buf_str(&text), 0644, error);
}

static bool start(struct ledger *ledger, const struct ledger_options *options, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)64 * 1024);
    struct store_options store_options = { .location = options->store, .fold = { entry_fold } };
    struct publisher_options publisher_options = {
        .folder = ledger->log_path,
        .origin = str_from(ledger->origin),
        .key = options->key,
    };

    if (arena == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for the ledger");
    if (!store_open(&store_options, &ledger->store, error) || !open_tiles(ledger, arena, error))
        return false;
    publisher_options.store = ledger->store;
    publisher_options.tiles = ledger->tiles;
    if (!publisher_start(&publisher_options, &ledger->publisher, error) ||
        !write_verifier(ledger, options->key, arena, error))
        return false;
    store_on_commit(ledger->store, publisher_commit, ledger->publisher);
    return true;
}

bool ledger_open(const struct ledger_options *options, struct ledger **out, struct error *error)
{
    struct ledger *ledger = calloc(1, sizeof(*ledger));

    if (ledger == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for the ledger");
    ledger->tiles = -1;
    ledger->log_path = log_path_of(options->store);
    ledger->origin = copy_text(options->origin);
    ledger->broker = copy_text(options->broker);
    if (ledger->log_path == NULL || ledger->origin == NULL || ledger->broker == NULL ||
        pthread_mutex_init(&ledger->lock, NULL) != 0)
        (void)error_set(error, ERROR_MEMORY, "no memory for the ledger");
    else if (start(ledger, options, error)) {
        *out = ledger;
        return true;
    }
    ledger_close(ledger);
    return false;
}

void ledger_close(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    /* First the thread that tells the publisher of commits. */
    if (ledger->store != NULL)
        store_drain(ledger->store);
    publisher_stop(ledger->publisher);
    for (size_t i = 0; i < ledger->reader_count; i++)
        store_reader_close(ledger->readers[i]);
    store_close(ledger->store);
    if (ledger->tiles >= 0)
        (void)close(ledger->tiles); /* read-only, nothing to lose */
    (void)pthread_mutex_destroy(&ledger->lock);
    free(ledger->log_path);
    free(ledger->origin);
    free(ledger->broker);
    free(ledger);
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

/* On the store's thread. The waker is the last act: `append` may be gone after it. */
static void append_done(struct store_proposal *proposal, void *context)
{
    struct ledger_append *append = context;
    struct waker waker = append->waker;

    append->is_committed = proposal->is_committed;
    append->failed_guard = proposal->failed_guard;
    append->first_index = proposal->first_index;
    append->error = proposal->error;
    for (size_t i = 0; proposal->is_committed && i < proposal->entry_count; i++) {
        const struct store_entry *entry = &proposal->entries[i];

        append->leaf_hashes[i] = merkle_leaf((struct str){ entry->bytes, entry->len });
    }
    waker.wake(waker.context);
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
    struct store_proposal *proposal = &append->proposal;
    struct error cause = { 0 };

    for (size_t i = 0; i < append->entry_count; i++) {
        struct store_entry *entry = &proposal->entries[i];

        if (!entry_encode(append->entries[i], arena, entry, error) ||
            !encode_private(append->private_parts[i], arena, entry, error))
            return false;
        if (!entry_fold_json(append->entries[i], entry->changes, &entry->change_count, &cause))
            return error_set(error, ERROR_LEDGER, "%s", cause.cause);
    }
    return true;
}

bool ledger_submit(struct ledger *ledger, struct ledger_append *append, struct arena *arena,
                   struct error *error)
{
    struct store_proposal *proposal = &append->proposal;

    *proposal = (struct store_proposal){ 0 };
    if (append->entry_count == 0 || append->entry_count > STORE_PROPOSAL_ENTRIES_MAX ||
        append->guard_count > STORE_PROPOSAL_GUARDS_MAX)
        return error_set(error, ERROR_LEDGER, "too many entries or guards, or none");
    if (!encode(append, arena, error))
        return false;
    memcpy(proposal->guards, append->guards, sizeof(proposal->guards));
    proposal->entry_count = append->entry_count;
    proposal->guard_count = append->guard_count;
    proposal->is_revocation = append->is_revocation;
    proposal->done = append_done;
    proposal->context = append;
    append->is_committed = false;
    append->failed_guard = append->guard_count;
    append->error = (struct error){ 0 };
    return store_submit(ledger->store, proposal, error);
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

    if (arena == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for an entry");
    append->waker = (struct waker){ complete, &completion };
    if (!ledger_submit(ledger, append, arena, error))
        return false;
    wait_for(&completion);
    if (!append->is_committed)
        *error = append->error;
    return append->is_committed;
}

bool ledger_lease_by_id(struct ledger *ledger, struct str id, struct store_lease *lease)
{
    return store_lease_by_id(ledger->store, id, lease);
}

bool ledger_lease_by_handle(struct ledger *ledger, const uint8_t handle_sha256[32],
                            struct store_lease *lease)
{
    return store_lease_by_handle(ledger->store, handle_sha256, lease);
}

bool ledger_mark(struct ledger *ledger, const uint8_t key[32], struct store_mark *mark)
{
    return store_mark(ledger->store, key, mark);
}

size_t ledger_live_lease_count(const struct ledger *ledger)
{
    return store_live_lease_count(ledger->store);
}

static struct store_reader *take_reader(struct ledger *ledger, struct error *error)
{
    struct store_reader *reader = NULL;

    (void)pthread_mutex_lock(&ledger->lock);
    if (ledger->reader_count > 0)
        reader = ledger->readers[--ledger->reader_count];
    (void)pthread_mutex_unlock(&ledger->lock);
    if (reader == NULL && !store_reader_new(ledger->store, &reader, error))
        return NULL;
    return reader;
}

static void give_reader(struct ledger *ledger, struct store_reader *take_reader)
{
    (void)pthread_mutex_lock(&ledger->lock);
    if (ledger->reader_count < READERS_KEPT) {
        ledger->readers[ledger->reader_count++] = take_reader;
        take_reader = NULL;
    }
    (void)pthread_mutex_unlock(&ledger->lock);
    store_reader_close(take_reader);
}

static bool read_entry(struct store_reader *reader, uint64_t index, struct str *entry,
                       struct str *private_part, struct error *error)
{
    if (index >= store_reader_size(reader) && !store_reader_refresh(reader, error))
        return false;
    return store_reader_get(reader, index, entry, private_part, error);
}

static bool copy_entry(struct store_reader *reader, uint64_t index, struct arena *arena,
                       struct str *entry, struct str *private_part, struct error *error)
{
    struct str bytes = { 0 };
    struct str beside = { 0 };

    if (!read_entry(reader, index, &bytes, &beside, error))
        return false;
    *entry = arena_copy(arena, bytes);
    *private_part = arena_copy(arena, beside);
    return (entry->data != NULL && private_part->data != NULL) ||
           error_set(error, ERROR_MEMORY, "no memory for an entry");
}

bool ledger_entry(struct ledger *ledger, uint64_t index, struct arena *arena, struct str *entry,
                  struct error *error)
{
    struct str ignored = { 0 };

    return ledger_entry_with_private(ledger, index, arena, entry, &ignored, error);
}

bool ledger_entry_with_private(struct ledger *ledger, uint64_t index, struct arena *arena,
                               struct str *entry, struct str *private_part, struct error *error)
{
    struct store_reader *reader = take_reader(ledger, error);
    bool is_read = false;

    if (reader == NULL)
        return false;
    is_read = copy_entry(reader, index, arena, entry, private_part, error);
    give_reader(ledger, reader);
    return is_read;
}

/* Where a proof's hashes come from: the publication's edge, else full tiles. */
struct proof_source {
    const struct publication *publication;
    int tiles;
    struct error *error;
};

static bool lookup_hash(void *context, unsigned level, uint64_t index, struct merkle_hash *hash)
{
    const struct proof_source *source = context;
    struct merkle_hash hashes[TILE_WIDTH];
    uint64_t first = index << level % 8; /* along the tile's level */
    const struct tile_path path = { level / 8, first / TILE_WIDTH, TILE_WIDTH };

    if (tile_edge_lookup(&source->publication->edge, level, index, hash))
        return true;
    if (!tile_read(source->tiles, &path, hashes, source->error))
        return false;
    *hash = tile_subtree(&hashes[first % TILE_WIDTH], level % 8);
    return true;
}

/* The proof of `entry` at `proof->index`; one that would not verify is none. */
static bool build_proof(const struct ledger *ledger, const struct publication *publication,
                        struct str entry, struct tlog_proof *proof, struct error *error)
{
    struct error cause = { 0 };
    struct proof_source source = { publication, ledger->tiles, &cause };
    struct merkle_hash leaf = merkle_leaf(entry);

    if (merkle_prove_inclusion(lookup_hash, &source, proof->index, publication->size, proof->hashes,
                               &proof->hash_count) &&
        merkle_check_inclusion(proof->index, publication->size, &leaf, proof->hashes,
                               proof->hash_count, &publication->root))
        return true;
    return error_set(error, ERROR_LEDGER, "no proof of entry %" PRIu64 ": %s", proof->index,
                     cause.code == ERROR_NONE ? "the tiles do not fit" : cause.cause);
}

static bool write_proof(const struct tlog_proof *proof, struct arena *arena, struct str *text,
                        struct error *error)
{
    OWNED(buf_release) struct buf written = { 0 };

    *text = (struct str){ 0 };
    buf_init(&written, PROOF_MAX);
    tlog_proof_write(proof, &written);
    if (buf_is_ok(&written))
        *text = arena_copy(arena, buf_str(&written));
    return text->data != NULL || error_set(error, ERROR_MEMORY, "no memory for a proof");
}

/* NOLINTNEXTLINE(readability-function-size): the waker makes it one parameter too many */
enum progress ledger_receipt(struct ledger *ledger, uint64_t index, struct waker waker,
                             struct arena *arena, struct str *entry, struct str *proof,
                             struct error *error)
{
    OWNED(publication_put) struct publication *publication = NULL;
    struct tlog_proof built = { .index = index };
    enum progress progress = PROGRESS_DONE;

    if (index >= store_size(ledger->store)) {
        (void)error_set(error, ERROR_NOT_FOUND, "there is no entry %" PRIu64, index);
        return PROGRESS_FAILED;
    }
    progress = publisher_wait(ledger->publisher, index, waker, error);
    if (progress != PROGRESS_DONE)
        return progress;
    publication = publisher_current(ledger->publisher);
    built.note = publication_note(publication);
    if (!ledger_entry(ledger, index, arena, entry, error) ||
        !build_proof(ledger, publication, *entry, &built, error) ||
        !write_proof(&built, arena, proof, error))
        return PROGRESS_FAILED;
    return PROGRESS_DONE;
}

bool ledger_forget(struct ledger *ledger, const void *waker_context)
{
    return publisher_forget(ledger->publisher, waker_context);
}

bool ledger_checkpoint(struct ledger *ledger, struct arena *arena, struct str *note,
                       struct error *error)
{
    OWNED(publication_put) struct publication *publication = publisher_current(ledger->publisher);

    if (publication == NULL)
        return error_set(error, ERROR_NOT_FOUND, "no checkpoint was published yet");
    *note = arena_copy(arena, publication_note(publication));
    return note->data != NULL || error_set(error, ERROR_MEMORY, "no memory for a checkpoint");
}

/* Whether a tile's hashes are all in the published tree. */
static bool is_published(const struct publication *publication, const struct tile_path *path)
{
    uint64_t complete = 0;

    if (publication == NULL || path->level >= TILE_LEVELS)
        return false;
    complete = publication->size >> 8 * path->level;
    return path->number < complete / TILE_WIDTH ||
           (path->number == complete / TILE_WIDTH && path->width <= complete % TILE_WIDTH);
}

bool ledger_tile(struct ledger *ledger, struct str path, struct arena *arena, struct str *tile,
                 struct error *error)
{
    OWNED(publication_put) struct publication *publication = publisher_current(ledger->publisher);
    struct merkle_hash hashes[TILE_WIDTH];
    struct tile_path parsed = { 0 };

    if (!tile_path_parse(path, &parsed) || !is_published(publication, &parsed))
        return error_set(error, ERROR_NOT_FOUND, "no such tile");
    if (!tile_read(ledger->tiles, &parsed, hashes, error))
        return false;
    *tile = arena_copy(
        arena, (struct str){ (const char *)hashes, (size_t)parsed.width * MERKLE_HASH_LEN });
    return tile->data != NULL || error_set(error, ERROR_MEMORY, "no memory for a tile");
}

static void release_bundle(void *object)
{
    buf_release(object);
}

/* Entry by entry, so that only the bundle itself is in memory. */
static bool fill_bundle(struct store_reader *reader, uint64_t first, unsigned count,
                        struct buf *bundle, struct error *error)
{
    for (unsigned i = 0; i < count; i++) {
        struct str entry = { 0 };

        if (!read_entry(reader, first + i, &entry, NULL, error))
            return false;
        buf_add_byte(bundle, (uint8_t)(entry.len >> 8));
        buf_add_byte(bundle, (uint8_t)(entry.len & 0xff));
        buf_add(bundle, entry);
    }
    return buf_is_ok(bundle) || error_set(error, ERROR_MEMORY, "no memory for a bundle");
}

bool ledger_bundle(struct ledger *ledger, struct str path, struct arena *arena, struct str *bundle,
                   struct error *error)
{
    OWNED(publication_put) struct publication *publication = publisher_current(ledger->publisher);
    struct str full = arena_printf(arena, "entries/" STR_FMT, STR_ARG(path));
    struct buf *buf = arena_alloc(arena, sizeof(*buf));
    struct tile_path parsed = { 0 };
    struct store_reader *reader;
    bool is_read;

    if (full.data == NULL || buf == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a bundle");
    if (!tile_path_parse(full, &parsed))
        return error_set(error, ERROR_NOT_FOUND, "no such bundle");
    parsed.level = 0; /* a bundle is published with the tile of its leaves */
    if (!is_published(publication, &parsed))
        return error_set(error, ERROR_NOT_FOUND, "no such bundle");
    buf_init(buf, TILE_WIDTH * (STORE_ENTRY_MAX + 2));
    if (!arena_defer(arena, release_bundle, buf))
        return error_set(error, ERROR_MEMORY, "no memory for a bundle");
    reader = take_reader(ledger, error);
    if (reader == NULL)
        return false;
    is_read = fill_bundle(reader, parsed.number * TILE_WIDTH, parsed.width, buf, error);
    give_reader(ledger, reader);
    *bundle = buf_str(buf);
    return is_read;
}
