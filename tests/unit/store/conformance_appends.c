/* Conformance: guards and appends, their order, limits, times; crashes. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/time_text.h"
#include "store/conformance.h"

static void what_was_appended_can_be_read(void **state)
{
    struct store *store = open_place(*state);

    append_many(store, 0, 50);
    assert_int_equal(store_size(store), 50);
    expect_entries_at(((struct place *)*state)->location, 50);
    store_close(store);
    expect_entries_at(((struct place *)*state)->location, 50);
}

static void a_store_goes_on_where_it_stopped(void **state)
{
    struct store *store = open_place(*state);

    append_many(store, 0, 3);
    store_close(store);
    store = open_place(*state);
    assert_int_equal(store_size(store), 3);
    append_many(store, 3, 3);
    store_close(store);
    expect_entries_at(((struct place *)*state)->location, 6);
}

static void entries_past_their_limits_are_refused(void **state)
{
    struct store *store = open_place(*state);
    struct append *append = append_new("entry 0");
    struct store_proposal *proposal = append_proposal(append);
    static char large[STORE_PRIVATE_MAX + 1];

    append_fill(append, STORE_ENTRY_MAX + 1 - proposal->entries[0].len);
    assert_false(append_submit(append, store));
    proposal->entries[0].len--;
    proposal->entries[0].private_part = (struct str){ large, sizeof(large) };
    assert_false(append_submit(append, store));
    proposal->entries[0].private_part.len--;
    proposal->entries[0].time_offset = proposal->entries[0].len - TIME_TEXT_MS_LEN + 1;
    assert_false(append_submit(append, store));
    proposal->entries[0].time_offset--;
    proposal->entries[0].change_count = STORE_ENTRY_CHANGES_MAX + 1;
    assert_false(append_submit(append, store));
    proposal->entries[0].change_count = 0;
    proposal->guard_count = STORE_PROPOSAL_GUARDS_MAX + 1;
    assert_false(append_submit(append, store));
    proposal->guard_count = 0;
    proposal->entry_count = 0;
    assert_false(append_submit(append, store));
    proposal->entry_count = 1;
    assert_true(append_submit(append, store));
    assert_true(append_wait(append));
    append_free(append);
    store_close(store);
}

static void a_proposal_is_committed_as_a_whole(void **state)
{
    struct store *store = open_place(*state);
    struct append *append = append_new("entry 0");
    struct append *refused = append_new("entry 8");

    for (unsigned i = 1; i < STORE_PROPOSAL_ENTRIES_MAX; i++) {
        char command[32];

        (void)snprintf(command, sizeof(command), "entry %u", i);
        append_add(append, command);
    }
    assert_true(append_submit(append, store));
    assert_true(append_wait(append));
    assert_int_equal(append_proposal(append)->first_index, 0);
    append_add(refused, "entry 9");
    append_guard_lease(refused, 1, LEASE_ISSUED, 1);
    assert_true(append_submit(refused, store));
    assert_false(append_wait(refused));
    store_close(store);
    expect_entries_at(((struct place *)*state)->location, STORE_PROPOSAL_ENTRIES_MAX);
    append_free(append);
    append_free(refused);
}

static void a_guard_says_which_one_failed(void **state)
{
    struct store *store = open_place(*state);
    struct append *append = append_new("mark 7 4102444800");
    struct store_proposal *proposal = append_proposal(append);

    assert_true(append_now(store, "mark 2 4102444800"));
    append_guard_mark(append, 1);
    append_guard_mark(append, 2);
    assert_true(append_submit(append, store));
    assert_false(append_wait(append));
    assert_int_equal(proposal->failed_guard, 1);
    assert_int_equal(proposal->error.code, ERROR_INVALID);
    assert_false(has_mark(store, 7));
    assert_true(append_now(store, "free 2"));
    assert_true(append_submit(append, store));
    assert_true(append_wait(append));
    assert_int_equal(proposal->failed_guard, proposal->guard_count);
    assert_int_equal(proposal->error.code, ERROR_NONE);
    assert_true(has_mark(store, 7));
    append_free(append);
    store_close(store);
}

static void guards_see_earlier_proposals_of_their_batch(void **state)
{
    struct store *store = open_place(*state);
    struct gate gate;
    struct append *first = append_new("mark 1 4102444800");
    struct append *second = append_new("mark 1 4102444800");
    struct append *freed = append_new("free 1");
    struct append *third = append_new("mark 1 4102444800");

    append_guard_mark(first, 1);
    append_guard_mark(second, 1);
    append_guard_mark(third, 1);
    gate_close(&gate, store);
    assert_true(append_submit(first, store));
    assert_true(append_submit(second, store));
    assert_true(append_submit(freed, store));
    assert_true(append_submit(third, store));
    gate_open(&gate);
    assert_true(append_wait(third));
    assert_true(append_wait(freed));
    assert_false(append_wait(second));
    assert_true(append_wait(first));
    assert_int_equal(append_proposal(third)->first_index, append_proposal(first)->first_index + 2);
    append_free(first);
    append_free(second);
    append_free(freed);
    append_free(third);
    store_close(store);
    gate_release(&gate);
}

static void lease_guards_count_versions_within_a_batch(void **state)
{
    struct store *store = open_place(*state);
    struct gate gate;
    struct append *opened = append_new("lease 1 1 4102444800");
    struct append *issued = append_new("lease 1 2 4102444800");
    struct append *again = append_new("lease 1 6 0");

    append_guard_lease(issued, 1, LEASE_REQUESTED, 1);
    append_guard_lease(again, 1, LEASE_REQUESTED, 1);
    gate_close(&gate, store);
    assert_true(append_submit(opened, store));
    assert_true(append_submit(issued, store));
    assert_true(append_submit(again, store));
    gate_open(&gate);
    assert_true(append_wait(opened));
    assert_true(append_wait(issued));
    assert_false(append_wait(again));
    append_free(opened);
    append_free(issued);
    append_free(again);
    store_close(store);
    gate_release(&gate);
}

static void more_than_a_batch_holds_becomes_several(void **state)
{
    enum {
        MANY = 1500
    };
    struct store *store = open_place(*state);
    struct gate gate;
    struct append *appends[MANY];

    gate_close(&gate, store);
    for (unsigned i = 0; i < MANY; i++) {
        appends[i] = append_new("filled");
        append_fill(appends[i], 3000);
        assert_true(append_submit(appends[i], store));
    }
    gate_open(&gate);
    for (unsigned i = 0; i < MANY; i++) {
        assert_true(append_wait(appends[i]));
        assert_int_equal(append_proposal(appends[i])->first_index, i + 1);
        append_free(appends[i]);
    }
    store_close(store);
    gate_release(&gate);
    store = open_place(*state);
    assert_int_equal(store_size(store), MANY + 1);
    store_close(store);
}

static void a_closing_store_finishes_what_is_queued(void **state)
{
    struct store *store = open_place(*state);
    struct append *appends[100];

    for (unsigned i = 0; i < COUNT(appends); i++) {
        char command[32];

        (void)snprintf(command, sizeof(command), "entry %u", i);
        appends[i] = append_new(command);
        assert_true(append_submit(appends[i], store));
    }
    store_close(store);
    for (unsigned i = 0; i < COUNT(appends); i++) {
        assert_true(append_wait(appends[i]));
        append_free(appends[i]);
    }
    expect_entries_at(((struct place *)*state)->location, COUNT(appends));
}

static void times_never_go_back(void **state)
{
    struct store *store = open_place(*state);
    struct append *append = append_new("entry 0");
    const char *time = append_proposal(append)->entries[0].bytes;
    int64_t previous_ms = 0;
    int64_t time_ms = 0;

    for (unsigned i = 0; i < 20; i++) {
        assert_true(append_submit(append, store));
        assert_true(append_wait(append));
        assert_true(time_text_parse((struct str){ time, TIME_TEXT_MS_LEN }, &time_ms));
        assert_true(time_ms >= previous_ms);
        previous_ms = time_ms;
    }
    assert_true(previous_ms <= clock_wall_ms());
    append_free(append);
    store_close(store);
}

struct committed {
    atomic_uint_fast64_t size;
};

static void note_commit(uint64_t size, void *context)
{
    struct committed *committed = context;

    atomic_store(&committed->size, size);
}

static void each_batch_is_told_with_the_new_size(void **state)
{
    struct store *store = open_place(*state);
    struct committed committed = { 0 };

    store_on_commit(store, note_commit, &committed);
    append_many(store, 0, 10);
    store_close(store);
    assert_int_equal(atomic_load(&committed.size), 10);
}

static void refused_proposals_take_no_index(void **state)
{
    struct store *store = open_place(*state);
    struct gate gate;
    struct append *appends[30];

    assert_true(append_now(store, "mark 1 4102444800"));
    gate_close(&gate, store);
    for (unsigned i = 0; i < COUNT(appends); i++) {
        appends[i] = append_new("nothing");
        if (i % 3 == 0)
            append_guard_mark(appends[i], 1);
        assert_true(append_submit(appends[i], store));
    }
    gate_open(&gate);
    for (unsigned i = 0, index = 2; i < COUNT(appends); i++) {
        assert_int_equal(append_wait(appends[i]), i % 3 != 0);
        if (i % 3 != 0)
            assert_int_equal(append_proposal(appends[i])->first_index, index++);
        append_free(appends[i]);
    }
    assert_int_equal(store_size(store), 22);
    store_close(store);
    gate_release(&gate);
}

/* The largest proposal there may be, which no batch has to share. */
static void a_proposal_at_its_limits_is_committed(void **state)
{
    static char private_part[STORE_PRIVATE_MAX];
    struct store *store = open_place(*state);
    struct append *append = append_new("large");
    struct store_proposal *proposal = append_proposal(append);
    OWNED(store_reader_close) struct store_reader *reader = NULL;
    struct error error = { 0 };
    struct str entry;
    struct str part;

    memset(private_part, 'p', sizeof(private_part));
    for (unsigned i = 1; i < STORE_PROPOSAL_ENTRIES_MAX; i++)
        append_add(append, "large");
    for (unsigned i = 0; i < STORE_PROPOSAL_ENTRIES_MAX; i++) {
        struct store_entry *each = &proposal->entries[i];

        memset(each->bytes + each->len, 'a' + (int)i, STORE_ENTRY_MAX - each->len);
        each->len = STORE_ENTRY_MAX;
        each->private_part = (struct str){ private_part, sizeof(private_part) };
    }
    for (unsigned i = 0; i < STORE_PROPOSAL_GUARDS_MAX; i++)
        append_guard_mark(append, i);
    assert_true(append_submit(append, store));
    assert_true(append_wait(append));
    assert_true(store_reader_new(store, &reader, &error));
    for (unsigned i = 0; i < STORE_PROPOSAL_ENTRIES_MAX; i++) {
        assert_true(store_reader_get(reader, i, &entry, &part, &error));
        assert_int_equal(entry.len, STORE_ENTRY_MAX);
        assert_memory_equal(entry.data, proposal->entries[i].bytes, entry.len);
        assert_true(str_eq(part, proposal->entries[i].private_part));
    }
    append_free(append);
    store_close(store);
}

