#include "ledger/publisher.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "base/metrics.h"
#include "keys/keys.h"
#include "ledger/note.h"
#include "ledger/tile_writer.h"
#include "ledger/waiters.h"
#include "store/store.h"

/* A checkpoint at most so often. */
#define PUBLISH_EVERY_S 1

#define NOTE_MAX ((size_t)16 * 1024)
#define ENTRY_HEAD_LEN 2
#define BUNDLE_MAX ((size_t)TILE_WIDTH * (STORE_ENTRY_MAX + ENTRY_HEAD_LEN))

struct publisher {
    struct publisher_options options;
    char *checkpoint_path;
    struct store_reader *reader; /* the thread's */
    struct tile_writer writer;   /* the thread's */
    struct buf bundle;           /* the thread's */
    struct waiters waiters;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    uint64_t committed;          /* guarded by lock */
    struct publication *current; /* guarded by lock */
    bool is_stopping;            /* guarded by lock */
};

void publication_put(struct publication *publication)
{
    if (publication == NULL || atomic_fetch_sub(&publication->references, 1) > 1)
        return;
    free(publication->note);
    free(publication);
}

struct str publication_note(const struct publication *publication)
{
    return (struct str){ publication->note, publication->note_len };
}

/* A publication of the tree that `edge` is the edge of, without a note yet. */
static struct publication *publication_new(const struct tile_edge *edge, struct error *error)
{
    struct publication *publication = malloc(sizeof(*publication));

    if (publication == NULL) {
        (void)error_set(error, ERROR_MEMORY, "no memory for a checkpoint");
        return NULL;
    }
    atomic_init(&publication->references, 1);
    publication->size = edge->size;
    publication->root = tile_edge_root(edge);
    publication->note = NULL;
    publication->note_len = 0;
    publication->edge = *edge;
    return publication;
}

static bool set_note(struct publication *publication, struct str note, struct error *error)
{
    publication->note = malloc(note.len);
    if (publication->note == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a checkpoint");
    memcpy(publication->note, note.data, note.len);
    publication->note_len = note.len;
    return true;
}

/* Where the hashes of completed tiles go: to files, or nowhere when only the root is asked for. */
struct extension {
    struct publisher *publisher;
    struct tile_edge *edge;
    bool is_written;
    struct error *error;
};

static bool put_hashes(struct publisher *publisher, const struct tile_path *path,
                       const struct merkle_hash *hashes, struct error *error)
{
    struct str content = { (const char *)hashes, (size_t)path->width * MERKLE_HASH_LEN };

    return tile_writer_put(&publisher->writer, path, content, error);
}

static bool put_full_tile(void *context, unsigned level, uint64_t number,
                          const struct merkle_hash hashes[TILE_WIDTH])
{
    const struct extension *extension = context;
    const struct tile_path path = { level, number, TILE_WIDTH };

    return !extension->is_written ||
           put_hashes(extension->publisher, &path, hashes, extension->error);
}

static bool put_partial_tiles(struct publisher *publisher, const struct tile_edge *edge,
                              struct error *error)
{
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        const struct tile_path path = { level, tile_edge_number(edge, level),
                                        tile_edge_width(edge, level) };

        if (path.width > 0 && !put_hashes(publisher, &path, edge->hashes[level], error))
            return false;
    }
    return true;
}

static void add_to_bundle(struct buf *bundle, struct str entry)
{
    buf_add_byte(bundle, (uint8_t)(entry.len >> 8));
    buf_add_byte(bundle, (uint8_t)entry.len);
    buf_add(bundle, entry);
}

/* Entries [start, end), which are of one bundle: its file, and their leaves into the edge. */
static bool extend_bundle(struct extension *extension, uint64_t start, uint64_t end)
{
    struct publisher *publisher = extension->publisher;
    const struct tile_path path = { TILE_ENTRIES, start / TILE_WIDTH, (unsigned)(end - start) };
    struct merkle_hash leaves[TILE_WIDTH];

    buf_clear(&publisher->bundle);
    for (uint64_t i = start; i < end; i++) {
        struct str entry = { 0 };

        if (!store_reader_get(publisher->reader, i, &entry, NULL, extension->error))
            return false;
        add_to_bundle(&publisher->bundle, entry);
        leaves[i - start] = merkle_leaf(entry);
    }
    if (!buf_is_ok(&publisher->bundle))
        return error_set(extension->error, ERROR_MEMORY, "no memory for a bundle");
    if (extension->is_written &&
        !tile_writer_put(&publisher->writer, &path, buf_str(&publisher->bundle), extension->error))
        return false;
    for (uint64_t i = extension->edge->size; i < end; i++) {
        if (!tile_edge_add(extension->edge, &leaves[i - start], put_full_tile, extension))
            return false;
    }
    return true;
}

