#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/metrics.h"
#include "ledger/help.h"
#include "stream/stream.h"
#include "tests/test.h"

#define FILE_MAX ((size_t)8 * 1024 * 1024)
#define WAIT_S 60

/* A ledger, one stream of it to a file, and what was told of it. */
struct world {
    struct place place;
    struct ledger *ledger;
    struct stream_options options;
    struct streams *streams;
    char path[128];
    char folder[128];
    atomic_uint failed;
    atomic_uint stopped;
    atomic_uint recovered;
};

static void note_failed(const char *stream, bool is_stopped, const struct error *why, void *context)
{
    struct world *world = context;

    assert_string_equal(stream, "archive");
    assert_true(why->code != ERROR_NONE);
    atomic_fetch_add(is_stopped ? &world->stopped : &world->failed, 1);
}

static void note_recovered(const char *stream, void *context)
{
    struct world *world = context;

    (void)stream;
    atomic_fetch_add(&world->recovered, 1);
}

static void start(struct world *world)
{
    const struct streams_environment environment = {
        .ledger = world->ledger,
        .folder = world->folder,
        .origin = STR(ORIGIN),
        .failed = note_failed,
        .recovered = note_recovered,
        .context = world,
    };
    struct error error = { 0 };

    if (!streams_start(&world->options, 1, &environment, &world->streams, &error))
        fail_msg("%s", error.cause);
}

static void stop(struct world *world)
{
    streams_stop(world->streams);
    world->streams = NULL;
}

static void open_world(struct world *world)
{
    memset(world, 0, sizeof(*world));
    place_make(&world->place);
    world->ledger = place_open(&world->place);
    (void)snprintf(world->path, sizeof(world->path), "%s", place_path(&world->place, "entries"));
    (void)snprintf(world->folder, sizeof(world->folder), "%s",
                   place_path(&world->place, "cursors"));
    world->options = (struct stream_options){
        .name = "archive",
        .kind = STREAM_FILE,
        .path = world->path,
        .mode = 0600,
        .batch_entries = 7,
        .batch_bytes = STREAM_BATCH_BYTES_MIN,
    };
}

static void close_world(struct world *world)
{
    streams_stop(world->streams);
    ledger_close(world->ledger);
    place_remove(&world->place);
}

/* The indices of the file's lines, in their order. */
static size_t read_indices(const struct world *world, uint64_t *indices, size_t max)
{
    OWNED(arena_free) struct arena *arena = arena_new(FILE_MAX + 65536);
    struct error error = { 0 };
    struct str text = { 0 };
    struct str line;
    size_t count = 0;

    if (!file_read(arena, world->path, FILE_MAX, &text, &error))
        return 0;
    while (count < max && str_cut(text, '\n', &line, &text)) {
        static const struct str start_text = STR_INIT("{\"index\":");
        int64_t index = -1;

        assert_true(str_starts_with(line, start_text));
        line = str_slice(line, start_text.len, line.len);
        assert_true(str_to_int64(str_slice(line, 0, str_find(line, ',')), &index));
        indices[count++] = (uint64_t)index;
    }
    return count;
}

/* Until the file has the entries from `first` to before `size`, each once and in order. */
static void expect_all(const struct world *world, uint64_t first, uint64_t size)
{
    static uint64_t indices[4096];
    const time_t deadline = time(NULL) + WAIT_S;
    size_t count = 0;

    do {
        (void)usleep(2000); /* between two looks */
        count = read_indices(world, indices, 4096);
    } while (count < size - first && time(NULL) < deadline);
    assert_int_equal(count, size - first);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(indices[i], first + i);
}

static void wait_for(atomic_uint *number, unsigned expected)
{
    const time_t deadline = time(NULL) + WAIT_S;

    while (atomic_load(number) < expected && time(NULL) < deadline)
        (void)usleep(2000);
    assert_int_equal(atomic_load(number), expected);
}

static void *append_some(void *context)
{
    struct world *world = context;

    for (size_t i = 0; i < 100; i++)
        (void)append_one(world->ledger, entry_started());
    return NULL;
}

