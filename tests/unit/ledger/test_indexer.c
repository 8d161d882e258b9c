#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/metrics.h"
#include "ledger/help.h"
#include "ledger/indexer.h"
#include "ledger/projection.h"
#include "ledger/sample_store.h"
#include "tests/assert_str.h"

#define WAIT_MS 20000

static struct place place;
static struct store *store;
static struct indexer *indexer;
static pthread_mutex_t telling = PTHREAD_MUTEX_INITIALIZER;
static struct indexer *told; /* guarded by telling: NULL, or the one that runs */
static atomic_int steps;

static void tell_of_commits(struct indexer *next)
{
    (void)pthread_mutex_lock(&telling);
    told = next;
    (void)pthread_mutex_unlock(&telling);
}

static int make(void **state)
{
    (void)state;
    place_make(&place);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    tell_of_commits(NULL);
    indexer_stop(TAKE(indexer));
    store_close(TAKE(store));
    place_remove(&place);
    return 0;
}

static void must(bool is_good, const struct error *error)
{
    if (!is_good)
        fail_msg("%s", error->cause);
}

static char *path_of(const char *name)
{
    static char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", place.folder, name);
    return path;
}

/* The store's thread tells of a commit after whoever waits for it was told. */
static void committed(uint64_t size, void *context)
{
    (void)context;
    (void)pthread_mutex_lock(&telling);
    if (told)
        indexer_commit(size, told);
    (void)pthread_mutex_unlock(&telling);
}

static void open_store(const char *name)
{
    store = sample_store_open(path_of(name));
    store_on_commit(store, committed, NULL);
}

static void note_step(void *context)
{
    (void)context;
    atomic_fetch_add(&steps, 1);
}

static void start(void)
{
    struct indexer_options options = { .store = store,
                                       .path = path_of("index"),
                                       .progressed = note_step };
    struct error error = { 0 };

    must(indexer_start(&options, &indexer, &error), &error);
    tell_of_commits(indexer);
}

static void stop(void)
{
    tell_of_commits(NULL);
    indexer_stop(TAKE(indexer));
}

static void wait_indexed(uint64_t size)
{
    indexer_hurry(indexer);
    for (unsigned i = 0; i < WAIT_MS && indexer_size(indexer) < size; i++)
        (void)usleep(1000);
    assert_int_equal(indexer_size(indexer), size);
}

/* Of a stopped indexer: all is in the one file then. */
static void keep(const char *name)
{
    char command[64];

    (void)snprintf(command, sizeof(command), "cp index %s", name);
    run_shell(command, &place);
}

static void expect_same_rows(void)
{
    run_shell("python3 -c \"import sqlite3\n"
              "dumps = [list(sqlite3.connect(name).iterdump()) for name in ('before', 'after')]\n"
              "assert len(dumps[0]) > 100 and dumps[0] == dumps[1]\"",
              &place);
}

static void an_index_follows_the_log(void **state)
{
    (void)state;
    open_store("store");
    sample_store_append(store, 0, 20);
    start();
    wait_indexed(20);
    sample_store_append(store, 20, 50);
    wait_indexed(50);
    assert_true(atomic_load(&steps) > 0);
    assert_int_equal(metric_get(METRIC_INDEX_SIZE), 50);
    assert_int_equal(metric_get(METRIC_INDEX_BACKLOG), 0);
}

static void a_dropped_index_is_made_anew_to_the_same(void **state)
{
    (void)state;
    open_store("store");
    start();
    sample_store_append(store, 0, 50);
    wait_indexed(50);
    sample_store_append(store, 50, 300);
    wait_indexed(300);
    stop();
    keep("before");
    run_shell("rm index*", &place);
    start();
    wait_indexed(300);
    stop();
    keep("after");
    expect_same_rows();
}

