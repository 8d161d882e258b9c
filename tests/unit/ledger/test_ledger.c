#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/json.h"
#include "ledger/help.h"
#include "ledger/note.h"
#include "ledger/tile.h"
#include "tests/test.h"

struct fixture {
    struct place place;
    struct arena *arena;
};

static int make(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    place_make(&fixture->place);
    fixture->arena = arena_new(ARENA_REQUEST_MAX * 4);
    *state = fixture;
    return 0;
}

static int clean(void **state)
{
    struct fixture *fixture = *state;

    arena_free(fixture->arena);
    place_remove(&fixture->place);
    free(fixture);
    return 0;
}

static struct note_verifier vector_verifier(void)
{
    struct note_verifier verifier = { 0 };
    struct error error = { 0 };

    assert_true(note_verifier_parse(STR(VECTOR_VERIFIER), &verifier, &error));
    return verifier;
}

static struct checkpoint get_checkpoint(struct ledger *ledger, struct arena *arena)
{
    struct note_verifier verifier = vector_verifier();
    struct note_trust trust = { .logs = &verifier, .log_count = 1 };
    struct checkpoint checkpoint = { 0 };
    struct error error = { 0 };
    struct str note = { 0 };

    assert_true(ledger_checkpoint(ledger, arena, &note, &error));
    assert_true(checkpoint_check(note, &trust, &checkpoint, NULL, &error));
    return checkpoint;
}

static void expect_receipts(struct ledger *ledger, struct arena *arena, unsigned count,
                            unsigned step)
{
    struct note_verifier verifier = vector_verifier();
    struct note_trust trust = { .logs = &verifier, .log_count = 1 };

    for (unsigned i = 0; i < count; i += step) {
        struct checkpoint checkpoint = { 0 };
        struct error error = { 0 };
        struct str entry = { 0 };
        struct str proof = { 0 };

        wait_receipt(ledger, i, arena, &entry, &proof);
        if (!tlog_proof_check(proof, entry, &trust, &checkpoint, NULL, &error))
            fail_msg("receipt %u: %s", i, error.cause);
        assert_true(checkpoint.size > i);
    }
}

