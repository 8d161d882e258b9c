/* Conformance: readers. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/time_text.h"
#include "store/conformance.h"

static void expect_entry(struct store_reader *reader, unsigned index)
{
    struct error error = { 0 };
    struct str entry = { 0 };
    char command[32];

    (void)snprintf(command, sizeof(command), "entry %u", index);
    if (!store_reader_get(reader, index, &entry, NULL, &error))
        fail_msg("entry %u: %s", index, error.cause);
    assert_true(str_eq(str_slice(entry, TIME_TEXT_MS_LEN + 1, 64), str_from(command)));
}

static void entries_are_found_in_any_order(void **state)
{
    enum {
        MANY = 700
    };
    const struct place *place = *state;
    struct store *store = open_place(place);
    OWNED(store_reader_close) struct store_reader *reader = NULL;
    struct error error = { 0 };

    append_burst(store, 0, MANY);
    assert_true(store_reader_open(place->location, &reader, &error));
    assert_int_equal(store_reader_size(reader), MANY);
    for (unsigned i = 0; i < MANY; i++)
        expect_entry(reader, i);
    for (unsigned i = 0; i < MANY; i++)
        expect_entry(reader, i * 269 % MANY);
    for (unsigned i = MANY; i > 0; i--)
        expect_entry(reader, i - 1);
    store_close(store);
}

static void an_empty_store_has_no_entries(void **state)
{
    struct store *store = open_place(*state);
    OWNED(store_reader_close) struct store_reader *reader = NULL;
    struct error error = { 0 };
    struct str entry = { 0 };

    assert_true(store_reader_new(store, &reader, &error));
    assert_int_equal(store_reader_size(reader), 0);
    assert_false(store_reader_get(reader, 0, &entry, NULL, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    error = (struct error){ 0 };
    assert_false(store_reader_get(reader, UINT64_MAX, &entry, NULL, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    store_close(store);
}

static void a_reader_sees_what_was_durable_when_it_was_refreshed(void **state)
{
    const struct place *place = *state;
    struct store *store = open_place(place);
    OWNED(store_reader_close) struct store_reader *of_store = NULL;
    OWNED(store_reader_close) struct store_reader *of_place = NULL;
    struct error error = { 0 };
    struct str entry = { 0 };

    assert_true(store_reader_new(store, &of_store, &error));
    assert_true(store_reader_open(place->location, &of_place, &error));
    for (unsigned i = 0; i < 100; i += 10) {
        append_burst(store, i, 10);
        assert_int_equal(store_reader_size(of_store), i);
        assert_int_equal(store_reader_size(of_place), i);
        assert_false(store_reader_get(of_store, i, &entry, NULL, &error));
        assert_int_equal(error.code, ERROR_NOT_FOUND);
        error = (struct error){ 0 };
        assert_true(store_reader_refresh(of_store, &error));
        assert_true(store_reader_refresh(of_place, &error));
        assert_int_equal(store_reader_size(of_store), i + 10);
        assert_int_equal(store_reader_size(of_place), i + 10);
        for (unsigned k = i; k < i + 10; k++) {
            expect_entry(of_store, k);
            expect_entry(of_place, k);
        }
    }
    store_close(store);
}

static void private_parts_are_beside_their_entries(void **state)
{
    struct store *store = open_place(*state);
    struct append *append = append_new("entry 0");
    OWNED(store_reader_close) struct store_reader *reader = NULL;
    struct error error = { 0 };
    struct str entry = { 0 };
    struct str part = { 0 };

    append_private(append, "{\"salt\":1}");
    append_add(append, "entry 1");
    assert_true(append_submit(append, store));
    assert_true(append_wait(append));
    assert_true(store_reader_new(store, &reader, &error));
    assert_true(store_reader_get(reader, 0, &entry, &part, &error));
    assert_true(str_eq(part, STR("{\"salt\":1}")));
    assert_true(store_reader_get(reader, 1, &entry, &part, &error));
    assert_int_equal(part.len, 0);
    append_free(append);
    store_close(store);
}

/* Entries with the private parts "person 0", "person 1", ...; each third has none. */
static void append_people(struct store *store, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char command[32];
        char person[32];
        struct append *append = NULL;

        (void)snprintf(command, sizeof(command), "entry %u", i);
        (void)snprintf(person, sizeof(person), "person %u", i);
        append = append_new(command);
        if (i % 3 != 2)
            append_private(append, person);
        assert_true(append_submit(append, store));
        assert_true(append_wait(append));
        append_free(append);
    }
}

