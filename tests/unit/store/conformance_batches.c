/* Conformance: what a batch changes counts for the next one. */
#include "store/approvals.h"
#include "store/conformance.h"
#include "store/frame.h"

#define GROUPS 3 /* batches in a row */
#define ROWS_MAX 24
#define PROPOSALS_MAX (FRAME_ENTRIES_MAX + ROWS_MAX) /* those that are refused are of no frame */

static struct store_guard on_mark(unsigned number)
{
    struct store_guard guard = { .kind = STORE_GUARD_MARK_ABSENT };

    mark_of(number, guard.mark);
    return guard;
}

static struct store_guard on_uses(unsigned number, unsigned holder, unsigned uses_max)
{
    struct store_guard guard = { .kind = STORE_GUARD_MARK_USABLE, .uses_max = (uint8_t)uses_max };

    mark_of(number, guard.mark);
    holder_of(holder, guard.holder);
    return guard;
}

static struct store_guard on_lease(unsigned number, enum store_lease_state state, uint32_t version)
{
    struct store_guard guard = { .kind = STORE_GUARD_LEASE, .state = state, .version = version };

    lease_id_of(number, guard.lease_id);
    return guard;
}

static struct store_guard on_stage(enum store_guard_kind kind, unsigned stage, uint32_t count)
{
    struct store_guard guard = { .kind = kind, .key_kind = STORE_KEY_STAGE, .count = count };

    key_of(STORE_KEY_STAGE, stage, guard.key);
    return guard;
}

static struct store_guard fewer_live(unsigned stage, uint32_t count)
{
    return on_stage(STORE_GUARD_FEWER_LIVE, stage, count);
}

static struct store_guard fewer_opened(unsigned stage, uint32_t count)
{
    return on_stage(STORE_GUARD_FEWER_OPENED, stage, count);
}

static struct store_guard on_approval(unsigned number, enum store_approval_state state,
                                      uint32_t version)
{
    struct store_guard guard = { .kind = STORE_GUARD_APPROVAL,
                                 .approval = state,
                                 .version = version };

    lease_id_of(number, guard.lease_id);
    return guard;
}

/* A proposal of a batch; without a guard it is committed. */
struct row {
    const char *command;
    bool has_guard;
    struct store_guard guard;
    bool holds;
};

#define FREE(command)                                                                              \
    {                                                                                              \
        command, false, { 0 }, true                                                                \
    }
#define HOLDS(command, guard)                                                                      \
    {                                                                                              \
        command, true, guard, true                                                                 \
    }
#define FAILS(command, guard)                                                                      \
    {                                                                                              \
        command, true, guard, false                                                                \
    }

static struct append *submit(struct store *store, const struct row *row)
{
    struct append *append = append_new(row->command);

    if (row->has_guard)
        append_guard(append, &row->guard);
    assert_true(append_submit(append, store));
    return append;
}

/*
 * Each group is a batch of its own, the last one aside filled up with entries that change nothing:
 * all wait behind the gate, so that one follows the other without a pause.
 */
static void append_groups(struct store *store, const struct row rows[GROUPS][ROWS_MAX])
{
    static struct append *appends[GROUPS][PROPOSALS_MAX];
    static const struct row filler = FREE("nothing");
    struct gate gate;

    gate_close(&gate, store);
    for (size_t group = 0; group < GROUPS; group++) {
        size_t taken = 0;
        size_t i = 0;

        for (; i < ROWS_MAX && rows[group][i].command != NULL; i++) {
            appends[group][i] = submit(store, &rows[group][i]);
            taken += rows[group][i].holds;
        }
        for (; group + 1 < GROUPS && taken < FRAME_ENTRIES_MAX; taken++)
            appends[group][i++] = submit(store, &filler);
        if (i < PROPOSALS_MAX)
            appends[group][i] = NULL;
    }
    gate_open(&gate);
    for (size_t group = 0; group < GROUPS; group++)
        for (size_t i = 0; i < PROPOSALS_MAX && appends[group][i] != NULL; i++) {
            bool holds = i >= ROWS_MAX || rows[group][i].command == NULL || rows[group][i].holds;

            if (append_wait(appends[group][i]) != holds)
                fail_msg("batch %zu, proposal %zu: %s", group, i, rows[group][i].command);
            append_free(appends[group][i]);
        }
    gate_release(&gate); /* its own batch was over before these began */
}

