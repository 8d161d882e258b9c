/* Status lists of tokens: which there are, of what, when they are signed anew, what requests get.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/token_status.h"
#include "exchange/token_lists.h"
#include "ledger/help.h"
#include "ledger/revoked.h"
#include "tests/test.h"

#define WAIT_MS 120000
#define ARENA_MAX ((size_t)16 * 1024 * 1024)
#define ISSUER STR_INIT("https://broker.example")
#define DAY_S ((int64_t)86400)

struct world {
    struct place place;
    struct ledger *ledger;
    struct revoked_book *book;
    struct token_lists *lists;
    struct token_lists_signer signer;
    struct arena *arena;
    int64_t now_s;
};

static int make(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    place_make(&world->place);
    world->ledger = place_open(&world->place);
    world->book = revoked_book_new();
    world->lists = token_lists_new(3);
    world->signer = (struct token_lists_signer){ world->place.keys, ISSUER };
    world->arena = arena_new(ARENA_MAX);
    world->now_s = clock_wall_s();
    assert_non_null(world->book);
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
    token_lists_free(world->lists);
    revoked_book_free(world->book);
    place_remove(&world->place);
    free(world);
    return 0;
}

static void end_token(struct world *world, json_t *take_status)
{
    json_t *entry = entry_new(ENTRY_CREDENTIAL_REVOKED, STR("b"));
    char decision[ID_LEN + 1];

    id_of(1, decision);
    assert_true(json_put(entry, "decision", json_string(decision)));
    assert_true(
        json_put(entry, "credentials",
                 json_pack("[{s:s, s:s, s:o}]", "type", "jwt", "id", "x", "status", take_status)));
    (void)append_one(world->ledger, entry);
}

static void end_one(struct world *world, uint64_t entry, size_t place)
{
    struct token_status status = token_status_of(entry, place);

    end_token(world, token_status_record(&status));
}

static void read_all(struct world *world)
{
    int64_t end_ms = clock_monotonic_ms() + WAIT_MS;
    struct error error = { 0 };

    while (!revoked_book_is_whole(world->book) ||
           revoked_book_size(world->book) < ledger_size(world->ledger)) {
        bool has_changed;

        if (!revoked_book_tend(world->book, world->ledger, world->now_s, &has_changed, &error))
            error = (struct error){ 0 };
        if (clock_monotonic_ms() > end_ms)
            fail_msg("it was not read in time");
        (void)usleep(1000); /* between looks at a condition */
    }
}

static bool tend(struct world *world)
{
    struct error error = { 0 };
    bool is_made = false;

    if (!token_lists_tend(world->lists, world->book, &world->signer, world->now_s, &is_made,
                          &error))
        fail_msg("%s", error.cause);
    return is_made;
}

static enum error_code get(struct world *world, uint64_t number, struct str *list)
{
    struct error error = { 0 };

    *list = (struct str){ 0 };
    return token_lists_get(world->lists, number, world->arena, list, &error) ? ERROR_NONE
                                                                             : error.code;
}

/* The claims of a list, whose signature is checked. */
static json_t *claims_of(struct world *world, uint64_t number)
{
    struct error error = { 0 };
    json_t *claims = NULL;
    struct str list;

    assert_int_equal(get(world, number, &list), ERROR_NONE);
    if (!keys_verify_own_jwt(world->place.keys, list, "statuslist+jwt", &claims, &error))
        fail_msg("%s", error.cause);
    return claims;
}

static int64_t number_of(const json_t *claims, const char *name)
{
    return json_integer_value(json_object_get(claims, name));
}

static void bits_of(struct world *world, uint64_t number, uint8_t bits[TOKEN_STATUS_BYTES])
{
    JSON_OWNED json_t *claims = claims_of(world, number);
    const json_t *list = json_object_get(claims, "status_list");
    uint8_t zlib[2 * TOKEN_STATUS_BYTES];
    uLongf len = TOKEN_STATUS_BYTES;
    size_t zlib_len = 0;

    assert_int_equal(number_of(list, "bits"), 1);
    assert_true(base64url_decode(json_str(json_object_get(list, "lst")), zlib, &zlib_len));
    assert_int_equal(uncompress(bits, &len, zlib, zlib_len), Z_OK);
    assert_int_equal(len, TOKEN_STATUS_BYTES);
}

static bool is_set(struct world *world, uint64_t entry, size_t place)
{
    struct token_status status = token_status_of(entry, place);
    uint8_t bits[TOKEN_STATUS_BYTES];

    bits_of(world, status.list, bits);
    return bits[status.index / 8] >> (status.index % 8) & 1;
}

