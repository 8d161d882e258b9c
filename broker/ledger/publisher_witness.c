#include <inttypes.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "ledger/publisher_internal.h"
#include "store/store.h"

#define EMPTY_NOTE_MAX ((size_t)4096)

static void tell_answered(void *context)
{
    struct publisher *publisher = context;

    (void)pthread_mutex_lock(&publisher->lock);
    publisher->has_answers = true;
    (void)pthread_cond_signal(&publisher->wake);
    (void)pthread_mutex_unlock(&publisher->lock);
}

/* Asked of the store itself, which other brokers may have written to. */
static bool has_entries(void *context, uint64_t size)
{
    struct publisher *publisher = context;

    return store_reader_refresh(publisher->reader, &(struct error){ 0 }) &&
           size <= store_reader_size(publisher->reader);
}

bool publisher_take_options(struct publisher *publisher, const struct publisher_options *options,
                            struct error *error)
{
    const struct witnesses_options witnesses = {
        .list = options->witnesses,
        .count = options->witness_count,
        .upstream = options->upstream,
        .answered = { tell_answered, publisher },
        .has_entries = has_entries,
        .context = publisher,
    };

    const struct mirror_watch_options mirrors = {
        .list = options->mirrors,
        .count = options->mirror_count,
        .upstream = options->upstream,
        .answered = { tell_answered, publisher },
        .has_entries = has_entries,
        .context = publisher,
    };

    if (options->next_key_count >= NOTE_LOGS_MAX || options->witness_count > NOTE_WITNESSES_MAX ||
        options->mirror_count > MIRROR_WATCH_MAX)
        return error_set(error, ERROR_LIMIT,
                         "more than %d keys of the log, or %d witnesses or mirrors", NOTE_LOGS_MAX,
                         NOTE_WITNESSES_MAX);
    publisher->keys[publisher->key_count++] = options->key;
    for (size_t i = 0; i < options->next_key_count; i++)
        publisher->keys[publisher->key_count++] = options->next_keys[i];
    if (options->mirror_count > 0 && !mirror_watch_new(&mirrors, &publisher->mirrors, error))
        return false;
    return options->witness_count == 0 || witnesses_new(&witnesses, &publisher->witnesses, error);
}

static void wait_for_answer(struct publisher *publisher)
{
    (void)pthread_mutex_lock(&publisher->lock);
    while (!publisher->has_answers)
        (void)pthread_cond_wait(&publisher->wake, &publisher->lock);
    publisher->has_answers = false;
    (void)pthread_mutex_unlock(&publisher->lock);
}

/* Take answers and ask again where that helps, until nobody is asked: each is, for a time. */
static void settle(struct publisher *publisher)
{
    int64_t end_ms = clock_monotonic_ms() + WATCHER_TIMEOUT_MS;

    while (witnesses_are_asked(publisher->witnesses, true)) {
        wait_for_answer(publisher);
        publisher_take_answers(publisher, clock_monotonic_ms());
        if (clock_monotonic_ms() < end_ms)
            publisher_ask_witnesses(publisher, clock_monotonic_ms());
    }
}

static bool probe(struct publisher *publisher, struct error *error)
{
    struct checkpoint checkpoint = { .origin = publisher->options.origin };
    OWNED(buf_release) struct buf note = { 0 };
    struct str whose = { 0 };
    uint64_t largest = 0;

    checkpoint.root = tile_edge_root(publisher_edge_of(NULL));
    buf_init(&note, EMPTY_NOTE_MAX);
    if (!checkpoint_sign(&checkpoint, publisher->keys, publisher->key_count, &note, error))
        return false;
    if (!buf_is_ok(&note))
        return error_set(error, ERROR_MEMORY, "no memory for a checkpoint");
    witnesses_probe(publisher->witnesses, buf_str(&note));
    settle(publisher);
    (void)witnesses_sizes(publisher->witnesses, &largest, &whose);
    return largest <= publisher->committed || has_entries(publisher, largest) ||
           error_set(error, ERROR_INVALID,
                     "the store has %" PRIu64 " entries, witness " STR_FMT " has cosigned %" PRIu64
                     ": it is older than what was witnessed",
                     publisher->committed, STR_ARG(whose), largest);
}

bool publisher_meet_witnesses(struct publisher *publisher, struct error *error)
{
    const char *conflict = NULL;
    struct str whose = { 0 };
    uint64_t largest = 0;
    size_t count = 0;

    if (!probe(publisher, error))
        return false;
    if (publisher->committed > 0) {
        if (!publisher_sign_next(publisher, error))
            return false;
        publisher_ask_witnesses(publisher, clock_monotonic_ms());
        settle(publisher);
    }
    conflict = witnesses_conflict(publisher->witnesses);
    if (conflict != NULL)
        return error_set(error, ERROR_INVALID, "this is not the log that was witnessed: %s",
                         conflict);
    count = witnesses_sizes(publisher->witnesses, &largest, &whose);
    return count >= publisher->options.quorum ||
           error_set(error, ERROR_UNREACHABLE,
                     "%zu witnesses have answered, the quorum is %zu: whether this store is the "
                     "newest is not known",
                     count, publisher->options.quorum);
}