/* Bytes are bytes: what a text column or a C string would change is kept. */
static void any_bytes_are_kept(void **state)
{
    struct store *store = open_place(*state);
    struct append *append = append_new("bytes ");
    struct store_entry *each = &append_proposal(append)->entries[0];
    OWNED(store_reader_close) struct store_reader *reader = NULL;
    struct error error = { 0 };
    char all[256];
    struct str entry;
    struct str part;

    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (char)i;
    memcpy(each->bytes + each->len, all, sizeof(all));
    each->len += sizeof(all);
    each->private_part = (struct str){ all, sizeof(all) };
    assert_true(append_submit(append, store));
    assert_true(append_wait(append));
    assert_true(store_reader_new(store, &reader, &error));
    assert_true(store_reader_get(reader, 0, &entry, &part, &error));
    assert_true(str_eq(entry, (struct str){ each->bytes, each->len }));
    assert_true(str_eq(part, each->private_part));
    append_free(append);
    store_close(store);
}

static void a_closing_store_takes_nothing_more(void **state)
{
    struct store *store = open_place(*state);
    struct append *append = append_new("entry 0");

    assert_true(store_is_writable(store));
    assert_false(store_is_fenced(store));
    store_drain(store);
    assert_false(append_submit(append, store));
    append_free(append);
    store_close(store);
}

