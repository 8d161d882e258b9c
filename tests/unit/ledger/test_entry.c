#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "ledger/entry.h"
#include "ledger/entry_internal.h"
#include "ledger/help.h"
#include "ledger/lease_key.h"
#include "tests/assert_str.h"

#define MARK "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define OTHER_MARK "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define SHA "sha256:" MARK
#define ID "01JD4ZQ8Y2K3M4N5P6Q7R8S9T0"

/* The example of design.md 3.5, with its blanks filled in. */
#define ISSUED                                                                                     \
    "{\"type\":\"credential.issued\",\"time\":\"2026-11-22T10:00:00.123Z\",\"broker\":\"a\","      \
    "\"decision\":\"" ID "\",\"lease\":\"" ID "\",\"handle\":\"" SHA "\","                         \
    "\"lease_expires\":\"2026-11-22T10:15:00Z\","                                                  \
    "\"issuer\":\"github\",\"subject\":\"repo:acme/payments:environment:production\","             \
    "\"token\":{\"mark\":\"" MARK "\",\"exp\":1763805900,\"iat\":1763805600,\"kid\":\"k\"},"       \
    "\"ci\":{\"run\":\"1\",\"attempt\":\"1\"},\"claims\":{\"time\":\"x\"},\"facts\":{},"           \
    "\"request\":{\"scope\":[],\"ttl_s\":900,\"reason\":\"\"},"                                    \
    "\"pipeline\":\"acme/payments\",\"stage\":\"acme/payments:deploy-prod\",\"kind\":\"deploy\","  \
    "\"environment\":\"production\",\"tenant\":\"payments\",\"owner\":\"payments@acme.example\","  \
    "\"policy\":\"" SHA "\",\"rule\":\"" SHA "\","                                                 \
    "\"credentials\":[{\"grant\":\"site\",\"type\":\"aws\",\"target\":\"prod-aws\","               \
    "\"id\":\"ASIA\",\"session\":\"s\",\"expires_at\":\"2026-11-22T10:15:00Z\",\"ttl_s\":900}]}"

static struct arena *arena;

static int make(void **state)
{
    (void)state;
    arena = arena_new(ARENA_REQUEST_MAX);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static json_t *parse(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);

    assert_non_null(json);
    return json;
}

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
#define HEAD(type) "{\"type\":\"" type "\",\"time\":\"2026-11-22T10:00:00.123Z\",\"broker\":\"a\""

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

