#include "stream/stream.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/time_text.h"
#include "ledger/ledger.h"
#include "store/store.h"
#include "stream/batch.h"
#include "stream/cursor.h"
#include "stream/sink.h"

#define LOOK_EVERY_MS 100     /* for new entries, and so the least time between two small batches */
#define REFRESH_EVERY_MS 1000 /* of the reader, where no new size was told */
#define SAVE_EVERY_MS 1000
#define BACKOFF_FIRST_MS 250
#define BACKOFF_MAX_MS 60000
#define DEGRADED_AFTER_S 30
#define NICENESS 10 /* exchanges go first */
#define PATHS_MAX ((size_t)256 * 1024)

/* How far a stream is, in the order in which these follow each other. */
struct position {
    uint64_t next;      /* to be handed over */
    uint64_t candidate; /* handed over by `candidate_ms`, not acknowledged */
    int64_t candidate_ms;
    uint64_t settled; /* the receiver has what is below */
    uint64_t saved;   /* what the cursor's file says */
    int64_t saved_ms;
};

struct stream {
    const struct stream_options *options;
    const struct streams_environment *environment;
    const struct stream_sink *sink;
    const char *cursor_path;
    size_t number; /* of its metrics */
    pthread_t thread;
    bool has_thread;
    struct sink_tools tools;

    /* the thread's own */
    void *state; /* of the sink */
    struct store_reader *reader;
    struct position at;
    int64_t refreshed_ms;
    int64_t oldest_ms;     /* when the first entry that waits was written; 0: none waits */
    unsigned failures;     /* in a row */
    int64_t retry_after_s; /* what the receiver said at the last one; 0: nothing */
    struct stream_batch batch;

    pthread_mutex_t lock;
    pthread_cond_t ended; /* by the monotonic clock */
    atomic_bool is_ending;
    atomic_bool is_stopped;          /* for good: its cursor is not of this ledger */
    _Atomic int64_t failing_since_s; /* 0: it does not fail */
};

struct streams {
    struct streams_environment environment;
    struct arena *arena;
    struct stream *list[STREAMS_MAX];
    size_t count;
};

static const struct stream_sink *const sinks[] = {
    [STREAM_FILE] = &sink_file,
    [STREAM_SYSLOG] = &sink_syslog,
    [STREAM_WEBHOOK] = &sink_webhook,
    [STREAM_OTLP] = &sink_otlp,
};

/* Waiting. */

/* Until the time is over, or the stream is to end; whether it goes on. */
static bool pause_for(struct stream *stream, int64_t wait_ms)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until); /* a wait of the system's, never moved by tests */
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += wait_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    (void)pthread_mutex_lock(&stream->lock);
    while (!atomic_load(&stream->is_ending) &&
           pthread_cond_timedwait(&stream->ended, &stream->lock, &until) == 0) {
    }
    (void)pthread_mutex_unlock(&stream->lock);
    return !atomic_load(&stream->is_ending);
}

static void measure(const struct stream *stream)
{
    uint64_t size = ledger_size(stream->environment->ledger);
    uint64_t backlog = size > stream->at.settled ? size - stream->at.settled : 0;
    int64_t age_ms = clock_wall_ms() - stream->oldest_ms;

    metric_stream_set(METRIC_STREAM_BACKLOG, stream->number, (int64_t)backlog);
    metric_stream_set(METRIC_STREAM_AGE, stream->number,
                      backlog == 0 || stream->oldest_ms == 0 || age_ms < 0 ? 0 : age_ms / 1000);
}

/* Twice as long each time, up to a minute, and less by chance: not all come back at once. */
static int64_t backoff_ms(unsigned failures)
{
    int64_t most_ms = BACKOFF_MAX_MS;

    if (failures < 9 && ((int64_t)BACKOFF_FIRST_MS << failures) < most_ms)
        most_ms = (int64_t)BACKOFF_FIRST_MS << failures;
    return most_ms - (clock_monotonic_ns() / 1000) % (most_ms / 4 + 1);
}

