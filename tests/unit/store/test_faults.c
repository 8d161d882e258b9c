/*
 * What the store does when the disk fails. The linker's --wrap puts our pwrite() and fdatasync() in
 * place of the system's; by the descriptor's file name faults are aimed at segments only.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/error.h"
#include "store/frame.h"
#include "store/grower.h"
#include "store/help.h"
#include "tests/test.h"

/* The linker gives these names. NOLINTBEGIN(readability-identifier-naming) */
ssize_t __real_pwrite(int file, const void *bytes, size_t len, off_t offset);
ssize_t __wrap_pwrite(int file, const void *bytes, size_t len, off_t offset);
int __real_fdatasync(int file);
int __wrap_fdatasync(int file);
/* NOLINTEND(readability-identifier-naming) */

static atomic_int sync_failure;  /* errno of every fdatasync */
static atomic_int sync_failures; /* so many of them, then there are none any more; 0: no end */
static atomic_int write_failure; /* errno of writes that grow a file past `size_limit` */
static atomic_llong size_limit;
static atomic_int frame_failure;     /* errno of the next write that is no zeros */
static atomic_int frames_good;       /* so many of them succeed before */
static atomic_llong frame_write_max; /* bytes of it that are written nevertheless */
static atomic_llong frame_offset;    /* where the last frame was written */
static atomic_int unsynced_count;    /* frames written since the last fdatasync */
static atomic_int written_count;     /* frames written */
static atomic_int synced_count;      /* of these, before the last fdatasync */

ssize_t __wrap_pwrite(int file, const void *bytes, size_t len, off_t offset)
{
    int failure = atomic_load(&write_failure);
    bool is_frame = len > 0 && *(const char *)bytes != 0;

    if (failure != 0 && offset + (off_t)len > (off_t)atomic_load(&size_limit)) {
        errno = failure;
        return -1;
    }
    if (is_frame && atomic_load(&frames_good) > 0) {
        (void)atomic_fetch_sub(&frames_good, 1);
        (void)atomic_fetch_add(&written_count, 1);
        return __real_pwrite(file, bytes, len, offset);
    }
    if (is_frame && atomic_load(&frame_failure) != 0) {
        if (atomic_load(&frame_write_max) > 0) {
            len = (size_t)atomic_exchange(&frame_write_max, 0);
            return __real_pwrite(file, bytes, len, offset);
        }
        errno = atomic_exchange(&frame_failure, 0);
        return -1;
    }
    /* The rest of a short write need not begin like a frame. */
    if (atomic_load(&frame_failure) != 0) {
        errno = atomic_exchange(&frame_failure, 0);
        return -1;
    }
    if (is_frame) {
        atomic_store(&frame_offset, offset);
        (void)atomic_fetch_add(&unsynced_count, 1);
        (void)atomic_fetch_add(&written_count, 1);
    }
    return __real_pwrite(file, bytes, len, offset);
}

int __wrap_fdatasync(int file)
{
    int failure = atomic_load(&sync_failure);

    if (failure == 0) {
        int written = atomic_load(&written_count);

        atomic_store(&unsynced_count, 0);
        failure = __real_fdatasync(file);
        atomic_store(&synced_count, written);
        return failure;
    }
    if (atomic_load(&sync_failures) > 0 && atomic_fetch_sub(&sync_failures, 1) == 1)
        atomic_store(&sync_failure, 0);
    errno = failure;
    return -1;
}

static int make(void **state)
{
    struct folder *folder = calloc(1, sizeof(*folder));

    folder_make(folder);
    *state = folder;
    return 0;
}

static int clean(void **state)
{
    atomic_store(&sync_failure, 0);
    atomic_store(&sync_failures, 0);
    atomic_store(&write_failure, 0);
    atomic_store(&frame_failure, 0);
    atomic_store(&frames_good, 0);
    folder_remove(*state);
    free(*state);
    return 0;
}

static void fill_disk(const struct folder *folder)
{
    atomic_store(&size_limit, (long long)folder_size(folder, "segments/00000000000000000000.seg"));
    atomic_store(&write_failure, ENOSPC);
}