static void entries_arrive_in_order_while_others_write(void **state)
{
    static struct world world;
    pthread_t threads[3];
    int64_t since_s = 0;

    (void)state;
    open_world(&world);
    start(&world);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, append_some, &world), 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    expect_all(&world, 0, 300);
    assert_false(streams_degraded(world.streams, &since_s));
    assert_int_equal(atomic_load(&world.failed), 0);
    close_world(&world);
}

static void a_stream_goes_on_where_it_was(void **state)
{
    static struct world world;

    (void)state;
    open_world(&world);
    append_many(world.ledger, 5);
    start(&world);
    expect_all(&world, 0, 5);
    stop(&world);
    append_many(world.ledger, 20);
    start(&world);
    expect_all(&world, 0, 25);
    stop(&world);
    start(&world);
    (void)append_one(world.ledger, entry_started());
    expect_all(&world, 0, 26);
    close_world(&world);
}

static void a_stream_may_begin_at_the_end(void **state)
{
    static struct world world;

    (void)state;
    open_world(&world);
    append_many(world.ledger, 5);
    world.options.is_from_now = true;
    start(&world);
    while (access(place_path(&world.place, "cursors/archive.json"), F_OK) != 0)
        (void)usleep(1000);
    append_many(world.ledger, 3);
    expect_all(&world, 5, 8);
    stop(&world);
    append_many(world.ledger, 2);
    start(&world);
    expect_all(&world, 5, 10);
    close_world(&world);
}

static void a_failure_is_told_once_and_ends(void **state)
{
    static struct world world;
    int64_t since_s = 0;

    (void)state;
    open_world(&world);
    (void)snprintf(world.path, sizeof(world.path), "%s", place_path(&world.place, "later/entries"));
    append_many(world.ledger, 3);
    start(&world);
    wait_for(&world.failed, 1);
    while (metric_stream_get(METRIC_STREAM_FAILURES, 0) < 2)
        (void)usleep(1000);
    assert_int_equal(atomic_load(&world.failed), 1);
    assert_int_equal(metric_stream_get(METRIC_STREAM_BACKLOG, 0), 3);
    assert_int_equal(metric_stream_get(METRIC_STREAM_FAILING, 0), 1);
    assert_false(streams_degraded(world.streams, &since_s));
    clock_test_advance(31);
    assert_true(streams_degraded(world.streams, &since_s));
    assert_true(since_s > 0 && since_s <= clock_wall_s() - 30);
    assert_int_equal(mkdir(place_path(&world.place, "later"), 0700), 0);
    wait_for(&world.recovered, 1);
    assert_int_equal(metric_stream_get(METRIC_STREAM_FAILING, 0), 0);
    assert_false(streams_degraded(world.streams, &since_s));
    expect_all(&world, 0, 3);
    close_world(&world);
}

static void another_ledgers_place_stops_a_stream(void **state)
{
    static struct world world;
    static struct world other;
    int64_t since_s = 0;

    (void)state;
    open_world(&other);
    (void)append_one(other.ledger, entry_started());
    append_many(other.ledger, 3);
    start(&other);
    expect_all(&other, 0, 4);
    stop(&other);
    open_world(&world);
    append_many(world.ledger, 9);
    (void)snprintf(world.folder, sizeof(world.folder), "%s", place_path(&other.place, "cursors"));
    start(&world);
    wait_for(&world.stopped, 1);
    assert_int_equal(metric_stream_get(METRIC_STREAM_FAILING, 0), 1);
    assert_true(streams_degraded(world.streams, &since_s));
    assert_int_equal(access(world.path, F_OK), -1);
    close_world(&world);
    close_world(&other);
}

static void too_many_streams_are_refused(void **state)
{
    static struct stream_options options[STREAMS_MAX + 1];
    const struct streams_environment environment = { .folder = "nowhere" };
    struct streams *streams = NULL;
    struct error error = { 0 };

    (void)state;
    assert_false(streams_start(options, STREAMS_MAX + 1, &environment, &streams, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    streams_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_arrive_in_order_while_others_write),
        cmocka_unit_test(a_stream_goes_on_where_it_was),
        cmocka_unit_test(a_stream_may_begin_at_the_end),
        cmocka_unit_test(a_failure_is_told_once_and_ends),
        cmocka_unit_test(another_ledgers_place_stops_a_stream),
        cmocka_unit_test(too_many_streams_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
