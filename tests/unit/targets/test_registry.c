#include "base/json.h"
#include "fixture.h"
#include "targets/registry_access.h"
#include "targets/registry_token.h"
#include "targets/targets_internal.h"
#include "tests/test.h"

static int set_up(void **state)
{
    static struct fixture fixture;

    fixture_init(&fixture);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    fixture_release(*state);
    return 0;
}

/* 170 bytes with its number: 24 of them are 4080. */
#define LONG_ONE                                                                                   \
    "\"repository:"                                                                                \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"         \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%zu:pull\""

#define ACCESS(list) "{ target: prod, access: " list " }"

static void access_is_written_as_registries_write_it(void **state)
{
    static const struct fixture_case cases[] = {
        { ACCESS("[\"repository:acme/payments:pull,push\"]"), NULL },
        { ACCESS("\"repository:payments:pull\""), NULL },
        { ACCESS("[\"repository:a/b/c:delete\", \"registry:catalog:*\"]"), NULL },
        { ACCESS("[\"repository:a.b_c__d---e/1:pull,push,delete\"]"), NULL },
        { ACCESS("[\"repository:acme/pr-${pr}:pull\"]"), NULL },
        { ACCESS("[\"repository:acme/${name}:pull\"]"), NULL },
        { "{ target: prod }", "'access' is missing here" },
        { ACCESS("[]"), "must not be empty" },
        { ACCESS("[\"acme/payments\"]"), "expected TYPE:NAME:ACTIONS" },
        { ACCESS("[\"acme/payments:pull\"]"), "expected TYPE:NAME:ACTIONS" },
        { ACCESS("[\"repository:acme/payments:\"]"), "'' is no action" },
        { ACCESS("[\"repository::pull\"]"), "'' is no repository's name" },
        { ACCESS("[\"repository:a:pull\", \"repository:a:pull\"]"), "is there twice" },
        { ACCESS("[\"repository:a:pull,pull\"]"), "the action 'pull' is there twice" },
        { ACCESS("[\"repository:a:pull,\"]"), "'' is no action" },
        { ACCESS("[\"repository:a:pull, push\"]"), "holds a character" },
        { ACCESS("[\"repository:a:write\"]"), "'write' is no action" },
        { ACCESS("[\"repository:a:*\"]"), "'*' is every action" },
        { ACCESS("[\"repository:acme/*:pull\"]"), "registries know no patterns" },
        { ACCESS("[\"repository:Acme/a:pull\"]"), "holds a character" },
        { ACCESS("[\"repository:/a:pull\"]"), "is no repository's name" },
        { ACCESS("[\"repository:a//b:pull\"]"), "is no repository's name" },
        { ACCESS("[\"repository:a/:pull\"]"), "is no repository's name" },
        { ACCESS("[\"repository:a/../b:pull\"]"), "is no repository's name" },
        { ACCESS("[\"repository:-a:pull\"]"), "is no repository's name" },
        { ACCESS("[\"repository:a-:pull\"]"), "is no repository's name" },
        { ACCESS("[\"repository:a___b:pull\"]"), "is no repository's name" },
        { ACCESS("[\"repository:a._b:pull\"]"), "is no repository's name" },
        { ACCESS("[\"repository:host:5000/a:pull\"]"), "is no repository's name" },
        { ACCESS("[\"repository:${a}/b:pull\"]"), "a hole in front" },
        { ACCESS("[\"repository:a:${b}\"]"), "no hole stands in the actions" },
        { ACCESS("[\"registry:catalog:pull\"]"), "registry:catalog:* only" },
        { ACCESS("[\"registry:other:*\"]"), "registry:catalog:* only" },
        { ACCESS("[\"repository(plugin):a:pull\"]"), "holds a character" },
        { ACCESS("[\"image:a:pull\"]"), "'image' is no type" },
    };

    fixture_check_all(*state, "registry", cases, COUNT(cases));
}

static void there_is_a_limit_to_each_size(void **state)
{
    fixture_check_limit(*state, "registry", "{ access: \"repository:%s:pull\" }", "a", 255);
    fixture_check_limit(*state, "registry", "{ access: [%s] }", "\"repository:a%zu:pull\", ", 64);
    fixture_check_limit(*state, "registry", "{ access: [%s] }", LONG_ONE ", ", 24);
}

static void a_target_is_a_service(void **state)
{
    struct fixture *fixture = *state;

    assert_non_null(fixture_configure(fixture, "registry", "{ service: reg.acme.example }"));
    assert_null(fixture_configure(fixture, "registry", "{ service: reg.acme.example, key: reg }"));
    assert_null(
        fixture_configure(fixture, "registry", "{ service: a, key: reg, host: \"[::1]:5000\" }"));
    assert_non_null(
        fixture_configure(fixture, "registry", "{ service: a, key: b, host: \"a/b\" }"));
    assert_non_null(fixture_configure(fixture, "registry", "{ type: registry }"));
    assert_non_null(fixture_configure(fixture, "registry", "{ service: \"\" }"));
    assert_non_null(fixture_configure(fixture, "registry", "{ service: \"a b\" }"));
    assert_non_null(fixture_configure(fixture, "registry", "{ service: a, key: A/B }"));
}