/* Extend the edge to `size`, bundle by bundle. */
static bool extend(struct extension *extension, uint64_t size)
{
    while (extension->edge->size < size) {
        uint64_t start = extension->edge->size / TILE_WIDTH * TILE_WIDTH;
        uint64_t end = start + TILE_WIDTH < size ? start + TILE_WIDTH : size;

        if (!extend_bundle(extension, start, end))
            return false;
    }
    return true;
}

/* Extend the edge and make all that a checkpoint of it needs durable. */
static bool write_tiles(struct publisher *publisher, struct tile_edge *edge, uint64_t size,
                        struct error *error)
{
    struct extension extension = { publisher, edge, true, error };
    bool is_durable = extend(&extension, size) && put_partial_tiles(publisher, edge, error) &&
                      tile_writer_sync(&publisher->writer, error);

    tile_writer_release(&publisher->writer);
    return is_durable;
}

static bool sign(const struct publisher *publisher, struct publication *publication,
                 struct error *error)
{
    const struct publisher_options *options = &publisher->options;
    struct checkpoint checkpoint = { options->origin, publication->size, publication->root };
    OWNED(buf_release) struct buf note = { 0 };

    buf_init(&note, NOTE_MAX);
    if (!checkpoint_sign(&checkpoint, options->key, &note, error))
        return false;
    if (!buf_is_ok(&note))
        return error_set(error, ERROR_MEMORY, "no memory for a checkpoint");
    return set_note(publication, buf_str(&note), error);
}

/* Partial tiles that a full one has replaced, and the bundle that a longer one has. */
static void remove_replaced(const struct publisher *publisher, const struct tile_edge *old,
                            const struct tile_edge *fresh)
{
    struct tile_path bundle = { TILE_ENTRIES, tile_edge_number(old, 0), tile_edge_width(old, 0) };

    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        const struct tile_path path = { level, tile_edge_number(old, level), TILE_WIDTH };

        if (path.number != tile_edge_number(fresh, level))
            tile_writer_remove_partial(&publisher->writer, &path);
    }
    if (bundle.number != tile_edge_number(fresh, 0))
        bundle.width = TILE_WIDTH;
    if (bundle.width > 0 && old->size != fresh->size)
        tile_writer_remove_partial(&publisher->writer, &bundle);
}

/* From now on this is the newest; who waited for it is called. */
static void take_current(struct publisher *publisher, struct publication *take_publication)
{
    uint64_t size = take_publication->size;
    struct publication *old = NULL;

    (void)pthread_mutex_lock(&publisher->lock);
    old = publisher->current;
    publisher->current = take_publication;
    (void)pthread_mutex_unlock(&publisher->lock);
    metric_set(METRIC_LEDGER_PUBLISHED_SIZE, (int64_t)size);
    publication_put(old);
    waiters_wake(&publisher->waiters, size);
}

/* One more checkpoint: tiles, signature, file, and only then the others hear of it. */
static bool publish(struct publisher *publisher, const struct tile_edge *old, struct error *error)
{
    OWNED(publication_put) struct publication *publication = publication_new(old, error);
    uint64_t size = 0;

    if (publication == NULL || !store_reader_refresh(publisher->reader, error))
        return false;
    size = store_reader_size(publisher->reader);
    if (size <= old->size)
        return true;
    if (!write_tiles(publisher, &publication->edge, size, error))
        return false;
    publication->size = publication->edge.size;
    publication->root = tile_edge_root(&publication->edge);
    if (!sign(publisher, publication, error) ||
        !file_replace(publisher->checkpoint_path, publication_note(publication), 0600, error))
        return false;
    remove_replaced(publisher, old, &publication->edge);
    take_current(publisher, TAKE(publication));
    return true;
}

/* Only this thread changes `current`, so it stays while we use it. A failure is tried again. */
static void publish_now(struct publisher *publisher)
{
    static const struct tile_edge empty;
    struct publication *current = publisher_current(publisher);
    struct error error = { 0 };

    if (!publish(publisher, current == NULL ? &empty : &current->edge, &error))
        metric_add(METRIC_LEDGER_FAILURES, 1);
    publication_put(current);
}

static struct timespec after_pause(void)
{
    struct timespec at;

    (void)clock_gettime(CLOCK_MONOTONIC,
                        &at); /* for a wait of the system's, never moved by tests */
    at.tv_sec += PUBLISH_EVERY_S;
    return at;
}

