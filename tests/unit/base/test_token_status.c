/* Where the status of a token stands: how it follows from the log, and back. */
#include <string.h>

#include "base/json.h"
#include "base/token_status.h"
#include "tests/test.h"

#define ISSUER STR("https://broker.example")

static void it_follows_from_the_entry_and_the_place(void **state)
{
    static const struct {
        uint64_t entry;
        size_t place;
        struct token_status status;
    } cases[] = {
        { 0, 0, { 0, 0 } },
        { 0, 15, { 0, 15 } },
        { 1, 0, { 0, 16 } },
        { 2047, 15, { 0, 32767 } },
        { 2048, 0, { 1, 0 } },
        { 1042, 3, { 0, 16675 } },
        { UINT64_C(1) << 40, 1, { UINT64_C(1) << 29, 1 } },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct token_status status = token_status_of(cases[i].entry, cases[i].place);

        assert_int_equal(status.list, cases[i].status.list);
        assert_int_equal(status.index, cases[i].status.index);
        assert_true(status.index < TOKEN_STATUS_BYTES * 8);
    }
}

static void a_claim_is_read_back(void **state)
{
    struct token_status status = token_status_of(123456, 7);
    struct token_status read = { 0 };
    JSON_OWNED json_t *claims = json_object();

    (void)state;
    assert_true(json_put(claims, "status", token_status_claim(&status, ISSUER)));
    assert_string_equal(
        json_string_value(json_object_get(
            json_object_get(json_object_get(claims, "status"), "status_list"), "uri")),
        "https://broker.example/status/60");
    assert_true(token_status_of_claims(claims, ISSUER, &read));
    assert_int_equal(read.list, 60);
    assert_int_equal(read.index, status.index);
    assert_false(token_status_of_claims(claims, STR("https://broker.exampl"), &read));
    assert_false(token_status_of_claims(claims, STR("https://other.example"), &read));
}

static void what_is_no_claim_is_none(void **state)
{
    static const char *const cases[] = {
        "{}",
        "{\"status\": 1}",
        "{\"status\": {\"status_list\": []}}",
        "{\"status\": {\"status_list\": {\"idx\": 1}}}",
        "{\"status\": {\"status_list\": {\"uri\": \"https://broker.example/status/1\"}}}",
        "{\"status\": {\"status_list\": {\"idx\": -1, \"uri\": "
        "\"https://broker.example/status/1\"}}}",
        "{\"status\": {\"status_list\": {\"idx\": 32768, \"uri\": "
        "\"https://broker.example/status/1\"}}}",
        "{\"status\": {\"status_list\": {\"idx\": 1.0, \"uri\": "
        "\"https://broker.example/status/1\"}}}",
        "{\"status\": {\"status_list\": {\"idx\": \"1\", \"uri\": "
        "\"https://broker.example/status/1\"}}}",
        "{\"status\": {\"status_list\": {\"idx\": 1, \"uri\": "
        "\"https://broker.example/status/01\"}}}",
        "{\"status\": {\"status_list\": {\"idx\": 1, \"uri\": "
        "\"https://broker.example/lists/1\"}}}",
        "{\"status\": {\"status_list\": {\"idx\": 1, \"uri\": \"https://broker.example\"}}}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        JSON_OWNED json_t *claims = json_loads(cases[i], 0, NULL);
        struct token_status status;

        assert_non_null(claims);
        if (token_status_of_claims(claims, ISSUER, &status))
            fail_msg("%s", cases[i]);
    }
}

static void a_record_is_read_back(void **state)
{
    struct token_status status = { TOKEN_STATUS_LIST_MAX, 32767 };
    struct token_status read = { 0 };
    JSON_OWNED json_t *record = token_status_record(&status);

    (void)state;
    assert_true(token_status_of_record(record, &read));
    assert_int_equal(read.list, status.list);
    assert_int_equal(read.index, status.index);
    assert_true(json_put(record, "list", json_integer((json_int_t)TOKEN_STATUS_LIST_MAX + 1)));
    assert_false(token_status_of_record(record, &read));
    assert_true(json_put(record, "list", json_integer(-1)));
    assert_false(token_status_of_record(record, &read));
    assert_true(json_put(record, "list", json_string("1")));
    assert_false(token_status_of_record(record, &read));
    assert_false(token_status_of_record(NULL, &read));
}

static void a_number_has_one_way_to_be_written(void **state)
{
    static const char *const bad[] = { "",   "00", "01", "-1", "+1",  " 1",
                                       "1 ", "1/", "x",  "1a", "0x1", "10000000000000000" };
    uint64_t list = 0;

    (void)state;
    assert_true(token_status_list_of(STR("0"), &list) && list == 0);
    assert_true(token_status_list_of(STR("120"), &list) && list == 120);
    assert_true(token_status_list_of(STR("4398046511103"), &list) && list == TOKEN_STATUS_LIST_MAX);
    assert_false(token_status_list_of(STR("4398046511104"), &list));
    for (size_t i = 0; i < COUNT(bad); i++)
        if (token_status_list_of(str_from(bad[i]), &list))
            fail_msg("'%s'", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_follows_from_the_entry_and_the_place),
        cmocka_unit_test(a_claim_is_read_back),
        cmocka_unit_test(what_is_no_claim_is_none),
        cmocka_unit_test(a_record_is_read_back),
        cmocka_unit_test(a_number_has_one_way_to_be_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