static void before_the_first_entry_there_is_no_checkpoint(void **state)
{
    struct fixture *fixture = *state;
    struct ledger *ledger = place_open(&fixture->place);
    struct error error = { 0 };
    struct str text = { 0 };

    assert_false(ledger_checkpoint(ledger, fixture->arena, &text, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    error = (struct error){ 0 };
    assert_false(ledger_tile(ledger, STR("0/000.p/1"), fixture->arena, &text, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    assert_true(ledger_is_writable(ledger));
    assert_false(ledger_has_failed(ledger));
    ledger_close(ledger);
}

static void entries_get_receipts_that_prove_them(void **state)
{
    struct fixture *fixture = *state;
    struct ledger *ledger = place_open(&fixture->place);

    append_many(ledger, 300);
    expect_receipts(ledger, fixture->arena, 300, 7);
    ledger_close(ledger);
    ledger = place_open(&fixture->place);
    expect_receipts(ledger, fixture->arena, 300, 11);
    append_many(ledger, 300);
    expect_receipts(ledger, fixture->arena, 600, 13);
    ledger_close(ledger);
}

static void the_leaf_hash_is_that_of_the_bytes_with_their_time(void **state)
{
    struct fixture *fixture = *state;
    struct ledger *ledger = place_open(&fixture->place);
    JSON_OWNED json_t *first = entry_started();
    JSON_OWNED json_t *second = entry_issued(1);
    struct ledger_append append = { .entries = { first, second }, .entry_count = 2 };
    struct error error = { 0 };

    assert_true(ledger_append_now(ledger, &append, &error));
    for (uint64_t i = 0; i < 2; i++) {
        struct merkle_hash leaf;
        struct str entry = { 0 };

        assert_true(ledger_entry(ledger, append.first_index + i, fixture->arena, &entry, &error));
        leaf = merkle_leaf(entry);
        assert_true(merkle_hash_eq(&leaf, &append.leaf_hashes[i]));
    }
    ledger_close(ledger);
}

static void a_used_mark_is_refused_by_its_guard(void **state)
{
    struct fixture *fixture = *state;
    struct ledger *ledger = place_open(&fixture->place);
    JSON_OWNED json_t *first = entry_issued(1);
    JSON_OWNED json_t *second = entry_issued(2);
    struct ledger_append append = { .entries = { first }, .entry_count = 1, .guard_count = 1 };
    struct store_change changes[STORE_ENTRY_CHANGES_MAX];
    struct error error = { 0 };
    size_t count = 0;

    assert_true(json_put(second, "token", json_incref(json_object_get(first, "token"))));
    assert_true(entry_fold_json(first, changes, &count, &error));
    append.guards[0].kind = STORE_GUARD_MARK_ABSENT;
    memcpy(append.guards[0].mark, changes[0].mark, sizeof(changes[0].mark));
    assert_true(ledger_append_now(ledger, &append, &error));
    append.entries[0] = second;
    assert_false(ledger_append_now(ledger, &append, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    assert_int_equal(append.failed_guard, 0);
    ledger_close(ledger);
}

static enum store_lease_state lease_state(struct ledger *ledger, unsigned number)
{
    struct store_lease lease = { 0 };
    char id[ID_LEN + 1];

    id_of(number, id);
    assert_true(ledger_lease_by_id(ledger, str_from(id), &lease, &(struct error){ 0 }));
    return lease.state;
}

static void a_lease_lives_as_its_entries_say(void **state)
{
    struct fixture *fixture = *state;
    struct ledger *ledger = place_open(&fixture->place);
    struct store_lease lease = { 0 };
    uint8_t handle[32];

    (void)append_one(ledger, entry_of_lease(ENTRY_LEASE_REQUESTED, 1));
    assert_int_equal(lease_state(ledger, 1), LEASE_REQUESTED);
    handle_of(1, handle);
    assert_false(ledger_lease_by_handle(ledger, handle, &lease, &(struct error){ 0 }));
    (void)append_one(ledger, entry_issued(1));
    assert_true(ledger_lease_by_handle(ledger, handle, &lease, &(struct error){ 0 }));
    assert_int_equal(lease.state, LEASE_ISSUED);
    assert_int_equal(lease.opened_index, 0);
    assert_int_equal(lease.latest_index, 1);
    assert_int_equal(ledger_live_lease_count(ledger), 1);
    ledger_close(ledger);
    ledger = place_open(&fixture->place);
    assert_true(ledger_lease_by_handle(ledger, handle, &lease, &(struct error){ 0 }));
    (void)append_one(ledger, entry_of_lease(ENTRY_LEASE_RELEASED, 1));
    assert_int_equal(lease_state(ledger, 1), LEASE_RELEASED);
    assert_int_equal(ledger_live_lease_count(ledger), 0);
    ledger_close(ledger);
}

static void entries_that_may_not_be_written_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct ledger *ledger = place_open(&fixture->place);
    JSON_OWNED json_t *entry = entry_started();
    JSON_OWNED json_t *large = json_object();
    struct ledger_append append = { .entries = { entry }, .entry_count = 1 };
    struct error error = { 0 };
    static char text[STORE_PRIVATE_MAX];

    assert_true(json_put(entry, "password", json_string("x")));
    assert_false(ledger_append_now(ledger, &append, &error));
    assert_int_equal(error.code, ERROR_LEDGER);
    assert_int_equal(json_object_del(entry, "password"), 0);

    memset(text, 'x', sizeof(text));
    assert_true(json_put(large, "a", json_stringn(text, STORE_PRIVATE_MAX - 7)));
    append.private_parts[0] = large;
    error = (struct error){ 0 };
    assert_false(ledger_append_now(ledger, &append, &error));
    assert_int_equal(error.code, ERROR_LEDGER);
    assert_true(json_put(large, "a", json_stringn(text, STORE_PRIVATE_MAX - 8)));
    error = (struct error){ 0 };
    assert_true(ledger_append_now(ledger, &append, &error));

    append.entry_count = STORE_PROPOSAL_ENTRIES_MAX + 1;
    assert_false(ledger_append_now(ledger, &append, &error));
    append.entry_count = 0;
    error = (struct error){ 0 };
    assert_false(ledger_append_now(ledger, &append, &error));
    ledger_close(ledger);
}

static void there_is_no_receipt_of_what_was_not_written(void **state)
{
    struct fixture *fixture = *state;
    struct ledger *ledger = place_open(&fixture->place);
    struct error error = { 0 };
    struct str entry = { 0 };
    struct str proof = { 0 };

    append_many(ledger, 1);
    assert_int_equal(
        ledger_receipt(ledger, 1, (struct waker){ 0 }, fixture->arena, &entry, &proof, &error),
        PROGRESS_FAILED);
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    error = (struct error){ 0 };
    assert_false(ledger_entry(ledger, 1, fixture->arena, &entry, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    ledger_close(ledger);
}

static void count_call(void *context)
{
    atomic_int *calls = context;

    atomic_fetch_add(calls, 1);
}

static void a_waker_that_was_forgotten_is_not_called(void **state)
{
    struct fixture *fixture = *state;
    struct ledger *ledger = place_open(&fixture->place);
    atomic_int calls = 0;
    atomic_int others = 0;
    struct waker waker = { count_call, &calls };
    struct waker other = { count_call, &others };
    struct error error = { 0 };
    struct str entry = { 0 };
    struct str proof = { 0 };

    append_many(ledger, 1);
    wait_published(ledger, 1);
    append_many(ledger, 1); /* the next checkpoint is a second away */
    assert_int_equal(ledger_receipt(ledger, 1, waker, fixture->arena, &entry, &proof, &error),
                     PROGRESS_WAIT);
    assert_int_equal(ledger_receipt(ledger, 1, other, fixture->arena, &entry, &proof, &error),
                     PROGRESS_WAIT);
    assert_true(ledger_forget(ledger, &calls));
    assert_false(ledger_forget(ledger, &calls));
    wait_published(ledger, 2);
    assert_int_equal(atomic_load(&calls), 0);
    assert_int_equal(atomic_load(&others), 1);
    assert_false(ledger_forget(ledger, &others));
    ledger_close(ledger);
}

static void tiles_are_served_by_canonical_paths_only(void **state)
{
    static const char *const refused[] = {
        "entries/000",
        "entries/000.p/44",
        "0/001.p/45",
        "0/002",
        "2/000.p/1",
        "0/0",
        "0/000/",
        "../verifier",
        "../0/000",
        "1/000",
        "0/000.p/256",
        "0/000.p/0",
        "",
        "checkpoint",
        "0/001",
    };
    struct fixture *fixture = *state;
    struct ledger *ledger = place_open(&fixture->place);
    struct error error = { 0 };
    struct str tile = { 0 };

    append_many(ledger, 300);
    wait_published(ledger, 300);
    assert_true(ledger_tile(ledger, STR("0/000"), fixture->arena, &tile, &error));
    assert_int_equal(tile.len, TILE_LEN);
    assert_true(ledger_tile(ledger, STR("0/001.p/44"), fixture->arena, &tile, &error));
    assert_int_equal(tile.len, 44 * MERKLE_HASH_LEN);
    assert_true(ledger_tile(ledger, STR("1/000.p/1"), fixture->arena, &tile, &error));
    assert_true(ledger_tile(ledger, STR("0/000.p/3"), fixture->arena, &tile, &error));
    for (size_t i = 0; i < COUNT(refused); i++) {
        error = (struct error){ 0 };
        if (ledger_tile(ledger, str_from(refused[i]), fixture->arena, &tile, &error))
            fail_msg("\"%s\" was served", refused[i]);
        assert_int_equal(error.code, ERROR_NOT_FOUND);
    }
    ledger_close(ledger);
}

static void a_tiles_hashes_are_the_entries_leaves(void **state)
{
    struct fixture *fixture = *state;
    struct ledger *ledger = place_open(&fixture->place);
    struct error error = { 0 };
    struct str tile = { 0 };

    append_many(ledger, 260);
    wait_published(ledger, 260);
    assert_true(ledger_tile(ledger, STR("0/000"), fixture->arena, &tile, &error));
    for (unsigned i = 0; i < TILE_WIDTH; i++) {
        struct merkle_hash leaf;
        struct str entry = { 0 };

        assert_true(ledger_entry(ledger, i, fixture->arena, &entry, &error));
        leaf = merkle_leaf(entry);
        assert_memory_equal(tile.data + (size_t)i * MERKLE_HASH_LEN, leaf.bytes, MERKLE_HASH_LEN);
    }
    ledger_close(ledger);
}

/* Each entry is its length in 16 bits and its bytes; the bundle has as many as its path says. */
static void expect_bundle(struct ledger *ledger, struct arena *arena, const char *path,
                          uint64_t first, unsigned count)
{
    struct error error = { 0 };
    struct str bundle = { 0 };

    assert_true(ledger_bundle(ledger, str_from(path), arena, &bundle, &error));
    for (unsigned i = 0; i < count; i++) {
        struct str entry = { 0 };
        size_t len;

        assert_true(ledger_entry(ledger, first + i, arena, &entry, &error));
        assert_true(bundle.len >= 2);
        len = (size_t)(uint8_t)bundle.data[0] << 8 | (uint8_t)bundle.data[1];
        assert_true(str_eq(str_slice(bundle, 2, len), entry));
        bundle = str_slice(bundle, 2 + len, bundle.len);
    }
    assert_int_equal(bundle.len, 0);
}

static void bundles_hold_the_published_entries(void **state)
{
    static const char *const refused[] = {
        "001.p/45", "001", "002", "0", "000.p/256", "000.p/0", "../000", "", "0/000", "x001/000",
    };
    struct fixture *fixture = *state;
    struct ledger *ledger = place_open(&fixture->place);
    struct str bundle = { 0 };

    append_many(ledger, 300);
    wait_published(ledger, 300);
    expect_bundle(ledger, fixture->arena, "000", 0, TILE_WIDTH);
    expect_bundle(ledger, fixture->arena, "000.p/3", 0, 3);
    expect_bundle(ledger, fixture->arena, "001.p/44", TILE_WIDTH, 44);
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct error error = { 0 };

        if (ledger_bundle(ledger, str_from(refused[i]), fixture->arena, &bundle, &error))
            fail_msg("\"%s\" was served", refused[i]);
        assert_int_equal(error.code, ERROR_NOT_FOUND);
    }
    ledger_close(ledger);
}

static void closing_publishes_what_is_committed(void **state)
{
    struct fixture *fixture = *state;
    struct ledger *ledger = place_open(&fixture->place);

    append_many(ledger, 20);
    ledger_close(ledger);
    ledger = place_open(&fixture->place);
    assert_int_equal(get_checkpoint(ledger, fixture->arena).size, 20);
    ledger_close(ledger);
}

static void partial_files_go_once_a_full_one_is_there(void **state)
{
    struct fixture *fixture = *state;

    for (unsigned i = 0; i < 3; i++) {
        struct ledger *ledger = place_open(&fixture->place);

        append_many(ledger, 100);
        ledger_close(ledger);
    }
    run_shell("test ! -e store/log/tile/0/000.p && test ! -e store/log/tile/entries/000.p &&"
              "test -e store/log/tile/0/000 && test -e store/log/tile/entries/000 &&"
              "test $(ls store/log/tile/entries/001.p) = 44 &&"
              "test -z \"$(find store/log -name new)\"",
              &fixture->place);
}

/* A store of 300 entries with its log, closed. */
static void make_log(struct fixture *fixture)
{
    struct ledger *ledger = place_open(&fixture->place);

    append_many(ledger, 300);
    ledger_close(ledger);
}

static void missing_or_damaged_tiles_are_made_again(void **state)
{
    static const char *const damages[] = {
        "rm -r store/log/tile/0",
        "rm -r store/log/tile/0/001.p",
        "rm -r store/log/tile/1",
        "printf x | dd of=store/log/tile/0/001.p/44 conv=notrunc status=none",
        "printf x | dd of=store/log/tile/1/000.p/1 conv=notrunc status=none",
        "truncate -s 32 store/log/tile/0/001.p/44",
    };
    struct fixture *fixture = *state;

    make_log(fixture);
    for (size_t i = 0; i < COUNT(damages); i++) {
        struct ledger *ledger = NULL;

        run_shell(damages[i], &fixture->place);
        ledger = place_open(&fixture->place);
        assert_int_equal(get_checkpoint(ledger, fixture->arena).size, 300);
        expect_receipts(ledger, fixture->arena, 300, 50);
        ledger_close(ledger);
    }
}

static void a_store_that_is_shorter_than_its_checkpoint_is_refused(void **state)
{
    struct fixture *fixture = *state;

    make_log(fixture);
    run_shell("rm store/segments/* store/snapshot", &fixture->place);
    place_expect_refusal(&fixture->place, ERROR_INVALID,
                         "the store has 0 entries, the published checkpoint 300");
}

static void a_store_with_another_history_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct ledger *ledger = NULL;

    make_log(fixture);
    run_shell("mv store/log kept && rm -r store", &fixture->place);
    ledger = place_open(&fixture->place);
    append_many(ledger, 310);
    ledger_close(ledger);
    run_shell("rm -r store/log && mv kept store/log", &fixture->place);
    place_expect_refusal(&fixture->place, ERROR_INVALID, "not the one whose checkpoint");
    /* Neither does it help to lose the tiles, and nothing was signed anew. */
    run_shell("rm -r store/log/tile && cp store/log/checkpoint before", &fixture->place);
    place_expect_refusal(&fixture->place, ERROR_INVALID, "not the one whose checkpoint");
    run_shell("cmp before store/log/checkpoint", &fixture->place);
}

static void a_checkpoint_that_is_not_ours_is_refused(void **state)
{
    struct fixture *fixture = *state;

    make_log(fixture);
    file_flip(place_path(&fixture->place, "store/log/checkpoint"), 30);
    place_expect_refusal(&fixture->place, ERROR_INVALID, "does not verify");
}

static void a_damaged_checkpoint_is_never_overwritten(void **state)
{
    struct fixture *fixture = *state;

    make_log(fixture);
    run_shell("truncate -s 0 store/log/checkpoint", &fixture->place);
    place_expect_refusal(&fixture->place, ERROR_SYNTAX, "not a signed note");
}

static void a_publisher_that_cannot_write_tries_again(void **state)
{
    struct fixture *fixture = *state;
    struct ledger *ledger = NULL;
    struct error error = { 0 };
    struct str text = { 0 };

    run_shell("mkdir -p store/log/tile && touch store/log/tile/0", &fixture->place);
    ledger = place_open(&fixture->place);
    append_many(ledger, 3);
    assert_true(ledger_entry(ledger, 2, fixture->arena, &text, &error));
    assert_false(ledger_checkpoint(ledger, fixture->arena, &text, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    assert_true(ledger_is_writable(ledger));
    run_shell("rm store/log/tile/0", &fixture->place);
    expect_receipts(ledger, fixture->arena, 3, 1);
    ledger_close(ledger);
}

static void the_verifier_key_lies_beside_the_log(void **state)
{
    struct fixture *fixture = *state;

    make_log(fixture);
    run_shell("test \"$(cat store/log/verifier)\" = '" VECTOR_VERIFIER "'", &fixture->place);
}

struct load {
    struct ledger *ledger;
    unsigned first;
};

static void *append_hundred(void *context)
{
    struct load *load = context;

    for (unsigned i = 0; i < 100; i++)
        (void)append_one(load->ledger, entry_issued(load->first + i));
    return NULL;
}

static void many_threads_append_while_it_is_published(void **state)
{
    struct fixture *fixture = *state;
    struct ledger *ledger = place_open(&fixture->place);
    pthread_t threads[8];
    struct load loads[8];

    for (unsigned i = 0; i < COUNT(threads); i++) {
        loads[i] = (struct load){ ledger, i * 100 };
        assert_int_equal(pthread_create(&threads[i], NULL, append_hundred, &loads[i]), 0);
    }
    for (unsigned i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    expect_receipts(ledger, fixture->arena, 800, 37);
    assert_int_equal(ledger_live_lease_count(ledger), 800);
    ledger_close(ledger);
}

int main(void)
{
#define LEDGER_TEST(function) cmocka_unit_test_setup_teardown(function, make, clean)
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(before_the_first_entry_there_is_no_checkpoint),
        LEDGER_TEST(entries_get_receipts_that_prove_them),
        LEDGER_TEST(the_leaf_hash_is_that_of_the_bytes_with_their_time),
        LEDGER_TEST(a_used_mark_is_refused_by_its_guard),
        LEDGER_TEST(a_lease_lives_as_its_entries_say),
        LEDGER_TEST(entries_that_may_not_be_written_are_refused),
        LEDGER_TEST(there_is_no_receipt_of_what_was_not_written),
        LEDGER_TEST(a_waker_that_was_forgotten_is_not_called),
        LEDGER_TEST(tiles_are_served_by_canonical_paths_only),
        LEDGER_TEST(a_tiles_hashes_are_the_entries_leaves),
        LEDGER_TEST(bundles_hold_the_published_entries),
        LEDGER_TEST(closing_publishes_what_is_committed),
        LEDGER_TEST(partial_files_go_once_a_full_one_is_there),
        LEDGER_TEST(missing_or_damaged_tiles_are_made_again),
        LEDGER_TEST(a_store_that_is_shorter_than_its_checkpoint_is_refused),
        LEDGER_TEST(a_store_with_another_history_is_refused),
        LEDGER_TEST(a_checkpoint_that_is_not_ours_is_refused),
        LEDGER_TEST(a_damaged_checkpoint_is_never_overwritten),
        LEDGER_TEST(a_publisher_that_cannot_write_tries_again),
        LEDGER_TEST(the_verifier_key_lies_beside_the_log),
        LEDGER_TEST(many_threads_append_while_it_is_published),
    };
#undef LEDGER_TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
