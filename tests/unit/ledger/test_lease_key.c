#include <string.h>

#include "base/json.h"
#include "ledger/lease_key.h"
#include "tests/test.h"

static const uint8_t none[STORE_KEY_LEN];

static struct lease_key_parts parts_of(json_t *ci)
{
    return (struct lease_key_parts){
        .stage = STR("acme/payments:deploy"),
        .instance = STR(""),
        .issuer = STR("github"),
        .ci = ci,
    };
}

static json_t *facts(void)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "repository_id", "42", "run", "8123", "attempt",
                     "1", "job", "9", "commit", "abc");
}

/* Whether a change of one fact, or of stage, instance or issuer, changes a key. */
static bool changes_key(enum store_lease_key kind, const char *name, const char *value)
{
    JSON_OWNED json_t *ci = facts();
    struct lease_key_parts parts = parts_of(ci);
    uint8_t before[STORE_KEY_LEN];
    uint8_t after[STORE_KEY_LEN];

    assert_true(lease_key(&parts, kind, before));
    if (strcmp(name, "stage") == 0)
        parts.stage = str_from(value);
    else if (strcmp(name, "instance") == 0)
        parts.instance = str_from(value);
    else if (strcmp(name, "issuer") == 0)
        parts.issuer = str_from(value);
    else
        assert_true(json_put(ci, name, json_string(value)));
    assert_true(lease_key(&parts, kind, after));
    return memcmp(before, after, sizeof(before)) != 0;
}

static void a_key_is_of_what_its_name_says(void **state)
{
    static const struct {
        const char *part;
        bool changes[STORE_KEY_COUNT]; /* stage, job, run, commit */
    } cases[] = {
        { "stage", { true, true, true, true } },
        { "instance", { true, true, true, true } },
        { "issuer", { false, true, true, false } },
        { "run", { false, true, true, false } },
        { "repository_id", { false, true, true, true } },
        { "attempt", { false, true, false, false } },
        { "job", { false, true, false, false } },
        { "commit", { false, false, false, true } },
        { "ref", { false, false, false, false } },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        for (int kind = 0; kind < STORE_KEY_COUNT; kind++)
            assert_int_equal(changes_key((enum store_lease_key)kind, cases[i].part, "other"),
                             cases[i].changes[kind]);
}

static void what_is_not_known_has_no_key(void **state)
{
    JSON_OWNED json_t *ci = json_object();
    struct lease_key_parts parts = parts_of(ci);
    uint8_t key[STORE_KEY_LEN];

    (void)state;
    assert_true(lease_key(&parts, STORE_KEY_STAGE, key));
    assert_false(lease_key(&parts, STORE_KEY_JOB, key));
    assert_memory_equal(key, none, sizeof(none));
    assert_false(lease_key(&parts, STORE_KEY_RUN, key));
    assert_false(lease_key(&parts, STORE_KEY_COMMIT, key));
    assert_memory_equal(key, none, sizeof(none));
}

/* Also where one is of more than a key is made of: the others are there all the same. */
static void all_keys_at_once_are_the_same(void **state)
{
    static char longest[16 * 1024];
    JSON_OWNED json_t *ci = facts();
    struct lease_key_parts parts = parts_of(ci);

    (void)state;
    memset(longest, 'i', sizeof(longest));
    for (size_t i = 0; i < 3; i++) {
        uint8_t keys[STORE_KEY_COUNT][STORE_KEY_LEN];
        uint16_t attempt = 0;

        if (i == 1)
            parts.issuer = (struct str){ longest, sizeof(longest) };
        if (i == 2)
            parts.ci = NULL;
        attempt = lease_keys(&parts, keys);
        assert_int_equal(attempt, lease_attempt(parts.ci));
        assert_int_equal(attempt, i == 2 ? 0 : 1);
        for (int kind = 0; kind < STORE_KEY_COUNT; kind++) {
            uint8_t key[STORE_KEY_LEN];

            (void)lease_key(&parts, (enum store_lease_key)kind, key);
            assert_memory_equal(keys[kind], key, sizeof(key));
        }
        assert_memory_not_equal(keys[STORE_KEY_STAGE], none, sizeof(none));
        if (i == 1) {
            assert_memory_equal(keys[STORE_KEY_RUN], none, sizeof(none));
            assert_memory_not_equal(keys[STORE_KEY_COMMIT], none, sizeof(none));
        }
    }
}

static void texts_do_not_run_into_each_other(void **state)
{
    JSON_OWNED json_t *ci = json_pack("{s:s, s:s, s:s}", "run", "1", "attempt", "23", "job", "4");
    JSON_OWNED json_t *other =
        json_pack("{s:s, s:s, s:s}", "run", "12", "attempt", "3", "job", "4");
    struct lease_key_parts left = parts_of(ci);
    struct lease_key_parts right = parts_of(other);
    uint8_t a[STORE_KEY_LEN];
    uint8_t b[STORE_KEY_LEN];

    (void)state;
    assert_true(lease_key(&left, STORE_KEY_JOB, a));
    assert_true(lease_key(&right, STORE_KEY_JOB, b));
    assert_memory_not_equal(a, b, sizeof(a));
}

static void a_fact_that_no_entry_has_whole_is_not_known(void **state)
{
    char text[LEASE_FACT_MAX + 2];
    JSON_OWNED json_t *ci = json_object();
    struct lease_key_parts parts = parts_of(ci);
    uint8_t key[STORE_KEY_LEN];

    (void)state;
    memset(text, 'r', sizeof(text));
    text[LEASE_FACT_MAX] = '\0';
    assert_true(json_put(ci, "run", json_string(text)));
    assert_true(lease_key(&parts, STORE_KEY_RUN, key));
    text[LEASE_FACT_MAX] = 'r';
    text[LEASE_FACT_MAX + 1] = '\0';
    assert_true(json_put(ci, "run", json_string(text)));
    assert_false(lease_key(&parts, STORE_KEY_RUN, key));
}

static void an_attempt_is_a_small_number_or_none(void **state)
{
    static const struct {
        const char *text;
        uint16_t attempt;
    } cases[] = { { "1", 1 }, { "65535", 65535 }, { "65536", 0 },
                  { "0", 0 }, { "-1", 0 },        { "x", 0 } };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        JSON_OWNED json_t *ci = json_pack("{s:s}", "attempt", cases[i].text);

        assert_int_equal(lease_attempt(ci), cases[i].attempt);
    }
    assert_int_equal(lease_attempt(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_of_what_its_name_says),
        cmocka_unit_test(what_is_not_known_has_no_key),
        cmocka_unit_test(all_keys_at_once_are_the_same),
        cmocka_unit_test(texts_do_not_run_into_each_other),
        cmocka_unit_test(a_fact_that_no_entry_has_whole_is_not_known),
        cmocka_unit_test(an_attempt_is_a_small_number_or_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