/* The token of an observation sets no mark: it was only looked at. */
static void an_observation_changes_nothing(void **state)
{
    static const char text[] =
        HEAD("exchange.observed") ",\"decision\":\"01JD4ZK8QX2V7N5M3B6C9F1G0H\",\"outcome\":"
                                  "\"denied\",\"shadow\":{},\"token\":"
                                  "{\"exp\":1763805900,\"mark\":"
                                  "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd"
                                  "ef\"}}";
    struct store_change changes[STORE_ENTRY_CHANGES_MAX];
    struct error error = { 0 };
    size_t count = 1;

    (void)state;
    assert_true(entry_fold(STR(text), 0, changes, &count, &error));
    assert_int_equal(count, 0);
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

static size_t fold(const char *text, struct store_change changes[STORE_ENTRY_CHANGES_MAX])
{
    struct error error = { 0 };
    size_t count = 0;

    if (!entry_fold(str_from(text), 0, changes, &count, &error))
        fail_msg("%s", error.cause);
    return count;
}

static void an_issued_credential_sets_its_mark_and_opens_a_lease(void **state)
{
    struct store_change changes[STORE_ENTRY_CHANGES_MAX];
    uint8_t mark[32];

    (void)state;
    assert_true(hex_decode(STR(MARK), mark));
    assert_int_equal(fold(ISSUED, changes), 2);
    assert_int_equal(changes[0].kind, STORE_SET_MARK);
    assert_memory_equal(changes[0].mark, mark, sizeof(mark));
    assert_int_equal(changes[0].expires_s, 1763805900 + ENTRY_MARK_KEPT_S);
    assert_int_equal(changes[1].kind, STORE_PUT_LEASE);
    assert_string_equal(changes[1].lease.id, ID);
    assert_memory_equal(changes[1].lease.handle, mark, STORE_HANDLE_LEN);
    assert_int_equal(changes[1].lease.state, LEASE_ISSUED);
    assert_int_equal(changes[1].lease.expires_s, 1795342500);
}

static void a_bound_token_marks_its_holder_and_its_proof(void **state)
{
    static const char token[] =
        "{\"mark\":\"" MARK "\",\"exp\":1763805900,\"holder\":\"00112233445566778899aabb\","
        "\"proof\":{\"mark\":\"" MARK "\",\"exp\":1763805700}}";
    static const uint8_t holder[] = { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55,
                                      0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb };
    JSON_OWNED json_t *entry = parse(ISSUED);
    struct store_change changes[STORE_ENTRY_CHANGES_MAX];
    struct error error = { 0 };
    size_t count = 0;

    (void)state;
    assert_true(json_put(entry, "token", json_loads(token, 0, NULL)));
    assert_true(entry_check(entry, &error));
    assert_true(entry_fold_json(entry, changes, &count, &error));
    assert_int_equal(count, 3);
    assert_memory_equal(changes[0].holder, holder, sizeof(holder));
    assert_string_equal(changes[0].lease.id, ID);
    assert_int_equal(changes[1].kind, STORE_SET_MARK);
    assert_int_equal(changes[1].expires_s, 1763805700 + ENTRY_MARK_KEPT_S);
    assert_int_equal(changes[2].kind, STORE_PUT_LEASE);
}

static void each_type_has_its_effect(void **state)
{
    static const struct {
        enum entry_type type;
        int mark; /* -1: none */
        int lease_state;
    } cases[] = {
        { ENTRY_EXCHANGE_DENIED, -1, 0 },
        { ENTRY_LEASE_REQUESTED, STORE_SET_MARK, LEASE_REQUESTED },
        { ENTRY_CREDENTIAL_ISSUED, STORE_SET_MARK, LEASE_ISSUED },
        { ENTRY_CREDENTIAL_FAILED, STORE_FREE_MARK, LEASE_FAILED },
        { ENTRY_CREDENTIAL_UNKNOWN, -1, LEASE_UNKNOWN },
        { ENTRY_LEASE_RELEASED, -1, LEASE_RELEASED },
        { ENTRY_LEASE_REVOKED, -1, LEASE_REVOKED },
        { ENTRY_LEASE_EXPIRED, -1, LEASE_EXPIRED },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        JSON_OWNED json_t *entry = entry_of_lease(cases[i].type, 1);
        struct store_change changes[STORE_ENTRY_CHANGES_MAX];
        struct error error = { 0 };
        size_t count = 0;
        size_t at = 0;

        assert_true(entry_fold_json(entry, changes, &count, &error));
        if (cases[i].mark >= 0)
            assert_int_equal(changes[at++].kind, cases[i].mark);
        if (cases[i].lease_state != 0)
            assert_int_equal(changes[at++].lease.state, cases[i].lease_state);
        assert_int_equal(count, at);
    }
}

#define NAMED "\"lease\":\"" ID "\","
#define REVOCABLE "\"credentials\":[{\"grant\":\"site\"},{\"grant\":\"db\",\"revoke\":\"now\"}],"
#define PLAIN "\"credentials\":[{\"grant\":\"site\"}],"
#define ENDS(word, seconds)                                                                        \
    "{\"expires_at\":\"2030-01-01T00:10:" seconds "Z\",\"grant\":\"a\",\"revoke\":\"" word "\"}"
#define GOES(word, lapses, seconds)                                                                \
    "{\"expires_at\":\"2030-01-01T00:10:" seconds "Z\",\"grant\":\"a\",\"lapses\":" lapses         \
    ",\"revoke\":\"" word "\"}"
#define RENEWED(credentials)                                                                       \
    "{\"credentials\":[" credentials "],\"lease\":\"" ID                                           \
    "\",\"lease_expires\":\"2030-01-01T00:10:00Z\",\"type\":\"lease.renewed\"}"

static void a_lease_owes_what_can_be_ended_until_nothing_is_pending(void **state)
{
    static const struct {
        const char *text;
        enum store_debt debt;
        bool has_credentials;
    } cases[] = {
        { "{" NAMED "\"type\":\"lease.released\"}", DEBT_STAYS, false },
        { "{" NAMED REVOCABLE "\"type\":\"credential.failed\"}", DEBT_OWED, true },
        { "{" NAMED PLAIN "\"type\":\"credential.failed\"}", DEBT_NONE, true },
        { "{" NAMED "\"type\":\"credential.failed\"}", DEBT_NONE, false },
        { "{" NAMED REVOCABLE "\"type\":\"credential.unknown\"}", DEBT_OWED, true },
        { "{" NAMED REVOCABLE "\"reason\":\"lease_ended\",\"type\":\"credential.unknown\"}",
          DEBT_OWED, true },
        { "{" NAMED PLAIN "\"reason\":\"lease_ended\",\"type\":\"credential.unknown\"}", DEBT_NONE,
          true },
        { "{" NAMED REVOCABLE "\"type\":\"lease.renewed\"}", DEBT_OWED, true },
        { "{" NAMED PLAIN "\"type\":\"lease.renewed\"}", DEBT_STAYS, true },
        { "{" NAMED REVOCABLE "\"type\":\"renewal.requested\"}", DEBT_OWED, true },
        { "{" NAMED PLAIN "\"type\":\"renewal.requested\"}", DEBT_STAYS, true },
        { "{" NAMED REVOCABLE "\"type\":\"renewal.failed\"}", DEBT_OWED, true },
        { "{" NAMED "\"credentials\":[],\"type\":\"renewal.failed\"}", DEBT_STAYS, false },
        { "{" NAMED REVOCABLE "\"type\":\"credential.revoked\"}", DEBT_NONE, false },
        { "{" NAMED "\"pending\":[],\"type\":\"credential.revoked\"}", DEBT_NONE, false },
        { "{" NAMED "\"pending\":[\"db\"],\"type\":\"credential.revoked\"}", DEBT_STAYS, false },
        { RENEWED(ENDS("list", "00")), DEBT_LAPSES, true },
        { RENEWED(ENDS("name", "00") "," ENDS("list", "00") ",{\"grant\":\"b\"}"), DEBT_LAPSES,
          true },
        { RENEWED(ENDS("list", "00") "," ENDS("now", "00")), DEBT_OWED, true },
        { RENEWED(ENDS("list", "00") "," GOES("now", "true", "00")), DEBT_LAPSES, true },
        { RENEWED(GOES("now", "false", "00")), DEBT_OWED, true },
        { RENEWED(GOES("now", "\"true\"", "00")), DEBT_OWED, true },
        { RENEWED(GOES("other", "true", "00")), DEBT_OWED, true },
        { RENEWED(GOES("now", "true", "01")), DEBT_OWED, true },                 /* outlives it */
        { RENEWED(ENDS("list", "00") "," ENDS("list", "01")), DEBT_OWED, true }, /* outlives it */
        { RENEWED("{\"grant\":\"a\",\"revoke\":\"list\"}"), DEBT_OWED, true },
        { RENEWED("{\"expires_at\":\"soon\",\"revoke\":\"list\"}"), DEBT_OWED, true },
        { RENEWED("{\"expires_at\":\"2030-01-01T00:10:00Z\",\"revoke\":1}"), DEBT_OWED, true },
        { "{\"credentials\":[" ENDS("list", "00") "]," NAMED "\"type\":\"credential.unknown\"}",
          DEBT_OWED, true }, /* who knows when the lease ends? */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct store_change changes[STORE_ENTRY_CHANGES_MAX];

        assert_int_equal(fold(cases[i].text, changes), 1);
        assert_int_equal(changes[0].kind, STORE_PUT_LEASE);
        assert_int_equal(changes[0].lease.debt, cases[i].debt);
        assert_int_equal(changes[0].lease.has_credentials, cases[i].has_credentials);
    }
}

/* Its lease stands beside the token, not as the entry's. */
static void a_token_that_was_revoked_alone_is_not_its_lease(void **state)
{
    struct store_change changes[STORE_ENTRY_CHANGES_MAX];

    (void)state;
    assert_int_equal(fold("{\"credentials\":[{\"id\":\"J1\",\"lease\":\"" ID
                          "\",\"type\":\"jwt\"}],\"type\":\"credential.revoked\"}",
                          changes),
                     0);
}

static void a_lease_that_has_ended_is_not_brought_back_by_what_comes_late(void **state)
{
    static const struct {
        const char *text;
        enum store_lease_state lease_state;
    } cases[] = {
        { "{" NAMED "\"type\":\"credential.unknown\"}", LEASE_UNKNOWN },
        { "{" NAMED "\"reason\":\"else\",\"type\":\"credential.unknown\"}", LEASE_UNKNOWN },
        { "{" NAMED "\"reason\":\"lease_ended\",\"type\":\"credential.unknown\"}", 0 },
        { "{" NAMED "\"reason\":\"lease_ended\",\"type\":\"lease.revoked\"}", LEASE_REVOKED },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct store_change changes[STORE_ENTRY_CHANGES_MAX];

        assert_int_equal(fold(cases[i].text, changes), 1);
        assert_int_equal(changes[0].lease.state, cases[i].lease_state);
    }
}

static void a_renewal_moves_a_lease_on_where_it_is(void **state)
{
    struct store_change changes[STORE_ENTRY_CHANGES_MAX];

    (void)state;
    assert_int_equal(fold("{" NAMED "\"renewal\":3,\"type\":\"lease.renewed\","
                          "\"lease_expires\":\"2026-11-22T10:15:00Z\"}",
                          changes),
                     1);
    assert_int_equal(changes[0].lease.state, 0);
    assert_int_equal(changes[0].lease.renewal, 3);
    assert_int_equal(changes[0].lease.expires_s, 1795342500);
}

/* What may be made, or came to nothing, leaves the lease as it was. */
static void a_renewal_that_is_under_way_changes_neither_number_nor_life(void **state)
{
    static const enum entry_type types[] = { ENTRY_RENEWAL_REQUESTED, ENTRY_RENEWAL_FAILED };

    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        const struct type_row *row = entry_type_row(types[i]);
        OWNED(buf_release) struct buf text = { 0 };
        struct store_change changes[STORE_ENTRY_CHANGES_MAX];

        buf_init(&text, 256);
        buf_printf(&text, "{" NAMED PLAIN "\"type\":\"%s\"}", row->name);
        assert_int_equal(fold(text.data, changes), 1);
        assert_int_equal(changes[0].lease.state, 0);
        assert_int_equal(changes[0].lease.renewal, 0);
        assert_int_equal(changes[0].lease.expires_s, 0);
        for (size_t k = 0; k < entry_member_count(); k++)
            if (strcmp(entry_member_name(k), "renewal") == 0 ||
                strcmp(entry_member_name(k), "lease_expires") == 0 ||
                strcmp(entry_member_name(k), "handle") == 0)
                assert_int_equal((row->mandatory | row->allowed) >> k & 1, 0);
    }
}