static bool append_large(struct store *store, bool is_revocation, enum error_code *code)
{
    struct append *append = append_new("filled");
    bool is_committed = false;

    append_fill(append, 15000);
    if (is_revocation)
        append_make_revocation(append);
    is_committed = append_submit(append, store) && append_wait(append);
    *code = append_proposal(append)->error.code;
    append_free(append);
    return is_committed;
}

/* An attempt to grow that began before there was space again may fail once more. */
static bool append_with_space_back(struct store *store)
{
    enum error_code code = ERROR_NONE;

    atomic_store(&write_failure, 0);
    for (unsigned i = 0; i < 3; i++) {
        if (append_large(store, false, &code))
            return true;
    }
    return false;
}

static void after_a_failed_sync_nothing_is_written_any_more(void **state)
{
    struct store *store = open_store(*state, 0);
    struct append *append = append_new("mark 1 4102444800");

    append_many(store, 0, 2);
    assert_true(store_is_writable(store));
    atomic_store(&sync_failure, EIO);
    assert_true(append_submit(append, store));
    assert_false(append_wait(append));
    assert_int_equal(append_proposal(append)->error.code, ERROR_LEDGER);
    atomic_store(&sync_failure, 0);
    assert_false(store_is_writable(store));
    assert_true(store_is_fenced(store));
    assert_false(append_submit(append, store));
    assert_int_equal(store_size(store), 2);
    assert_false(has_mark(store, 1));
    append_free(append);
    store_close(store);
}

/* The system took the frame for written when its sync failed: only another write gets it there. */
static void what_a_failed_sync_left_is_written_again_at_the_next_start(void **state)
{
    struct store *store = open_store(*state, 0);
    long long offset = 0;

    append_many(store, 0, 2);
    atomic_store(&sync_failure, EIO);
    assert_false(append_now(store, "nothing"));
    offset = atomic_exchange(&frame_offset, -1);
    store_close(store);
    atomic_store(&sync_failure, 0);
    store = open_store(*state, 0);
    assert_int_equal(atomic_load(&frame_offset), offset);
    assert_int_equal(atomic_load(&unsynced_count), 0);
    assert_int_equal(store_size(store), 3);
    store_close(store);
}

static void a_start_fails_where_the_end_cannot_be_made_durable(void **state)
{
    struct store *store = open_store(*state, 0);

    append_many(store, 0, 2);
    store_close(store);
    atomic_store(&sync_failure, EIO);
    expect_no_store(*state, ERROR_IO, "cannot make the end of the log durable");
    atomic_store(&sync_failure, 0);
    store_close(open_store(*state, 0));
    expect_entries(*state, 2);
}

static void what_waits_behind_a_failed_sync_fails_too(void **state)
{
    struct store *store = open_store(*state, 0);
    struct append *appends[50];

    append_many(store, 0, 1);
    atomic_store(&sync_failure, EIO);
    for (size_t i = 0; i < COUNT(appends); i++) {
        appends[i] = append_new("nothing");
        if (!append_submit(appends[i], store)) {
            append_free(appends[i]);
            appends[i] = NULL;
        }
    }
    for (size_t i = 0; i < COUNT(appends); i++) {
        if (appends[i] == NULL)
            continue;
        assert_false(append_wait(appends[i]));
        append_free(appends[i]);
    }
    store_close(store);
}

static void a_write_error_that_is_not_about_space_fences(void **state)
{
    struct store *store = open_store(*state, 0);

    append_many(store, 0, 1);
    atomic_store(&frame_failure, EIO);
    assert_false(append_now(store, "nothing"));
    assert_true(store_is_fenced(store));
    store_close(store);
    store = open_store(*state, 0);
    assert_int_equal(store_size(store), 1);
    store_close(store);
}

static void a_short_write_for_lack_of_space_leaves_nothing_behind(void **state)
{
    struct store *store = open_store(*state, 0);

    append_many(store, 0, 1);
    atomic_store(&frame_write_max, 30);
    atomic_store(&frame_failure, ENOSPC);
    assert_false(append_now(store, "nothing"));
    assert_false(store_is_writable(store));
    assert_false(store_is_fenced(store));
    append_many(store, 1, 1);
    assert_true(store_is_writable(store));
    store_close(store);
    expect_entries(*state, 2);
}

