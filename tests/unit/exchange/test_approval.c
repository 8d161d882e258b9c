#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "exchange/approval.h"
#include "exchange/approval_digest.h"
#include "exchange/granters.h"
#include "ledger/ledger.h"
#include "tests/test.h"
#include "tests/unit/keys/help.h"

/* What an approval is for, who gave it, and how often is asked for it. */

#define APPROVAL STR("01JD0000000000000000000000")
#define OTHER STR("01JD0000000000000000000001")

/* ---- the digest ---- */

static const uint8_t rule[SHA256_LEN] = { 1, 2, 3 };
static const uint8_t other_rule[SHA256_LEN] = { 1, 2, 4 };

static json_t *fields;
static json_t *other_fields;
static json_t *keys_of_job;
static json_t *narrowed;
static json_t *bindings;

static int make_json(void **state)
{
    (void)state;
    fields = json_of("{\"audience\":\"https://a.example\",\"scope\":[\"read\"]}");
    other_fields = json_of("{\"audience\":\"https://a.example\",\"scope\":[\"write\"]}");
    keys_of_job = json_of("{\"type\":\"stagepass_grant\",\"grant\":\"a\",\"ttl\":60,"
                          "\"public_key\":\"x\",\"proof\":\"y\",\"csr\":\"z\"}");
    narrowed = json_of("{\"type\":\"stagepass_grant\",\"grant\":\"a\",\"repositories\":[\"7\"]}");
    bindings = json_of("{\"plan\":\"sha256-ab\"}");
    return 0;
}

static int free_json(void **state)
{
    (void)state;
    json_decref(fields);
    json_decref(other_fields);
    json_decref(keys_of_job);
    json_decref(narrowed);
    json_decref(bindings);
    return 0;
}

/* What every other one of these differs from in one thing. */
static struct approval_grant plain_grant(void)
{
    return (struct approval_grant){
        .name = STR("a"), .kind = STR("jwt"), .target = STR("t"), .fields = fields, .ttl_s = 600
    };
}

static void digest_of(struct approval_subject subject, const struct approval_grant *grant,
                      uint8_t digest[SHA256_LEN])
{
    struct error error = { 0 };

    subject.grants = grant;
    subject.grant_count = 1;
    if (!approval_digest(&subject, digest, &error))
        fail_msg("%s", error.cause);
}

static struct approval_subject plain_subject(void)
{
    return (struct approval_subject){ .stage = STR("p:s"),
                                      .commit = STR("c0ffee"),
                                      .run = STR("1"),
                                      .workflow_commit = STR("beef"),
                                      .rule_sha256 = rule };
}

static bool is_another_subject(struct approval_subject subject)
{
    struct approval_grant grant = plain_grant();
    uint8_t plain[SHA256_LEN];
    uint8_t changed[SHA256_LEN];

    digest_of(plain_subject(), &grant, plain);
    digest_of(subject, &grant, changed);
    return memcmp(plain, changed, sizeof(plain)) != 0;
}

static bool is_another_grant(struct approval_grant grant)
{
    struct approval_grant before = plain_grant();
    uint8_t plain[SHA256_LEN];
    uint8_t changed[SHA256_LEN];

    digest_of(plain_subject(), &before, plain);
    digest_of(plain_subject(), &grant, changed);
    return memcmp(plain, changed, sizeof(plain)) != 0;
}

static void any_change_of_the_subject_is_another(void **state)
{
    struct approval_subject changes[10];

    (void)state;
    for (size_t i = 0; i < COUNT(changes); i++)
        changes[i] = plain_subject();
    changes[0].stage = STR("p:t");
    changes[1].instance = STR("17");
    changes[2].commit = STR("c0ffef");
    changes[3].workflow_commit = STR("beee");
    changes[4].workflow_commit = STR("");
    changes[5].workflow = APPROVAL_WORKFLOW_OF_COMMIT;
    changes[6].audience = STR("https://a.example");
    changes[7].breaks_glass = true;
    changes[8].rule_sha256 = other_rule;
    changes[9].bindings = bindings;
    for (size_t i = 0; i < COUNT(changes); i++)
        if (!is_another_subject(changes[i]))
            fail_msg("change %zu is none", i);
}

static void a_run_again_is_the_same_where_its_commit_is_known(void **state)
{
    struct approval_subject again = plain_subject();
    struct approval_subject unknown = plain_subject();
    struct approval_subject other = plain_subject();
    struct approval_grant grant = plain_grant();
    uint8_t one[SHA256_LEN];
    uint8_t two[SHA256_LEN];

    (void)state;
    again.run = STR("2");
    assert_false(is_another_subject(again));
    unknown.commit = STR("");
    other.commit = STR("");
    other.run = STR("2");
    digest_of(unknown, &grant, one);
    digest_of(other, &grant, two);
    assert_memory_not_equal(one, two, sizeof(one));
}

static void any_change_of_a_grant_is_another_but_for_the_jobs_keys(void **state)
{
    struct approval_grant changes[7];
    struct approval_grant same = plain_grant();

    (void)state;
    for (size_t i = 0; i < COUNT(changes); i++)
        changes[i] = plain_grant();
    changes[0].name = STR("b");
    changes[1].kind = STR("ssh");
    changes[2].target = STR("");
    changes[3].scope = STR("read");
    changes[4].fields = other_fields;
    changes[5].ttl_s = 599;
    changes[6].details = narrowed;
    for (size_t i = 0; i < COUNT(changes); i++)
        if (!is_another_grant(changes[i]))
            fail_msg("change %zu is none", i);
    same.details = keys_of_job;
    assert_false(is_another_grant(same));
}

