#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "exchange/handles.h"
#include "keys/keys.h"
#include "ledger/help.h"
#include "tests/test.h"

#define LEASE "01J00000000000000000000001"
#define OTHER "01J00000000000000000000002"

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

static struct mint mint_of(const char *grant, json_t *handle)
{
    return (struct mint){ .lease = STR(LEASE), .grant = str_from(grant), .handle = handle };
}

/* {"t": "xxx..."} of so many bytes as JSON. */
static json_t *handle_of_len(size_t len)
{
    char *text = malloc(len);
    json_t *handle;

    memset(text, 'x', len);
    handle = json_pack("{s:s%}", "t", text, len - strlen("{\"t\":\"\"}"));
    free(text);
    return handle;
}

static bool put(struct place *place, const char *grant, json_t *handle, json_t *part)
{
    struct mint mint = mint_of(grant, handle);
    struct error error = { 0 };

    if (handles_put(place->keys, &mint, part, &error))
        return true;
    assert_int_equal(error.code, ERROR_MINT);
    return false;
}

static void a_handle_comes_back_as_it_was(void **state)
{
    struct place *place = *state;
    JSON_OWNED json_t *handle = json_pack("{s:s}", "token", "hunter2");
    JSON_OWNED json_t *other = json_pack("{s:s}", "token", "hunter3");
    JSON_OWNED json_t *part = json_object();
    JSON_OWNED json_t *back = NULL;
    char *text = NULL;
    struct error error = { 0 };

    assert_true(put(place, "one", handle, part));
    assert_true(put(place, "two", other, part));
    text = json_dumps(part, JSON_COMPACT);
    assert_null(strstr(text, "hunter"));
    free(text);
    assert_true(handles_get(place->keys, STR(LEASE), STR("two"), part, &back, &error));
    assert_true(json_equal(back, other));
}

static void what_was_not_kept_is_none(void **state)
{
    struct place *place = *state;
    JSON_OWNED json_t *part = json_object();
    json_t *back = NULL;
    struct error error = { 0 };

    assert_true(put(place, "one", NULL, part));
    assert_int_equal(json_object_size(part), 0);
    assert_true(handles_get(place->keys, STR(LEASE), STR("one"), part, &back, &error));
    assert_null(back);
    assert_true(handles_get(place->keys, STR(LEASE), STR("one"), NULL, &back, &error));
    assert_null(back);
}

static void it_opens_for_its_lease_and_grant_only(void **state)
{
    struct place *place = *state;
    JSON_OWNED json_t *handle = json_pack("{s:s}", "token", "hunter2");
    JSON_OWNED json_t *part = json_object();
    json_t *item;
    json_t *back = NULL;
    struct error error = { 0 };

    assert_true(put(place, "one", handle, part));
    assert_false(handles_get(place->keys, STR(OTHER), STR("one"), part, &back, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    item = json_array_get(json_object_get(part, "revocation"), 0);
    assert_true(json_put(item, "grant", json_string("two")));
    error = (struct error){ 0 };
    assert_false(handles_get(place->keys, STR(LEASE), STR("two"), part, &back, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    assert_null(back);
}

static void what_is_no_sealed_handle_is_refused(void **state)
{
    static const char *const bad[] = { "", "A", "AAAA", "!!!!",
                                       "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" };
    struct place *place = *state;

    for (size_t i = 0; i < COUNT(bad); i++) {
        JSON_OWNED json_t *part =
            json_pack("{s:[{s:s,s:s}]}", "revocation", "grant", "one", "sealed", bad[i]);
        json_t *back = NULL;
        struct error error = { 0 };

        assert_false(handles_get(place->keys, STR(LEASE), STR("one"), part, &back, &error));
        assert_null(back);
    }
}

static void a_handle_has_a_limit(void **state)
{
    struct place *place = *state;
    JSON_OWNED json_t *most = handle_of_len(TARGET_HANDLE_MAX);
    JSON_OWNED json_t *more = handle_of_len(TARGET_HANDLE_MAX + 1);
    JSON_OWNED json_t *part = json_object();
    JSON_OWNED json_t *back = NULL;
    struct error error = { 0 };

    assert_false(put(place, "one", more, part));
    assert_true(put(place, "one", most, part));
    assert_true(handles_get(place->keys, STR(LEASE), STR("one"), part, &back, &error));
    assert_true(json_equal(back, most));
}

/* Sealed, 28 bytes more, in base64: 8192 bytes are 2 of 3044 bytes and no more. */
static void all_of_an_entry_have_one_too(void **state)
{
    struct place *place = *state;
    JSON_OWNED json_t *half = handle_of_len(3044);
    JSON_OWNED json_t *least = json_object();
    JSON_OWNED json_t *part = json_object();

    assert_true(put(place, "one", half, part));
    assert_true(put(place, "two", half, part));
    assert_false(put(place, "three", least, part));
    assert_int_equal(json_array_size(json_object_get(part, "revocation")), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_handle_comes_back_as_it_was, make, clean),
        cmocka_unit_test_setup_teardown(what_was_not_kept_is_none, make, clean),
        cmocka_unit_test_setup_teardown(it_opens_for_its_lease_and_grant_only, make, clean),
        cmocka_unit_test_setup_teardown(what_is_no_sealed_handle_is_refused, make, clean),
        cmocka_unit_test_setup_teardown(a_handle_has_a_limit, make, clean),
        cmocka_unit_test_setup_teardown(all_of_an_entry_have_one_too, make, clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