/* Longer each time; a receiver that says when it wants to be asked again is obeyed. */
static void wait_after_failure(struct stream *stream)
{
    int64_t wait_ms = backoff_ms(stream->failures++);

    if (wait_ms < stream->retry_after_s * 1000)
        wait_ms = stream->retry_after_s * 1000;
    stream->retry_after_s = 0;
    while (wait_ms > 0) {
        int64_t piece_ms = wait_ms < 1000 ? wait_ms : 1000;

        measure(stream);
        if (!pause_for(stream, piece_ms))
            return;
        wait_ms -= piece_ms;
    }
}

/* The cursor. */

/* To where the cursor's file is: what came behind it may be lost. */
static void go_back(struct stream *stream)
{
    if (stream->at.saved != UINT64_MAX)
        stream->at.settled = stream->at.saved;
}

static bool save(struct stream *stream, struct error *error)
{
    struct cursor cursor;

    if (stream->at.saved == stream->at.settled)
        return true;
    if (stream->sink->flush != NULL && !stream->sink->flush(stream->state, error)) {
        go_back(stream);
        return false;
    }
    if (!cursor_at(stream->reader, stream->at.settled, &cursor, error) ||
        !cursor_save(stream->cursor_path, stream->environment->origin, &cursor, error))
        return false;
    stream->at.saved = stream->at.settled;
    stream->at.saved_ms = clock_monotonic_ms();
    return true;
}

static bool save_when_due(struct stream *stream, struct error *error)
{
    return clock_monotonic_ms() - stream->at.saved_ms < SAVE_EVERY_MS || save(stream, error);
}

/* Take up what the file says; without one, begin. */
static bool begin(struct stream *stream, struct error *error)
{
    struct cursor cursor = { 0 };
    bool is_there = false;

    if (!cursor_load(stream->cursor_path, stream->environment->origin, &cursor, &is_there, error))
        return false;
    if (is_there && !cursor_check(stream->cursor_path, &cursor, stream->reader, error))
        return false;
    if (!is_there && stream->options->is_from_now)
        cursor.next = store_reader_size(stream->reader);
    stream->at = (struct position){
        .next = cursor.next,
        .candidate = cursor.next,
        .settled = cursor.next,
        .saved = is_there ? cursor.next : UINT64_MAX,
    };
    return save(stream, error); /* where it began must not depend on when it is killed */
}

/* Moving on. */

/* What is acknowledged is settled; what nobody acknowledges is when it has stood for a while. */
static bool settle(struct stream *stream, struct error *error)
{
    struct position *at = &stream->at;
    int64_t now_ms = clock_monotonic_ms();

    if (stream->sink->settle_ms == 0) {
        at->settled = at->next;
        return true;
    }
    if (at->settled == at->next)
        return true;
    if (at->candidate == at->settled) {
        at->candidate = at->next;
        at->candidate_ms = now_ms;
        return true;
    }
    if (now_ms - at->candidate_ms < stream->sink->settle_ms)
        return true;
    if (!stream->sink->is_alive(stream->state))
        return error_set(error, ERROR_UNREACHABLE, "the connection was closed");
    at->settled = at->candidate;
    at->candidate = at->next;
    at->candidate_ms = now_ms;
    return true;
}

static bool refresh(struct stream *stream, struct error *error)
{
    int64_t now_ms = clock_monotonic_ms();
    uint64_t size = store_reader_size(stream->reader);

    if (stream->at.next < size || (ledger_size(stream->environment->ledger) <= size &&
                                   now_ms - stream->refreshed_ms < REFRESH_EVERY_MS))
        return true;
    stream->refreshed_ms = now_ms;
    return store_reader_refresh(stream->reader, error);
}

static void note_oldest(struct stream *stream)
{
    const struct stream_batch *batch = &stream->batch;

    if (batch->count > 0 &&
        !time_text_parse(batch->items[0].members[MEMBER_TIME], &stream->oldest_ms))
        stream->oldest_ms = 0;
    if (batch->count == 0)
        stream->oldest_ms = 0;
}

