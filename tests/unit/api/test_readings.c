#include <string.h>

#include "api/readings.h"
#include "base/error.h"
#include "base/json.h"
#include "identity/people.h"
#include "ledger/help.h"
#include "tests/assert_str.h"
#include "tests/test.h"

/* Who read what is an entry a person, kind and hour, written behind. */

#define NOW 1790000000

struct fixture {
    struct place place;
    struct ledger *ledger;
    struct readings *readings;
    struct arena *arena;
};

static const struct issuer_options provider = { .name = { "people", 6 },
                                                .url = { "https://idp.example", 19 } };

static int set_up(void **state)
{
    static struct fixture fixture;

    place_make(&fixture.place);
    fixture.ledger = place_open(&fixture.place);
    fixture.readings = readings_new();
    fixture.arena = arena_new(ARENA_REQUEST_MAX);
    *state = &fixture;
    return fixture.readings == NULL || fixture.arena == NULL;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    ledger_close(fixture->ledger);
    readings_free(fixture->readings);
    arena_free(fixture->arena);
    place_remove(&fixture->place);
    return 0;
}

static struct person person_of(const char *subject)
{
    return (struct person){ .token = { .issuer = &provider }, .subject = str_from(subject) };
}

static void flush(struct fixture *fixture)
{
    struct error error = { 0 };

    if (!readings_flush(fixture->readings, fixture->ledger, &error))
        fail_msg("%s", error.cause);
}

/* The entry at an index, parsed; NULL where there is none. */
static json_t *entry_at(struct fixture *fixture, uint64_t index, struct str *private_part)
{
    struct error error = { 0 };
    json_t *entry = NULL;
    struct str bytes;

    if (!ledger_entry_with_private(fixture->ledger, index, fixture->arena, &bytes, private_part,
                                   &error))
        return NULL;
    assert_true(entry_parse(bytes, &entry, &error));
    assert_true(json_keep(fixture->arena, entry, &error));
    return entry;
}

static size_t entry_count(struct fixture *fixture)
{
    struct str ignored;
    size_t count = 0;

    while (entry_at(fixture, count, &ignored) != NULL)
        count++;
    return count;
}

static void one_person_kind_and_hour_is_one_entry(void **state)
{
    struct fixture *fixture = *state;
    struct person ann = person_of("ann");
    struct person bob = person_of("bob");

    readings_note(fixture->readings, &ann, READING_ENTRIES, NOW);
    readings_note(fixture->readings, &ann, READING_ENTRIES, NOW + 1);
    assert_int_equal(entry_count(fixture), 0); /* behind, not in the way */
    flush(fixture);
    assert_int_equal(entry_count(fixture), 1);
    readings_note(fixture->readings, &ann, READING_ENTRIES, NOW + 2);
    flush(fixture);
    assert_int_equal(entry_count(fixture), 1);
    readings_note(fixture->readings, &ann, READING_BUNDLES, NOW + 2);
    readings_note(fixture->readings, &bob, READING_ENTRIES, NOW + 2);
    flush(fixture);
    assert_int_equal(entry_count(fixture), 3);
    readings_note(fixture->readings, &ann, READING_ENTRIES, NOW + 3600);
    flush(fixture);
    assert_int_equal(entry_count(fixture), 4);
}

static void who_it_was_stands_in_the_private_part_only(void **state)
{
    struct fixture *fixture = *state;
    struct person person = person_of("somebody");
    struct str private_part = { 0 };
    json_t *entry;

    person.email = STR("somebody@acme.example");
    readings_note(fixture->readings, &person, READING_BUNDLES, NOW);
    flush(fixture);
    entry = entry_at(fixture, 0, &private_part);
    assert_non_null(entry);
    assert_str(json_str(json_object_get(entry, "type")), "admin.read");
    assert_str(json_str(json_object_get(entry, "detail")), "bundles");
    assert_null(strstr(json_text(fixture->arena, entry).data, "somebody"));
    assert_non_null(strstr(private_part.data, "somebody@acme.example"));
}

static void what_finds_no_room_is_counted(void **state)
{
    struct fixture *fixture = *state;
    json_t *last;
    struct str ignored;
    size_t count;

    for (unsigned i = 0; i < 2 * READINGS_TRACKED_MAX; i++) {
        struct str subject = arena_printf(fixture->arena, "person-%u", i);
        struct person person = person_of(subject.data);

        readings_note(fixture->readings, &person, READING_ENTRIES, NOW);
    }
    flush(fixture);
    count = entry_count(fixture);
    assert_in_range(count, READINGS_TRACKED_MAX / 2, READINGS_TRACKED_MAX + 1);
    last = entry_at(fixture, count - 1, &ignored);
    assert_int_equal(json_integer_value(json_object_get(last, "count")),
                     2 * READINGS_TRACKED_MAX - (count - 1));
    flush(fixture);
    assert_int_equal(entry_count(fixture), count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_person_kind_and_hour_is_one_entry, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_it_was_stands_in_the_private_part_only, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_finds_no_room_is_counted, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
