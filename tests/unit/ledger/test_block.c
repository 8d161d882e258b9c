#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "ledger/block.h"
#include "ledger/help.h"
#include "ledger/ledger_internal.h"
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

static json_t *make_entry(unsigned number, enum block_kind kind, const char *value,
                          const char *until, json_t *private_part)
{
    json_t *entry = entry_new(ENTRY_ADMIN_BLOCKED, STR("b"));
    struct error error = { 0 };
    char id[ID_LEN + 1];

    (void)snprintf(id, sizeof(id), "01%024u", number);
    assert_true(json_put(entry, "block", json_string(id)));
    assert_true(json_put(entry, "reason", json_string("why")));
    assert_true(json_put(entry, "until", json_string(until)));
    assert_true(json_put(entry, "actor", json_pack("{s:s}", "subject", "opal")));
    assert_true(block_put(kind, str_from(value), entry, private_part, &error));
    return entry;
}

static uint64_t place_block(struct ledger *ledger, unsigned number, enum block_kind kind,
                            const char *value, const char *until)
{
    JSON_OWNED json_t *private_part = json_object();
    JSON_OWNED json_t *entry = make_entry(number, kind, value, until, private_part);
    struct ledger_append append = { .entries = { entry },
                                    .private_parts = { private_part },
                                    .entry_count = 1 };
    struct error error = { 0 };

    if (!ledger_append_now(ledger, &append, &error))
        fail_msg("ledger_append_now: %s", error.cause);
    return append.first_index;
}

static struct block_view *look(struct ledger *ledger)
{
    struct block_view *view = NULL;
    struct error error = { 0 };

    if (!ledger_blocks(ledger, false, &view, &error))
        fail_msg("ledger_blocks: %s", error.cause);
    return view;
}

#define FAR_AWAY "2100-01-01T00:00:00Z"

static void a_value_must_be_of_its_kind(void **state)
{
    static char longest[BLOCK_VALUE_MAX + 1];
    static const struct {
        enum block_kind kind;
        const char *value;
        bool fits;
    } cases[] = {
        { BLOCK_KID, "a", true },
        { BLOCK_KID, "", false },
        { BLOCK_KID, "a\nb", false },
        { BLOCK_KID, "\xff", false },
        { BLOCK_STAGE, "acme/web:build", true },
        { BLOCK_STAGE, "build", false },
        { BLOCK_STAGE, ":build", false },
        { BLOCK_STAGE, "acme/web:", false },
        { BLOCK_ADDRESS, "10.0.0.0/8", true },
        { BLOCK_ADDRESS, "2001:db8::1", true },
        { BLOCK_ADDRESS, "10.0.0.1/8", false },
        { BLOCK_ADDRESS, "ten", false },
        { BLOCK_KEY, "0123456789012345678901234567890123456789abc", true },
        { BLOCK_KEY, "0123456789012345678901234567890123456789ab", false },
        { BLOCK_KEY, "0123456789012345678901234567890123456789ab+", false },
        { BLOCK_COMMIT, "b28b7af69320201d1cf206ebf28373980add1451", true },
        { BLOCK_COMMIT, "b28b7af6", false },
        { BLOCK_COMMIT, "4711", true },
        { BLOCK_WORKFLOW_COMMIT, "b28b7af6", false },
    };
    struct network network;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error = { 0 };

        if (block_check(cases[i].kind, str_from(cases[i].value), &network, &error) != cases[i].fits)
            fail_msg("%s \"%s\"", block_kind_name(cases[i].kind), cases[i].value);
        assert_int_equal(error.code, cases[i].fits ? ERROR_NONE : ERROR_REQUEST);
    }
    memset(longest, 'x', sizeof(longest));
    assert_true(block_check(BLOCK_KID, (struct str){ longest, BLOCK_VALUE_MAX }, &network,
                            &(struct error){ 0 }));
    assert_false(block_check(BLOCK_KID, (struct str){ longest, BLOCK_VALUE_MAX + 1 }, &network,
                             &(struct error){ 0 }));
}