/* The token was used when the lease was opened; the proof is used now, by no lease's first entry.
 */
static void a_renewal_uses_its_proof_and_no_token(void **state)
{
    static const char *const types[] = { "renewal.requested", "lease.renewed" };

    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        OWNED(buf_release) struct buf text = { 0 };
        struct store_change changes[STORE_ENTRY_CHANGES_MAX];

        buf_init(&text, 1024);
        buf_printf(&text,
                   "{" NAMED PLAIN "\"token\":{\"mark\":\"" OTHER_MARK "\",\"exp\":1763805900,"
                   "\"proof\":{\"mark\":\"" MARK "\",\"exp\":1763805700}},\"type\":\"%s\"}",
                   types[i]);
        assert_int_equal(fold(text.data, changes), 2);
        assert_int_equal(changes[0].kind, STORE_SET_MARK);
        assert_int_equal(changes[0].expires_s, 1763805700 + ENTRY_MARK_KEPT_S);
        assert_int_equal(changes[0].mark[1], 0x11);
        assert_int_equal(changes[0].lease.id[0], '\0');
        assert_int_equal(changes[1].kind, STORE_PUT_LEASE);
    }
}

static void a_renewal_whose_proof_is_malformed_makes_no_sense(void **state)
{
    static const char *const proofs[] = { "{}", "7", "{\"mark\":\"ab\",\"exp\":1}" };

    (void)state;
    for (size_t i = 0; i < COUNT(proofs); i++) {
        OWNED(buf_release) struct buf text = { 0 };
        struct store_change changes[STORE_ENTRY_CHANGES_MAX];
        struct error error = { 0 };
        size_t count = 0;

        buf_init(&text, 1024);
        buf_printf(&text,
                   "{" NAMED PLAIN "\"token\":{\"mark\":\"" MARK
                   "\",\"exp\":1763805900,\"proof\":%s},\"type\":\"lease.renewed\"}",
                   proofs[i]);
        assert_false(entry_fold(buf_str(&text), 0, changes, &count, &error));
        assert_int_equal(error.code, ERROR_INVALID);
    }
}