static void it_gives_each_action_on_each_repository(void **state)
{
    assert_string_equal(
        fixture_gives(*state, "registry",
                      "{ access: [\"repository:acme/a:pull,push\", \"repository:pr-${pr}:delete\", "
                      "\"registry:catalog:*\"] }",
                      NULL),
        "acme/a:pull, acme/a:push, pr-${pr}:delete, registry:catalog:*");
}

/* ---- scopes ---- */

static bool is_scope(const char *text)
{
    struct registry_scopes scopes = { .count = 0 };
    struct error error = { 0 };
    bool is_good = registry_scopes_add(&scopes, str_from(text), &error);

    assert_true(is_good || error.code == ERROR_SCOPE);
    return is_good;
}

static void scopes_are_read_strictly(void **state)
{
    static const char *const good[] = {
        "repository:a:pull",
        "repository:acme/a:pull,push",
        "repository:host:5000/a:pull",
        "repository(plugin):a:pull",
        "registry:catalog:*",
        "repository:A/../b:x",
        "a:b:c d:e:f",
    };
    static const char *const bad[] = {
        "",          " ",
        "a",         "a:b",
        "a:b:",      "a::c",
        ":b:c",      "a:b:c,",
        "a:b:,c",    "a:b:C",
        "A:b:c",     "a:b:c ",
        " a:b:c",    "a:b:c  d:e:f",
        "a(:b:c",    "a():b:c",
        "a(b:c:d",   "a(b)c:d:e",
        "a:b\tc:d",  "a:b*:c",
        "a:\"b\":c", "a:\xc3\xa4:c",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        if (!is_scope(good[i]))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < COUNT(bad); i++)
        if (is_scope(bad[i]))
            fail_msg("taken: %s", bad[i]);
}

static void a_request_has_so_many_scopes(void **state)
{
    struct registry_scopes scopes = { .count = 0 };
    struct error error = { 0 };

    (void)state;
    for (size_t i = 0; i < REGISTRY_SCOPES_MAX; i++)
        assert_true(registry_scopes_add(&scopes, STR("repository:a:pull"), &error));
    assert_false(registry_scopes_add(&scopes, STR("repository:a:pull"), &error));
    assert_int_equal(error.code, ERROR_SCOPE);
}

/* What is granted and asked for, as texts with a space between them. */
static const char *narrowed(struct fixture *fixture, const char *asked)
{
    static const struct str list[] = { STR_INIT("repository:a/b:pull,push"),
                                       STR_INIT("repository:c:pull"),
                                       STR_INIT("repository:c:delete"),
                                       STR_INIT("registry:catalog:*") };
    const struct texts granted = { list, COUNT(list) };
    struct registry_scopes scopes = { .count = 0 };
    struct error error = { 0 };
    const char *all = "";

    if (asked)
        assert_true(registry_scopes_add(&scopes, str_from(asked), &error));
    JSON_OWNED json_t *access = registry_access_narrow(&granted, asked ? &scopes : NULL);
    JSON_OWNED json_t *written = registry_access_written(access);

    assert_int_equal(json_array_size(access), json_array_size(written));
    for (size_t i = 0; i < json_array_size(written); i++)
        all = arena_printf(fixture->arena, "%s%s%s", all, i > 0 ? " " : "",
                           json_string_value(json_array_get(written, i)))
                  .data;
    return all;
}

static void a_token_has_what_is_granted_and_asked_for(void **state)
{
    struct fixture *fixture = *state;

    assert_string_equal(narrowed(fixture, NULL), "repository:a/b:pull,push repository:c:pull "
                                                 "repository:c:delete registry:catalog:*");
    assert_string_equal(narrowed(fixture, "repository:a/b:push"), "repository:a/b:push");
    assert_string_equal(narrowed(fixture, "repository:a/b:push,pull"), "repository:a/b:pull,push");
    assert_string_equal(narrowed(fixture, "repository:c:*"),
                        "repository:c:pull repository:c:delete");
    assert_string_equal(narrowed(fixture, "repository:c:push"), "");
    assert_string_equal(narrowed(fixture, "repository:a:pull repository:a/b/c:pull"), "");
    assert_string_equal(narrowed(fixture, "repository:catalog:* registry:c:pull"), "");
    assert_string_equal(narrowed(fixture, "repository(x):c:pull"), "");
    assert_string_equal(narrowed(fixture, "registry:catalog:*"), "registry:catalog:*");
    assert_string_equal(narrowed(fixture, "registry:catalog:pull"), "");
}

/* ---- minting ---- */

#define GRANT "{ target: prod, access: [\"repository:a/b:pull,push\", \"registry:catalog:*\"] }"

static enum progress mint(struct fixture *fixture, const char *details)
{
    const struct target_kind *kind = target_kind_find(STR("registry"));
    struct mint *one = &fixture->mint;

