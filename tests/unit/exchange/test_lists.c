/* Lists of revoked certificates: when they are made, of what, and what requests get. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/time_text.h"
#include "exchange/lists.h"
#include "exchange/rules.h"
#include "ledger/help.h"
#include "tests/test.h"

#define WAIT_MS 20000
#define ARENA_MAX ((size_t)16 * 1024 * 1024)

/* A kind whose list is the ids of its CA's certificates, one a line. */
static bool is_failing;

static bool make_list(struct target_listing *listing, struct error *error)
{
    struct target_list *list = &listing->lists[listing->list_count++];
    struct str text = STR("");

    if (is_failing && str_eq(listing->target->name, STR("one")))
        return error_set(error, ERROR_CRYPTO, "as it was told");
    for (size_t i = 0; i < listing->revoked_count; i++)
        if (str_eq(listing->revoked[i].ca, listing->target->name))
            text = arena_printf(listing->arena, STR_FMT STR_FMT "\n", STR_ARG(text),
                                STR_ARG(listing->revoked[i].id));
    *list = (struct target_list){
        .path = arena_printf(listing->arena, "/list/" STR_FMT, STR_ARG(listing->target->name)),
        .content_type = "text/plain",
        .bytes = arena_copy(listing->arena, text),
    };
    return true;
}

static const struct target_kind listed = { .list = make_list };
static const struct target_kind unlisted = { .list = NULL };
static const struct target targets[] = {
    { .name = STR_INIT("one"), .kind = &listed },
    { .name = STR_INIT("two"), .kind = &listed },
    { .name = STR_INIT("three"), .kind = &unlisted },
};

struct world {
    struct place place;
    struct ledger *ledger;
    struct rules_table *rules;
    struct lists *lists;
    struct arena *arena;
    int64_t now_s;
};

static void free_rules(void *owner)
{
    (void)owner; /* the table frees the snapshot itself */
}

static struct rules *rules_of(size_t count)
{
    struct rules *rules = calloc(1, sizeof(*rules));

    assert_non_null(rules);
    rules->targets = targets;
    rules->target_count = count;
    rules->release = free_rules;
    return rules;
}

static int make(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    is_failing = false;
    place_make(&world->place);
    world->ledger = place_open(&world->place);
    world->rules = rules_table_new(rules_of(COUNT(targets)));
    world->lists = lists_new(NULL);
    world->arena = arena_new(ARENA_MAX);
    world->now_s = clock_wall_s();
    assert_non_null(world->lists);
    assert_non_null(world->arena);
    *state = world;
    return 0;
}

static int clean(void **state)
{
    struct world *world = *state;

    arena_free(world->arena);
    ledger_close(world->ledger);
    lists_free(world->lists);
    rules_table_free(world->rules);
    place_remove(&world->place);
    free(world);
    return 0;
}

static void end_one(struct world *world, const char *ca, const char *id, int64_t expires_s)
{
    json_t *entry = entry_new(ENTRY_CREDENTIAL_REVOKED, STR("b"));
    char text[TIME_TEXT_S_LEN + 1] = "";
    char decision[ID_LEN + 1];

    id_of(1, decision);
    time_text_s(expires_s, text);
    assert_true(json_put(entry, "decision", json_string(decision)));
    assert_true(json_put(entry, "credentials",
                         json_pack("[{s:s, s:s, s:s, s:s}]", "type", "ssh", "ca", ca, "id", id,
                                   "expires_at", text)));
    (void)append_one(world->ledger, entry);
}

static struct str get(struct world *world, const char *path)
{
    struct target_list list;
    struct error error = { 0 };

    if (!lists_get(world->lists, str_from(path), world->arena, &list, &error))
        return (struct str){ 0 };
    return list.bytes;
}

static bool tend(struct world *world, bool *is_made)
{
    struct error error = { 0 };

    return lists_tend(world->lists, world->rules, world->ledger, world->now_s, is_made, &error);
}

/* Tend until a list is as it should be. */
static void wait_for(struct world *world, const char *path, const char *text)
{
    int64_t end_ms = clock_monotonic_ms() + WAIT_MS;
    struct str found = { 0 };

    do {
        bool is_made;

        (void)tend(world, &is_made); /* the index may be behind at first */
        found = get(world, path);
        (void)usleep(1000); /* between looks at a condition */
    } while ((found.data == NULL || !str_eq(found, str_from(text))) &&
             clock_monotonic_ms() < end_ms);
    if (found.data == NULL || !str_eq(found, str_from(text)))
        fail_msg("%s is '" STR_FMT "', not '%s'", path, STR_ARG(found), text);
}

static enum error_code refusal(struct world *world, const char *path)
{
    struct target_list list;
    struct error error = { 0 };

