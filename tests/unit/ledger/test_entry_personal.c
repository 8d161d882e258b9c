/* Personal values as digests, and claims that are too long. */
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "entry_sample.h"
#include "ledger/entry.h"
#include "tests/test.h"

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
        cmocka_unit_test(a_personal_value_is_a_salted_digest),
        cmocka_unit_test(the_same_value_twice_has_two_digests),
        cmocka_unit_test(claims_are_kept_and_personal_ones_hidden),
        cmocka_unit_test(the_longest_claims_are_dropped),
        cmocka_unit_test(claims_of_exactly_the_limit_are_kept),
        cmocka_unit_test(names_of_dropped_claims_are_bounded_too),
        cmocka_unit_test(a_private_value_is_held_against_its_digest),
    };

    return cmocka_run_group_tests(tests, arena_make, arena_clean);
}