/* What stands beside entry `index`: NULL for none, "" for what was erased. */
static void expect_part(struct store_reader *reader, unsigned index, const char *expected)
{
    struct error error = { 0 };
    struct str entry = { 0 };
    struct str part = { 0 };

    if (!store_reader_get(reader, index, &entry, &part, &error))
        fail_msg("entry %u: %s", index, error.cause);
    if (expected == NULL)
        assert_null(part.data);
    else
        assert_non_null(part.data);
    assert_true(expected == NULL || str_eq(part, str_from(expected)));
}

static bool count_call(void *context, struct error *error)
{
    (void)error;
    (*(unsigned *)context)++;
    return true;
}

static void what_is_erased_is_gone_and_all_else_is_there(void **state)
{
    static const uint64_t indices[] = { 1, 2, 4, 9 }; /* 2 has none */
    const struct place *place = *state;
    struct store *store = open_place(place);
    OWNED(store_reader_close) struct store_reader *reader = NULL;
    struct error error = { 0 };
    unsigned calls = 0;

    append_people(store, 10);
    assert_true(store_reader_new(store, &reader, &error));
    expect_part(reader, 1, "person 1");
    if (!store_erase(store, indices, COUNT(indices), count_call, &calls, &error))
        fail_msg("store_erase: %s", error.cause);
    assert_int_equal(calls, 1);
    for (unsigned round = 0; round < 2; round++) {
        assert_true(store_reader_refresh(reader, &error));
        for (unsigned i = 0; i < 10; i++)
            expect_entry(reader, i);
        expect_part(reader, 0, "person 0");
        expect_part(reader, 1, "");
        expect_part(reader, 2, NULL);
        expect_part(reader, 3, "person 3");
        expect_part(reader, 4, "");
        expect_part(reader, 9, "");
        assert_true(store_erase(store, indices, COUNT(indices), NULL, NULL, &error));
    }
    append_many(store, 10, 1);
    store_reader_close(TAKE(reader));
    store_close(store);
    store = open_place(place);
    assert_int_equal(store_size(store), 11);
    assert_true(store_reader_new(store, &reader, &error));
    expect_part(reader, 4, "");
    expect_part(reader, 6, "person 6");
    store_close(store);
}

#define LONG_LEN 60

static void append_long(struct store *store, unsigned number)
{
    char command[32];
    struct append *append = NULL;

    (void)snprintf(command, sizeof(command), "mark %u %d", number, 2000000000);
    append = append_new(command);
    append_fill(append, LONG_LEN);
    append_private(append, "somebody");
    assert_true(append_submit(append, store));
    assert_true(append_wait(append));
    append_free(append);
}

static void leaf_of(struct store_reader *reader, unsigned index, uint8_t leaf[33])
{
    struct error error = { 0 };
    struct str entry = { 0 };
    char text[STORE_ENTRY_MAX + 1] = { 0 };

    assert_true(store_reader_get(reader, index, &entry, NULL, &error));
    memcpy(text + 1, entry.data, entry.len);
    leaf[0] = 0;
    sha256((struct str){ text, entry.len + 1 }, leaf + 1);
}

static void expect_pruned(struct store_reader *reader, unsigned count, uint8_t leaves[][33],
                          unsigned pruned)
{
    assert_int_equal(store_reader_size(reader), count);
    for (unsigned i = 0; i < count; i++) {
        struct error error = { 0 };
        struct str entry = { 0 };
        struct str part = { 0 };

        if (!store_reader_get(reader, i, &entry, &part, &error))
            fail_msg("entry %u: %s", i, error.cause);
        assert_int_equal(store_entry_is_pruned(entry), i < pruned);
        assert_int_equal(part.len, i < pruned ? 0 : sizeof("somebody") - 1);
        if (i < pruned)
            assert_memory_equal(entry.data, leaves[i], 33);
        else
            assert_true(entry.len > LONG_LEN);
    }
}

static void what_is_pruned_leaves_its_hashes(void **state)
{
    enum {
        COUNT_ALL = 12
    };
    const struct place *place = *state;
    struct store *store = open_place(place);
    OWNED(store_reader_close) struct store_reader *reader = NULL;
    struct error error = { 0 };
    uint8_t leaves[COUNT_ALL][33];
    unsigned calls = 0;
    uint64_t to = 0;

    for (unsigned i = 0; i < COUNT_ALL; i++)
        append_long(store, i);
    assert_true(store_reader_new(store, &reader, &error));
    for (unsigned i = 0; i < COUNT_ALL; i++)
        leaf_of(reader, i, leaves[i]);
    if (!store_prune(store, 0, 7, &to, count_call, &calls, &error))
        fail_msg("store_prune: %s", error.cause);
    assert_int_equal(to, 7);
    assert_int_equal(calls, 1);
    assert_true(store_reader_refresh(reader, &error));
    expect_pruned(reader, COUNT_ALL, leaves, 7);
    assert_true(store_prune(store, 7, 9, &to, NULL, NULL, &error));
    assert_int_equal(to, 9);
    assert_true(store_prune(store, 5, 9, &to, NULL, NULL, &error)); /* once more */
    assert_true(store_reader_refresh(reader, &error));
    expect_pruned(reader, COUNT_ALL, leaves, 9);
    store_reader_close(TAKE(reader));
    store_close(store);
    conformance->forget_rows(place);
    store = open_place(place);
    assert_true(store_prune(store, 9, UINT64_MAX, &to, NULL, NULL, &error));
    assert_int_equal(to, COUNT_ALL - 1); /* the last one stays */
    assert_true(store_reader_new(store, &reader, &error));
    expect_pruned(reader, COUNT_ALL, leaves, COUNT_ALL - 1);
    assert_true(store_prune(store, COUNT_ALL - 1, UINT64_MAX, &to, NULL, NULL, &error));
    assert_int_equal(to, COUNT_ALL - 1);
    store_close(store);
}