    return lists_get(world->lists, str_from(path), world->arena, &list, &error) ? ERROR_NONE
                                                                                : error.code;
}

static void before_the_ledger_was_read_there_are_none(void **state)
{
    assert_int_equal(refusal(*state, "/list/one"), ERROR_INDEX);
    assert_int_equal(refusal(*state, "/list/none"), ERROR_INDEX);
}

static void each_target_gets_its_own(void **state)
{
    struct world *world = *state;

    end_one(world, "one", "a", world->now_s + 60);
    end_one(world, "two", "b", world->now_s + 60);
    end_one(world, "three", "c", world->now_s + 60);
    wait_for(world, "/list/one", "a\n");
    wait_for(world, "/list/two", "b\n");
    assert_int_equal(refusal(world, "/list/three"), ERROR_NOT_FOUND);
    assert_int_equal(refusal(world, "/list/"), ERROR_NOT_FOUND);
    assert_int_equal(refusal(world, "/list/one/"), ERROR_NOT_FOUND);
    assert_int_equal(lists_count(world->lists), 3);
}

static void one_more_is_added_when_it_comes(void **state)
{
    struct world *world = *state;

    wait_for(world, "/list/one", "");
    end_one(world, "one", "a", world->now_s + 60);
    wait_for(world, "/list/one", "a\n");
    end_one(world, "one", "b", world->now_s + 60);
    wait_for(world, "/list/one", "a\nb\n");
}

static void nothing_is_made_while_nothing_changes(void **state)
{
    struct world *world = *state;
    bool is_made = true;

    wait_for(world, "/list/one", "");
    assert_true(tend(world, &is_made));
    assert_false(is_made);
    world->now_s += LISTS_RENEW_S - 1;
    assert_true(tend(world, &is_made));
    assert_false(is_made);
    world->now_s++;
    assert_true(tend(world, &is_made));
    assert_true(is_made);
    world->now_s -= 3600; /* a clock that is set back */
    assert_true(tend(world, &is_made));
    assert_true(is_made);
}

/* RFC 5280 3.3: it stands in one list that was made after its end. */
static void what_has_ended_stands_in_one_list_more(void **state)
{
    struct world *world = *state;

    end_one(world, "one", "a", world->now_s + 10);
    wait_for(world, "/list/one", "a\n");
    world->now_s += LISTS_RENEW_S;
    wait_for(world, "/list/one", "a\n");
    world->now_s += LISTS_RENEW_S;
    wait_for(world, "/list/one", "");
}

static void other_targets_are_listed_at_once(void **state)
{
    struct world *world = *state;

    rules_swap(world->rules, rules_of(1));
    wait_for(world, "/list/one", "");
    assert_int_equal(refusal(world, "/list/two"), ERROR_NOT_FOUND);
    rules_swap(world->rules, rules_of(2));
    wait_for(world, "/list/two", "");
    rules_swap(world->rules, rules_of(0));
    while (refusal(world, "/list/one") == ERROR_NONE) {
        bool is_made;

        assert_true(tend(world, &is_made));
    }
}

static void a_target_that_fails_keeps_what_it_had(void **state)
{
    struct world *world = *state;
    bool is_made;

    end_one(world, "one", "a", world->now_s + 60);
    wait_for(world, "/list/one", "a\n");
    is_failing = true;
    end_one(world, "one", "b", world->now_s + 60);
    end_one(world, "two", "c", world->now_s + 60);
    wait_for(world, "/list/two", "c\n");
    assert_true(str_eq(get(world, "/list/one"), STR("a\n")));
    assert_false(tend(world, &is_made)); /* and it is tried again */
    assert_true(str_eq(get(world, "/list/one"), STR("a\n")));
    is_failing = false;
    wait_for(world, "/list/one", "a\nb\n");
}

static void a_list_lives_as_long_as_who_has_it(void **state)
{
    struct world *world = *state;
    struct str old;

    end_one(world, "one", "a", world->now_s + 60);
    wait_for(world, "/list/one", "a\n");
    old = get(world, "/list/one");
    end_one(world, "one", "b", world->now_s + 60);
    wait_for(world, "/list/one", "a\nb\n");
    assert_true(str_eq(old, STR("a\n")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(before_the_ledger_was_read_there_are_none),
        TEST(each_target_gets_its_own),
        TEST(one_more_is_added_when_it_comes),
        TEST(nothing_is_made_while_nothing_changes),
        TEST(what_has_ended_stands_in_one_list_more),
        TEST(other_targets_are_listed_at_once),
        TEST(a_target_that_fails_keeps_what_it_had),
        TEST(a_list_lives_as_long_as_who_has_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
