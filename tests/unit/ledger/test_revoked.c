/* The book of revoked certificates: what entries say, read behind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/time_text.h"
#include "ledger/help.h"
#include "ledger/revoked.h"
#include "tests/test.h"

#define WAIT_MS 120000
#define HOUR_S ((int64_t)3600)

static struct place place;
static struct ledger *ledger;
static struct revoked_book *book;

static int make(void **state)
{
    (void)state;
    place_make(&place);
    ledger = place_open(&place);
    book = revoked_book_new();
    return book == NULL ? -1 : 0;
}

static int clean(void **state)
{
    (void)state;
    ledger_close(ledger);
    revoked_book_free(book);
    place_remove(&place);
    return 0;
}

static json_t *credential(const char *ca, const char *id, int64_t expires_s)
{
    char text[TIME_TEXT_S_LEN + 1] = "";

    time_text_s(expires_s, text);
    return json_pack("{s:s, s:s, s:s, s:s}", "type", "x509", "ca", ca, "id", id, "expires_at",
                     text);
}

static void append(json_t *take_credentials)
{
    char id[ID_LEN + 1];
    json_t *entry = entry_new(ENTRY_CREDENTIAL_REVOKED, STR("b"));

    id_of(7, id);
    assert_true(json_put(entry, "decision", json_string(id)));
    assert_true(json_put(entry, "credentials", take_credentials));
    (void)append_one(ledger, entry);
}

static void end_one(const char *ca, const char *id, int64_t expires_s)
{
    append(json_pack("[o]", credential(ca, id, expires_s)));
}

/* Tend it until all of the ledger is in it. */
static void read_all(void)
{
    int64_t end_ms = clock_monotonic_ms() + WAIT_MS;
    struct error error = { 0 };

    while (!revoked_book_is_whole(book) || revoked_book_size(book) < ledger_size(ledger)) {
        bool has_changed;

        /* the index may be behind at first: that is told, and tried again */
        if (!revoked_book_tend(book, ledger, clock_wall_s(), &has_changed, &error))
            error = (struct error){ 0 };
        if (clock_monotonic_ms() > end_ms)
            fail_msg("it was not read in time");
        (void)usleep(1000); /* between looks at a condition */
    }
}

static const struct revoked *rows(size_t expected)
{
    size_t count;
    const struct revoked *list = revoked_book_rows(book, &count);

    assert_int_equal(count, expected);
    return list;
}

static void what_entries_revoke_is_in_it(void **state)
{
    int64_t now_s = clock_wall_s();
    const struct revoked *list;

    (void)state;
    append_many(ledger, 5);
    append(json_pack("[o, o]", credential("ca-2", "b", now_s + 60),
                     credential("ca-1", "z", now_s + HOUR_S)));
    append_many(ledger, 5);
    end_one("ca-1", "a", now_s + 120);
    read_all();
    list = rows(3);
    assert_string_equal(list[0].ca, "ca-1");
    assert_string_equal(list[0].id, "a");
    assert_int_equal(list[0].expires_s, now_s + 120);
    assert_true(list[0].revoked_s >= now_s && list[0].revoked_s <= clock_wall_s());
    assert_string_equal(list[1].id, "z");
    assert_string_equal(list[2].ca, "ca-2");
}

static void later_ones_are_added(void **state)
{
    int64_t now_s = clock_wall_s();

    (void)state;
    end_one("ca", "a", now_s + 60);
    read_all();
    (void)rows(1);
    for (int i = 0; i < 20; i++) {
        char id[16];

        (void)snprintf(id, sizeof(id), "b%d", i);
        end_one("ca", id, now_s + 60);
        append_many(ledger, 3);
        read_all();
    }
    (void)rows(21);
}

static void one_that_is_revoked_twice_is_there_once(void **state)
{
    int64_t now_s = clock_wall_s();

    (void)state;
    end_one("ca", "a", now_s + 60);
    end_one("ca", "a", now_s + 60);
    read_all();
    end_one("ca", "a", now_s + 60);
    read_all();
    (void)rows(1);
}

static void it_is_the_same_after_a_start(void **state)
{
    int64_t now_s = clock_wall_s();

    (void)state;
    end_one("ca", "a", now_s + 60);
    end_one("ca", "b", now_s + 60);
    ledger_close(ledger);
    ledger = place_open(&place);
    read_all();
    (void)rows(2);
}