static void a_full_disk_is_waited_out(void **state)
{
    struct store *store = open_store(*state, 0);
    enum error_code code = ERROR_NONE;
    unsigned count = 1;

    append_many(store, 0, 1);
    fill_disk(*state);
    while (append_large(store, false, &code))
        count++;
    assert_int_equal(code, ERROR_LEDGER);
    assert_false(store_is_writable(store));
    assert_false(store_is_fenced(store));
    assert_false(append_large(store, false, &code));
    assert_true(append_with_space_back(store));
    assert_true(store_is_writable(store));
    assert_int_equal(store_size(store), count + 1);
    store_close(store);
    store = open_store(*state, 0);
    assert_int_equal(store_size(store), count + 1);
    store_close(store);
}

static void revocations_have_space_kept_for_them(void **state)
{
    struct store *store = open_store(*state, 0);
    enum error_code code = ERROR_NONE;
    size_t kept = 0;

    append_many(store, 0, 1);
    fill_disk(*state);
    while (append_large(store, false, &code))
        continue;
    while (append_large(store, true, &code))
        kept += 15000;
    assert_true(kept > (size_t)900 * 1024);
    assert_int_equal(code, ERROR_LEDGER);
    assert_false(store_is_fenced(store));
    store_close(store);
    store = open_store(*state, 0);
    assert_true(append_with_space_back(store));
    store_close(store);
}

static void without_space_for_a_new_segment_revocations_stay_in_the_old_one(void **state)
{
    struct store *store = open_store(*state, 20000);
    enum error_code code = ERROR_NONE;

    assert_true(append_large(store, false, &code));
    fill_disk(*state);
    atomic_store(&size_limit, 20000LL + 1024LL * 1024);
    /* A spare that was made in time takes one more segment; then there is none. */
    while (append_large(store, false, &code))
        continue;
    assert_true(append_large(store, true, &code));
    assert_true(append_large(store, true, &code));
    assert_true(append_with_space_back(store));
    store_close(store);
    store_close(open_store(*state, 20000));
}

static void a_revocation_passes_others_that_find_no_space(void **state)
{
    struct store *store = open_store(*state, 0);
    enum error_code code = ERROR_NONE;
    struct append *appends[20];

    append_many(store, 0, 1);
    fill_disk(*state);
    while (append_large(store, false, &code))
        continue;
    for (size_t i = 0; i < COUNT(appends); i++) {
        appends[i] = append_new("filled");
        append_fill(appends[i], 15000);
        if (i % 2 == 1)
            append_make_revocation(appends[i]);
        assert_true(append_submit(appends[i], store));
    }
    for (size_t i = 0; i < COUNT(appends); i++) {
        assert_int_equal(append_wait(appends[i]), i % 2 == 1);
        append_free(appends[i]);
    }
    store_close(store);
}

static void an_error_while_working_ahead_fences(void **state)
{
    struct store *store = open_store(*state, 0);
    enum error_code code = ERROR_NONE;

    append_many(store, 0, 1);
    fill_disk(*state);
    atomic_store(&write_failure, EIO);
    while (append_large(store, false, &code))
        continue;
    assert_true(store_is_fenced(store));
    atomic_store(&write_failure, 0);
    assert_false(append_large(store, false, &code));
    store_close(store);
}

/* --- a batch that fails behind one that is durable --- */

/* Called in a proposal's place when it is done, before it is told. */
struct hook {
    struct append *append;
    void (*done)(struct store_proposal *proposal, void *context);
    void *context;
    void (*before)(struct hook *hook);
    pthread_barrier_t closed; /* a gate's: that it is reached, */
    pthread_barrier_t opened; /* and left */
    int synced;               /* frames then */
};

static void call_hook(struct store_proposal *proposal, void *context)
{
    struct hook *hook = context;

    hook->before(hook);
    hook->done(proposal, hook->context);
}

