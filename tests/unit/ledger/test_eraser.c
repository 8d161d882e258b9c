#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "ledger/eraser.h"
#include "ledger/help.h"
#include "tests/test.h"

static int make(void **state)
{
    struct place *place = calloc(1, sizeof(*place));

    place_make(place);
    *state = place;
    return 0;
}

static int clean(void **state)
{
    place_remove(*state);
    free(*state);
    return 0;
}

/* Append an entry (taken) whose private part has one member with this value (taken). */
static uint64_t append_with(struct ledger *ledger, json_t *take_entry, json_t *take_value)
{
    JSON_OWNED json_t *part = json_object();
    json_t *member = json_object();
    struct ledger_append append = { .entries = { take_entry },
                                    .private_parts = { part },
                                    .entry_count = 1 };
    struct error error = { 0 };

    assert_true(json_put(member, "salt", json_string("c2FsdA")));
    assert_true(json_put(member, "value", take_value));
    assert_true(json_put(part, "ci.actor", member));
    if (!ledger_append_now(ledger, &append, &error))
        fail_msg("ledger_append_now: %s", error.cause);
    json_decref(take_entry);
    return append.first_index;
}

static struct ledger_erasure erasure_of(const char *person, const json_t *actor)
{
    return (struct ledger_erasure){
        .person = str_from(person), .reason = STR("asked"), .issuer = STR("people"), .actor = actor
    };
}

static void expect_refusal(struct ledger *ledger, struct ledger_erasure erasure, const char *cause)
{
    struct error error = { 0 };

    assert_false(ledger_erase(ledger, &erasure, &error));
    assert_int_equal(error.code, ERROR_REQUEST);
    assert_non_null(strstr(error.cause, cause));
}

static void what_makes_no_sense_is_refused(void **state)
{
    static char reason[ERASURE_REASON_MAX + 1];
    struct ledger *ledger = place_open(*state);
    struct ledger_erasure erasure = erasure_of("", NULL);
    struct error error = { 0 };

    memset(reason, 'r', sizeof(reason));
    expect_refusal(ledger, erasure, "neither person nor run nor lease");
    erasure = erasure_of("bob", NULL);
    erasure.reason = STR("");
    expect_refusal(ledger, erasure, "no reason");
    erasure.is_dry = true;
    assert_true(erasure_check(&erasure, &error));
    erasure.reason = (struct str){ reason, sizeof(reason) };
    expect_refusal(ledger, erasure, "256 bytes");
    erasure.reason.len--;
    assert_true(erasure_check(&erasure, &error));
    erasure.reason = STR("what bob asked for");
    expect_refusal(ledger, erasure, "names the person");
    ledger_close(ledger);
}

static void a_person_is_found_by_any_whole_value(void **state)
{
    struct ledger *ledger = place_open(*state);
    JSON_OWNED json_t *actor = json_pack("{s:s}", "subject", "opal");
    struct ledger_erasure erasure = erasure_of("4411", actor);
    uint64_t first = 0;

    first = append_with(ledger, entry_started(), json_string("4411"));
    (void)append_with(ledger, entry_started(), json_integer(4411));
    (void)append_with(ledger, entry_started(), json_pack("[s, {s:s}]", "x", "id", "4411"));
    (void)append_with(ledger, entry_started(), json_string("44112"));
    (void)append_with(ledger, entry_started(), json_string("x4411"));
    (void)append_with(ledger, entry_started(), json_true());
    append_many(ledger, 3);
    erasure.is_dry = true;
    ledger_erase_now(ledger, &erasure);
    assert_true(erasure.is_good);
    assert_int_equal(erasure.matched, 3);
    assert_int_equal(erasure.erased, 0);
    assert_int_equal(erasure.next, erasure.size);
    erasure.is_dry = false;
    ledger_erase_now(ledger, &erasure);
    assert_true(erasure.is_good);
    assert_int_equal(erasure.erased, 3);
    assert_int_equal(erasure.entry_index, first + 9);
    ledger_erase_now(ledger, &erasure);
    assert_true(erasure.is_good);
    assert_int_equal(erasure.matched, 0);
    ledger_close(ledger);
}

static void a_live_lease_keeps_what_is_beside_its_entries(void **state)
{
    struct ledger *ledger = place_open(*state);
    JSON_OWNED json_t *actor = json_pack("{s:s}", "subject", "opal");
    struct ledger_erasure erasure = erasure_of("tina", actor);

    (void)append_with(ledger, entry_issued(1), json_string("tina"));
    (void)append_with(ledger, entry_issued(2), json_string("tina"));
    (void)append_one(ledger, entry_of_lease(ENTRY_LEASE_RELEASED, 2));
    ledger_erase_now(ledger, &erasure);
    assert_true(erasure.is_good);
    assert_int_equal(erasure.matched, 2);
    assert_int_equal(erasure.live, 1);
    assert_int_equal(erasure.erased, 1);
    (void)append_one(ledger, entry_of_lease(ENTRY_LEASE_RELEASED, 1));
    ledger_erase_now(ledger, &erasure);
    assert_int_equal(erasure.erased, 1);
    ledger_close(ledger);
}

