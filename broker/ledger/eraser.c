#include "ledger/eraser.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/metrics.h"
#include "ledger/block.h"
#include "ledger/entry.h"
#include "ledger/indexer.h"
#include "ledger/ledger.h"
#include "ledger/pruner.h"
#include "store/store.h"

/* Copies of the entries that are erased at once, and their private parts. */
#define ARENA_MAX (ERASURE_ENTRIES_MAX * (STORE_ENTRY_MAX + STORE_PRIVATE_MAX))

/* ---- finding ---- */

struct eraser {
    struct ledger *ledger;
    struct store *store;
    struct indexer *indexer;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct ledger_erasure *first; /* guarded by lock */
    size_t waiting_count;         /* guarded by lock */
    bool is_started;              /* guarded by lock */
    int64_t before_ms;            /* guarded by lock; not 0: something is to be pruned */
    atomic_bool is_stopping;      /* set with the lock */

    struct pruner pruner; /* the thread's */
    char *tiles;
};

/* One erasure under way. Threads: confined */
struct finding {
    const struct eraser *eraser;
    struct ledger_erasure *erasure;
    struct store_reader *reader;
    struct arena *arena; /* of what the index is to forget; wiped */
    uint64_t indices[ERASURE_ENTRIES_MAX];
    struct indexer_erased erased[ERASURE_ENTRIES_MAX];
    size_t count;
    int64_t now_s;
};

bool erasure_check(const struct ledger_erasure *erasure, struct error *error)
{
    if (erasure->person.len == 0 && erasure->run.len == 0 && erasure->lease.len == 0)
        return error_set(error, ERROR_REQUEST, "neither person nor run nor lease");
    if (erasure->reason.len == 0 && !erasure->is_dry)
        return error_set(error, ERROR_REQUEST, "no reason");
    if (erasure->reason.len > ERASURE_REASON_MAX)
        return error_set(error, ERROR_REQUEST, "a reason of more than %d bytes",
                         ERASURE_REASON_MAX);
    if (erasure->person.len > 0 && str_contains(erasure->reason, erasure->person))
        return error_set(error, ERROR_REQUEST, "the reason names the person: it would stay");
    return true;
}

/* A value of a private part as text: numbers as they are written. */
static bool is_value(const json_t *value, struct str wanted)
{
    char number[24];
    int len = 0;

    if (json_is_string(value))
        return str_eq(json_str(value), wanted);
    if (!json_is_integer(value))
        return false;
    len = snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return str_eq((struct str){ number, (size_t)len }, wanted);
}

/* A claim may be an array of such values, or an object that holds some. */
static bool holds(const json_t *value, struct str wanted)
{
    const char *name = NULL;
    json_t *inner = NULL;
    size_t i = 0;

    if (is_value(value, wanted))
        return true;
    json_array_foreach (value, i, inner)
        if (holds(inner, wanted))
            return true;
    json_object_foreach (json_iterable(value), name, inner)
        if (holds(inner, wanted))
            return true;
    return false;
}

static bool is_of_person(struct str part, struct str person)
{
    JSON_OWNED json_t *parsed = entry_parse_private(part);
    const char *name = NULL;
    json_t *member = NULL;

    json_object_foreach (parsed, name, member)
        if (holds(json_object_get(member, "value"), person))
            return true;
    return false;
}

static bool is_wanted(const struct ledger_erasure *erasure, const json_t *entry, struct str part)
{
    const json_t *run = json_object_get(json_object_get(entry, "ci"), "run");

    return (erasure->lease.len == 0 ||
            str_eq(json_str(json_object_get(entry, "lease")), erasure->lease)) &&
           (erasure->run.len == 0 || is_value(run, erasure->run)) &&
           (erasure->person.len == 0 || is_of_person(part, erasure->person));
}

/* What a block is about may stand beside its entry: until it ends that is needed. */
static bool is_block_in_force(struct finding *finding, struct str id)
{
    OWNED(block_view_put) struct block_view *view = NULL;
    struct error ignored = { 0 };

    return !ledger_blocks(finding->eraser->ledger, true, &view, &ignored) ||
           block_view_find(view, id, finding->now_s) != NULL;
}