static void how_a_lease_went_is_its_jobs_word(void **state)
{
    struct store_change changes[STORE_ENTRY_CHANGES_MAX];

    (void)state;
    assert_int_equal(
        fold("{" NAMED "\"outcome\":\"success\",\"type\":\"lease.released\"}", changes), 1);
    assert_int_equal(changes[0].lease.outcome, OUTCOME_SUCCESS);
    assert_int_equal(
        fold("{" NAMED "\"outcome\":\"failure\",\"type\":\"lease.released\"}", changes), 1);
    assert_int_equal(changes[0].lease.outcome, OUTCOME_FAILURE);
    assert_int_equal(
        fold("{" NAMED "\"outcome\":\"Success\",\"type\":\"lease.released\"}", changes), 1);
    assert_int_equal(changes[0].lease.outcome, OUTCOME_FAILURE);
    assert_int_equal(fold("{" NAMED "\"type\":\"lease.released\"}", changes), 1);
    assert_int_equal(changes[0].lease.outcome, OUTCOME_UNSAID);
}

#define APPROVAL_ID "01JD0000000000000000000009"

static void an_approval_is_asked_for_granted_used_and_given_back(void **state)
{
    struct store_change changes[STORE_ENTRY_CHANGES_MAX];
    const struct store_approval *approval = &changes[0].approval;

    (void)state;
    assert_int_equal(fold("{\"approval\":\"" APPROVAL_ID "\",\"digest\":\"" SHA
                          "\",\"handle\":\"" SHA "\",\"left\":2,\"token\":{\"mark\":\"" MARK
                          "\",\"exp\":1763805900},\"type\":\"approval.requested\","
                          "\"until\":\"2026-11-22T10:15:00Z\"}",
                          changes),
                     2);
    assert_int_equal(changes[0].kind, STORE_SET_MARK); /* a token asks once */
    assert_int_equal(changes[1].kind, STORE_PUT_APPROVAL);
    changes[0] = changes[1];
    assert_string_equal(approval->id, APPROVAL_ID);
    assert_int_equal(approval->state, APPROVAL_PENDING);
    assert_int_equal(approval->expires_s, 1795342500);
    assert_memory_equal(approval->digest, approval->code_sha256, 32);
    assert_int_equal(approval->digest[1], 0x11);
    assert_int_equal(fold("{\"approval\":\"" APPROVAL_ID "\",\"left\":1,"
                          "\"person\":\"0102030405060708090a0b0c\",\"type\":\"approval.granted\","
                          "\"until\":\"2026-11-22T10:15:00Z\"}",
                          changes),
                     1);
    assert_int_equal(approval->state, APPROVAL_PENDING);
    assert_int_equal(approval->people[0][11], 12);
    assert_int_equal(fold("{\"approval\":\"" APPROVAL_ID "\",\"break_glass\":true,\"left\":0,"
                          "\"type\":\"approval.granted\"}",
                          changes),
                     1);
    assert_int_equal(approval->state, APPROVAL_GRANTED);
    assert_true(approval->is_break_glass);
    assert_int_equal(
        fold("{\"approval\":\"" APPROVAL_ID "\",\"type\":\"approval.rejected\"}", changes), 1);
    assert_int_equal(approval->state, APPROVAL_REJECTED);
    assert_int_equal(
        fold("{\"approval\":\"" APPROVAL_ID "\"," NAMED "\"type\":\"credential.failed\"}", changes),
        2);
    assert_int_equal(approval->state, APPROVAL_GRANTED);
    assert_int_equal(approval->expires_s, 0);
    assert_int_equal(changes[1].kind, STORE_PUT_LEASE);
}