/* Two brokers that share a log read the same entries. */
static void a_second_book_of_the_log_is_the_same(void **state)
{
    struct revoked_book *first = book;
    int64_t now_s = clock_wall_s();
    const struct revoked *one;
    const struct revoked *other;
    size_t count;

    (void)state;
    end_one("ca", "a", now_s + 60);
    read_all();
    end_one("ca", "b", now_s + 60);
    read_all(); /* the first in two steps, the second in one */
    book = revoked_book_new();
    read_all();
    one = revoked_book_rows(first, &count);
    other = rows(count);
    assert_memory_equal(one, other, count * sizeof(*one));
    assert_int_equal(revoked_book_size(first), revoked_book_size(book));
    revoked_book_free(first);
}

static void what_is_no_certificate_is_passed_over(void **state)
{
    static const char *const cases[] = {
        "[{\"type\":\"jwt\",\"id\":\"a\"}]",
        "[{\"type\":\"aws\",\"id\":\"a\",\"ca\":7}]",
        "[{\"type\":\"ssh\",\"ca\":\"a\"}]",
        "[{\"type\":\"ssh\",\"ca\":\"\",\"id\":\"a\"}]",
        "[{\"type\":\"ssh\",\"ca\":\"a\",\"id\":\"a\\nb\"}]",
        "[{\"type\":\"ssh\",\"ca\":\"a\",\"id\":\"01234567890123456789012345678901234567890\"}]",
        "[1, null, \"a\", []]",
        "[]",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        append(json_loads(cases[i], 0, NULL));
    end_one("a", "0123456789012345678901234567890123456789", clock_wall_s() + 60);
    read_all();
    (void)rows(1);
}

static void one_that_does_not_say_its_end_is_held_to_the_longest(void **state)
{
    const struct revoked *list;

    (void)state;
    append(json_loads("[{\"type\":\"ssh\",\"ca\":\"a\",\"id\":\"1\"}]", 0, NULL));
    read_all();
    list = rows(1);
    assert_int_equal(list[0].expires_s, list[0].revoked_s + REVOKED_LIFE_MAX_S);
}

static void those_that_have_ended_are_forgotten(void **state)
{
    int64_t now_s = clock_wall_s();

    (void)state;
    end_one("ca", "a", now_s + 60);
    end_one("ca", "b", now_s + 61);
    read_all();
    revoked_book_forget(book, now_s + 60);
    (void)rows(2);
    revoked_book_forget(book, now_s + 61);
    assert_string_equal(rows(1)[0].id, "b");
}

static void it_changes_only_where_some_are_revoked(void **state)
{
    struct error error = { 0 };
    bool has_changed = true;
    int64_t end_ms = clock_monotonic_ms() + WAIT_MS;

    (void)state;
    end_one("ca", "a", clock_wall_s() + 60);
    read_all();
    append_many(ledger, 3);
    while (revoked_book_size(book) < ledger_size(ledger) && clock_monotonic_ms() < end_ms) {
        assert_true(revoked_book_tend(book, ledger, clock_wall_s(), &has_changed, &error));
        assert_false(has_changed);
    }
    assert_int_equal(revoked_book_size(book), ledger_size(ledger));
}

/* Eight entries a proposal, 170 certificates an entry: past the limit in few steps. */
static void past_its_limit_those_that_end_first_are_left_out(void **state)
{
    int64_t now_s = clock_wall_s();
    size_t made = 0;
    size_t count;
    const struct revoked *list;

    (void)state;
    while (made < REVOKED_MAX + 100) {
        json_t *credentials = json_array();

        for (size_t i = 0; i < 120; i++, made++) {
            char id[16];

            (void)snprintf(id, sizeof(id), "%zu", made);
            /* the first hundred end first */
            assert_int_equal(json_array_append_new(
                                 credentials, credential("c", id, now_s + (made < 100 ? 60 : 600))),
                             0);
        }
        append(credentials);
    }
    read_all();
    list = revoked_book_rows(book, &count);
    assert_int_equal(count, REVOKED_MAX);
    assert_int_equal(revoked_book_left_out(book), made - REVOKED_MAX);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(list[i].expires_s, now_s + 600);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_entries_revoke_is_in_it),
        TEST(later_ones_are_added),
        TEST(one_that_is_revoked_twice_is_there_once),
        TEST(it_is_the_same_after_a_start),
        TEST(a_second_book_of_the_log_is_the_same),
        TEST(what_is_no_certificate_is_passed_over),
        TEST(one_that_does_not_say_its_end_is_held_to_the_longest),
        TEST(those_that_have_ended_are_forgotten),
        TEST(it_changes_only_where_some_are_revoked),
        TEST(past_its_limit_those_that_end_first_are_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