    fixture_again(fixture);
    fixture->error = (struct error){ 0 };
    assert_null(fixture_configure(fixture, "registry", "{ service: reg, host: h, key: reg }"));
    if (!kind->start(&fixture->target, &fixture->tools, &fixture->error))
        fail_msg("%s", fixture->error.cause);
    fixture_fields(fixture, GRANT);
    one->details = NULL;
    if (details)
        fixture_details(fixture, details);
    if (!kind->check_details(one, &fixture->error))
        return PROGRESS_FAILED;
    return kind->mint(one, &fixture->error);
}

static bool verify(struct fixture *fixture, int64_t now_s, struct registry_password *password)
{
    struct str text = fixture_text(fixture->mint.credential, "registry", "password");

    return registry_password_verify(&fixture->tools, text, now_s, fixture->arena, password,
                                    &fixture->error);
}

static void a_mint_gives_a_password_and_a_token(void **state)
{
    struct fixture *fixture = *state;
    OWNED(registry_password_release) struct registry_password password = { 0 };
    const json_t *registry;
    int64_t now_s = fixture->mint.now_s;

    fixture->mint.ttl_s = 3600;
    assert_int_equal(mint(fixture, NULL), PROGRESS_DONE);
    registry = json_object_get(fixture->mint.credential, "registry");
    assert_int_equal(json_integer_value(json_object_get(registry, "token_expires_in")), 300);
    assert_string_equal(json_string_value(json_object_get(registry, "host")), "h");
    assert_string_equal(json_string_value(json_object_get(registry, "username")), FIXTURE_LEASE);
    assert_int_equal(fixture->mint.expires_s, now_s + 3600);
    assert_true(verify(fixture, now_s, &password));
    assert_true(str_eq(password.lease, STR(FIXTURE_LEASE)));
    assert_true(str_eq(password.service, STR("reg")));
    assert_int_equal(password.expires_s, now_s + 3600);
    assert_true(registry_is_service(&fixture->target, STR("reg")));
    assert_false(registry_is_service(&fixture->target, STR("rep")));
}

static void a_password_ends(void **state)
{
    struct fixture *fixture = *state;
    struct registry_password password = { 0 };

    fixture->mint.ttl_s = 60;
    assert_int_equal(mint(fixture, NULL), PROGRESS_DONE);
    assert_true(verify(fixture, fixture->mint.now_s + 59, &password));
    registry_password_release(&password);
    assert_false(verify(fixture, fixture->mint.now_s + 60, &password));
    assert_int_equal(fixture->error.code, ERROR_UNAUTHORIZED);
    registry_password_release(&password);
}

static void a_password_of_another_issuer_is_none(void **state)
{
    struct fixture *fixture = *state;
    struct registry_password password = { 0 };

    assert_int_equal(mint(fixture, NULL), PROGRESS_DONE);
    fixture->tools.issuer = STR("https://other.acme.example");
    assert_false(verify(fixture, fixture->mint.now_s, &password));
    assert_int_equal(fixture->error.code, ERROR_UNAUTHORIZED);
    registry_password_release(&password);
}

#define DETAILS(more) "{\"type\": \"stagepass_grant\", \"grant\": \"images\", " more "}"

static void less_may_be_asked_for_and_no_more(void **state)
{
    static const char *const refused[] = {
        DETAILS("\"access\": []"),
        DETAILS("\"access\": \"repository:a/b:pull\""),
        DETAILS("\"access\": [1]"),
        DETAILS("\"access\": [\"x\"]"),
        DETAILS("\"access\": [\"repository:a/b:pull,delete\"]"),
        DETAILS("\"access\": [\"repository:a/b:*\"]"),
        DETAILS("\"access\": [\"repository:a/b:pull\", \"repository:c:pull\"]"),
        DETAILS("\"scope\": \"repository:a/b:pull\""),
    };
    struct fixture *fixture = *state;
    const json_t *access;

    assert_int_equal(mint(fixture, DETAILS("\"access\": [\"repository:a/b:push\"]")),
                     PROGRESS_DONE);
    access = json_object_get(fixture->mint.record, "access");
    assert_int_equal(json_array_size(access), 1);
    assert_string_equal(json_string_value(json_array_get(access, 0)), "repository:a/b:push");
    for (size_t i = 0; i < COUNT(refused); i++) {
        if (mint(fixture, refused[i]) != PROGRESS_FAILED)
            fail_msg("given: %s", refused[i]);
        assert_int_equal(fixture->error.code, ERROR_DETAILS);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(access_is_written_as_registries_write_it),
        TEST(there_is_a_limit_to_each_size),
        TEST(a_target_is_a_service),
        TEST(it_gives_each_action_on_each_repository),
        TEST(scopes_are_read_strictly),
        TEST(a_request_has_so_many_scopes),
        TEST(a_token_has_what_is_granted_and_asked_for),
        TEST(a_mint_gives_a_password_and_a_token),
        TEST(a_password_ends),
        TEST(a_password_of_another_issuer_is_none),
        TEST(less_may_be_asked_for_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