/* Whoever goes on with what was asked comes without the token: it is used by that, and stays so. */
static void a_token_that_asked_is_neither_used_nor_freed_again(void **state)
{
    static const char *const types[] = { "lease.requested", "credential.issued",
                                         "credential.failed" };

    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        OWNED(buf_release) struct buf text = { 0 };
        struct store_change changes[STORE_ENTRY_CHANGES_MAX];
        bool has_proof = i < 2;

        buf_init(&text, 1024);
        buf_printf(&text,
                   "{" NAMED PLAIN "\"approval\":\"" APPROVAL_ID
                   "\",\"token\":{\"asked\":true,\"mark\":\"" MARK
                   "\",\"exp\":1763805900,\"proof\":{\"mark\":\"" OTHER_MARK
                   "\",\"exp\":1763805700}},\"type\":\"%s\"}",
                   types[i]);
        assert_int_equal(fold(text.data, changes), has_proof ? 3 : 2);
        if (has_proof)
            assert_int_equal(changes[0].expires_s, 1763805700 + ENTRY_MARK_KEPT_S);
        assert_int_equal(changes[has_proof ? 1 : 0].kind, STORE_PUT_APPROVAL);
        assert_int_equal(changes[has_proof ? 1 : 0].approval.state,
                         has_proof ? APPROVAL_USED : APPROVAL_GRANTED);
    }
}

