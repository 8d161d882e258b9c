#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "exchange/granters.h"
#include "ledger/entry.h"
#include "ledger/help.h"
#include "tests/test.h"

#define ARENA_MAX ((size_t)1024 * 1024)
#define NUMBER 7
#define OTHER 8
#define NOTHING (-1)

struct world {
    struct place place;
    struct ledger *ledger;
    struct arena *arena;
};

static int make(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    place_make(&world->place);
    world->ledger = place_open(&world->place);
    world->arena = arena_new(ARENA_MAX);
    assert_non_null(world->arena);
    *state = world;
    return 0;
}

static int clean(void **state)
{
    struct world *world = *state;

    arena_free(world->arena);
    ledger_close(world->ledger);
    place_remove(&world->place);
    free(world);
    return 0;
}

/* Taken, as is the private part; with the approval and what names the grant before. */
static int64_t append(struct world *world, unsigned approval, json_t *entry, json_t *private_part,
                      int64_t before)
{
    struct ledger_append append = { .entries = { entry },
                                    .private_parts = { private_part },
                                    .entry_count = 1 };
    struct error error = { 0 };
    char id[ID_LEN + 1];

    id_of(approval, id);
    assert_true(json_put(entry, "approval", json_string(id)));
    assert_true(granters_put_before(entry, before));
    if (!ledger_append_now(world->ledger, &append, &error))
        fail_msg("%s", error.cause);
    json_decref(entry);
    json_decref(private_part);
    return (int64_t)append.first_index;
}

static json_t *claims_of(struct world *world, unsigned approval, const char *person)
{
    JSON_OWNED json_t *claims = json_pack("{s:s}", "github_id", person);
    json_t *private_part = json_object();
    struct error error = { 0 };
    char id[ID_LEN + 1];

    id_of(approval, id);
    assert_non_null(claims);
    assert_true(granters_put(world->place.keys, str_from(id), claims, private_part, &error));
    return private_part;
}

/* A grant by somebody; NULL: of whom nothing is known any more. */
static int64_t grant(struct world *world, unsigned approval, const char *person, int64_t before)
{
    json_t *entry = entry_new(ENTRY_APPROVAL_GRANTED, STR("a"));
    json_t *private_part = person ? claims_of(world, approval, person) : NULL;

    assert_true(json_put(entry, "actor", json_pack("{s:s}", "issuer", "people")));
    assert_true(json_put(entry, "person", json_string("0123456789abcdef01234567")));
    assert_true(json_put(entry, "reason", json_string("seen")));
    assert_true(json_put(entry, "stage", json_string("acme/payments:deploy-prod")));
    assert_true(json_put(entry, "until", json_string("2099-01-01T00:00:00Z")));
    assert_true(json_put(entry, "left", json_integer(1)));
    return append(world, approval, entry, private_part, before);
}

static int64_t give_back(struct world *world, int64_t before)
{
    return append(world, NUMBER, entry_of_lease(ENTRY_CREDENTIAL_FAILED, 1), NULL, before);
}

/* Who gave it, as its latest entry says: "1 2"; fails the test where nobody knows. */
static void expect(struct world *world, int64_t latest, const char *people, int64_t entry)
{
    struct store_approval row = { .latest_index = (uint64_t)latest };
    struct granters granters;
    struct error error = { 0 };
    char found[64] = "";
    size_t len = 0;

    id_of(NUMBER, row.id);
    if (!granters_read(world->ledger, world->place.keys, &row, world->arena, &granters, &error))
        fail_msg("%s: %s", people, error.cause);
    for (size_t i = 0; i < json_array_size(granters.list); i++) {
        const json_t *claims = json_array_get(granters.list, i);

        len += (size_t)snprintf(found + len, sizeof(found) - len, "%s",
                                json_string_value(json_object_get(claims, "github_id")));
    }
    assert_string_equal(found, people);
    assert_int_equal(granters.entry, entry);
}

static void expect_none(struct world *world, int64_t latest, enum error_code code, int64_t entry)
{
    struct store_approval row = { .latest_index = (uint64_t)latest };
    struct granters granters;
    struct error error = { 0 };

    id_of(NUMBER, row.id);
    assert_false(
        granters_read(world->ledger, world->place.keys, &row, world->arena, &granters, &error));
    assert_int_equal(error.code, code);
    assert_null(granters.list);
    assert_int_equal(granters.entry, entry);
}

static void one_grant_leads_to_the_one_before_it(void **state)
{
    struct world *world = *state;
    int64_t first = grant(world, NUMBER, "1", NOTHING);
    int64_t second = grant(world, NUMBER, "2", first);
    int64_t third = grant(world, NUMBER, "3", second);

    expect(world, first, "1", first);
    expect(world, third, "321", third);
}

static void what_gives_it_back_leads_to_the_last(void **state)
{
    struct world *world = *state;
    int64_t first = grant(world, NUMBER, "1", NOTHING);
    int64_t second = grant(world, NUMBER, "2", first);

    expect(world, give_back(world, second), "21", second);
    expect_none(world, give_back(world, NOTHING), ERROR_NOT_FOUND, second + 2);
}

static void where_one_is_erased_nobody_knows(void **state)
{
    struct world *world = *state;
    int64_t erased = grant(world, NUMBER, NULL, NOTHING);
    int64_t second = grant(world, NUMBER, "2", erased);

    expect_none(world, erased, ERROR_NOT_FOUND, erased);
    expect_none(world, second, ERROR_NOT_FOUND, second);
    expect_none(world, give_back(world, second), ERROR_NOT_FOUND, second);
}

static void what_leads_elsewhere_is_refused(void **state)
{
    struct world *world = *state;
    int64_t other = grant(world, OTHER, "1", NOTHING);
    int64_t first = grant(world, NUMBER, "2", other);
    int64_t next = grant(world, NUMBER, "3", first + 1);
    int64_t later = grant(world, NUMBER, "4", next + 100);

    expect_none(world, first, ERROR_INVALID, first);
    expect_none(world, next, ERROR_INVALID, next);
    expect_none(world, later, ERROR_INVALID, later);
    expect_none(world, other, ERROR_INVALID, NOTHING);
}

static void more_than_are_asked_are_refused(void **state)
{
    struct world *world = *state;
    int64_t index = NOTHING;

    for (int i = 0; i < STORE_APPROVERS_MAX; i++)
        index = grant(world, NUMBER, "1", index);
    expect(world, give_back(world, index), "1111111111", index);
    for (int i = 0; i < 2; i++)
        index = grant(world, NUMBER, "1", index);
    expect_none(world, index, ERROR_INVALID, index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_grant_leads_to_the_one_before_it, make, clean),
        cmocka_unit_test_setup_teardown(what_gives_it_back_leads_to_the_last, make, clean),
        cmocka_unit_test_setup_teardown(where_one_is_erased_nobody_knows, make, clean),
        cmocka_unit_test_setup_teardown(what_leads_elsewhere_is_refused, make, clean),
        cmocka_unit_test_setup_teardown(more_than_are_asked_are_refused, make, clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