/* What the sink did not take of a batch is read again. */
static bool hand_over(struct stream *stream, struct error *error)
{
    struct stream_batch *batch = &stream->batch;
    struct delivery delivery = { 0 };

    if (!stream->sink->deliver(stream->state, batch->items, batch->count, &delivery, error)) {
        stream->retry_after_s = delivery.retry_after_s;
        return false;
    }
    stream->at.next =
        delivery.delivered < batch->count ? batch->items[delivery.delivered].index : batch->end;
    metric_stream_add(METRIC_STREAM_SENT, stream->number, (int64_t)delivery.delivered);
    metric_stream_add(METRIC_STREAM_REFUSED, stream->number, (int64_t)delivery.refused);
    return true;
}

/* Read, hand over, move on; whether there is more at once. */
static bool step(struct stream *stream, bool *has_more, struct error *error)
{
    struct stream_batch *batch = &stream->batch;

    *has_more = false;
    if (!refresh(stream, error) ||
        !batch_fill(batch, stream->options, stream->reader, stream->at.next, error))
        return false;
    note_oldest(stream);
    measure(stream);
    if (batch->count > 0 && !hand_over(stream, error))
        return false;
    if (batch->count == 0)
        stream->at.next = batch->end;
    *has_more = stream->at.next < store_reader_size(stream->reader);
    return settle(stream, error) && save_when_due(stream, error);
}

/* Told once, when it begins to fail; a stream that ends has not failed. */
static void begin_failing(struct stream *stream, bool is_stopped, const struct error *why)
{
    const struct streams_environment *environment = stream->environment;
    struct error ignored = { 0 };

    if (stream->sink->flush != NULL && !stream->sink->flush(stream->state, &ignored))
        go_back(stream);
    stream->at.next = stream->at.settled;
    stream->at.candidate = stream->at.settled;
    if (why->code == ERROR_STOPPING || atomic_load(&stream->is_ending))
        return;
    metric_stream_add(METRIC_STREAM_FAILURES, stream->number, 1);
    metric_stream_set(METRIC_STREAM_FAILING, stream->number, 1);
    atomic_store(&stream->is_stopped, is_stopped);
    if (atomic_load(&stream->failing_since_s) == 0 || is_stopped) {
        atomic_store(&stream->failing_since_s, clock_wall_s());
        environment->failed(stream->options->name, is_stopped, why, environment->context);
    }
}

static void end_failing(struct stream *stream)
{
    stream->failures = 0;
    metric_stream_set(METRIC_STREAM_FAILING, stream->number, 0);
    if (atomic_exchange(&stream->failing_since_s, 0) != 0)
        stream->environment->recovered(stream->options->name, stream->environment->context);
}

static void run_once(struct stream *stream)
{
    struct error error = { 0 };
    bool has_more = false;
    bool is_good = step(stream, &has_more, &error);
    bool has_delivered = is_good && stream->batch.count > 0;

    batch_clear(&stream->batch);
    if (!is_good) {
        begin_failing(stream, false, &error);
        wait_after_failure(stream);
        return;
    }
    /* nothing to hand over proves nothing of a receiver that was away */
    if (has_delivered || stream->at.settled >= ledger_size(stream->environment->ledger))
        end_failing(stream);
    measure(stream);
    if (!has_more)
        (void)pause_for(stream, LOOK_EVERY_MS);
}

/* Its reader and its place; what cannot be had now is tried again, another ledger's cursor not. */
static bool prepare(struct stream *stream)
{
    while (!atomic_load(&stream->is_ending)) {
        struct error error = { 0 };

        if ((stream->reader != NULL ||
             ledger_reader(stream->environment->ledger, &stream->reader, &error)) &&
            begin(stream, &error))
            return true;
        begin_failing(stream, error.code == ERROR_INVALID, &error);
        if (error.code == ERROR_INVALID)
            return false;
        wait_after_failure(stream);
    }
    return false;
}

static void *run(void *context)
{
    struct stream *stream = context;
    struct error ignored = { 0 };

    (void)setpriority(PRIO_PROCESS, 0, NICENESS); /* of this thread alone; a wish */
    if (!prepare(stream))
        return NULL;
    while (!atomic_load(&stream->is_ending))
        run_once(stream);
    (void)save(stream, &ignored); /* else something is sent again */
    return NULL;
}