static size_t count_of(struct world *world, uint64_t number)
{
    uint8_t bits[TOKEN_STATUS_BYTES];
    size_t count = 0;

    bits_of(world, number, bits);
    for (size_t i = 0; i < 8 * sizeof(bits); i++)
        count += (bits[i / 8] & (1U << (i % 8))) != 0;
    return count;
}

static void before_the_first_there_are_none(void **state)
{
    struct world *world = *state;
    struct error error = { 0 };
    struct str list;
    uint64_t first;
    size_t count;

    assert_int_equal(get(world, 0, &list), ERROR_INDEX);
    assert_false(token_lists_range(world->lists, &first, &count, &error));
    assert_int_equal(error.code, ERROR_INDEX);
}

static void what_entries_end_is_set_and_nothing_else(void **state)
{
    struct world *world = *state;

    append_many(world->ledger, 5);
    end_one(world, 0, 0);
    end_one(world, 3, 15);
    read_all(world);
    assert_true(tend(world));
    assert_true(is_set(world, 0, 0));
    assert_true(is_set(world, 3, 15));
    assert_false(is_set(world, 3, 14));
    assert_int_equal(count_of(world, 0), 2);
    assert_int_equal(count_of(world, 1), 0);
    end_one(world, 4, 1);
    read_all(world);
    assert_true(tend(world));
    assert_int_equal(count_of(world, 0), 3);
}

static void a_list_says_what_it_is_and_how_long(void **state)
{
    struct world *world = *state;
    JSON_OWNED json_t *claims = NULL;

    append_many(world->ledger, 1);
    read_all(world);
    assert_true(tend(world));
    claims = claims_of(world, 1);
    assert_string_equal(json_string_value(json_object_get(claims, "iss")),
                        "https://broker.example");
    assert_string_equal(json_string_value(json_object_get(claims, "sub")),
                        "https://broker.example/status/1");
    assert_int_equal(number_of(claims, "iat"), world->now_s);
    assert_int_equal(number_of(claims, "exp"), world->now_s + TOKEN_LISTS_LIFE_S);
    assert_int_equal(number_of(claims, "ttl"), TOKEN_LISTS_TTL_S);
}

static void they_are_signed_anew_in_time_and_not_before(void **state)
{
    struct world *world = *state;
    JSON_OWNED json_t *claims = NULL;

    append_many(world->ledger, 1);
    read_all(world);
    assert_true(tend(world));
    assert_false(tend(world));
    world->now_s += TOKEN_LISTS_RENEW_S - 1;
    assert_false(tend(world));
    world->now_s += 1;
    assert_true(tend(world));
    claims = claims_of(world, 0);
    assert_int_equal(number_of(claims, "iat"), world->now_s);
    world->now_s -= 3600; /* a clock that was corrected */
    assert_true(tend(world));
}

static void they_go_from_the_first_that_matters_to_one_past_the_end(void **state)
{
    struct world *world = *state;
    struct error error = { 0 };
    struct str list;
    uint64_t first = 0;
    size_t count = 0;

    append_many(world->ledger, (unsigned)TOKEN_STATUS_ENTRIES + 10);
    read_all(world);
    assert_true(tend(world));
    assert_true(token_lists_range(world->lists, &first, &count, &error));
    assert_int_equal(first, 0);
    assert_int_equal(count, 3);
    assert_int_equal(get(world, 2, &list), ERROR_NONE);
    assert_int_equal(get(world, 3, &list), ERROR_NOT_FOUND);
    assert_int_equal(get(world, UINT64_MAX, &list), ERROR_NOT_FOUND);
}