/*
 * Until a lease is over, and its credentials are ended, what is beside its entries may be needed to
 * end them.
 */
static bool is_live(struct finding *finding, const json_t *entry)
{
    struct store_lease lease = { 0 };
    struct error why = { 0 };
    struct str id = { 0 };

    if (json_object_get(entry, "blocked") != NULL)
        return is_block_in_force(finding, json_str(json_object_get(entry, "block")));
    if (!json_get_str(entry, "lease", &id))
        return false;
    if (!ledger_lease_by_id(finding->eraser->ledger, id, &lease, &why))
        return why.code != ERROR_NOT_FOUND; /* nobody knows: leave it */
    return store_lease_owes(&lease, finding->now_s) ||
           ((lease.state == LEASE_REQUESTED || lease.state == LEASE_ISSUED ||
             lease.state == LEASE_UNKNOWN) &&
            lease.expires_s > finding->now_s);
}

static bool add(struct finding *finding, uint64_t index, struct str bytes, struct str part,
                struct error *error)
{
    struct indexer_erased *erased = &finding->erased[finding->count];

    *erased = (struct indexer_erased){ index, arena_copy(finding->arena, bytes),
                                       arena_copy(finding->arena, part) };
    finding->indices[finding->count++] = index;
    return (erased->entry.data != NULL && erased->private_part.data != NULL) ||
           error_set(error, ERROR_MEMORY, "no memory to erase");
}

static bool look_at(struct finding *finding, uint64_t index, struct error *error)
{
    struct ledger_erasure *erasure = finding->erasure;
    JSON_OWNED json_t *entry = NULL;
    struct error ignored = { 0 };
    struct str bytes = { 0 };
    struct str part = { 0 };

    if (!store_reader_get(finding->reader, index, &bytes, &part, error))
        return false;
    if (part.len == 0 || !entry_parse(bytes, &entry, &ignored) || !is_wanted(erasure, entry, part))
        return true;
    erasure->matched++;
    if (!is_live(finding, entry))
        return add(finding, index, bytes, part, error);
    erasure->live++;
    return true;
}

static bool find(struct finding *finding, struct error *error)
{
    struct ledger_erasure *erasure = finding->erasure;
    uint64_t end = 0;

    erasure->size = store_reader_size(finding->reader);
    end = erasure->from + ERASURE_SCAN_MAX;
    end = end < erasure->from || end > erasure->size ? erasure->size : end;
    erasure->next = erasure->from;
    while (erasure->next < end && finding->count < ERASURE_ENTRIES_MAX) {
        if (!look_at(finding, erasure->next, error))
            return false;
        erasure->next++;
    }
    return true;
}

/* ---- the entry, then the erasure ---- */

