#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/metrics.h"
#include "identity/key_fetch_internal.h"
#include "identity/key_keeping_internal.h"
#include "identity/key_source_internal.h"
#include "upstream/upstream.h"

#define LIFETIME_MIN_S 30
#define LIFETIME_MAX_S 600
#define LIFETIME_DEFAULT_S 300 /* where the issuer says nothing */
#define STALE_MAX_MS (INT64_C(3600) * 1000)
#define FETCH_INTERVAL_MS 10000      /* between the starts of two fetches */
#define FIRST_FETCH_INTERVAL_MS 1000 /* while there is no set at all that could serve */
#define WAITERS_MAX 4096
#define SOURCE_BYTES_MAX ((size_t)256 * 1024)

/* One that waits for the fetch under way. */
struct waiter {
    struct waker waker;
    struct waiter *next;
};

struct key_source {
    atomic_uint references; /* a fetch under way holds one */
    struct arena *arena;    /* the copies in `location` */
    struct key_location location;
    struct upstream *upstream;  /* NULL: the set is a file's */
    struct key_keeping keeping; /* of the thread that tends */

    pthread_mutex_t lock;
    struct key_set *set; /* guarded by lock, like all below */
    int64_t fetched_ms;  /* monotonic */
    int64_t fetched_s;   /* the same in wall-clock time; 0: never since the start */
    int64_t lifetime_ms;
    bool is_kept; /* from before the start: it serves only while fetches fail */
    int64_t fetch_started_ms;
    bool has_fetched; /* a fetch was ever started */
    bool is_fetching;
    struct error failure;     /* of the last fetch; ERROR_NONE: it succeeded */
    int64_t failed_ms;        /* when it failed */
    int64_t failing_since_ms; /* when the first one in a row did */
    struct waiter *waiters;
    size_t waiter_count;
};

/* How far a set is in its life. */
enum freshness {
    FRESH,
    AGING,   /* serves, and a new one should come */
    STALE,   /* its life is over, and a fetch of then or later failed: it serves for a while */
    EXPIRED, /* does not serve: the next fetch must be waited for */
};

static enum freshness freshness(const struct key_source *source, int64_t now_ms)
{
    int64_t age_ms = now_ms - source->fetched_ms;

    if (source->set == NULL)
        return EXPIRED;
    if (source->upstream == NULL)
        return FRESH;
    if (!source->is_kept && age_ms < source->lifetime_ms / 5 * 4)
        return FRESH;
    if (!source->is_kept && age_ms < source->lifetime_ms)
        return AGING;
    /* what failed long before its end says nothing of now: the issuer is asked first */
    if (!source->is_kept &&
        source->failed_ms < source->fetched_ms + source->lifetime_ms - FETCH_INTERVAL_MS)
        return EXPIRED;
    if (source->failure.code != ERROR_NONE && age_ms < source->lifetime_ms + STALE_MAX_MS)
        return STALE;
    return EXPIRED;
}

/* Making and freeing. */

static bool copy_hosts(struct key_source *source, const struct issuer_options *issuer)
{
    struct str *hosts =
        arena_alloc_array(source->arena, issuer->key_host_count + 1, sizeof(*hosts));

    if (hosts == NULL)
        return false;
    for (size_t i = 0; i < issuer->key_host_count; i++) {
        hosts[i] = arena_copy(source->arena, issuer->key_hosts[i]);
        if (hosts[i].data == NULL)
            return false;
    }
    source->location.hosts = hosts;
    source->location.host_count = issuer->key_host_count;
    return true;
}

static bool copy_peer(struct key_source *source, const struct issuer_options *issuer)
{
    struct upstream_peer *peer = &source->location.peer;
    struct network *networks =
        arena_alloc_array(source->arena, issuer->network_count + 1, sizeof(*networks));

    if (networks == NULL)
        return false;
    for (size_t i = 0; i < issuer->network_count; i++)
        networks[i] = issuer->networks[i];
    peer->networks = networks;
    peer->network_count = issuer->network_count;
    peer->may_use_http = issuer->may_use_http;
    if (issuer->ca_file != NULL)
        peer->ca_file = arena_copy(source->arena, str_from(issuer->ca_file)).data;
    return issuer->ca_file == NULL || peer->ca_file != NULL;
}

