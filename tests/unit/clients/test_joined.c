#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "clients/joined.h"
#include "ledger/entry.h"
#include "tests/test.h"

/* An entry with personal values at several depths, and its private part. */
struct fixture {
    struct arena *arena;
    json_t *entry;
    json_t *private_part;
    struct joined joined;
};

static void put(struct fixture *fixture, json_t *object, const char *path, const char *name)
{
    JSON_OWNED json_t *value = json_string("rina");
    struct error error = { 0 };

    assert_true(entry_put_personal(object, path, name, value, fixture->private_part, &error));
}

static struct fixture *make_fixture(void)
{
    struct fixture *fixture = test_calloc(1, sizeof(*fixture));
    json_t *ci = json_object();
    json_t *actor = json_object();
    json_t *claims = json_object();

    fixture->arena = arena_new((size_t)1024 * 1024);
    fixture->entry = json_object();
    fixture->private_part = json_object();
    assert_true(json_put(fixture->entry, "ci", ci) && json_put(fixture->entry, "actor", actor) &&
                json_put(actor, "claims", claims) &&
                json_put(fixture->entry, "type", json_string("sd:not one of ours")));
    put(fixture, ci, "ci", "actor");
    put(fixture, actor, "actor", "subject");
    put(fixture, claims, "actor.claims", "a.b");
    return fixture;
}

static void free_fixture(struct fixture *fixture)
{
    json_decref(fixture->entry);
    json_decref(fixture->private_part);
    arena_free(fixture->arena);
    test_free(fixture);
}

static void join(struct fixture *fixture, const json_t *private_part)
{
    struct error error = { 0 };

    assert_true(
        joined_make(fixture->entry, private_part, fixture->arena, &fixture->joined, &error));
}

static const char *text(const json_t *object, const char *a, const char *b)
{
    const json_t *inner = json_object_get(object, a);

    return json_string_value(b ? json_object_get(inner, b) : inner);
}

static void values_take_the_place_of_their_digests(void **state)
{
    struct fixture *fixture = make_fixture();

    (void)state;
    join(fixture, fixture->private_part);
    assert_string_equal(text(fixture->joined.entry, "ci", "actor"), "rina");
    assert_string_equal(text(fixture->joined.entry, "actor", "subject"), "rina");
    assert_string_equal(text(json_object_get(fixture->joined.entry, "actor"), "claims", "a.b"),
                        "rina");
    assert_int_equal(fixture->joined.disclosed_count, 3);
    assert_int_equal(fixture->joined.hidden_count, 1);
    assert_int_equal(fixture->joined.false_count, 0);
    /* the entry itself stays as it was hashed */
    assert_true(str_starts_with(str_from(text(fixture->entry, "ci", "actor")), STR("sd:")));
    free_fixture(fixture);
}

static void without_a_private_part_digests_stay(void **state)
{
    struct fixture *fixture = make_fixture();

    (void)state;
    join(fixture, NULL);
    assert_true(json_equal(json_iterable(fixture->joined.entry), fixture->entry));
    assert_int_equal(fixture->joined.disclosed_count, 0);
    assert_int_equal(fixture->joined.hidden_count, 4);
    free_fixture(fixture);
}

static void a_value_that_was_put_there_is_not_taken(void **state)
{
    struct fixture *fixture = make_fixture();
    json_t *actor = json_object_get(fixture->private_part, "ci.actor");

    (void)state;
    assert_int_equal(json_object_set_new(actor, "value", json_string("eve")), 0);
    join(fixture, fixture->private_part);
    assert_true(str_starts_with(str_from(text(fixture->joined.entry, "ci", "actor")), STR("sd:")));
    assert_int_equal(fixture->joined.false_count, 1);
    assert_int_equal(fixture->joined.disclosed_count, 2);
    free_fixture(fixture);
}

static void a_value_of_another_place_is_not_taken(void **state)
{
    struct fixture *fixture = make_fixture();
    json_t *subject = json_object_get(fixture->private_part, "actor.subject");

    (void)state;
    assert_int_equal(json_object_set(fixture->private_part, "ci.actor", subject), 0);
    join(fixture, fixture->private_part);
    assert_int_equal(fixture->joined.false_count, 1);
    free_fixture(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_take_the_place_of_their_digests),
        cmocka_unit_test(without_a_private_part_digests_stay),
        cmocka_unit_test(a_value_that_was_put_there_is_not_taken),
        cmocka_unit_test(a_value_of_another_place_is_not_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