static void what_opens_a_lease_says_under_what_it_counts(void **state)
{
    JSON_OWNED json_t *entry = entry_of_lease(ENTRY_CREDENTIAL_ISSUED, 1);
    JSON_OWNED json_t *ci = json_pack("{s:s, s:s}", "run", "8123", "attempt", "2");
    struct store_change changes[STORE_ENTRY_CHANGES_MAX];
    static const uint8_t none[STORE_KEY_LEN];
    uint8_t key[STORE_KEY_LEN];
    struct lease_key_parts parts;
    struct error error = { 0 };
    size_t count = 0;

    (void)state;
    assert_true(json_put(entry, "ci", json_incref(ci)));
    assert_true(json_put(entry, "instance", json_string("17")));
    assert_true(json_put(entry, "heartbeat_s", json_integer(60)));
    assert_true(entry_fold_json(entry, changes, &count, &error));
    assert_int_equal(changes[1].lease.attempt, 2);
    assert_int_equal(changes[1].lease.heartbeat_s, 60);
    parts = (struct lease_key_parts){
        .stage = json_str(json_object_get(entry, "stage")),
        .instance = STR("17"),
        .issuer = json_str(json_object_get(entry, "issuer")),
        .ci = ci,
    };
    assert_true(lease_key(&parts, STORE_KEY_RUN, key));
    assert_memory_equal(changes[1].lease.keys[STORE_KEY_RUN], key, sizeof(key));
    assert_memory_equal(changes[1].lease.keys[STORE_KEY_COMMIT], none, sizeof(none));
    assert_memory_not_equal(changes[1].lease.keys[STORE_KEY_STAGE], none, sizeof(none));
}

static void what_names_no_lease_changes_none(void **state)
{
    struct store_change changes[STORE_ENTRY_CHANGES_MAX];

    (void)state;
    assert_int_equal(fold("{\"type\":\"broker.started\"}", changes), 0);
    assert_int_equal(fold("{\"type\":\"credential.revoked\"}", changes), 0);
    assert_int_equal(fold("{\"token\":{\"exp\":1763805900,\"mark\":\"" MARK "\"},"
                          "\"type\":\"credential.revoked\"}",
                          changes),
                     1);
    assert_int_equal(changes[0].kind, STORE_SET_MARK);
    assert_int_equal(changes[0].expires_s, 1763805900 + ENTRY_MARK_KEPT_S);
    assert_int_equal(fold("{\"type\":\"credential.failed\",\"lease\":\"" ID "\"}", changes), 1);
    assert_int_equal(changes[0].lease.expires_s, 0);
}

static void entries_that_make_no_sense_stop_the_fold(void **state)
{
    static const char *const texts[] = {
        "",
        "x",
        "[]",
        "{}",
        "{\"type\":7}",
        "{\"type\":\"credential.stolen\"}",
        "{\"type\":\"credential.issued\",\"lease\":\"" ID "\"}",
        "{\"type\":\"lease.requested\",\"token\":{\"mark\":\"00\",\"exp\":1}}",
        "{\"type\":\"lease.released\",\"lease\":\"short\"}",
        "{\"type\":\"lease.released\",\"lease\":\"" ID "\",\"handle\":\"x\"}",
        "{\"type\":\"lease.released\",\"lease\":\"" ID "\",\"lease_expires\":\"x\"}",
        "{\"type\":\"broker.started\",\"type\":\"broker.started\"}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct store_change changes[STORE_ENTRY_CHANGES_MAX];
        struct error error = { 0 };
        size_t count = 0;

        if (entry_fold(str_from(texts[i]), 0, changes, &count, &error))
            fail_msg("\"%s\" was folded", texts[i]);
        assert_int_equal(error.code, ERROR_INVALID);
    }
}

/* base64url(SHA-256(base64url(["salt","name",value]))) */
static void expect_digest(const json_t *member, const char *salt, const char *name,
                          const char *value)
{
    OWNED(buf_release) struct buf text = { 0 };
    OWNED(buf_release) struct buf encoded = { 0 };
    OWNED(buf_release) struct buf expected = { 0 };
    uint8_t hash[SHA256_LEN];

    buf_init(&text, 1024);
    buf_init(&encoded, 2048);
    buf_init(&expected, 128);
    buf_printf(&text, "[\"%s\",\"%s\",%s]", salt, name, value);
    buf_add_base64url(&encoded, buf_str(&text));
    sha256(buf_str(&encoded), hash);
    buf_add_text(&expected, "sd:");
    buf_add_base64url(&expected, (struct str){ (const char *)hash, sizeof(hash) });
    assert_true(str_eq(json_str(member), buf_str(&expected)));
}