static void wait_at_gate(struct hook *hook)
{
    (void)pthread_barrier_wait(&hook->closed);
    (void)pthread_barrier_wait(&hook->opened);
}

static void note_synced(struct hook *hook)
{
    hook->synced = atomic_load(&synced_count);
}

static void break_syncs(struct hook *hook)
{
    note_synced(hook);
    atomic_store(&sync_failure, EIO);
}

static void submit_hooked(struct hook *hook, struct store *store, const char *command,
                          void (*before)(struct hook *hook))
{
    struct store_proposal *proposal = NULL;

    hook->append = append_new(command);
    hook->before = before;
    proposal = append_proposal(hook->append);
    hook->done = proposal->done;
    hook->context = proposal->context;
    proposal->done = call_hook;
    proposal->context = hook;
    assert_true(append_submit(hook->append, store));
}

/* Of two batches the first is full, and begins with what opens a lease; the second ends it. */
struct two_batches {
    struct hook gate;
    struct hook first;
    struct append *others[FRAME_ENTRIES_MAX - 1];
    struct append *second[2]; /* nothing, and a revocation */
};

static void submit_two(struct two_batches *two, struct store *store,
                       void (*before_first)(struct hook *hook))
{
    (void)pthread_barrier_init(&two->gate.closed, NULL, 2);
    (void)pthread_barrier_init(&two->gate.opened, NULL, 2);
    submit_hooked(&two->gate, store, "gate", wait_at_gate);
    (void)pthread_barrier_wait(&two->gate.closed);
    submit_hooked(&two->first, store, "lease 1 2 4102444800", before_first);
    for (size_t i = 0; i < COUNT(two->others); i++) {
        two->others[i] = append_new("nothing");
        assert_true(append_submit(two->others[i], store));
    }
    two->second[0] = append_new("nothing");
    two->second[1] = append_new("lease 1 4 0");
    append_guard_lease(two->second[1], 1, LEASE_ISSUED, 1);
    append_make_revocation(two->second[1]);
    for (size_t i = 0; i < COUNT(two->second); i++)
        assert_true(append_submit(two->second[i], store));
}

/* All of the first are committed, and were durable when they were told of. */
static void expect_first(struct two_batches *two)
{
    (void)pthread_barrier_wait(&two->gate.opened);
    assert_true(append_wait(two->gate.append));
    assert_true(append_wait(two->first.append));
    for (size_t i = 0; i < COUNT(two->others); i++)
        assert_true(append_wait(two->others[i]));
    assert_true(two->first.synced >= 2); /* the gate's frame, and its own */
}

static void release_two(struct two_batches *two)
{
    append_free(two->gate.append);
    append_free(two->first.append);
    for (size_t i = 0; i < COUNT(two->others); i++)
        append_free(two->others[i]);
    for (size_t i = 0; i < COUNT(two->second); i++)
        append_free(two->second[i]);
    (void)pthread_barrier_destroy(&two->gate.closed);
    (void)pthread_barrier_destroy(&two->gate.opened);
}

static struct store *open_counted(const struct folder *folder)
{
    struct store *store = open_store(folder, 0);

    atomic_store(&written_count, 0);
    atomic_store(&synced_count, 0);
    return store;
}

static void a_durable_batch_is_told_of_though_the_next_one_cannot_be_synced(void **state)
{
    struct store *store = open_counted(*state);
    struct two_batches two = { 0 };

    submit_two(&two, store, break_syncs);
    expect_first(&two);
    assert_false(append_wait(two.second[0]) || append_wait(two.second[1]));
    assert_true(store_is_fenced(store));
    assert_int_equal(store_size(store), 1 + FRAME_ENTRIES_MAX);
    release_two(&two);
    store_close(store);
    atomic_store(&sync_failure, 0);
    store = open_store(*state, 0);
    assert_true(store_size(store) >= 1 + FRAME_ENTRIES_MAX);
    store_close(store);
}