static void an_index_goes_on_where_it_was(void **state)
{
    unsigned generation = 0;

    (void)state;
    open_store("store");
    sample_store_append(store, 0, 30);
    start();
    wait_indexed(30);
    stop();
    sample_store_append(store, 30, 40);
    start();
    wait_indexed(40);
    generation = indexer_generation(indexer);
    assert_int_equal(generation, 1);
    stop();
    keep("before");
    run_shell("rm index*", &place);
    start();
    wait_indexed(40);
    stop();
    keep("after");
    expect_same_rows();
}

static void the_index_of_another_log_is_not_used(void **state)
{
    (void)state;
    open_store("store");
    sample_store_append(store, 0, 40);
    start();
    wait_indexed(40);
    stop();
    store_close(TAKE(store));
    open_store("other");
    sample_store_append(store, 100, 120);
    start();
    wait_indexed(20);
    stop();
    keep("before");
    run_shell("rm index*", &place);
    start();
    wait_indexed(20);
    stop();
    keep("after");
    expect_same_rows();
}

/* What a power failure or a bad disk leaves: cut, overwritten, with and without SQLite's own log.
 */
static void a_torn_index_is_made_anew_to_the_same(void **state)
{
    static const char *const damages[] = {
        "truncate -s 5000 index",
        "truncate -s 0 index",
        "dd if=/dev/urandom of=index bs=4096 seek=2 count=6 conv=notrunc 2>/dev/null",
        "dd if=/dev/urandom of=index bs=100 count=1 conv=notrunc 2>/dev/null",
        "dd if=/dev/urandom of=index-wal bs=4096 count=3 2>/dev/null",
        "rm index && ln -s elsewhere index",
    };

    (void)state;
    open_store("store");
    sample_store_append(store, 0, 250);
    start();
    wait_indexed(250);
    stop();
    for (size_t i = 0; i < COUNT(damages); i++) {
        run_shell(damages[i], &place);
        start();
        sample_store_append(store, 250 + i, 251 + i);
        wait_indexed(251 + i);
        stop();
    }
    keep("before");
    run_shell("rm index*", &place);
    start();
    wait_indexed(250 + COUNT(damages));
    stop();
    keep("after");
    expect_same_rows();
}

static void a_reader_that_finds_damage_has_it_made_anew(void **state)
{
    (void)state;
    open_store("store");
    sample_store_append(store, 0, 60);
    start();
    wait_indexed(60);
    assert_int_equal(indexer_generation(indexer), 1);
    indexer_renew(indexer);
    for (unsigned i = 0; i < WAIT_MS && indexer_generation(indexer) == 1; i++)
        (void)usleep(1000);
    assert_int_equal(indexer_generation(indexer), 2);
    wait_indexed(60);
}

/* Without a place for it the log goes on, and the index comes when it can. */
static void an_index_that_cannot_be_made_stops_nobody(void **state)
{
    int64_t failures = metric_get(METRIC_INDEX_FAILURES);

    (void)state;
    open_store("store");
    run_shell("mkdir index && touch index/x", &place);
    start();
    sample_store_append(store, 0, 10);
    for (unsigned i = 0; i < WAIT_MS && metric_get(METRIC_INDEX_FAILURES) == failures; i++)
        (void)usleep(1000);
    assert_int_not_equal(metric_get(METRIC_INDEX_FAILURES), failures);
    sample_store_append(store, 10, 20);
    assert_int_equal(store_size(store), 20);
    assert_int_equal(indexer_size(indexer), 0);
}

#define PLACE_TEST(function) cmocka_unit_test_setup_teardown(function, make, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(an_index_follows_the_log),
        PLACE_TEST(a_dropped_index_is_made_anew_to_the_same),
        PLACE_TEST(an_index_goes_on_where_it_was),
        PLACE_TEST(the_index_of_another_log_is_not_used),
        PLACE_TEST(a_torn_index_is_made_anew_to_the_same),
        PLACE_TEST(a_reader_that_finds_damage_has_it_made_anew),
        PLACE_TEST(an_index_that_cannot_be_made_stops_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
