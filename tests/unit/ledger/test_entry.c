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
#include "ledger/help.h"
#include "tests/assert_str.h"

#define MARK "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
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
    assert_memory_equal(changes[1].lease.handle_sha256, mark, sizeof(mark));
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
        { ENTRY_CREDENTIAL_REVOKED, -1, LEASE_REVOKED },
        { ENTRY_LEASE_RELEASED, -1, LEASE_RELEASED },
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_has_a_name_of_its_own),
        cmocka_unit_test(the_designs_example_is_encoded_with_sorted_keys),
        cmocka_unit_test(a_new_entry_has_room_for_its_time),
        cmocka_unit_test(members_of_no_row_are_refused),
        cmocka_unit_test(every_mandatory_member_is_asked_for),
        cmocka_unit_test(malformed_members_are_refused),
        cmocka_unit_test(what_is_no_entry_is_refused),
        cmocka_unit_test(an_entry_may_have_16_kib_and_no_more),
        cmocka_unit_test(an_issued_credential_sets_its_mark_and_opens_a_lease),
        cmocka_unit_test(a_bound_token_marks_its_holder_and_its_proof),
        cmocka_unit_test(each_type_has_its_effect),
        cmocka_unit_test(what_names_no_lease_changes_none),
        cmocka_unit_test(entries_that_make_no_sense_stop_the_fold),
        cmocka_unit_test(a_personal_value_is_a_salted_digest),
        cmocka_unit_test(the_same_value_twice_has_two_digests),
        cmocka_unit_test(claims_are_kept_and_personal_ones_hidden),
        cmocka_unit_test(the_longest_claims_are_dropped),
        cmocka_unit_test(claims_of_exactly_the_limit_are_kept),
        cmocka_unit_test(names_of_dropped_claims_are_bounded_too),
    };

    return cmocka_run_group_tests(tests, make, clean);
}