/* Entries as a list: one alone as a number, several in a row as [first, last]. */
static json_t *list_entries(const struct finding *finding)
{
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < finding->count;) {
        uint64_t first = finding->indices[i];
        uint64_t last = first;
        json_t *item = NULL;

        for (i++; i < finding->count && finding->indices[i] == last + 1; i++)
            last++;
        item = first == last ? json_integer((json_int_t)first)
                             : json_pack("[II]", (json_int_t)first, (json_int_t)last);
        if (json_array_append_new(list, item) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

/* How the entries were found, in words that say nothing of whose they are. */
static json_t *describe(const struct ledger_erasure *erasure)
{
    char text[32];
    size_t len = 0;

    len += (size_t)snprintf(text, sizeof(text), "%s", erasure->person.len > 0 ? "person" : "");
    if (erasure->run.len > 0)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%srun", len > 0 ? ", " : "");
    if (erasure->lease.len > 0)
        (void)snprintf(text + len, sizeof(text) - len, "%slease", len > 0 ? ", " : "");
    return json_string(text);
}

static bool put_actor(const struct ledger_erasure *erasure, json_t *entry, json_t *private_part,
                      struct error *error)
{
    json_t *actor = json_object();
    const char *name = NULL;
    json_t *value = NULL;

    if (!json_put(entry, "actor", actor) ||
        !json_put(actor, "issuer", json_from_str(erasure->issuer)))
        return error_set(error, ERROR_MEMORY, "no memory for an entry");
    json_object_foreach (json_iterable(erasure->actor), name, value)
        if (!entry_put_personal(actor, "actor", name, value, private_part, error))
            return false;
    return true;
}

static bool record(const struct finding *finding, uint64_t *index, struct error *error)
{
    const struct ledger_erasure *erasure = finding->erasure;
    JSON_OWNED json_t *entry =
        entry_new(ENTRY_ADMIN_ERASED, ledger_broker(finding->eraser->ledger));
    JSON_OWNED json_t *private_part = json_object();
    struct ledger_append append = { .entry_count = 1 };

    if (!json_put(entry, "reason", json_from_str(erasure->reason)) ||
        !json_put(entry, "detail", describe(erasure)) ||
        !json_put(entry, "count", json_integer((json_int_t)finding->count)) ||
        !json_put(entry, "entries", list_entries(finding)) || private_part == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for an entry");
    if (!put_actor(erasure, entry, private_part, error))
        return false;
    append.entries[0] = entry;
    append.private_parts[0] = private_part;
    if (!ledger_append_now(finding->eraser->ledger, &append, error))
        return false;
    *index = append.first_index;
    return true;
}

/* What the index knows of it goes, too, before the store says that it is done. */
static bool forget(void *context, struct error *error)
{
    struct finding *finding = context;

    if (!finding->eraser->indexer)
        return true;
    return indexer_forget(finding->eraser->indexer, finding->erased, finding->count, error);
}

static bool run(struct finding *finding, struct error *error)
{
    struct ledger_erasure *erasure = finding->erasure;
    struct store *store = finding->eraser->store;

    if (!store_reader_new(store, &finding->reader, error) || !find(finding, error))
        return false;
    if (erasure->is_dry || finding->count == 0)
        return true;
    if (!record(finding, &erasure->entry_index, error) ||
        !store_erase(store, finding->indices, finding->count, forget, finding, error))
        return false;
    erasure->erased = finding->count;
    return true;
}

void eraser_do(struct eraser *eraser, struct ledger_erasure *erasure)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    struct finding *finding = calloc(1, sizeof(*finding));

    erasure->matched = 0;
    erasure->live = 0;
    erasure->erased = 0;
    erasure->error = (struct error){ 0 };
    erasure->is_good = false;
    if (finding == NULL || arena == NULL) {
        free(finding);
        (void)error_set(&erasure->error, ERROR_MEMORY, "no memory to erase");
        return;
    }
    finding->eraser = eraser;
    finding->erasure = erasure;
    finding->arena = arena;
    finding->now_s = clock_wall_s();
    erasure->is_good = erasure_check(erasure, &erasure->error) && run(finding, &erasure->error);
    store_reader_close(finding->reader);
    free(finding);
}

/* ---- the thread ---- */

static char *tiles_in(const char *log)
{
    size_t len = strlen(log) + sizeof("/tile");
    char *path = malloc(len);

    if (path != NULL)
        (void)snprintf(path, len, "%s/tile", log);
    return path;
}

struct eraser *eraser_new(const struct eraser_options *options)
{
    struct eraser *eraser = calloc(1, sizeof(*eraser));

    if (eraser == NULL)
        return NULL;
    eraser->ledger = options->ledger;
    eraser->store = options->store;
    eraser->indexer = options->indexer;
    eraser->tiles = tiles_in(options->log);
    eraser->pruner = (struct pruner){ .ledger = options->ledger,
                                      .store = options->store,
                                      .indexer = options->indexer,
                                      .tiles = eraser->tiles,
                                      .is_stopping = &eraser->is_stopping };
    if (eraser->tiles != NULL && pthread_mutex_init(&eraser->lock, NULL) == 0 &&
        pthread_cond_init(&eraser->wake, NULL) == 0)
        return eraser;
    free(eraser->tiles);
    free(eraser);
    return NULL;
}

/* The next one, in order; NULL to prune, or when it is over and nothing waits. */
static struct ledger_erasure *take(struct eraser *eraser, int64_t *before_ms, bool *is_refused)
{
    struct ledger_erasure *erasure = NULL;

    (void)pthread_mutex_lock(&eraser->lock);
    while (eraser->first == NULL && !eraser->is_stopping && eraser->before_ms == 0)
        (void)pthread_cond_wait(&eraser->wake, &eraser->lock);
    *before_ms = eraser->first == NULL ? eraser->before_ms : 0;
    if (eraser->first == NULL)
        eraser->before_ms = 0;
    erasure = eraser->first;
    if (erasure != NULL) {
        eraser->first = erasure->queued;
        eraser->waiting_count--;
    }
    *is_refused = eraser->is_stopping;
    (void)pthread_mutex_unlock(&eraser->lock);
    return erasure;
}

static void prune(struct eraser *eraser, int64_t before_ms)
{
    struct error error = { 0 };

    if (!pruner_run(&eraser->pruner, before_ms, &error))
        metric_add(METRIC_LEDGER_FAILURES, 1);
}

static void answer(struct eraser *eraser, struct ledger_erasure *erasure, bool is_refused)
{
    struct waker waker = erasure->waker;

    erasure->is_good = false;
    if (is_refused)
        (void)error_set(&erasure->error, ERROR_STOPPING, "the broker is stopping");
    else
        eraser_do(eraser, erasure);
    waker.wake(waker.context); /* `erasure` may be gone afterwards */
}

static void *work(void *context)
{
    struct eraser *eraser = context;

    for (;;) {
        bool is_refused = false;
        int64_t before_ms = 0;
        struct ledger_erasure *erasure = take(eraser, &before_ms, &is_refused);

        if (erasure != NULL)
            answer(eraser, erasure, is_refused);
        else if (is_refused)
            return NULL;
        else
            prune(eraser, before_ms);
    }
}

void eraser_free(struct eraser *eraser)
{
    if (eraser == NULL)
        return;
    (void)pthread_mutex_lock(&eraser->lock);
    eraser->is_stopping = true;
    (void)pthread_cond_signal(&eraser->wake);
    (void)pthread_mutex_unlock(&eraser->lock);
    if (eraser->is_started)
        (void)pthread_join(eraser->thread, NULL);
    (void)pthread_cond_destroy(&eraser->wake);
    (void)pthread_mutex_destroy(&eraser->lock);
    free(eraser->tiles);
    free(eraser);
}

/* Called with the lock. */
static bool start(struct eraser *eraser)
{
    if (!eraser->is_started)
        eraser->is_started = pthread_create(&eraser->thread, NULL, work, eraser) == 0;
    return eraser->is_started;
}

static void append(struct eraser *eraser, struct ledger_erasure *erasure)
{
    struct ledger_erasure **end = &eraser->first;

    while (*end != NULL)
        end = &(*end)->queued;
    erasure->queued = NULL;
    *end = erasure;
    eraser->waiting_count++;
    (void)pthread_cond_signal(&eraser->wake);
}

bool eraser_submit(struct eraser *eraser, struct ledger_erasure *erasure, struct error *error)
{
    bool is_queued = false;

    (void)pthread_mutex_lock(&eraser->lock);
    if (eraser->is_stopping)
        (void)error_set(error, ERROR_STOPPING, "the broker is stopping");
    else if (eraser->waiting_count == ERASURES_WAITING_MAX)
        (void)error_set(error, ERROR_BUSY, "as many erasures wait as may");
    else if (!start(eraser))
        (void)error_set(error, ERROR_MEMORY, "cannot start the eraser");
    else
        is_queued = true;
    if (is_queued)
        append(eraser, erasure);
    (void)pthread_mutex_unlock(&eraser->lock);
    return is_queued;
}

void eraser_prune(struct eraser *eraser, int64_t before_ms)
{
    (void)pthread_mutex_lock(&eraser->lock);
    if (!eraser->is_stopping && start(eraser)) {
        eraser->before_ms = before_ms;
        (void)pthread_cond_signal(&eraser->wake);
    }
    (void)pthread_mutex_unlock(&eraser->lock);
}
