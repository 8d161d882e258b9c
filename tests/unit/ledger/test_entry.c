/* The form of entries: what they must have, may have, and how long they may be. */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "entry_sample.h"
#include "ledger/entry.h"
#include "ledger/entry_internal.h"
#include "ledger/help.h"
#include "tests/assert_str.h"

static void every_type_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < ENTRY_TYPE_COUNT; i++) {
        enum entry_type type = ENTRY_TYPE_COUNT;

        assert_non_null(entry_type_name((enum entry_type)i));
        assert_true(entry_type_from(str_from(entry_type_name((enum entry_type)i)), &type));
        assert_int_equal(type, i);
    }
    assert_false(entry_type_from(STR("credential"), &(enum entry_type){ 0 }));
    assert_false(entry_type_from(STR(""), &(enum entry_type){ 0 }));
}

static void the_designs_example_is_encoded_with_sorted_keys(void **state)
{
    JSON_OWNED json_t *entry = parse(ISSUED);
    struct store_entry encoded = { 0 };
    struct error error = { 0 };
    struct str bytes = { 0 };

    (void)state;
    if (!entry_encode(entry, arena, &encoded, &error))
        fail_msg("%s", error.cause);
    bytes = (struct str){ encoded.bytes, encoded.len };
    assert_true(str_starts_with(bytes, STR("{\"broker\":\"a\",\"ci\":{\"attempt\":\"1\",")));
    assert_true(str_ends_with(bytes, STR(",\"type\":\"credential.issued\"}")));
    assert_str(str_slice(bytes, encoded.time_offset, 24), "2026-11-22T10:00:00.123Z");
}

#define HASH                                                                                       \
    "\"sha256:"                                                                                    \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"                             \
    "\""
