#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
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
        assert_true(state_apply(state, &(struct pending_change){ &mark, i, 0 }, 0));
        lease.lease = (struct store_lease){ .state = LEASE_ISSUED, .expires_s = FAR_AWAY_S + i };
        lease_id_of(i, lease.lease.id);
        handle_of(i, lease.lease.handle);
        assert_true(state_apply(state, &(struct pending_change){ &lease, i, 0 }, 0));
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
        struct store_mark mark;
        uint8_t key[32];

        mark_of(i, key);
        assert_true(state_mark(state, key, FAR_AWAY_S - 1, &mark));
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

/* What entry `index` of a busy log changes: marks come and go, leases move through their states. */
static struct store_change busy_change(unsigned index)
{
    struct store_change change = { .kind = STORE_PUT_LEASE };
    unsigned number = index * 7919 % 500;

    if (index % 3 == 0) {
        change.lease.state = index % 2 == 0 ? LEASE_ISSUED : LEASE_RELEASED;
        change.lease.expires_s = FAR_AWAY_S;
        lease_id_of(number, change.lease.id);
        handle_of(number, change.lease.handle);
        return change;
    }
    change.kind = index % 3 == 1 ? STORE_SET_MARK : STORE_FREE_MARK;
    change.expires_s = FAR_AWAY_S + index;
    mark_of(number, change.mark);
    return change;
}

#define BUSY_COUNT 30000

struct busy {
    struct state *state;
    atomic_uint applied;
};

static void apply_range(struct state *state, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        struct store_change change = busy_change(i);

        assert_true(state_apply(state, &(struct pending_change){ &change, i + 1, 0 }, 0));
    }
}

static void *be_busy(void *context)
{
    struct busy *busy = context;

    for (unsigned i = 0; i < BUSY_COUNT; i++) {
        apply_range(busy->state, i, i + 1);
        atomic_store(&busy->applied, i + 1);
    }
    return NULL;
}

static void an_older_snapshot_is_no_snapshot(void **unused)
{
    struct folder folder;

    (void)unused;
    folder_make(&folder);
    write_one(&folder);
    folder_flip(&folder, SNAPSHOT_NAME, 6); /* the version: 3 becomes another digit */
    expect_damaged(&folder);
    folder_remove(&folder);
}

static void a_snapshot_has_all_that_rows_say(void **unused)
{
    struct folder folder;
    struct state *state = state_new();
    struct state *other = state_new();
    struct store_change lease = { .kind = STORE_PUT_LEASE };
    struct store_change approval = { .kind = STORE_PUT_APPROVAL };
    struct log_position read_position = { 0 };
    struct store_lease leases[2] = { 0 };
    struct store_approval approvals[2] = { 0 };
    struct error error = { 0 };
    int descriptor = -1;

    (void)unused;
    folder_make(&folder);
    descriptor = open_folder(&folder);
    lease.lease = (struct store_lease){ .state = LEASE_UNKNOWN,
                                        .debt = DEBT_OWED,
                                        .outcome = OUTCOME_FAILURE,
                                        .attempt = 65535,
                                        .heartbeat_s = 65534,
                                        .renewal = 65533,
                                        .expires_s = FAR_AWAY_S,
                                        .kept_until_s = FAR_AWAY_S + 1,
                                        .has_credentials = true };
    memset(lease.lease.keys, 7, sizeof(lease.lease.keys));
    lease_id_of(1, lease.lease.id);
    handle_of(1, lease.lease.handle);
    approval.approval = (struct store_approval){ .state = APPROVAL_USED,
                                                 .expires_s = FAR_AWAY_S,
                                                 .is_break_glass = true };
    lease_id_of(2, approval.approval.id);
    code_of(2, approval.approval.code_sha256);
    approved_of(2, approval.approval.digest);
    holder_of(2, approval.approval.people[0]);
    assert_true(state_apply(state, &(struct pending_change){ &lease, 3, 1000 }, 0));
    assert_true(state_apply(state, &(struct pending_change){ &approval, 4, 1000 }, 0));
    assert_true(snapshot_write(descriptor, state, &position, &error));
    assert_true(snapshot_read(descriptor, other, &read_position, &error));
    for (size_t i = 0; i < 2; i++) {
        struct state *each = i == 0 ? state : other;

        assert_true(state_lease_by_id(each, lease.lease.id, &leases[i]));
        assert_true(state_approval(each, APPROVAL_BY_ID, approval.approval.id, &approvals[i]));
    }
    assert_memory_equal(leases[1].handle, leases[0].handle, STORE_HANDLE_LEN);
    assert_memory_equal(leases[1].keys, lease.lease.keys, sizeof(lease.lease.keys));
    assert_int_equal(leases[1].state, LEASE_UNKNOWN);
    assert_int_equal(leases[1].debt, DEBT_OWED);
    assert_int_equal(leases[1].outcome, OUTCOME_FAILURE);
    assert_int_equal(leases[1].attempt, 65535);
    assert_int_equal(leases[1].heartbeat_s, 65534);
    assert_int_equal(leases[1].renewal, 65533);
    assert_int_equal(leases[1].kept_until_s, FAR_AWAY_S + 1);
    assert_int_equal(leases[1].opened_s, 1000);
    assert_int_equal(leases[1].renewed_s, 1000);
    assert_int_equal(leases[1].ended_s, 1000);
    assert_int_equal(leases[1].credentials_index, 3);
    assert_true(leases[1].has_credentials);
    assert_string_equal(approvals[1].id, approvals[0].id);
    assert_memory_equal(approvals[1].code_sha256, approvals[0].code_sha256, 32);
    assert_memory_equal(approvals[1].digest, approvals[0].digest, 32);
    assert_memory_equal(approvals[1].people, approvals[0].people, sizeof(approvals[0].people));
    assert_int_equal(approvals[1].state, APPROVAL_USED);
    assert_int_equal(approvals[1].opened_index, 4);
    assert_true(approvals[1].is_break_glass);
    assert_int_equal(approvals[1].person_count, 1);
    assert_int_equal(other->leases.owed_count, 1);
    (void)close(descriptor);
    state_free(state);
    state_free(other);
    folder_remove(&folder);
}