/* The whole. */

static void stream_free(struct stream *stream)
{
    if (stream == NULL)
        return;
    batch_clear(&stream->batch);
    if (stream->state != NULL)
        stream->sink->close(stream->state);
    store_reader_close(stream->reader);
    metric_stream_name(stream->number, NULL);
    (void)pthread_cond_destroy(&stream->ended);
    (void)pthread_mutex_destroy(&stream->lock);
    free(stream);
}

static bool make_waiting(struct stream *stream)
{
    pthread_condattr_t attributes;
    bool is_made;

    if (pthread_mutex_init(&stream->lock, NULL) != 0)
        return false;
    is_made = pthread_condattr_init(&attributes) == 0 &&
              pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
              pthread_cond_init(&stream->ended, &attributes) == 0;
    (void)pthread_condattr_destroy(&attributes);
    return is_made;
}

static bool add(struct streams *streams, const struct stream_options *options, struct error *error)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    struct str path;

    if (stream == NULL || !make_waiting(stream)) {
        free(stream);
        return error_set(error, ERROR_MEMORY, "no memory for a stream");
    }
    stream->number = streams->count;
    streams->list[streams->count++] = stream;
    path = arena_printf(streams->arena, "%s/%s.json", streams->environment.folder, options->name);
    stream->options = options;
    stream->environment = &streams->environment;
    stream->sink = sinks[options->kind];
    stream->cursor_path = path.data;
    stream->tools = (struct sink_tools){
        .upstream = streams->environment.upstream,
        .origin = streams->environment.origin,
        .is_ending = &stream->is_ending,
    };
    metric_stream_name(stream->number, options->name);
    if (path.data == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a stream");
    return stream->sink->open(options, &stream->tools, &stream->state, error);
}

static bool start_threads(struct streams *streams, struct error *error)
{
    for (size_t i = 0; i < streams->count; i++) {
        struct stream *stream = streams->list[i];

        if (pthread_create(&stream->thread, NULL, run, stream) != 0)
            return error_set(error, ERROR_IO, "a stream's thread does not start");
        stream->has_thread = true;
    }
    return true;
}

bool streams_start(const struct stream_options *options, size_t count,
                   const struct streams_environment *environment, struct streams **out,
                   struct error *error)
{
    OWNED(streams_stop) struct streams *streams = calloc(1, sizeof(*streams));

    if (streams == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for streams");
    if (count > STREAMS_MAX)
        return error_set(error, ERROR_LIMIT, "more than %d streams", STREAMS_MAX);
    streams->environment = *environment;
    streams->arena = arena_new(PATHS_MAX);
    if (streams->arena == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for streams");
    if (count > 0 && !file_make_folder(environment->folder, 0700, error))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!add(streams, &options[i], error))
            return false;
    if (!start_threads(streams, error))
        return false;
    *out = TAKE(streams);
    return true;
}

static void end_all(struct streams *streams)
{
    for (size_t i = 0; i < streams->count; i++) {
        struct stream *stream = streams->list[i];

        (void)pthread_mutex_lock(&stream->lock);
        atomic_store(&stream->is_ending, true);
        (void)pthread_cond_broadcast(&stream->ended);
        (void)pthread_mutex_unlock(&stream->lock);
    }
}

void streams_stop(struct streams *streams)
{
    if (streams == NULL)
        return;
    end_all(streams);
    for (size_t i = 0; i < streams->count; i++)
        if (streams->list[i]->has_thread)
            (void)pthread_join(streams->list[i]->thread, NULL);
    for (size_t i = 0; i < streams->count; i++)
        stream_free(streams->list[i]);
    arena_free(streams->arena);
    free(streams);
}

bool streams_degraded(const struct streams *streams, int64_t *since_s)
{
    int64_t now_s = clock_wall_s();

    for (size_t i = 0; streams != NULL && i < streams->count; i++) {
        *since_s = atomic_load(&streams->list[i]->failing_since_s);
        if (*since_s != 0 &&
            (atomic_load(&streams->list[i]->is_stopped) || now_s - *since_s >= DEGRADED_AFTER_S))
            return true;
    }
    return false;
}