/* With the lock held: whether there is something to publish. */
static bool has_more(const struct publisher *publisher)
{
    return publisher->committed > (publisher->current == NULL ? 0 : publisher->current->size);
}

static void *run(void *context)
{
    struct publisher *publisher = context;

    (void)pthread_mutex_lock(&publisher->lock);
    while (!publisher->is_stopping) {
        struct timespec pause_ends;
        int outcome = 0;

        if (!has_more(publisher)) {
            (void)pthread_cond_wait(&publisher->wake, &publisher->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&publisher->lock);
        pause_ends = after_pause();
        publish_now(publisher);
        (void)pthread_mutex_lock(&publisher->lock);
        while (!publisher->is_stopping && outcome != ETIMEDOUT)
            outcome = pthread_cond_timedwait(&publisher->wake, &publisher->lock, &pause_ends);
    }
    (void)pthread_mutex_unlock(&publisher->lock);
    publish_now(publisher);
    return NULL;
}

static bool edge_read(const struct publisher *publisher, uint64_t size, struct tile_edge *edge,
                      struct error *error)
{
    edge->size = size;
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        const struct tile_path path = { level, tile_edge_number(edge, level),
                                        tile_edge_width(edge, level) };

        if (path.width > 0 &&
            !tile_read(publisher->options.tiles, &path, edge->hashes[level], error))
            return false;
    }
    return true;
}

static bool refuse_root(const struct checkpoint *published, struct error *error)
{
    return error_set(error, ERROR_INVALID,
                     "the store is not the one whose checkpoint of size %" PRIu64 " was published",
                     published->size);
}

/* Tiles do not fit the checkpoint: make them again from the entries, if these fit it. */
static bool rebuild(struct publisher *publisher, const struct checkpoint *published,
                    struct tile_edge *edge, struct error *error)
{
    struct extension extension = { publisher, edge, false, error };
    struct merkle_hash root;

    memset(edge, 0, sizeof(*edge));
    if (!extend(&extension, published->size))
        return false;
    root = tile_edge_root(edge);
    if (!merkle_hash_eq(&root, &published->root))
        return refuse_root(published, error);
    memset(edge, 0, sizeof(*edge));
    return write_tiles(publisher, edge, published->size, error);
}

/* The entries behind the last full tile, or of it where nothing is behind it, against its leaves.
 */
static bool check_tail(struct publisher *publisher, const struct checkpoint *published,
                       const struct tile_edge *edge, struct error *error)
{
    unsigned width = tile_edge_width(edge, 0);
    struct tile_path path = { 0, tile_edge_number(edge, 0), width };
    struct merkle_hash leaves[TILE_WIDTH];

    if (width == 0)
        path = (struct tile_path){ 0, tile_edge_number(edge, 0) - 1, TILE_WIDTH };
    if (!tile_read(publisher->options.tiles, &path, leaves, error))
        return false;
    for (unsigned i = 0; i < path.width; i++) {
        struct merkle_hash leaf;
        struct str entry = { 0 };

        if (!store_reader_get(publisher->reader, path.number * TILE_WIDTH + i, &entry, NULL, error))
            return false;
        leaf = merkle_leaf(entry);
        if (!merkle_hash_eq(&leaf, &leaves[i]))
            return refuse_root(published, error);
    }
    return true;
}

/* The edge of a published checkpoint, compared with tiles and entries. */
static bool take_up(struct publisher *publisher, const struct checkpoint *published,
                    struct tile_edge *edge, struct error *error)
{
    struct merkle_hash root;

    if (published->size > store_reader_size(publisher->reader))
        return error_set(error, ERROR_INVALID,
                         "the store has %" PRIu64 " entries, the published checkpoint %" PRIu64,
                         store_reader_size(publisher->reader), published->size);
    if (!edge_read(publisher, published->size, edge, &(struct error){ 0 }))
        return rebuild(publisher, published, edge, error);
    root = tile_edge_root(edge);
    if (!merkle_hash_eq(&root, &published->root))
        return rebuild(publisher, published, edge, error);
    return published->size == 0 || check_tail(publisher, published, edge, error);
}

static bool read_checkpoint(struct publisher *publisher, struct arena *arena, struct str *note,
                            struct checkpoint *checkpoint, struct error *error)
{
    const struct publisher_options *options = &publisher->options;
    OWNED(buf_release) struct buf text = { 0 };
    struct note_verifier verifier = { 0 };

    buf_init(&text, NOTE_MAX);
    if (!note_verifier_write(options->origin, options->key, &text, error) ||
        !note_verifier_parse(buf_str(&text), &verifier, error))
        return false;
    return file_read(arena, publisher->checkpoint_path, NOTE_MAX, note, error) &&
           checkpoint_verify(*note, &verifier, checkpoint, error);
}