static void expect_same_rows(struct state *state, struct state *other)
{
    for (unsigned i = 0; i < 500; i++) {
        struct store_lease lease = { 0 };
        struct store_lease same = { 0 };
        struct store_mark mark;
        uint8_t key[32];
        char id[ID_LEN + 1];

        mark_of(i, key);
        assert_int_equal(state_mark(state, key, FAR_AWAY_S, &mark),
                         state_mark(other, key, FAR_AWAY_S, &mark));
        lease_id_of(i, id);
        assert_int_equal(state_lease_by_id(state, id, &lease), state_lease_by_id(other, id, &same));
        assert_int_equal(lease.state, same.state);
        assert_int_equal(lease.version, same.version);
        assert_int_equal(lease.latest_index, same.latest_index);
    }
    assert_int_equal(state->marks.count, other->marks.count);
    assert_int_equal(state_live_lease_count(state), state_live_lease_count(other));
}

static void a_snapshot_taken_while_rows_change_is_brought_up_to_date(void **unused)
{
    struct folder folder;
    struct busy busy = { .state = state_new() };
    struct state *read_state = state_new();
    struct log_position read_position = { 0 };
    struct error error = { 0 };
    pthread_t thread;
    int descriptor = -1;

    (void)unused;
    folder_make(&folder);
    descriptor = open_folder(&folder);
    assert_int_equal(pthread_create(&thread, NULL, be_busy, &busy), 0);
    do {
        struct log_position at = { .size = atomic_load(&busy.applied) };

        assert_true(snapshot_write(descriptor, busy.state, &at, &error));
        read_position = at;
    } while (atomic_load(&busy.applied) < BUSY_COUNT / 2);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(snapshot_read(descriptor, read_state, &read_position, &error));
    apply_range(read_state, (unsigned)read_position.size, BUSY_COUNT);
    expect_same_rows(read_state, busy.state);
    (void)close(descriptor);
    state_free(read_state);
    state_free(busy.state);
    folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_gives_back_position_and_rows),
        cmocka_unit_test(no_snapshot_is_not_found),
        cmocka_unit_test(any_changed_byte_is_damage),
        cmocka_unit_test(any_missing_end_is_damage),
        cmocka_unit_test(an_older_snapshot_is_no_snapshot),
        cmocka_unit_test(a_snapshot_has_all_that_rows_say),
        cmocka_unit_test(a_snapshot_taken_while_rows_change_is_brought_up_to_date),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