static void the_oldest_live_lease_is_known(void **state)
{
    struct store *store = open_place(*state);
    struct error error = { 0 };
    uint64_t index = 0;

    assert_true(store_oldest_live(store, &index, &error));
    assert_true(index == UINT64_MAX);
    append_many(store, 0, 2);
    assert_true(append_now(store, "lease 1 2 4102444800"));
    assert_true(append_now(store, "lease 2 2 4102444800"));
    assert_true(append_now(store, "lease 3 2 1000"));
    assert_true(store_oldest_live(store, &index, &error));
    assert_int_equal(index, 2);
    assert_true(append_now(store, "lease 1 3 0"));
    assert_true(store_oldest_live(store, &index, &error));
    assert_int_equal(index, 3);
    store_close(store);
}

static void only_what_is_there_can_be_erased(void **state)
{
    static uint64_t indices[STORE_ERASE_MAX + 1];
    struct store *store = open_place(*state);
    struct error error = { 0 };

    append_people(store, 3);
    assert_true(store_erase(store, indices, 0, NULL, NULL, &error));
    indices[0] = 3;
    assert_false(store_erase(store, indices, 1, NULL, NULL, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    error = (struct error){ 0 };
    assert_false(store_erase(store, indices, STORE_ERASE_MAX + 1, NULL, NULL, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    store_close(store);
}

struct following {
    const struct place *place;
    atomic_bool is_over;
    atomic_uint seen;
};

/* Follow a log that is written meanwhile, as `audit tail` does. */
static void *follow(void *context)
{
    struct following *following = context;
    OWNED(store_reader_close) struct store_reader *reader = NULL;
    struct error error = { 0 };
    unsigned next = 0;

    assert_true(store_reader_open(following->place->location, &reader, &error));
    for (;;) {
        bool is_last_round = atomic_load(&following->is_over);

        assert_true(store_reader_refresh(reader, &error));
        for (; next < store_reader_size(reader); next++)
            expect_entry(reader, next);
        if (is_last_round)
            break;
    }
    atomic_store(&following->seen, next);
    return NULL;
}

static void a_reader_can_follow_a_live_writer(void **state)
{
    struct store *store = open_place(*state);
    struct following following = { .place = *state };
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, follow, &following), 0);
    for (unsigned i = 0; i < 400; i += 4)
        append_burst(store, i, 4);
    atomic_store(&following.is_over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(atomic_load(&following.seen), 400);
    store_close(store);
}

static void where_there_is_no_store_there_is_no_reader(void **state)
{
    const struct place *place = *state;
    struct store_reader *reader = NULL;
    struct error error = { 0 };

    assert_false(store_reader_open(place->location, &reader, &error));
    assert_null(reader);
    assert_int_equal(error.code, ERROR_INVALID);
    assert_non_null(strstr(error.cause, "there is no store"));
}

const struct CMUnitTest conformance_reading[] = {
    CONFORMANCE_TEST(entries_are_found_in_any_order),
    CONFORMANCE_TEST(an_empty_store_has_no_entries),
    CONFORMANCE_TEST(a_reader_sees_what_was_durable_when_it_was_refreshed),
    CONFORMANCE_TEST(private_parts_are_beside_their_entries),
    CONFORMANCE_TEST(what_is_erased_is_gone_and_all_else_is_there),
    CONFORMANCE_TEST(what_is_pruned_leaves_its_hashes),
    CONFORMANCE_TEST(the_oldest_live_lease_is_known),
    CONFORMANCE_TEST(only_what_is_there_can_be_erased),
    CONFORMANCE_TEST(a_reader_can_follow_a_live_writer),
    CONFORMANCE_TEST(where_there_is_no_store_there_is_no_reader),
};
const size_t conformance_reading_count = COUNT(conformance_reading);