/* Go on from the checkpoint published last; without one begin at the first entry. */
static bool recover(struct publisher *publisher, struct arena *arena, struct error *error)
{
    OWNED(publication_put) struct publication *publication = NULL;
    struct tile_edge *edge = arena_alloc(arena, sizeof(*edge));
    struct checkpoint checkpoint = { 0 };
    struct str note = { 0 };

    if (edge == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for the log's edge");
    if (access(publisher->checkpoint_path, F_OK) != 0 && errno == ENOENT)
        return true;
    if (!read_checkpoint(publisher, arena, &note, &checkpoint, error) ||
        !take_up(publisher, &checkpoint, edge, error))
        return error_wrap(error, "%s", publisher->checkpoint_path);
    publication = publication_new(edge, error);
    if (publication == NULL || !set_note(publication, note, error))
        return false;
    take_current(publisher, TAKE(publication));
    return true;
}

static bool recover_in_arena(struct publisher *publisher, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);

    if (arena == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for the log's edge");
    return recover(publisher, arena, error);
}

static void publisher_free(struct publisher *publisher)
{
    store_reader_close(publisher->reader);
    publication_put(publisher->current);
    buf_release(&publisher->bundle);
    waiters_release(&publisher->waiters);
    (void)pthread_cond_destroy(&publisher->wake);
    (void)pthread_mutex_destroy(&publisher->lock);
    free(publisher->checkpoint_path);
    free(publisher);
}

static bool init(struct publisher *publisher, struct error *error)
{
    pthread_condattr_t attributes;
    bool is_ok = false;
    size_t path_len = strlen(publisher->options.folder) + sizeof("/checkpoint");

    publisher->writer.root = publisher->options.tiles;
    buf_init(&publisher->bundle, BUNDLE_MAX);
    publisher->checkpoint_path = malloc(path_len);
    if (publisher->checkpoint_path != NULL && pthread_condattr_init(&attributes) == 0) {
        (void)snprintf(publisher->checkpoint_path, path_len, "%s/checkpoint",
                       publisher->options.folder);
        is_ok = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                pthread_mutex_init(&publisher->lock, NULL) == 0 &&
                pthread_cond_init(&publisher->wake, &attributes) == 0 &&
                waiters_init(&publisher->waiters);
        (void)pthread_condattr_destroy(&attributes);
    }
    return is_ok || error_set(error, ERROR_MEMORY, "no memory for the publisher");
}

bool publisher_start(const struct publisher_options *options, struct publisher **out,
                     struct error *error)
{
    struct publisher *publisher = calloc(1, sizeof(*publisher));

    if (publisher == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for the publisher");
    publisher->options = *options;
    publisher->committed = store_size(options->store);
    if (!init(publisher, error) || !store_reader_new(options->store, &publisher->reader, error) ||
        !recover_in_arena(publisher, error)) {
        publisher_free(publisher);
        return false;
    }
    if (pthread_create(&publisher->thread, NULL, run, publisher) != 0) {
        publisher_free(publisher);
        return error_set(error, ERROR_MEMORY, "cannot start the publisher");
    }
    *out = publisher;
    return true;
}

void publisher_stop(struct publisher *publisher)
{
    if (publisher == NULL)
        return;
    (void)pthread_mutex_lock(&publisher->lock);
    publisher->is_stopping = true;
    (void)pthread_cond_signal(&publisher->wake);
    (void)pthread_mutex_unlock(&publisher->lock);
    (void)pthread_join(publisher->thread, NULL);
    waiters_close(&publisher->waiters);
    publisher_free(publisher);
}

void publisher_commit(uint64_t size, void *context)
{
    struct publisher *publisher = context;

    (void)pthread_mutex_lock(&publisher->lock);
    publisher->committed = size;
    (void)pthread_cond_signal(&publisher->wake);
    (void)pthread_mutex_unlock(&publisher->lock);
}

struct publication *publisher_current(struct publisher *publisher)
{
    struct publication *current = NULL;

    (void)pthread_mutex_lock(&publisher->lock);
    current = publisher->current;
    if (current != NULL)
        (void)atomic_fetch_add(&current->references, 1);
    (void)pthread_mutex_unlock(&publisher->lock);
    return current;
}

enum progress publisher_wait(struct publisher *publisher, uint64_t index, struct waker waker,
                             struct error *error)
{
    return waiters_join(&publisher->waiters, index, waker, error);
}

bool publisher_forget(struct publisher *publisher, const void *waker_context)
{
    return waiters_leave(&publisher->waiters, waker_context);
}