#ifdef STAGEPASS_TEST_CLOCK
/* A broker whose clock was ahead wrote last. */
static void append_with_a_clock_ahead(const struct place *place)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        struct store *store = NULL;

        clock_test_advance(3600);
        store = open_place(place);
        append_many(store, 0, 1);
        store_close(store);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void times_do_not_go_back_when_the_clock_does(void **state)
{
    struct append *append = append_new("entry 1");
    const char *time = append_proposal(append)->entries[0].bytes;
    struct store *store = NULL;
    int64_t time_ms = 0;

    append_with_a_clock_ahead(*state);
    store = open_place(*state);
    assert_true(append_submit(append, store));
    assert_true(append_wait(append));
    assert_true(time_text_parse((struct str){ time, TIME_TEXT_MS_LEN }, &time_ms));
    assert_true(time_ms > clock_wall_ms() + (int64_t)3000 * 1000);
    append_free(append);
    store_close(store);
}
#endif

/* Append marks for ever, and tell of each one that is durable. */
static _Noreturn void append_until_killed(const struct place *place, int told)
{
    struct store *store = open_place(place);

    for (unsigned i = 0;; i += 8) {
        struct append *appends[8];

        for (unsigned k = 0; k < COUNT(appends); k++) {
            char command[32];

            (void)snprintf(command, sizeof(command), "mark %u 4102444800", i + k);
            appends[k] = append_new(command);
            append_guard_mark(appends[k], i + k);
            if (!append_submit(appends[k], store))
                abort();
        }
        for (unsigned k = 0; k < COUNT(appends); k++) {
            unsigned number = i + k;

            if (!append_wait(appends[k]) || write(told, &number, sizeof(number)) < 0)
                abort();
            append_free(appends[k]);
        }
    }
}

