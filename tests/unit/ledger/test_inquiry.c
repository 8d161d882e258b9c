#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "ledger/help.h"
#include "ledger/indexer.h"
#include "ledger/inquiry.h"
#include "ledger/sample_store.h"
#include "tests/assert_str.h"

#define WAIT_MS 20000

static struct place place;
static struct store *store;
static struct indexer *indexer;
static struct inquiries *inquiries;
static atomic_int woken;
static atomic_bool is_held;
static atomic_bool is_running;
static atomic_bool is_deaf; /* the indexer is not told of commits */

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

static void committed(uint64_t size, void *context)
{
    (void)context;
    if (!atomic_load(&is_deaf))
        indexer_commit(size, indexer);
}

static int make(void **state)
{
    struct indexer_options options = { .progressed = inquiries_progressed };
    struct error error = { 0 };

    (void)state;
    atomic_store(&woken, 0);
    atomic_store(&is_held, false);
    atomic_store(&is_running, false);
    atomic_store(&is_deaf, false);
    place_make(&place);
    store = sample_store_open(path_of("store"));
    store_on_commit(store, committed, NULL);
    must(inquiries_start(store, path_of("index"), &inquiries, &error), &error);
    options.store = store;
    options.path = path_of("index");
    options.context = inquiries;
    must(indexer_start(&options, &indexer, &error), &error);
    inquiries_follow(inquiries, indexer);
    sample_store_append(store, 0, 20);
    for (unsigned i = 0; i < WAIT_MS && indexer_size(indexer) < 20; i++)
        (void)usleep(1000);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    atomic_store(&is_held, false);
    store_drain(store);
    inquiries_stop(inquiries);
    indexer_stop(TAKE(indexer));
    inquiries_free(TAKE(inquiries));
    store_close(TAKE(store));
    place_remove(&place);
    return 0;
}

static void wake(void *context)
{
    (void)context;
    atomic_fetch_add(&woken, 1);
}

static void wait_woken(int count)
{
    for (unsigned i = 0; i < WAIT_MS && atomic_load(&woken) < count; i++)
        (void)usleep(1000);
    assert_int_equal(atomic_load(&woken), count);
}

static void submit(struct ledger_inquiry *inquiry)
{
    struct error error = { 0 };

    inquiry->waker = (struct waker){ wake, NULL };
    must(inquiries_submit(inquiries, inquiry, &error), &error);
}

static bool note_size(const struct ledger_view *view, void *context, struct error *error)
{
    (void)error;
    *(uint64_t *)context = view->seen.size;
    return store_reader_size(view->reader) >= view->seen.size;
}

/* Stays on the thread until the test lets it go. */
static bool hold(const struct ledger_view *view, void *context, struct error *error)
{
    (void)view;
    (void)context;
    (void)error;
    atomic_store(&is_running, true);
    while (atomic_load(&is_held))
        (void)usleep(1000);
    return true;
}

static void hold_the_thread(struct ledger_inquiry *inquiry)
{
    *inquiry = (struct ledger_inquiry){ .run = hold };
    atomic_store(&is_held, true);
    submit(inquiry);
    while (!atomic_load(&is_running))
        (void)usleep(1000);
}

static void an_inquiry_sees_the_ledger_at_one_moment(void **state)
{
    uint64_t size = 0;
    struct ledger_inquiry inquiry = { .run = note_size, .context = &size };

    (void)state;
    submit(&inquiry);
    wait_woken(1);
    assert_true(inquiry.is_good);
    assert_int_equal(size, 20);
}

static void one_that_decides_waits_until_the_index_has_seen_all(void **state)
{
    uint64_t size = 0;
    struct ledger_inquiry inquiry = { .run = note_size, .context = &size, .must_be_fresh = true };

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        sample_store_append(store, 20 + 3 * i, 23 + 3 * i);
        submit(&inquiry);
        wait_woken((int)i + 1);
        assert_true(inquiry.is_good);
        assert_true(size >= 23 + 3 * i);
    }
}