static void every_kind_is_found_by_its_name(void **state)
{
    enum block_kind kind;

    (void)state;
    for (size_t i = 0; i < BLOCK_KIND_COUNT; i++) {
        assert_true(block_kind_from(str_from(block_kind_name((enum block_kind)i)), &kind));
        assert_int_equal(kind, i);
    }
    assert_false(block_kind_from(STR("moon"), &kind));
}

static void a_block_is_read_from_its_entry_and_what_is_beside_it(void **state)
{
    struct ledger *ledger = place_open(*state);
    struct block_view *view = look(ledger);
    int64_t now_s = clock_wall_s();
    const struct block *block;

    assert_int_equal(view->count, 0);
    block_view_put(view);
    (void)place_block(ledger, 1, BLOCK_KID, "k1", FAR_AWAY);
    (void)place_block(ledger, 2, BLOCK_ADDRESS, "10.0.0.0/8", FAR_AWAY);
    for (int turn = 0; turn < 2; turn++) {
        view = look(ledger);
        assert_int_equal(view->count, 2);
        assert_int_equal(block_view_count(view, now_s), 2);
        assert_int_equal(block_view_count(view, INT64_C(4102444800)), 0);
        block = block_view_find(view, STR("01000000000000000000000002"), now_s);
        assert_non_null(block);
        assert_int_equal(block->kind, BLOCK_ADDRESS);
        assert_int_equal(block->network.bits, 8);
        assert_true(str_eq(block->value, STR("10.0.0.0/8")));
        assert_true(str_eq(block->reason, STR("why")));
        assert_true(str_eq(block->by, STR("opal")));
        assert_null(block_view_find(view, STR("01000000000000000000000003"), now_s));
        block_view_put(view);
        ledger_close(ledger);
        ledger = place_open(*state);
    }
    ledger_close(ledger);
}

/* Where it is not known what is blocked nobody may take it that nothing is. */
static void blocks_that_cannot_be_read_are_an_error(void **state)
{
    struct ledger *ledger = place_open(*state);
    uint64_t index = place_block(ledger, 1, BLOCK_ACTOR, "mallory", FAR_AWAY);
    struct block_view *view = NULL;
    struct error error = { 0 };

    assert_true(store_erase(ledger_store(ledger), &index, 1, NULL, NULL, &error));
    assert_false(ledger_blocks(ledger, false, &view, &error));
    assert_int_equal(error.code, ERROR_LEDGER);
    assert_non_null(strstr(error.cause, "01000000000000000000000001"));
    assert_null(view);
    ledger_close(ledger);
}

static void so_many_blocks_and_no_more_may_be_in_force(void **state)
{
    struct ledger *ledger = place_open(*state);
    int64_t now_s = clock_wall_s();
    struct block_view *view;

    for (unsigned number = 1; number < BLOCKS_MAX; number++)
        (void)place_block(ledger, number, BLOCK_KID, "k", FAR_AWAY);
    view = look(ledger);
    assert_true(block_view_has_room(view, now_s));
    block_view_put(view);
    (void)place_block(ledger, BLOCKS_MAX, BLOCK_KID, "k", FAR_AWAY);
    view = look(ledger);
    assert_int_equal(block_view_count(view, now_s), BLOCKS_MAX);
    assert_false(block_view_has_room(view, now_s));
    block_view_put(view);
    ledger_close(ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_must_be_of_its_kind),
        cmocka_unit_test(every_kind_is_found_by_its_name),
        cmocka_unit_test_setup_teardown(a_block_is_read_from_its_entry_and_what_is_beside_it, make,
                                        clean),
        cmocka_unit_test_setup_teardown(blocks_that_cannot_be_read_are_an_error, make, clean),
        cmocka_unit_test_setup_teardown(so_many_blocks_and_no_more_may_be_in_force, make, clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