static bool copy_location(struct key_source *source, const struct issuer_options *issuer)
{
    source->location.issuer = arena_copy(source->arena, issuer->url).data;
    return source->location.issuer != NULL && copy_hosts(source, issuer) &&
           copy_peer(source, issuer);
}

static bool read_file(struct key_source *source, const char *path, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(2 * KEY_SET_MAX_BYTES);
    struct error why = { 0 };
    struct str text;

    if (arena == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a key set");
    if (!file_read(arena, path, KEY_SET_MAX_BYTES, &text, &why) ||
        !key_set_parse(text, source->location.algorithms, &source->set, &why))
        return error_set(error, ERROR_CONFIG, "jwks_file: %s", why.cause);
    return true;
}

/* Whether a set from before the start may serve: never one from the future, or without its life. */
static bool may_serve(const struct key_snapshot *kept, int64_t now_s)
{
    return kept->set != NULL && kept->fetched_s > 0 && kept->fetched_s <= now_s &&
           kept->lifetime_s >= LIFETIME_MIN_S && kept->lifetime_s <= LIFETIME_MAX_S &&
           now_s - kept->fetched_s < kept->lifetime_s + STALE_MAX_MS / 1000;
}

static void take_kept_set(struct key_source *source, const struct key_snapshot *take_kept)
{
    int64_t now_s = clock_wall_s();

    if (!may_serve(take_kept, now_s)) {
        key_set_unref(take_kept->set);
        return;
    }
    source->set = take_kept->set;
    source->fetched_ms = clock_monotonic_ms() - (now_s - take_kept->fetched_s) * 1000;
    source->lifetime_ms = take_kept->lifetime_s * 1000;
    source->is_kept = true;
}

static bool prepare_fetches(struct key_source *source, struct upstream *upstream,
                            const char *folder, struct error *error)
{
    struct key_snapshot kept = { 0 };

    source->upstream = upstream;
    if (!key_keeping_init(&source->keeping, &source->location, folder, &kept, error))
        return false;
    take_kept_set(source, &kept);
    return true;
}

bool key_source_new(const struct issuer_options *issuer, unsigned algorithms,
                    struct upstream *upstream, const char *folder, struct key_source **source,
                    struct error *error)
{
    OWNED(key_source_unref) struct key_source *made = calloc(1, sizeof(*made));

    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for an issuer's keys");
    atomic_init(&made->references, 1);
    pthread_mutex_init(&made->lock, NULL);
    made->location.algorithms = algorithms;
    made->arena = arena_new(SOURCE_BYTES_MAX);
    if (made->arena == NULL || !copy_location(made, issuer))
        return error_set(error, ERROR_MEMORY, "no memory for an issuer's keys");
    if (!(issuer->jwks_file != NULL ? read_file(made, issuer->jwks_file, error)
                                    : prepare_fetches(made, upstream, folder, error)))
        return false;
    *source = TAKE(made);
    return true;
}

struct key_source *key_source_ref(struct key_source *source)
{
    atomic_fetch_add(&source->references, 1);
    return source;
}

void key_source_unref(struct key_source *source)
{
    if (source == NULL || atomic_fetch_sub(&source->references, 1) > 1)
        return;
    key_set_unref(source->set);
    key_keeping_release(&source->keeping);
    arena_free(source->arena);
    pthread_mutex_destroy(&source->lock);
    free(source);
}

static bool hosts_fit(const struct key_location *location, const struct issuer_options *issuer)
{
    if (location->host_count != issuer->key_host_count)
        return false;
    for (size_t i = 0; i < location->host_count; i++)
        if (!str_eq(location->hosts[i], issuer->key_hosts[i]))
            return false;
    return true;
}

static bool networks_fit(const struct upstream_peer *peer, const struct issuer_options *issuer)
{
    if (peer->network_count != issuer->network_count)
        return false;
    for (size_t i = 0; i < peer->network_count; i++)
        if (peer->networks[i].bits != issuer->networks[i].bits ||
            peer->networks[i].base.len != issuer->networks[i].base.len ||
            memcmp(peer->networks[i].base.bytes, issuer->networks[i].base.bytes,
                   peer->networks[i].base.len) != 0)
            return false;
    return true;
}

bool key_source_fits(const struct key_source *source, const struct issuer_options *issuer,
                     unsigned algorithms, const struct upstream *upstream)
{
    const struct key_location *location = &source->location;

    return source->upstream != NULL && source->upstream == upstream && issuer->jwks_file == NULL &&
           location->algorithms == algorithms && str_eq(str_from(location->issuer), issuer->url) &&
           (location->peer.ca_file == NULL) == (issuer->ca_file == NULL) &&
           str_eq(str_from(location->peer.ca_file), str_from(issuer->ca_file)) &&
           location->peer.may_use_http == issuer->may_use_http && hosts_fit(location, issuer) &&
           networks_fit(&location->peer, issuer);
}

/* Fetching. */

static void wake_all(struct waiter *waiters)
{
    while (waiters != NULL) {
        struct waiter *next = waiters->next;
        struct waker waker = waiters->waker;

        free(waiters);
        waker.wake(waker.context);
        waiters = next;
    }
}

int64_t key_source_lifetime_s(int64_t max_age_s)
{
    if (max_age_s < 0)
        max_age_s = LIFETIME_DEFAULT_S;
    if (max_age_s < LIFETIME_MIN_S)
        max_age_s = LIFETIME_MIN_S;
    if (max_age_s > LIFETIME_MAX_S)
        max_age_s = LIFETIME_MAX_S;
    return max_age_s;
}

/* Only a valid answer replaces keys. Takes the reference that the fetch held. */
static void end_fetch(struct key_set *take_set, int64_t max_age_s, const struct error *why,
                      void *context)
{
    OWNED(key_source_unref) struct key_source *source = context;
    struct key_set *old = NULL;
    struct waiter *waiters;

    if (take_set == NULL)
        metric_add(METRIC_JWKS_FAILURES, 1);
    pthread_mutex_lock(&source->lock);
    source->is_fetching = false;
    if (source->failure.code == ERROR_NONE)
        source->failing_since_ms = clock_monotonic_ms();
    source->failure = take_set == NULL ? *why : (struct error){ 0 };
    if (take_set == NULL) {
        source->failed_ms = clock_monotonic_ms();
    } else {
        old = source->set;
        source->set = take_set;
        source->is_kept = false;
        source->fetched_ms = clock_monotonic_ms();
        source->fetched_s = clock_wall_s();
        source->lifetime_ms = key_source_lifetime_s(max_age_s) * 1000;
    }
    waiters = source->waiters;
    source->waiters = NULL;
    source->waiter_count = 0;
    pthread_mutex_unlock(&source->lock);
    key_set_unref(old);
    wake_all(waiters);
}

static void start_fetch(struct key_source *source)
{
    const struct key_fetch_listener listener = { .done = end_fetch, .context = source };
    struct error error = { 0 };

    metric_add(METRIC_JWKS_FETCHES, 1);
    (void)key_source_ref(source); /* end_fetch() gives it back */
    if (!key_fetch_start(source->upstream, &source->location, listener, &error))
        end_fetch(NULL, -1, &error, source);
}

/* Stamps the fetch that the caller starts once it has let go of the lock. */
static bool may_start_fetch(struct key_source *source, enum freshness state, int64_t now_ms)
{
    int64_t interval_ms = state == EXPIRED ? FIRST_FETCH_INTERVAL_MS : FETCH_INTERVAL_MS;

    if (source->upstream == NULL || source->is_fetching)
        return false;
    if (source->has_fetched && now_ms - source->fetch_started_ms < interval_ms)
        return false;
    source->has_fetched = true;
    source->is_fetching = true;
    source->fetch_started_ms = now_ms;
    return true;
}

static enum progress add_waiter(struct key_source *source, struct waker waker, struct error *error)
{
    struct waiter *waiter;

    if (source->waiter_count >= WAITERS_MAX) {
        error_set(error, ERROR_KEYS_UNAVAILABLE, "too many wait for keys");
        return PROGRESS_FAILED;
    }
    waiter = calloc(1, sizeof(*waiter));
    if (waiter == NULL) {
        error_set(error, ERROR_MEMORY, "no memory to wait for keys");
        return PROGRESS_FAILED;
    }
    waiter->waker = waker;
    waiter->next = source->waiters;
    source->waiters = waiter;
    source->waiter_count++;
    return PROGRESS_WAIT;
}

/* Nothing more is to be waited for: say why there is no key. */
static enum progress refuse(const struct key_source *source, enum freshness state,
                            struct error *error)
{
    if (source->failure.code != ERROR_NONE)
        error_set(error, ERROR_KEYS_UNAVAILABLE, "%s", source->failure.cause);
    else if (state == EXPIRED)
        error_set(error, ERROR_KEYS_UNAVAILABLE, "the issuer's keys are not there");
    else
        error_set(error, ERROR_TOKEN, "the issuer has no key of its kid");
    return PROGRESS_FAILED;
}

static enum progress pick_key(struct key_source *source, struct verifier *verifier,
                              struct key_pick *pick)
{
    pick->set = key_set_ref(source->set);
    pick->verifier = verifier;
    return PROGRESS_DONE;
}

/* Under the lock. `*must_fetch` is what is left to do without it. */
static enum progress find(struct key_source *source, const struct token_envelope *envelope,
                          const struct waker *waker, struct key_pick *pick, bool *must_fetch,
                          struct error *error)
{
    int64_t now_ms = clock_monotonic_ms();
    enum freshness state = freshness(source, now_ms);
    enum key_match match = KEY_MATCH_UNKNOWN;
    struct verifier *verifier = NULL;

    if (state != EXPIRED)
        match = key_set_find(source->set, envelope, &verifier, error);
    if (match != KEY_MATCH_UNKNOWN) /* also a refused key's: its issuer may have mended the set */
        *must_fetch = state != FRESH && may_start_fetch(source, state, now_ms);
    if (match == KEY_MATCH_REFUSED)
        return PROGRESS_FAILED;
    if (match == KEY_MATCH_FOUND)
        return pick_key(source, verifier, pick);
    if (waker == NULL)
        return refuse(source, state, error);
    *must_fetch = may_start_fetch(source, state, now_ms);
    if (!source->is_fetching)
        return refuse(source, state, error);
    return add_waiter(source, *waker, error);
}

enum progress key_source_find(struct key_source *source, const struct token_envelope *envelope,
                              bool has_waited, struct waker waker, struct key_pick *pick,
                              struct error *error)
{
    bool must_fetch = false;
    enum progress progress;

    pthread_mutex_lock(&source->lock);
    progress = find(source, envelope, has_waited ? NULL : &waker, pick, &must_fetch, error);
    pthread_mutex_unlock(&source->lock);
    if (must_fetch)
        start_fetch(source);
    return progress;
}

bool key_source_forget(struct key_source *source, const void *waker_context)
{
    struct waiter *found = NULL;
    bool is_found;

    pthread_mutex_lock(&source->lock);
    for (struct waiter **at = &source->waiters; *at != NULL; at = &(*at)->next) {
        if ((*at)->waker.context != waker_context)
            continue;
        found = *at;
        *at = found->next;
        source->waiter_count--;
        break;
    }
    pthread_mutex_unlock(&source->lock);
    is_found = found != NULL;
    free(found);
    return is_found;
}

bool key_source_is_failing(struct key_source *source)
{
    bool is_failing;

    pthread_mutex_lock(&source->lock);
    is_failing = source->failure.code != ERROR_NONE;
    pthread_mutex_unlock(&source->lock);
    return is_failing;
}

int64_t key_source_failing_s(struct key_source *source)
{
    int64_t failing_s = -1;

    pthread_mutex_lock(&source->lock);
    if (source->failure.code != ERROR_NONE)
        failing_s = (clock_monotonic_ms() - source->failing_since_ms) / 1000;
    pthread_mutex_unlock(&source->lock);
    return failing_s;
}

/* What an issuer gave since the start; without a set where it gave nothing yet. */
static struct key_snapshot take_snapshot(struct key_source *source)
{
    struct key_snapshot snapshot = { 0 };

    pthread_mutex_lock(&source->lock);
    if (source->set != NULL && source->fetched_s != 0)
        snapshot = (struct key_snapshot){ key_set_ref(source->set), source->fetched_s,
                                          source->lifetime_ms / 1000 };
    pthread_mutex_unlock(&source->lock);
    return snapshot;
}

bool key_source_tend(struct key_source *source, struct str name,
                     const struct identity_listener *listener)
{
    struct key_snapshot snapshot = take_snapshot(source);
    bool is_due = key_keeping_is_due(&source->keeping, &snapshot);

    if (is_due)
        key_keeping_update(&source->keeping, &source->location, &snapshot, name, listener);
    key_set_unref(snapshot.set);
    return is_due;
}

const struct key_location *key_source_location(const struct key_source *source)
{
    return &source->location;
}