static void it_does_not_wait_for_ever(void **state)
{
    uint64_t size = 0;
    struct ledger_inquiry inquiry = { .run = note_size, .context = &size, .must_be_fresh = true };

    (void)state;
    atomic_store(&is_deaf, true);
    run_shell("rm index* && mkdir index && touch index/x", &place);
    indexer_renew(indexer); /* it cannot be made anew */
    for (unsigned i = 0; i < WAIT_MS && indexer_size(indexer) > 0; i++)
        (void)usleep(1000);
    sample_store_append(store, 20, 21);
    submit(&inquiry);
    wait_woken(1);
    assert_false(inquiry.is_good);
    assert_int_equal(inquiry.error.code, ERROR_INDEX);
    assert_int_equal(size, 0);
}

static bool find_damage(const struct ledger_view *view, void *context, struct error *error)
{
    (void)view;
    (void)context;
    return error_set(error, ERROR_INVALID, "a page does not read");
}

static void damage_that_an_inquiry_finds_is_mended(void **state)
{
    unsigned generation = indexer_generation(indexer);
    uint64_t size = 0;
    struct ledger_inquiry inquiry = { .run = find_damage };
    struct ledger_inquiry again = { .run = note_size, .context = &size, .must_be_fresh = true };

    (void)state;
    submit(&inquiry);
    wait_woken(1);
    assert_false(inquiry.is_good);
    assert_int_equal(inquiry.error.code, ERROR_INDEX);
    for (unsigned i = 0; i < WAIT_MS && indexer_generation(indexer) == generation; i++)
        (void)usleep(1000);
    while (indexer_size(indexer) < 20)
        (void)usleep(1000);
    submit(&again);
    wait_woken(2);
    assert_true(again.is_good);
    assert_int_equal(size, 20);
}

static void one_too_many_is_refused(void **state)
{
    static struct ledger_inquiry waiting[INQUIRIES_MAX + 1];
    struct ledger_inquiry first;
    struct error error = { 0 };
    uint64_t size = 0;

    (void)state;
    hold_the_thread(&first);
    for (size_t i = 0; i < INQUIRIES_MAX; i++) {
        waiting[i] = (struct ledger_inquiry){ .run = note_size, .context = &size };
        submit(&waiting[i]);
    }
    assert_false(inquiries_submit(inquiries, &waiting[INQUIRIES_MAX], &error));
    assert_int_equal(error.code, ERROR_BUSY);
    atomic_store(&is_held, false);
    wait_woken(INQUIRIES_MAX + 1);
    for (size_t i = 0; i < INQUIRIES_MAX; i++)
        assert_true(waiting[i].is_good);
}

static void one_that_waits_can_be_forgotten(void **state)
{
    uint64_t size = 0;
    struct ledger_inquiry first;
    struct ledger_inquiry second = { .run = note_size, .context = &size };

    (void)state;
    hold_the_thread(&first);
    submit(&second);
    assert_false(inquiries_forget(inquiries, &first));
    assert_true(inquiries_forget(inquiries, &second));
    assert_false(inquiries_forget(inquiries, &second));
    atomic_store(&is_held, false);
    wait_woken(1);
    assert_int_equal(size, 0);
}

static void whoever_waits_at_the_end_is_told(void **state)
{
    uint64_t size = 0;
    struct ledger_inquiry first;
    struct ledger_inquiry second = { .run = note_size, .context = &size };

    (void)state;
    hold_the_thread(&first);
    submit(&second);
    atomic_store(&is_held, false);
    inquiries_stop(inquiries);
    assert_int_equal(atomic_load(&woken), 2);
    assert_true(second.is_good || second.error.code == ERROR_STOPPING);
}

#define PLACE_TEST(function) cmocka_unit_test_setup_teardown(function, make, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(an_inquiry_sees_the_ledger_at_one_moment),
        PLACE_TEST(one_that_decides_waits_until_the_index_has_seen_all),
        PLACE_TEST(it_does_not_wait_for_ever),
        PLACE_TEST(damage_that_an_inquiry_finds_is_mended),
        PLACE_TEST(one_too_many_is_refused),
        PLACE_TEST(one_that_waits_can_be_forgotten),
        PLACE_TEST(whoever_waits_at_the_end_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
