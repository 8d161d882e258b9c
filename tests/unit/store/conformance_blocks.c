/* Conformance: blocks, their version and the guard on it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/conformance.h"

/* The blocks that are there, as numbers in the order of their entries: "1 2 3", with a version. */
static struct store_blocks *look(struct store *store)
{
    struct store_blocks *blocks = malloc(sizeof(*blocks));
    struct error error = { 0 };

    assert_non_null(blocks);
    if (!store_blocks(store, blocks, &error))
        fail_msg("store_blocks: %s", error.cause);
    assert_true(store_blocks_version(store) <= blocks->version);
    return blocks;
}

static uint64_t version_of(struct store *store)
{
    struct store_blocks *blocks = look(store);
    uint64_t version = blocks->version;

    free(blocks);
    return version;
}

static void expect_blocks(struct store *store, const unsigned *numbers, size_t count)
{
    struct store_blocks *blocks = look(store);
    char id[ID_LEN + 1];

    assert_int_equal(blocks->count, count);
    for (size_t i = 0; i < count; i++) {
        lease_id_of(numbers[i], id);
        assert_string_equal(blocks->rows[i].id, id);
    }
    free(blocks);
}

static bool append_at(struct store *store, const char *command, uint64_t version)
{
    struct append *append = append_new(command);
    bool is_committed;

    append_guard_blocks(append, version);
    is_committed = append_submit(append, store) && append_wait(append);
    append_free(append);
    return is_committed;
}

static void blocks_live_through_a_restart(void **state)
{
    static const unsigned both[] = { 2, 3 };
    struct store *store = open_place(*state);
    struct store_blocks *blocks;

    expect_blocks(store, NULL, 0);
    assert_int_equal(version_of(store), 0);
    assert_true(append_now(store, "block 1 4102444800"));
    assert_true(append_now(store, "block 2 4102444801"));
    assert_true(append_now(store, "unblock 1"));
    assert_true(append_now(store, "block 3 4102444802"));
    for (int turn = 0; turn < 3; turn++) {
        expect_blocks(store, both, 2);
        blocks = look(store);
        assert_int_equal(blocks->version, 4);
        assert_int_equal(blocks->rows[0].expires_s, FAR_AWAY_S + 1);
        assert_int_equal(blocks->rows[0].index, 1);
        free(blocks);
        store_close(store);
        if (turn == 1)
            conformance->forget_rows(*state);
        store = open_place(*state);
    }
    store_close(store);
}

static void a_guard_on_blocks_fails_once_they_changed(void **state)
{
    struct store *store = open_place(*state);
    uint64_t before = version_of(store);

    assert_true(append_at(store, "entry", before));
    assert_true(append_now(store, "mark 1 4102444800"));
    assert_true(append_at(store, "entry", before));
    assert_true(append_now(store, "block 1 4102444800"));
    assert_false(append_at(store, "entry", before));
    assert_true(store_blocks_version(store) > before);
    before = version_of(store);
    assert_true(append_at(store, "entry", before));
    assert_true(append_now(store, "unblock 1"));
    assert_false(append_at(store, "entry", before));
    assert_true(append_at(store, "entry", version_of(store)));
    store_close(store);
}

static void a_guard_sees_a_block_of_its_own_batch(void **state)
{
    struct store *store = open_place(*state);
    struct append *block = append_new("block 1 4102444800");
    struct append *entry = append_new("entry");
    struct gate gate;

    append_guard_blocks(entry, 0);
    gate_close(&gate, store);
    assert_true(append_submit(block, store));
    assert_true(append_submit(entry, store));
    gate_open(&gate);
    assert_true(append_wait(block));
    assert_false(append_wait(entry));
    assert_true(store_blocks_version(store) > 0);
    gate_release(&gate);
    append_free(block);
    append_free(entry);
    store_close(store);
}

/* Far more than a broker places; what has ended makes room. */
static void blocks_have_a_limit(void **state)
{
    struct store *store = open_place(*state);
    unsigned number = 0;
    char command[64];

    while (number < STORE_BLOCKS_MAX) {
        struct append *append = append_new("entry");

        for (int i = 1; i < STORE_PROPOSAL_ENTRIES_MAX && number < STORE_BLOCKS_MAX; i++) {
            (void)snprintf(command, sizeof(command), "block %u 4102444800", ++number);
            append_add(append, command);
        }
        assert_true(append_submit(append, store) && append_wait(append));
        append_free(append);
    }
    assert_false(append_now(store, "block 5000 4102444800"));
    assert_true(append_now(store, "unblock 7"));
    assert_true(append_now(store, "block 5000 4102444800"));
    assert_false(append_now(store, "block 5001 4102444800"));
    assert_true(append_now(store, "entry"));
    store_close(store);
}

static void blocks_that_ended_are_forgotten(void **state)
{
    static const unsigned left[] = { 2 };
    struct store *store = open_place(*state);

    assert_true(append_now(store, "block 1 1000"));
    assert_true(append_now(store, "block 2 4102444800"));
    expect_blocks(store, left, 1);
    store_close(store);
}

static uint64_t oldest_live(struct store *store)
{
    uint64_t index = 0;

    assert_true(store_oldest_live(store, &index, &(struct error){ 0 }));
    return index;
}

static void the_entry_of_a_block_in_force_is_needed(void **state)
{
    struct store *store = open_place(*state);

    assert_true(append_now(store, "entry"));
    assert_true(append_now(store, "block 1 4102444800"));
    assert_true(append_now(store, "lease 1 2 4102444800"));
    assert_int_equal(oldest_live(store), 1);
    assert_true(append_now(store, "unblock 1"));
    assert_int_equal(oldest_live(store), 2);
    assert_true(append_now(store, "lease 1 3 0"));
    assert_true(oldest_live(store) == UINT64_MAX);
    assert_true(append_now(store, "block 2 4102444800"));
    assert_int_equal(oldest_live(store), 5);
    store_close(store);
}

const struct CMUnitTest conformance_blocks[] = {
    CONFORMANCE_TEST(blocks_live_through_a_restart),
    CONFORMANCE_TEST(a_guard_on_blocks_fails_once_they_changed),
    CONFORMANCE_TEST(a_guard_sees_a_block_of_its_own_batch),
    CONFORMANCE_TEST(blocks_have_a_limit),
    CONFORMANCE_TEST(blocks_that_ended_are_forgotten),
    CONFORMANCE_TEST(the_entry_of_a_block_in_force_is_needed),
};
const size_t conformance_blocks_count = COUNT(conformance_blocks);