static void a_personal_value_is_a_salted_digest(void **state)
{
    JSON_OWNED json_t *object = json_object();
    JSON_OWNED json_t *private_part = json_object();
    JSON_OWNED json_t *value = json_string("octocat");
    struct error error = { 0 };
    const json_t *kept = NULL;

    (void)state;
    assert_true(entry_put_personal(object, "ci", "actor", value, private_part, &error));
    kept = json_object_get(private_part, "ci.actor");
    assert_string_equal(json_string_value(json_object_get(kept, "value")), "octocat");
    assert_int_equal(json_string_length(json_object_get(kept, "salt")), 22);
    expect_digest(json_object_get(object, "actor"),
                  json_string_value(json_object_get(kept, "salt")), "actor", "\"octocat\"");
}

static void the_same_value_twice_has_two_digests(void **state)
{
    JSON_OWNED json_t *object = json_object();
    JSON_OWNED json_t *private_part = json_object();
    JSON_OWNED json_t *value = json_integer(42);
    struct error error = { 0 };

    (void)state;
    assert_true(entry_put_personal(object, "", "a", value, private_part, &error));
    assert_true(entry_put_personal(object, "", "b", value, private_part, &error));
    assert_non_null(json_object_get(private_part, "a"));
    assert_int_equal(json_equal(json_object_get(object, "a"), json_object_get(object, "b")), 0);
}

static bool is_actor(const char *name, void *context)
{
    (void)context;
    return strcmp(name, "actor") == 0;
}

static void claims_are_kept_and_personal_ones_hidden(void **state)
{
    JSON_OWNED json_t *entry = json_object();
    JSON_OWNED json_t *private_part = json_object();
    JSON_OWNED json_t *claims = parse("{\"actor\":\"octocat\",\"ref\":\"refs/heads/main\"}");
    struct error error = { 0 };
    const json_t *kept = NULL;

    (void)state;
    assert_true(entry_put_claims(entry, claims, is_actor, NULL, private_part, &error));
    kept = json_object_get(entry, "claims");
    assert_string_equal(json_string_value(json_object_get(kept, "ref")), "refs/heads/main");
    assert_true(str_starts_with(json_str(json_object_get(kept, "actor")), STR("sd:")));
    assert_non_null(json_object_get(private_part, "claims.actor"));
    assert_null(json_object_get(entry, "claims_dropped"));
}

static void the_longest_claims_are_dropped(void **state)
{
    JSON_OWNED json_t *entry = json_object();
    JSON_OWNED json_t *private_part = json_object();
    JSON_OWNED json_t *claims = json_object();
    struct error error = { 0 };
    const json_t *kept = NULL;
    const json_t *dropped = NULL;
    char text[2048];

    (void)state;
    memset(text, 'x', sizeof(text));
    for (unsigned i = 0; i < 10; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "claim%u", i);
        assert_true(json_put(claims, name, json_stringn(text, 500 + (size_t)i * 100)));
    }
    assert_true(entry_put_claims(entry, claims, is_actor, NULL, private_part, &error));
    kept = json_object_get(entry, "claims");
    dropped = json_object_get(entry, "claims_dropped");
    assert_true(json_text(arena, kept).len <= ENTRY_CLAIMS_MAX);
    assert_int_equal(json_array_size(dropped) + json_object_size(kept), 10);
    assert_string_equal(json_string_value(json_array_get(dropped, 0)), "claim9");
    assert_non_null(json_object_get(kept, "claim0"));
}

static void claims_of_exactly_the_limit_are_kept(void **state)
{
    JSON_OWNED json_t *private_part = json_object();
    JSON_OWNED json_t *claims = json_object();
    struct error error = { 0 };
    static char text[ENTRY_CLAIMS_MAX];

    (void)state;
    memset(text, 'x', sizeof(text));
    for (size_t more = 0; more < 2; more++) {
        JSON_OWNED json_t *entry = json_object();

        assert_true(json_put(claims, "a", json_stringn(text, ENTRY_CLAIMS_MAX - 8 + more)));
        assert_true(entry_put_claims(entry, claims, is_actor, NULL, private_part, &error));
        assert_int_equal(json_object_size(json_object_get(entry, "claims")), more == 0 ? 1 : 0);
    }
}