static void the_latest_are_there_where_they_are_too_many(void **state)
{
    struct world *world = *state;
    struct error error = { 0 };
    bool is_made = false;
    struct str list;

    append_many(world->ledger, 2 * (unsigned)TOKEN_STATUS_ENTRIES - 1);
    read_all(world);
    assert_true(tend(world)); /* 0, 1 and 2: as many as there may be */
    append_many(world->ledger, 1);
    end_one(world, 2 * TOKEN_STATUS_ENTRIES - 1, 0);
    read_all(world);
    assert_false(token_lists_tend(world->lists, world->book, &world->signer, world->now_s, &is_made,
                                  &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    assert_true(is_made);
    assert_int_equal(get(world, 0, &list), ERROR_NOT_FOUND);
    assert_int_equal(count_of(world, 1), 1);
    assert_int_equal(get(world, 3, &list), ERROR_NONE);
}

/* What was ended in them is not forgotten before, and never comes back as valid. */
static void old_lists_go_as_a_whole(void **state)
{
    struct world *world = *state;
    struct str held;
    struct str list;

    append_many(world->ledger, (unsigned)TOKEN_STATUS_ENTRIES + 10);
    end_one(world, 7, 0);
    end_one(world, TOKEN_STATUS_ENTRIES + 1, 0);
    read_all(world);
    assert_true(tend(world));
    assert_int_equal(get(world, 0, &held), ERROR_NONE);
    world->now_s += 2 * DAY_S;
    append_many(world->ledger, 1);
    read_all(world);
    assert_true(tend(world));
    assert_int_equal(get(world, 0, &list), ERROR_NOT_FOUND);
    assert_int_equal(count_of(world, 1), 1);
    assert_true(held.len > 0 && held.data[0] == 'e'); /* who has it keeps it */
    end_one(world, 8, 0);                             /* too late to matter */
    world->now_s -= 2 * DAY_S;
    read_all(world);
    assert_true(tend(world));
    assert_int_equal(get(world, 0, &list), ERROR_NOT_FOUND);
}

static void what_is_no_status_or_of_later_entries_sets_nothing(void **state)
{
    static const char *const cases[] = {
        "{\"list\": 1, \"index\": 0}",
        "{\"list\": 0, \"index\": 32768}",
        "{\"list\": 0, \"index\": -1}",
        "{\"list\": -1, \"index\": 0}",
        "{\"list\": 0}",
        "{\"index\": 0}",
        "{\"list\": \"0\", \"index\": 0}",
        "{\"list\": 0, \"index\": true}",
        "{}",
        "{\"list\": 4398046511103, \"index\": 0}",
    };
    struct world *world = *state;

    for (size_t i = 0; i < COUNT(cases); i++)
        end_token(world, json_loads(cases[i], 0, NULL));
    end_token(world, json_string("0"));
    end_token(world, json_array());
    read_all(world);
    assert_true(tend(world));
    assert_int_equal(count_of(world, 0), 0);
    assert_int_equal(count_of(world, 1), 0);
}

/* The worst that can be in one, under the longest issuer: it fits a token all the same. */
static void a_list_of_noise_is_signed(void **state)
{
    struct world *world = *state;
    struct str issuer = arena_printf(world->arena, "https://%02040d", 0);
    uint32_t seed = 1;
    json_t *items = json_array();
    json_t *entry = NULL;
    char decision[ID_LEN + 1];
    struct str list;

    assert_int_equal(issuer.len, 2048);
    world->signer.issuer = issuer;
    id_of(1, decision);
    for (uint32_t i = 0; i < 8 * TOKEN_STATUS_BYTES; i++) {
        struct token_status status = { 0, i };

        seed = seed * 1664525U + 1013904223U;
        if (seed >> 31 &&
            json_array_append_new(items,
                                  json_pack("{s:o}", "status", token_status_record(&status))) != 0)
            fail_msg("no memory");
        if (json_array_size(items) < 200 && i + 1 < 8 * TOKEN_STATUS_BYTES)
            continue;
        entry = entry_new(ENTRY_CREDENTIAL_REVOKED, STR("b"));
        assert_true(json_put(entry, "decision", json_string(decision)));
        assert_true(json_put(entry, "credentials", items));
        (void)append_one(world->ledger, entry);
        items = json_array();
    }
    json_decref(items);
    read_all(world);
    assert_true(tend(world));
    assert_int_equal(get(world, 0, &list), ERROR_NONE);
    assert_true(list.len > 10000 && list.len <= KEYS_TOKEN_MAX);
    assert_true(count_of(world, 0) > 16000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(before_the_first_there_are_none, make, clean),
        cmocka_unit_test_setup_teardown(what_entries_end_is_set_and_nothing_else, make, clean),
        cmocka_unit_test_setup_teardown(a_list_says_what_it_is_and_how_long, make, clean),
        cmocka_unit_test_setup_teardown(they_are_signed_anew_in_time_and_not_before, make, clean),
        cmocka_unit_test_setup_teardown(they_go_from_the_first_that_matters_to_one_past_the_end,
                                        make, clean),
        cmocka_unit_test_setup_teardown(the_latest_are_there_where_they_are_too_many, make, clean),
        cmocka_unit_test_setup_teardown(old_lists_go_as_a_whole, make, clean),
        cmocka_unit_test_setup_teardown(what_is_no_status_or_of_later_entries_sets_nothing, make,
                                        clean),
        cmocka_unit_test_setup_teardown(a_list_of_noise_is_signed, make, clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