static void a_durable_batch_is_told_of_though_the_next_one_cannot_be_written(void **state)
{
    struct store *store = open_counted(*state);
    struct two_batches two = { 0 };

    submit_two(&two, store, note_synced);
    atomic_store(&frames_good, 1);
    atomic_store(&frame_failure, EIO);
    expect_first(&two);
    assert_false(append_wait(two.second[0]) || append_wait(two.second[1]));
    assert_true(store_is_fenced(store));
    release_two(&two);
    store_close(store);
    store = open_store(*state, 0);
    assert_int_equal(store_size(store), 1 + FRAME_ENTRIES_MAX);
    store_close(store);
}

/* Its guard, which the first batch made good, is decided anew when that one is applied. */
static void of_a_batch_without_space_behind_a_durable_one_revocations_are_kept(void **state)
{
    struct store *store = open_counted(*state);
    struct two_batches two = { 0 };
    struct store_lease lease = { 0 };
    char id[ID_LEN + 1];

    submit_two(&two, store, note_synced);
    atomic_store(&frames_good, 1);
    atomic_store(&frame_failure, ENOSPC);
    expect_first(&two);
    assert_false(append_wait(two.second[0]));
    assert_true(append_wait(two.second[1]));
    assert_false(store_is_fenced(store) || store_is_writable(store));
    lease_id_of(1, id);
    assert_true(store_lease_by_id(store, str_from(id), &lease, &(struct error){ 0 }));
    assert_int_equal(lease.version, 2);
    release_two(&two);
    store_close(store);
    store = open_store(*state, 0);
    assert_int_equal(store_size(store), 2 + FRAME_ENTRIES_MAX);
    store_close(store);
}

static void no_chore(void *context)
{
    (void)context;
}

/* Who asked again once waited for ever, while zeros were written again and again. */
static void a_grower_that_broke_works_no_more_and_says_so_at_once(void **state)
{
    struct grower grower = { .chore = no_chore, .chore_every_ms = 60000 };
    struct error error = { 0 };
    uint64_t zeroed = 0;
    int file = -1;

    store_close(open_store(*state, 0));
    zeroed = folder_size(*state, "segments/00000000000000000000.seg");
    grower.folder = open(folder_path(*state, "segments"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(grower_start(&grower, 0, zeroed, &error));
    atomic_store(&sync_failures, 1);
    atomic_store(&sync_failure, EIO);
    assert_int_equal(grower_wait(&grower, zeroed + 4096), EIO);
    assert_int_equal(grower_wait(&grower, zeroed + 4096), EIO);
    assert_int_equal(grower_roll(&grower, 1, 4096, &file), EIO);
    assert_false(grower_look(&grower, &zeroed));
    grower_stop(&grower);
    (void)close(grower.folder);
}

int main(void)
{
#define STORE_TEST(function) cmocka_unit_test_setup_teardown(function, make, clean)
    const struct CMUnitTest tests[] = {
        STORE_TEST(after_a_failed_sync_nothing_is_written_any_more),
        STORE_TEST(what_a_failed_sync_left_is_written_again_at_the_next_start),
        STORE_TEST(a_start_fails_where_the_end_cannot_be_made_durable),
        STORE_TEST(what_waits_behind_a_failed_sync_fails_too),
        STORE_TEST(a_write_error_that_is_not_about_space_fences),
        STORE_TEST(a_short_write_for_lack_of_space_leaves_nothing_behind),
        STORE_TEST(a_full_disk_is_waited_out),
        STORE_TEST(revocations_have_space_kept_for_them),
        STORE_TEST(without_space_for_a_new_segment_revocations_stay_in_the_old_one),
        STORE_TEST(a_revocation_passes_others_that_find_no_space),
        STORE_TEST(an_error_while_working_ahead_fences),
        STORE_TEST(a_durable_batch_is_told_of_though_the_next_one_cannot_be_synced),
        STORE_TEST(a_durable_batch_is_told_of_though_the_next_one_cannot_be_written),
        STORE_TEST(of_a_batch_without_space_behind_a_durable_one_revocations_are_kept),
        STORE_TEST(a_grower_that_broke_works_no_more_and_says_so_at_once),
    };
#undef STORE_TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