static void marks_of_the_batch_before_are_set(void **state)
{
    const struct row rows[GROUPS][ROWS_MAX] = {
        { FREE("mark 1 4102444800"), FREE("free 2"), FREE("use 3 1 0"), FREE("use 4 1 0") },
        {
            FAILS("nothing", on_mark(1)),
            HOLDS("nothing", on_mark(2)),
            HOLDS("nothing", on_mark(5)),
            FAILS("nothing", on_uses(3, 2, 9)),
            FAILS("nothing", on_uses(3, 1, 1)),
            HOLDS("use 3 1 0", on_uses(3, 1, 2)),
            FAILS("use 3 1 0", on_uses(3, 1, 2)),
            FREE("free 4"),
            HOLDS("nothing", on_mark(4)),
        },
        {
            FAILS("nothing", on_mark(1)),
            HOLDS("nothing", on_mark(2)),
            FAILS("nothing", on_uses(3, 1, 2)),
            HOLDS("nothing", on_uses(3, 1, 3)),
            HOLDS("nothing", on_mark(4)),
        },
    };
    struct store *store = open_place(*state);

    assert_true(append_now(store, "mark 2 4102444800"));
    append_groups(store, rows);
    assert_true(has_mark(store, 1) && !has_mark(store, 2) && has_mark(store, 3));
    store_close(store);
}

/* Of stage 1 the first batch opens a lease, the second one changes it, the third one ends it. */
static void leases_of_the_batch_before_are_there(void **state)
{
    const struct row rows[GROUPS][ROWS_MAX] = {
        { FREE("lease 1 1 4102444800 stage=1"), FREE("lease 2 2 0"), FREE("lease 3 3 0") },
        {
            FAILS("nothing", on_lease(1, LEASE_REQUESTED, 2)),
            HOLDS("lease 1 2 0", on_lease(1, LEASE_REQUESTED, 1)),
            FAILS("lease 1 2 0", on_lease(1, LEASE_REQUESTED, 1)),
            HOLDS("nothing", on_lease(1, LEASE_ISSUED, 2)),
            FAILS("nothing", on_lease(2, LEASE_REQUESTED, 1)),
            HOLDS("nothing", on_lease(2, LEASE_ISSUED, 2)),
            FAILS("nothing", fewer_live(1, 1)),
            HOLDS("nothing", fewer_live(1, 2)),
            FAILS("nothing", fewer_live(2, 1)),
            HOLDS("nothing", fewer_live(3, 1)),
            FAILS("nothing", fewer_opened(1, 1)),
            HOLDS("nothing", fewer_opened(1, 2)),
            FAILS("nothing", fewer_opened(3, 1)),
            HOLDS("nothing", on_stage(STORE_GUARD_LATEST, 1, 0)),
            FREE("lease 4 1 4102444800 stage=4"),
        },
        {
            HOLDS("nothing", on_lease(1, LEASE_ISSUED, 2)),
            FAILS("nothing", fewer_live(1, 1)),
            HOLDS("nothing", fewer_live(1, 2)),
            FAILS("nothing", fewer_opened(1, 1)),
            HOLDS("nothing", fewer_opened(1, 2)),
            FAILS("nothing", on_stage(STORE_GUARD_LATEST, 4, 0)),
            HOLDS("lease 1 3 0", on_lease(1, LEASE_ISSUED, 2)),
            HOLDS("lease 5 1 4102444800 stage=1", fewer_live(1, 1)),
            FAILS("nothing", fewer_live(1, 1)),
            FAILS("nothing", fewer_opened(1, 2)),
        },
    };
    struct store *store = open_place(*state);

    assert_true(append_now(store, "lease 2 1 4102444800 stage=2"));
    assert_true(append_now(store, "lease 3 2 4102444800 stage=3"));
    append_groups(store, rows);
    assert_int_equal(lease_of(store, 1).version, 3);
    assert_int_equal(store_live_lease_count(store), 3); /* 2, 4 and 5 */
    store_close(store);
}

static void blocks_and_approvals_of_the_batch_before_are_there(void **state)
{
    const struct row rows[GROUPS][ROWS_MAX] = {
        {
            FREE("approval 1 1 4102444800 code=1 digest=1"),
            FREE("approval 2 2 4102444800"),
            FREE("block 1 4102444800"),
        },
        {
            FAILS("nothing", ((struct store_guard){ .kind = STORE_GUARD_BLOCKS })),
            HOLDS("nothing", on_approval(1, APPROVAL_PENDING, 1)),
            HOLDS("nothing", on_approval(2, APPROVAL_GRANTED, 2)),
            FAILS("nothing", on_approval(2, APPROVAL_PENDING, 1)),
            FREE("approval 1 2 4102444800"),
            HOLDS("nothing", on_approval(1, APPROVAL_GRANTED, 2)),
        },
        {
            FAILS("nothing", ((struct store_guard){ .kind = STORE_GUARD_BLOCKS })),
            HOLDS("nothing", on_approval(1, APPROVAL_GRANTED, 2)),
        },
    };
    struct store *store = open_place(*state);

    assert_true(append_now(store, "approval 2 1 4102444800 code=2 digest=2"));
    append_groups(store, rows);
    store_close(store);
}

const struct CMUnitTest conformance_batches[] = {
    CONFORMANCE_TEST(marks_of_the_batch_before_are_set),
    CONFORMANCE_TEST(leases_of_the_batch_before_are_there),
    CONFORMANCE_TEST(blocks_and_approvals_of_the_batch_before_are_there),
};
const size_t conformance_batches_count = COUNT(conformance_batches);
