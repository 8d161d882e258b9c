#include <string.h>

#include "base/error.h"
#include "exchange/refresh_token.h"
#include "keys/keys.h"
#include "tests/test.h"
#include "tests/unit/keys/help.h"

#define LEASE "01JD0000000000000000000000"
#define OTHER_LEASE "01JD0000000000000000000001"

static char *folder;
static struct keys *keys;

static int start(void **state)
{
    (void)state;
    folder = temporary_folder();
    keys = keys_of(folder, KEY_ES256, TEST_START_S);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    keys_close(keys);
    remove_folder(folder);
    return 0;
}

static void write_one(const char *lease, uint16_t renewal, char text[REFRESH_TOKEN_LEN + 1])
{
    struct refresh_token token = { .renewal = renewal };
    struct error error = { 0 };

    memcpy(token.lease_id, lease, ID_LEN);
    assert_true(refresh_token_write(keys, &token, text, &error));
    assert_int_equal(strlen(text), REFRESH_TOKEN_LEN);
}

static bool is_read(struct str text)
{
    struct refresh_token token;

    return refresh_token_read(keys, text, &token);
}

static void what_was_written_is_read(void **state)
{
    static const uint16_t numbers[] = { 0, 1, 9, 10, 255, 256, 65534, 65535 };

    (void)state;
    for (size_t i = 0; i < COUNT(numbers); i++) {
        char text[REFRESH_TOKEN_LEN + 1];
        struct refresh_token token = { 0 };

        write_one(LEASE, numbers[i], text);
        assert_true(refresh_token_read(keys, str_from(text), &token));
        assert_string_equal(token.lease_id, LEASE);
        assert_int_equal(token.renewal, numbers[i]);
    }
}

static void a_token_says_what_it_is_of_and_is_the_same_each_time(void **state)
{
    char text[REFRESH_TOKEN_LEN + 1];
    char again[REFRESH_TOKEN_LEN + 1];

    (void)state;
    write_one(LEASE, 258, text);
    write_one(LEASE, 258, again);
    assert_memory_equal(text, "spr_" LEASE "0102", 34);
    assert_string_equal(text, again);
}

static void tokens_of_two_leases_or_renewals_share_no_mac(void **state)
{
    char texts[3][REFRESH_TOKEN_LEN + 1];

    (void)state;
    write_one(LEASE, 1, texts[0]);
    write_one(LEASE, 2, texts[1]);
    write_one(OTHER_LEASE, 1, texts[2]);
    for (size_t i = 0; i < COUNT(texts); i++)
        for (size_t k = 0; k < COUNT(texts); k++) {
            char mixed[REFRESH_TOKEN_LEN + 1];

            memcpy(mixed, texts[i], sizeof(mixed));
            memcpy(mixed + 34, texts[k] + 34, sizeof(mixed) - 34);
            assert_int_equal(is_read(str_from(mixed)), i == k);
        }
}

static void any_other_byte_at_any_place_is_refused(void **state)
{
    char text[REFRESH_TOKEN_LEN + 1];

    (void)state;
    write_one(LEASE, 1, text);
    for (size_t i = 0; i < REFRESH_TOKEN_LEN; i++) {
        char was = text[i];

        for (int byte = 0; byte < 256; byte++) {
            text[i] = (char)byte;
            if ((char)byte != was && is_read((struct str){ text, REFRESH_TOKEN_LEN }))
                fail_msg("byte %d at %zu", byte, i);
        }
        text[i] = was;
    }
    assert_true(is_read(str_from(text)));
}

static void any_other_length_is_refused(void **state)
{
    char text[REFRESH_TOKEN_LEN + 2];

    (void)state;
    write_one(LEASE, 1, text);
    text[REFRESH_TOKEN_LEN] = 'A';
    for (size_t len = 0; len <= REFRESH_TOKEN_LEN + 1; len++)
        assert_int_equal(is_read((struct str){ text, len }), len == REFRESH_TOKEN_LEN);
    assert_false(is_read((struct str){ text + 1, REFRESH_TOKEN_LEN }));
}

static void another_broker_does_not_know_it(void **state)
{
    char *elsewhere = temporary_folder();
    struct keys *other = keys_of(elsewhere, KEY_ES256, TEST_START_S);
    char text[REFRESH_TOKEN_LEN + 1];
    struct refresh_token token;

    (void)state;
    write_one(LEASE, 1, text);
    assert_false(refresh_token_read(other, str_from(text), &token));
    keys_close(other);
    remove_folder(elsewhere);
}

static void it_is_known_after_a_restart(void **state)
{
    char text[REFRESH_TOKEN_LEN + 1];

    (void)state;
    write_one(LEASE, 1, text);
    keys_close(keys);
    keys = keys_of(folder, KEY_ES256, TEST_START_S);
    assert_true(is_read(str_from(text)));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_was_written_is_read),
        CASE(a_token_says_what_it_is_of_and_is_the_same_each_time),
        CASE(tokens_of_two_leases_or_renewals_share_no_mac),
        CASE(any_other_byte_at_any_place_is_refused),
        CASE(any_other_length_is_refused),
        CASE(another_broker_does_not_know_it),
        CASE(it_is_known_after_a_restart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