static void names_of_dropped_claims_are_bounded_too(void **state)
{
    JSON_OWNED json_t *entry = json_object();
    JSON_OWNED json_t *private_part = json_object();
    JSON_OWNED json_t *claims = json_object();
    struct error error = { 0 };
    const json_t *dropped = NULL;

    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        char name[128];

        (void)snprintf(name, sizeof(name), "%0100u", i);
        assert_true(json_put(claims, name, json_string("a value")));
    }
    assert_true(entry_put_claims(entry, claims, is_actor, NULL, private_part, &error));
    dropped = json_object_get(entry, "claims_dropped");
    assert_true(json_text(arena, dropped).len <= ENTRY_DROPPED_MAX + 8);
    assert_string_equal(json_string_value(json_array_get(dropped, json_array_size(dropped) - 1)),
                        "*");
}

static void a_private_value_is_held_against_its_digest(void **state)
{
    json_t *object = json_object();
    json_t *private_part = json_object();
    json_t *value = json_string("rina");
    struct error error = { 0 };
    json_t *digest;
    json_t *disclosed;

    (void)state;
    assert_true(entry_put_personal(object, "ci", "actor", value, private_part, &error));
    digest = json_object_get(object, "actor");
    disclosed = json_object_get(private_part, "ci.actor");
    assert_true(entry_discloses(digest, "actor", disclosed));
    assert_false(entry_discloses(digest, "actor_id", disclosed));
    assert_false(entry_discloses(value, "actor", disclosed));
    assert_false(entry_discloses(digest, "actor", NULL));
    assert_false(entry_discloses(NULL, "actor", disclosed));
    assert_int_equal(json_object_set_new(disclosed, "value", json_string("eve")), 0);
    assert_false(entry_discloses(digest, "actor", disclosed));
    assert_int_equal(json_object_del(disclosed, "value"), 0);
    assert_false(entry_discloses(digest, "actor", disclosed));
    json_decref(value);
    json_decref(private_part);
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_has_a_name_of_its_own),
        cmocka_unit_test(the_designs_example_is_encoded_with_sorted_keys),
        cmocka_unit_test(entries_of_policies_have_their_members),
        cmocka_unit_test(an_observation_changes_nothing),
        cmocka_unit_test(a_new_entry_has_room_for_its_time),
        cmocka_unit_test(the_room_for_a_time_is_the_entrys_own),
        cmocka_unit_test(members_of_no_row_are_refused),
        cmocka_unit_test(every_mandatory_member_is_asked_for),
        cmocka_unit_test(malformed_members_are_refused),
        cmocka_unit_test(what_is_no_entry_is_refused),
        cmocka_unit_test(an_entry_may_have_16_kib_and_no_more),
        cmocka_unit_test(an_issued_credential_sets_its_mark_and_opens_a_lease),
        cmocka_unit_test(a_bound_token_marks_its_holder_and_its_proof),
        cmocka_unit_test(a_renewal_that_is_under_way_changes_neither_number_nor_life),
        cmocka_unit_test(a_renewal_uses_its_proof_and_no_token),
        cmocka_unit_test(a_renewal_whose_proof_is_malformed_makes_no_sense),
        cmocka_unit_test(each_type_has_its_effect),
        cmocka_unit_test(a_lease_owes_what_can_be_ended_until_nothing_is_pending),
        cmocka_unit_test(a_token_that_was_revoked_alone_is_not_its_lease),
        cmocka_unit_test(a_lease_that_has_ended_is_not_brought_back_by_what_comes_late),
        cmocka_unit_test(a_renewal_moves_a_lease_on_where_it_is),
        cmocka_unit_test(how_a_lease_went_is_its_jobs_word),
        cmocka_unit_test(an_approval_is_asked_for_granted_used_and_given_back),
        cmocka_unit_test(a_token_that_asked_is_neither_used_nor_freed_again),
        cmocka_unit_test(what_opens_a_lease_says_under_what_it_counts),
        cmocka_unit_test(what_names_no_lease_changes_none),
        cmocka_unit_test(entries_that_make_no_sense_stop_the_fold),
        cmocka_unit_test(a_personal_value_is_a_salted_digest),
        cmocka_unit_test(the_same_value_twice_has_two_digests),
        cmocka_unit_test(claims_are_kept_and_personal_ones_hidden),
        cmocka_unit_test(the_longest_claims_are_dropped),
        cmocka_unit_test(claims_of_exactly_the_limit_are_kept),
        cmocka_unit_test(names_of_dropped_claims_are_bounded_too),
        cmocka_unit_test(a_private_value_is_held_against_its_digest),
    };

    return cmocka_run_group_tests(tests, make, clean);
}
