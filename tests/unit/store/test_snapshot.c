#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "store/help.h"
#include "store/snapshot.h"
#include "tests/test.h"

static const struct log_position position = { 42, 7, 4096, 4000, 41, 1763805600123 };

static int open_folder(const struct folder *folder)
{
    int descriptor = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(descriptor >= 0);
    return descriptor;
}

static void fill_state(struct state *state)
{
    struct store_change mark = { .kind = STORE_SET_MARK, .expires_s = FAR_AWAY_S };
    struct store_change lease = { .kind = STORE_PUT_LEASE };

    for (unsigned i = 0; i < 20; i++) {
        mark_of(i, mark.mark);
        assert_true(state_apply(state, &mark, i, 0));
        lease.lease = (struct store_lease){ .state = LEASE_ISSUED, .expires_s = FAR_AWAY_S + i };
        lease_id_of(i, lease.lease.id);
        handle_of(i, lease.lease.handle_sha256);
        assert_true(state_apply(state, &lease, i, 0));
    }
}

static void write_one(const struct folder *folder)
{
    struct state *state = state_new();
    struct error error = { 0 };
    int descriptor = open_folder(folder);

    fill_state(state);
    assert_true(snapshot_write(descriptor, state, &position, &error));
    (void)close(descriptor);
    state_free(state);
}

static bool read_one(const struct folder *folder, struct state *state,
                     struct log_position *read_position, struct error *error)
{
    int descriptor = open_folder(folder);
    bool is_read = snapshot_read(descriptor, state, read_position, error);

    (void)close(descriptor);
    return is_read;
}

static void a_snapshot_gives_back_position_and_rows(void **unused)
{
    struct folder folder;
    struct state *state = state_new();
    struct log_position read_position = { 0 };
    struct error error = { 0 };

    (void)unused;
    folder_make(&folder);
    write_one(&folder);
    assert_true(read_one(&folder, state, &read_position, &error));
    assert_memory_equal(&read_position, &position, sizeof(position));
    for (unsigned i = 0; i < 20; i++) {
        struct store_lease lease = { 0 };
        uint8_t key[32];

        mark_of(i, key);
        assert_true(state_has_mark(state, key, FAR_AWAY_S - 1));
        handle_of(i, key);
        assert_true(state_lease_by_handle(state, key, &lease));
        assert_int_equal(lease.expires_s, FAR_AWAY_S + i);
        assert_int_equal(lease.version, 1);
        assert_int_equal(lease.opened_index, i);
    }
    assert_int_equal(state_live_lease_count(state), 20);
    state_free(state);
    folder_remove(&folder);
}

static void no_snapshot_is_not_found(void **unused)
{
    struct folder folder;
    struct state *state = state_new();
    struct log_position read_position = { 0 };
    struct error error = { 0 };

    (void)unused;
    folder_make(&folder);
    assert_false(read_one(&folder, state, &read_position, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    state_free(state);
    folder_remove(&folder);
}

static void expect_damaged(const struct folder *folder)
{
    struct state *state = state_new();
    struct log_position read_position = { 0 };
    struct error error = { 0 };

    assert_false(read_one(folder, state, &read_position, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    assert_int_equal(state->marks.count, 0);
    assert_int_equal(state->leases.count, 0);
    state_free(state);
}

static void any_changed_byte_is_damage(void **unused)
{
    struct folder folder;
    size_t len = 0;

    (void)unused;
    folder_make(&folder);
    write_one(&folder);
    len = folder_size(&folder, SNAPSHOT_NAME);
    for (size_t i = 0; i < len; i++) {
        folder_flip(&folder, SNAPSHOT_NAME, i);
        expect_damaged(&folder);
        folder_flip(&folder, SNAPSHOT_NAME, i);
    }
    folder_remove(&folder);
}

static void any_missing_end_is_damage(void **unused)
{
    struct folder folder;
    size_t len = 0;

    (void)unused;
    folder_make(&folder);
    write_one(&folder);
    len = folder_size(&folder, SNAPSHOT_NAME);
    while (len > 0) {
        len--;
        assert_int_equal(truncate(folder_path(&folder, SNAPSHOT_NAME), (off_t)len), 0);
        expect_damaged(&folder);
    }
    folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_gives_back_position_and_rows),
        cmocka_unit_test(no_snapshot_is_not_found),
        cmocka_unit_test(any_changed_byte_is_damage),
        cmocka_unit_test(any_missing_end_is_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