/* Policies that come into force, and what a shadow policy would have decided. */
static void entries_of_policies_have_their_members(void **state)
{
    static const struct {
        const char *text;
        bool is_good;
    } cases[] = {
        { HEAD("policy.activated") ",\"policy\":" HASH "}", true },
        { HEAD("policy.activated") ",\"policy\":" HASH ",\"previous\":" HASH
                                   ",\"counts\":{},\"exceptions\":[],\"widened\":[],\"source\":{}}",
          true },
        { HEAD("policy.activated") "}", false },
        { HEAD("policy.activated") ",\"policy\":\"sha256:0\"}", false },
        { HEAD("policy.activated") ",\"policy\":" HASH ",\"counts\":[]}", false },
        { HEAD("policy.activated") ",\"policy\":" HASH ",\"exceptions\":{}}", false },
        { HEAD("policy.activated") ",\"policy\":" HASH ",\"source\":\"acme/policies\"}", false },
        { HEAD("policy.activated") ",\"policy\":" HASH ",\"shadow\":{}}", false },
        { HEAD("exchange.observed") ",\"decision\":\"01JD4ZK8QX2V7N5M3B6C9F1G0H\","
                                    "\"outcome\":\"allowed\",\"shadow\":{}}",
          true },
        { HEAD("exchange.observed") ",\"decision\":\"01JD4ZK8QX2V7N5M3B6C9F1G0H\","
                                    "\"outcome\":\"allowed\"}",
          false },
        { HEAD("exchange.observed") ",\"decision\":\"01JD4ZK8QX2V7N5M3B6C9F1G0H\","
                                    "\"outcome\":\"allowed\",\"shadow\":\"denied\"}",
          false },
        { HEAD("exchange.observed") ",\"outcome\":\"allowed\",\"shadow\":{}}", false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        JSON_OWNED json_t *entry = parse(cases[i].text);
        struct error error = { 0 };

        if (entry_check(entry, &error) != cases[i].is_good)
            fail_msg("%s: %s", cases[i].text, error.cause);
    }
}

/* Beside others before it and behind it that look like it, and where it has a time already. */
static void the_room_for_a_time_is_the_entrys_own(void **state)
{
    static const char place[] = "0000-00-00T00:00:00.000Z";

    (void)state;
    for (int i = 0; i < 8; i++) {
        JSON_OWNED json_t *entry = parse(ISSUED);
        JSON_OWNED json_t *written = NULL;
        struct store_entry encoded = { 0 };
        struct error error = { 0 };

        if ((i & 1) != 0)
            assert_true(json_put(json_object_get(entry, "claims"), "time", json_string(place)));
        if ((i & 2) != 0)
            assert_true(json_put(json_object_get(entry, "token"), "time", json_string(place)));
        if ((i & 4) != 0)
            assert_true(json_put(entry, "time", json_string(place)));
        assert_true(entry_encode(entry, arena, &encoded, &error));
        memset(encoded.bytes + encoded.time_offset, 'T', 24);
        written = json_loadb(encoded.bytes, encoded.len, 0, NULL);
        assert_true(json_put(entry, "time", json_string("TTTTTTTTTTTTTTTTTTTTTTTT")));
        assert_true(json_equal(written, entry));
    }
}

static void a_new_entry_has_room_for_its_time(void **state)
{
    JSON_OWNED json_t *entry = entry_started();
    struct store_entry encoded = { 0 };
    struct error error = { 0 };

    (void)state;
    assert_true(json_put(entry, "detail", json_string("a \"time\":\" and a \\ {[ in it")));
    assert_true(entry_encode(entry, arena, &encoded, &error));
    memset(encoded.bytes + encoded.time_offset, 'T', 24);
    assert_str(((struct str){ encoded.bytes, encoded.len }),
               "{\"broker\":\"a\",\"detail\":\"a \\\"time\\\":\\\" and a \\\\ {[ in it\","
               "\"time\":\"TTTTTTTTTTTTTTTTTTTTTTTT\",\"type\":\"broker.started\"}");
}

static void expect_refused(json_t *entry, const char *cause)
{
    struct store_entry encoded = { 0 };
    struct error error = { 0 };

    if (entry_encode(entry, arena, &encoded, &error))
        fail_msg("taken, though: %s", cause);
    assert_int_equal(error.code, ERROR_LEDGER);
    if (strstr(error.cause, cause) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", cause, error.cause);
}

static void members_of_no_row_are_refused(void **state)
{
    (void)state;
    {
        JSON_OWNED json_t *entry = parse(ISSUED);

        assert_true(json_put(entry, "access_token", json_string("secret")));
        expect_refused(entry, "\"access_token\" is not one of its own");
    }
    {
        JSON_OWNED json_t *entry = entry_started();

        assert_true(json_put(entry, "lease", json_string(ID)));
        expect_refused(entry, "\"lease\" is not one of its own");
    }
}

static void every_mandatory_member_is_asked_for(void **state)
{
    static const char *const names[] = { "time",   "broker", "decision", "lease",  "lease_expires",
                                         "handle", "token",  "stage",    "policy", "credentials" };

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        JSON_OWNED json_t *entry = parse(ISSUED);

        assert_int_equal(json_object_del(entry, names[i]), 0);
        expect_refused(entry, "is missing");
    }
}

static void malformed_members_are_refused(void **state)
{
    static const struct {
        const char *name;
        const char *value;
    } cases[] = {
        { "time", "\"2026\"" },
        { "decision", "\"short\"" },
        { "lease", "\"01jd4zq8y2k3m4n5p6q7r8s9t0\"" },
        { "lease", "7" },
        { "handle", "\"" MARK "\"" },
        { "handle", "\"sha256:0011\"" },
        { "handle", "\"sha256:00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff\"" },
        { "lease_expires", "\"soon\"" },
        { "lease_expires", "1763805900" },
        { "token", "{}" },
        { "token", "{\"mark\":\"" MARK "\"}" },
        { "token", "{\"mark\":\"" MARK "\",\"exp\":0}" },
        { "token", "{\"mark\":\"0011\",\"exp\":1763805900}" },
        { "token", "{\"mark\":\"" MARK "\",\"exp\":1763805900,\"holder\":\"0011\"}" },
        { "token", "{\"mark\":\"" MARK "\",\"exp\":1763805900,\"holder\":7}" },
        { "token",
          "{\"mark\":\"" MARK "\",\"exp\":1763805900,\"holder\":\"00112233445566778899AABB\"}" },
        { "token", "{\"mark\":\"" MARK "\",\"exp\":1763805900,\"proof\":\"" MARK "\"}" },
        { "token", "{\"mark\":\"" MARK "\",\"exp\":1763805900,\"proof\":{\"exp\":1}}" },
        { "claims", "[]" },
        { "credentials", "{}" },
        { "policy", "\"v1\"" },
        { "stage", "null" },
        { "count", "-1" },
        { "count", "\"1\"" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        JSON_OWNED json_t *entry = parse(ISSUED);

        assert_true(
            json_put(entry, cases[i].name, json_loads(cases[i].value, JSON_DECODE_ANY, NULL)));
        expect_refused(entry, "is malformed");
    }
}

static void what_is_no_entry_is_refused(void **state)
{
    JSON_OWNED json_t *list = json_array();
    JSON_OWNED json_t *none = json_object();
    JSON_OWNED json_t *unknown = parse(ISSUED);

    (void)state;
    expect_refused(list, "without a type");
    expect_refused(none, "without a type");
    assert_true(json_put(unknown, "type", json_string("credential.stolen")));
    expect_refused(unknown, "unknown type");
}

static void an_entry_may_have_16_kib_and_no_more(void **state)
{
    JSON_OWNED json_t *entry = entry_started();
    struct store_entry encoded = { 0 };
    struct error error = { 0 };
    char *detail = malloc(STORE_ENTRY_MAX);
    size_t rest = 0;

    (void)state;
    assert_true(entry_encode(entry, arena, &encoded, &error));
    rest = STORE_ENTRY_MAX - encoded.len + strlen("stagepassd");
    memset(detail, 'd', rest);
    assert_true(json_put(entry, "detail", json_stringn(detail, rest)));
    assert_true(entry_encode(entry, arena, &encoded, &error));
    assert_int_equal(encoded.len, STORE_ENTRY_MAX);
    detail[rest] = 'd';
    assert_true(json_put(entry, "detail", json_stringn(detail, rest + 1)));
    expect_refused(entry, "more than 16384 bytes");
    free(detail);
}

static void every_byte_of_a_hash_counts(void **state)
{
    static const size_t lens[] = { 8, 24, 27, 64 };
    char text[65];

    (void)state;
    for (size_t k = 0; k < COUNT(lens); k++) {
        struct str hex = { text, lens[k] };

        memset(text, 'a', sizeof(text));
        assert_false(entry_is_hex(hex, lens[k] + 1));
        assert_false(entry_is_hex((struct str){ text, lens[k] - 1 }, lens[k]));
        for (size_t i = 0; i < lens[k] * 256; i++) {
            char byte = (char)(i % 256);

            text[i / 256] = byte;
            assert_int_equal(entry_is_hex(hex, lens[k]),
                             (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f'));
            text[i / 256] = 'f';
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_has_a_name_of_its_own),
        cmocka_unit_test(the_designs_example_is_encoded_with_sorted_keys),
        cmocka_unit_test(entries_of_policies_have_their_members),
        cmocka_unit_test(the_room_for_a_time_is_the_entrys_own),
        cmocka_unit_test(a_new_entry_has_room_for_its_time),
        cmocka_unit_test(members_of_no_row_are_refused),
        cmocka_unit_test(every_mandatory_member_is_asked_for),
        cmocka_unit_test(malformed_members_are_refused),
        cmocka_unit_test(what_is_no_entry_is_refused),
        cmocka_unit_test(an_entry_may_have_16_kib_and_no_more),
        cmocka_unit_test(every_byte_of_a_hash_counts),
    };

    return cmocka_run_group_tests(tests, arena_make, arena_clean);
}