/* Start the writer, read what it tells until `enough`, kill it: the number of acknowledged marks.
 */
static unsigned kill_in_the_middle(const struct place *place, unsigned enough)
{
    int told[2];
    unsigned number = 0;
    unsigned count = 0;
    pid_t child = -1;

    assert_int_equal(pipe(told), 0);
    child = fork();
    if (child == 0) {
        (void)close(told[0]);
        append_until_killed(place, told[1]);
    }
    (void)close(told[1]);
    while (count < enough && read(told[0], &number, sizeof(number)) == sizeof(number))
        count = number + 1;
    (void)kill(child, SIGKILL);
    while (read(told[0], &number, sizeof(number)) == sizeof(number))
        count = number + 1;
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(told[0]);
    return count;
}

static void what_was_acknowledged_survives_kill_9(void **state)
{
    unsigned count = kill_in_the_middle(*state, 150);
    struct store *store = open_place(*state);

    assert_true(count >= 150);
    assert_true(store_size(store) >= count);
    for (unsigned i = 0; i < count; i++)
        assert_true(has_mark(store, i));
    assert_true(append_now(store, "goes on"));
    store_close(store);
}

const struct CMUnitTest conformance_appends[] = {
    CONFORMANCE_TEST(what_was_appended_can_be_read),
    CONFORMANCE_TEST(a_store_goes_on_where_it_stopped),
    CONFORMANCE_TEST(entries_past_their_limits_are_refused),
    CONFORMANCE_TEST(a_proposal_is_committed_as_a_whole),
    CONFORMANCE_TEST(a_guard_says_which_one_failed),
    CONFORMANCE_TEST(guards_see_earlier_proposals_of_their_batch),
    CONFORMANCE_TEST(lease_guards_count_versions_within_a_batch),
    CONFORMANCE_TEST(more_than_a_batch_holds_becomes_several),
    CONFORMANCE_TEST(a_closing_store_finishes_what_is_queued),
    CONFORMANCE_TEST(times_never_go_back),
    CONFORMANCE_TEST(each_batch_is_told_with_the_new_size),
    CONFORMANCE_TEST(refused_proposals_take_no_index),
    CONFORMANCE_TEST(a_proposal_at_its_limits_is_committed),
    CONFORMANCE_TEST(any_bytes_are_kept),
    CONFORMANCE_TEST(a_closing_store_takes_nothing_more),
#ifdef STAGEPASS_TEST_CLOCK
    CONFORMANCE_TEST(times_do_not_go_back_when_the_clock_does),
#endif
    CONFORMANCE_TEST(what_was_acknowledged_survives_kill_9),
};
const size_t conformance_appends_count = COUNT(conformance_appends);
