#include <string.h>

#include "api/cursor.h"
#include "base/arena.h"
#include "base/error.h"
#include "tests/test.h"

#define END 1000

static const struct cursor sample = { .list = 1, .sha256 = { 1, 2, 3 }, .position = 500 };

static int make(void **state)
{
    *state = arena_new((size_t)1024 * 1024);
    return *state == NULL ? -1 : 0;
}

static int clean(void **state)
{
    arena_free(*state);
    return 0;
}

static struct str query_of(struct arena *arena, const struct cursor *cursor)
{
    struct str text = cursor_write(cursor, arena);

    assert_non_null(text.data);
    return arena_printf(arena, "cursor=" STR_FMT, STR_ARG(text));
}

/* Read a query for the list and the policy of the sample. */
static enum error_code read_query(struct arena *arena, struct str query, uint64_t *position)
{
    struct cursor cursor = { .list = sample.list, .position = 77 };
    struct error error = { 0 };

    memcpy(cursor.sha256, sample.sha256, sizeof(cursor.sha256));
    if (!cursor_read(query, arena, END, &cursor, &error))
        return error.code;
    *position = cursor.position;
    return ERROR_NONE;
}

static void a_cursor_comes_back_as_it_went(void **state)
{
    uint64_t position = 0;

    assert_int_equal(read_query(*state, query_of(*state, &sample), &position), ERROR_NONE);
    assert_int_equal(position, 500);
}

static void without_a_cursor_a_list_begins(void **state)
{
    uint64_t position = 1;

    assert_int_equal(read_query(*state, STR(""), &position), ERROR_NONE);
    assert_int_equal(position, 0);
    position = 1;
    assert_int_equal(read_query(*state, STR("cursor="), &position), ERROR_NONE);
    assert_int_equal(position, 0);
}

static void a_cursor_stays_within_its_list(void **state)
{
    static const struct {
        uint64_t position;
        enum error_code code;
    } cases[] = {
        { 0, ERROR_REQUEST },   { 1, ERROR_NONE },          { END - 1, ERROR_NONE },
        { END, ERROR_REQUEST }, { END + 1, ERROR_REQUEST }, { UINT64_MAX, ERROR_REQUEST },
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct cursor cursor = sample;
        uint64_t position = 0;

        cursor.position = cases[i].position;
        assert_int_equal(read_query(*state, query_of(*state, &cursor), &position), cases[i].code);
    }
}

static void a_cursor_of_another_list_or_policy_is_refused(void **state)
{
    struct cursor cursor = sample;
    uint64_t position = 0;

    cursor.list = 2;
    assert_int_equal(read_query(*state, query_of(*state, &cursor), &position), ERROR_REQUEST);
    for (size_t i = 0; i < SHA256_LEN; i++) {
        cursor = sample;
        cursor.sha256[i] ^= 1;
        assert_int_equal(read_query(*state, query_of(*state, &cursor), &position), ERROR_REQUEST);
    }
}

static void what_we_did_not_make_is_refused(void **state)
{
    static const char *const queries[] = {
        "cursor=1",
        "cursor=AQEC",
        "cursor=%00",
        "cursor=%zz",
        "cursor=AQECAwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAH0AA",
        "cursor=AQECAwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAH0=",
        "cursor=AQECAwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAH0AAAAAAAAAAAAAAAAAA",
        "cursor=a&cursor=b",
        "Cursor=a",
        "page=2",
        "limit=1000000",
    };
    struct cursor cursor = sample;
    struct str good = query_of(*state, &cursor);
    uint64_t position = 0;

    for (size_t i = 0; i < COUNT(queries); i++)
        assert_int_equal(read_query(*state, str_from(queries[i]), &position), ERROR_REQUEST);
    assert_int_equal(
        read_query(*state, arena_printf(*state, STR_FMT "&x=1", STR_ARG(good)), &position),
        ERROR_REQUEST);
    /* one character changed, whichever: the same cursor, or none */
    for (size_t i = sizeof("cursor=") - 1; i < good.len; i++) {
        struct str changed = arena_copy(*state, good);
        char *byte = (char *)(uintptr_t)&changed.data[i];

        *byte = *byte == 'A' ? 'B' : 'A';
        if (read_query(*state, changed, &position) == ERROR_NONE)
            assert_in_range(position, 1, END - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_cursor_comes_back_as_it_went, make, clean),
        cmocka_unit_test_setup_teardown(without_a_cursor_a_list_begins, make, clean),
        cmocka_unit_test_setup_teardown(a_cursor_stays_within_its_list, make, clean),
        cmocka_unit_test_setup_teardown(a_cursor_of_another_list_or_policy_is_refused, make, clean),
        cmocka_unit_test_setup_teardown(what_we_did_not_make_is_refused, make, clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