/* It is over, but what is beside its entry is needed to end its credential. */
static void a_lease_that_owes_keeps_it_too(void **state)
{
    struct ledger *ledger = place_open(*state);
    JSON_OWNED json_t *actor = json_pack("{s:s}", "subject", "opal");
    struct ledger_erasure erasure = erasure_of("tina", actor);
    json_t *entry = entry_issued(1);

    assert_true(
        json_put(entry, "credentials", json_pack("[{s:s,s:s}]", "grant", "db", "revoke", "now")));
    (void)append_with(ledger, entry, json_string("tina"));
    (void)append_one(ledger, entry_of_lease(ENTRY_LEASE_RELEASED, 1));
    ledger_erase_now(ledger, &erasure);
    assert_int_equal(erasure.matched, 1);
    assert_int_equal(erasure.live, 1);
    assert_int_equal(erasure.erased, 0);
    (void)append_one(ledger, entry_of_lease(ENTRY_CREDENTIAL_REVOKED, 1));
    ledger_erase_now(ledger, &erasure);
    assert_int_equal(erasure.erased, 1);
    ledger_close(ledger);
}

/* As many as one erasure takes, and one more. */
static void many_entries_take_several_goes(void **state)
{
    struct ledger *ledger = place_open(*state);
    JSON_OWNED json_t *actor = json_pack("{s:s}", "subject", "opal");
    struct ledger_erasure erasure = erasure_of("tina", actor);

    for (unsigned i = 0; i <= ERASURE_ENTRIES_MAX; i++)
        (void)append_with(ledger, entry_started(), json_string("tina"));
    ledger_erase_now(ledger, &erasure);
    assert_true(erasure.is_good);
    assert_int_equal(erasure.erased, ERASURE_ENTRIES_MAX);
    assert_int_equal(erasure.next, ERASURE_ENTRIES_MAX);
    erasure.from = erasure.next;
    ledger_erase_now(ledger, &erasure);
    assert_int_equal(erasure.erased, 1);
    erasure.from = UINT64_MAX;
    ledger_erase_now(ledger, &erasure);
    assert_true(erasure.is_good);
    assert_int_equal(erasure.matched, 0);
    ledger_close(ledger);
}

/* Alternating ones make the longest list: the entry that says so still fits. */
static void the_entry_fits_however_the_entries_lie(void **state)
{
    struct ledger *ledger = place_open(*state);
    JSON_OWNED json_t *actor = json_pack("{s:s}", "subject", "opal");
    struct ledger_erasure erasure = erasure_of("tina", actor);

    for (unsigned i = 0; i < ERASURE_ENTRIES_MAX * 2; i++)
        (void)append_with(ledger, entry_started(), json_string(i % 2 == 0 ? "tina" : "tom"));
    ledger_erase_now(ledger, &erasure);
    if (!erasure.is_good)
        fail_msg("%s", erasure.error.cause);
    assert_int_equal(erasure.erased, ERASURE_ENTRIES_MAX);
    ledger_close(ledger);
}

/* A number is its own key in the index, whose file and log are binary. */
static bool index_holds(const struct place *place, const char *name, const char bytes[8])
{
    char path[160];
    char window[8] = { 0 };
    bool is_there = false;
    FILE *file;
    int next;

    (void)snprintf(path, sizeof(path), "%s/%s", place->store, name);
    file = fopen(path, "re");
    while (file && !is_there && (next = getc(file)) != EOF) {
        memmove(window, window + 1, sizeof(window) - 1);
        window[sizeof(window) - 1] = (char)next;
        is_there = memcmp(window, bytes, sizeof(window)) == 0;
    }
    if (file)
        (void)fclose(file);
    return is_there;
}

static bool has_in_index(const struct place *place)
{
    static const char bytes[] = "\x77\x66\x55\x44\x33\x22\x11\x07";

    return index_holds(place, "index.sqlite", bytes) ||
           index_holds(place, "index.sqlite-wal", bytes);
}

/* SQLite writes a page anew beside its file, and the old one stays there as long as it likes. */
static void no_file_of_the_index_keeps_a_number(void **state)
{
    static const char number[] = "8603657889541918983"; /* the bytes above */
    struct ledger *ledger = place_open(*state);
    JSON_OWNED json_t *actor = json_pack("{s:s}", "subject", "opal");
    struct ledger_erasure erasure = erasure_of(number, actor);
    json_t *entry = entry_issued(1);
    struct timespec pause = { .tv_nsec = 10000000 };

    assert_true(json_put(entry, "ci", json_pack("{s:s}", "actor", "sd:AAAA")));
    (void)append_with(ledger, entry, json_string(number));
    (void)append_one(ledger, entry_of_lease(ENTRY_LEASE_RELEASED, 1));
    for (unsigned i = 0; i < 2000 && !has_in_index(*state); i++)
        (void)nanosleep(&pause, NULL);
    assert_true(has_in_index(*state));
    ledger_erase_now(ledger, &erasure);
    assert_true(erasure.is_good);
    assert_int_equal(erasure.erased, 1);
    assert_false(has_in_index(*state));
    ledger_close(ledger);
}

int main(void)
{
#define ERASER_TEST(function) cmocka_unit_test_setup_teardown(function, make, clean)
    const struct CMUnitTest tests[] = {
        ERASER_TEST(what_makes_no_sense_is_refused),
        ERASER_TEST(a_person_is_found_by_any_whole_value),
        ERASER_TEST(a_live_lease_keeps_what_is_beside_its_entries),
        ERASER_TEST(a_lease_that_owes_keeps_it_too),
        ERASER_TEST(many_entries_take_several_goes),
        ERASER_TEST(the_entry_fits_however_the_entries_lie),
        ERASER_TEST(no_file_of_the_index_keeps_a_number),
    };
#undef ERASER_TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