static void fields_that_are_many_are_shown_by_their_hash(void **state)
{
    JSON_OWNED json_t *many = json_array();
    JSON_OWNED json_t *shown = NULL;
    JSON_OWNED json_t *few = NULL;
    struct approval_grant grant = plain_grant();

    (void)state;
    few = approval_grants_shown(&grant, 1);
    assert_true(json_equal(json_object_get(json_array_get(few, 0), "fields"), fields));
    for (int i = 0; i < 300; i++)
        assert_int_equal(json_array_append_new(many, json_string("a resource's name")), 0);
    grant.fields = many;
    shown = approval_grants_shown(&grant, 1);
    assert_int_equal(json_string_length(json_object_get(json_array_get(shown, 0), "fields")), 71);
}

/* ---- who gave it ---- */

struct vault {
    char *folder;
    struct keys *keys;
    struct arena *arena;
};

static int open_vault(void **state)
{
    static struct vault vault;

    vault.folder = temporary_folder();
    vault.arena = arena_new(ARENA_REQUEST_MAX);
    vault.keys = keys_of(vault.folder, KEY_ES256, TEST_START_S);
    *state = &vault;
    return 0;
}

static int close_vault(void **state)
{
    struct vault *vault = *state;

    keys_close(vault->keys);
    arena_free(vault->arena);
    remove_folder(vault->folder);
    return 0;
}

static struct str put(struct vault *vault, json_t *claims)
{
    JSON_OWNED json_t *private_part = json_object();
    struct error error = { 0 };

    if (!granters_put(vault->keys, APPROVAL, claims, private_part, &error))
        fail_msg("%s", error.cause);
    return json_text(vault->arena, private_part);
}

static void who_gave_it_is_read_again(void **state)
{
    JSON_OWNED json_t *ann = json_of("{\"github_id\":\"1\"}");
    struct vault *vault = *state;
    const json_t *granters = NULL;
    struct error error = { 0 };
    struct str text = put(vault, ann);

    assert_false(str_contains(text, STR("github_id")));
    assert_true(granters_open(vault->keys, text, APPROVAL, vault->arena, &granters, &error));
    assert_int_equal(json_array_size(granters), 1);
    assert_true(json_equal(json_array_get(granters, 0), ann));
    assert_false(granters_open(vault->keys, text, OTHER, vault->arena, &granters, &error));
    assert_int_equal(error.code, ERROR_INVALID);
}

static void nobody_is_known_any_more_once_they_are_erased(void **state)
{
    static const char *const texts[] = { "", "{}", "{\"granters\":7}", "x" };
    struct vault *vault = *state;
    const json_t *granters = NULL;

    for (size_t i = 0; i < COUNT(texts); i++) {
        struct error error = { 0 };

        assert_false(granters_open(vault->keys, str_from(texts[i]), APPROVAL, vault->arena,
                                   &granters, &error));
        assert_int_equal(error.code, ERROR_NOT_FOUND);
    }
}

static void claims_that_are_too_many_are_refused(void **state)
{
    JSON_OWNED json_t *private_part = json_object();
    JSON_OWNED json_t *claims = json_object();
    struct vault *vault = *state;
    struct error error = { 0 };
    char text[8 * 1024 + 1];

    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_true(json_put(claims, "sub", json_string(text)));
    assert_false(granters_put(vault->keys, APPROVAL, claims, private_part, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
}

/* ---- how often ---- */

static void who_polls_too_soon_is_told(void **state)
{
    uint8_t code[SHA256_LEN] = { 1 };
    uint8_t other[SHA256_LEN] = { 2 };
    struct polls *polls = polls_new();

    (void)state;
    assert_non_null(polls);
    assert_true(polls_admit(polls, code, 10000));
    assert_true(polls_admit(polls, other, 10001));
    assert_false(polls_admit(polls, code, 13999));
    assert_false(polls_admit(polls, code, 17998)); /* counted from the last one, early or not */
    assert_true(polls_admit(polls, code, 21998));
    polls_free(polls);
}

int main(void)
{
    const struct CMUnitTest digests[] = {
        cmocka_unit_test(any_change_of_the_subject_is_another),
        cmocka_unit_test(a_run_again_is_the_same_where_its_commit_is_known),
        cmocka_unit_test(any_change_of_a_grant_is_another_but_for_the_jobs_keys),
        cmocka_unit_test(fields_that_are_many_are_shown_by_their_hash),
        cmocka_unit_test(who_polls_too_soon_is_told),
        cmocka_unit_test_setup_teardown(who_gave_it_is_read_again, open_vault, close_vault),
        cmocka_unit_test_setup_teardown(nobody_is_known_any_more_once_they_are_erased, open_vault,
                                        close_vault),
        cmocka_unit_test_setup_teardown(claims_that_are_too_many_are_refused, open_vault,
                                        close_vault),
    };

    return cmocka_run_group_tests(digests, make_json, free_json);
}
