#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "exchange/exchange_internal.h"
#include "exchange/kept.h"
#include "tests/test.h"

/* An exchange that was decided: a jwt grant "artifacts" of 600 s and an ssh grant "host" of 300 s.
 */
struct fixture {
    struct arena *arena;
    struct exchange exchange;
    struct mint mints[2];
    struct policy_grant grants[2];
    struct target target;
};

static int fixture_init(void **state)
{
    struct fixture *fixture = test_calloc(1, sizeof(*fixture));
    const struct target_kind *jwt = target_kind_find(STR("jwt"));
    const struct target_kind *ssh = target_kind_find(STR("ssh"));

    fixture->arena = arena_new(ARENA_REQUEST_MAX);
    fixture->target.kind = ssh;
    fixture->grants[0] = (struct policy_grant){ .name = STR("artifacts"), .kind = &jwt->grant };
    fixture->grants[1] = (struct policy_grant){ .name = STR("host"), .kind = &ssh->grant };
    fixture->mints[0] = (struct mint){ .grant = STR("artifacts"), .ttl_s = 600 };
    fixture->mints[1] =
        (struct mint){ .grant = STR("host"), .ttl_s = 300, .target = &fixture->target };
    fixture->exchange.arena = fixture->arena;
    fixture->exchange.mints = fixture->mints;
    fixture->exchange.mint_count = 2;
    fixture->exchange.decision.grant_count = 2;
    for (size_t i = 0; i < 2; i++)
        fixture->exchange.decision.grants[i].grant = &fixture->grants[i];
    *state = fixture;
    return 0;
}

static int fixture_release(void **state)
{
    struct fixture *fixture = *state;

    arena_free(fixture->arena);
    test_free(fixture);
    return 0;
}

static bool assign(struct fixture *fixture, const char *text, struct error *error)
{
    struct error parsing = { 0 };
    json_t *details;

    assert_true(json_parse(str_from(text), JSON_LIMITS_REQUEST, &details, &parsing));
    assert_true(json_keep(fixture->arena, details, &parsing));
    fixture->exchange.request.details = details;
    return details_assign(&fixture->exchange, error);
}

static void no_details_are_fine(void **state)
{
    struct fixture *fixture = *state;
    struct error error = { 0 };

    assert_true(details_assign(&fixture->exchange, &error));
    assert_null(fixture->mints[0].details);
    assert_int_equal(fixture->mints[0].ttl_s, 600);
}

static void each_element_goes_to_its_grant(void **state)
{
    struct fixture *fixture = *state;
    struct error error = { 0 };

    assert_true(assign(fixture,
                       "[{\"type\":\"stagepass_grant\",\"grant\":\"host\",\"public_key\":\"k\"},"
                       "{\"type\":\"stagepass_grant\",\"grant\":\"artifacts\",\"ttl\":60}]",
                       &error));
    assert_non_null(json_object_get(fixture->mints[1].details, "public_key"));
    assert_int_equal(fixture->mints[0].ttl_s, 60);
    assert_int_equal(fixture->mints[1].ttl_s, 300);
}

static void a_ttl_never_lengthens(void **state)
{
    struct fixture *fixture = *state;
    struct error error = { 0 };

    assert_true(assign(
        fixture, "[{\"type\":\"stagepass_grant\",\"grant\":\"artifacts\",\"ttl\":601}]", &error));
    assert_int_equal(fixture->mints[0].ttl_s, 600);
}

static void what_does_not_fit_is_refused(void **state)
{
    static const struct {
        const char *name;
        const char *text;
    } cases[] = {
        { "an object", "{}" },
        { "an element that is no object", "[1]" },
        { "no type", "[{\"grant\":\"host\"}]" },
        { "another type", "[{\"type\":\"x\",\"grant\":\"host\"}]" },
        { "a type that is no string", "[{\"type\":1,\"grant\":\"host\"}]" },
        { "no grant", "[{\"type\":\"stagepass_grant\"}]" },
        { "a grant that was not decided", "[{\"type\":\"stagepass_grant\",\"grant\":\"site\"}]" },
        { "one grant twice", "[{\"type\":\"stagepass_grant\",\"grant\":\"host\"},"
                             "{\"type\":\"stagepass_grant\",\"grant\":\"host\"}]" },
        { "a ttl of 0", "[{\"type\":\"stagepass_grant\",\"grant\":\"artifacts\",\"ttl\":0}]" },
        { "a ttl as text",
          "[{\"type\":\"stagepass_grant\",\"grant\":\"artifacts\",\"ttl\":\"60\"}]" },
        { "a ttl with a fraction",
          "[{\"type\":\"stagepass_grant\",\"grant\":\"artifacts\",\"ttl\":60.5}]" },
        { "a member that the kind does not take",
          "[{\"type\":\"stagepass_grant\",\"grant\":\"artifacts\",\"audience\":\"x\"}]" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        void *object = NULL;
        struct error error = { 0 };

        (void)fixture_init(&object);
        if (assign(object, cases[i].text, &error) || error.code != ERROR_DETAILS)
            fail_msg("%s: not refused", cases[i].name);
        (void)fixture_release(&object);
    }
}

static void sixteen_elements_are_the_limit(void **state)
{
    struct fixture *fixture = *state;
    JSON_OWNED json_t *details = json_array();
    struct error error = { 0 };

    for (size_t i = 0; i < 17; i++)
        assert_int_equal(json_array_append_new(details, json_object()), 0);
    fixture->exchange.request.details = details;
    assert_false(details_assign(&fixture->exchange, &error));
    assert_non_null(strstr(error.cause, "at most 16"));
}

/* ---- what goes on ---- */

#define PULL "\"repository:acme/payments:pull\""
#define PUSH "\"repository:acme/payments:push\""
#define OF_IMAGES "{\"type\":\"stagepass_grant\",\"grant\":\"images\""

/* Details as they came at first, and then fresh ones; NULL: none. */
static bool go_on(struct fixture *fixture, const char *first, const char *fresh,
                  struct error *error)
{
    const struct target_kind *registry = target_kind_find(STR("registry"));
    struct kept *kept = arena_alloc(fixture->arena, sizeof(*kept));
    struct error parsing = { 0 };
    json_t *details = NULL;

    fixture->target.kind = registry;
    fixture->grants[1] = (struct policy_grant){ .name = STR("images"), .kind = &registry->grant };
    fixture->mints[1].grant = STR("images");
    if (first) {
        assert_true(json_parse(str_from(first), JSON_LIMITS_REQUEST, &details, &parsing));
        assert_true(json_keep(fixture->arena, details, &parsing));
    }
    kept->request.details = details;
    fixture->exchange.request.kept = kept;
    fixture->exchange.request.details = details;
    return fresh ? assign(fixture, fresh, error) : details_assign(&fixture->exchange, error);
}

static size_t access_count(const struct fixture *fixture)
{
    return json_array_size(json_object_get(fixture->mints[1].details, "access"));
}

static void what_goes_on_is_as_narrow_as_at_first(void **state)
{
    static const struct {
        const char *first;
        const char *fresh;
        size_t count;
    } cases[] = {
        { NULL, NULL, 0 },
        { NULL, "[" OF_IMAGES ",\"access\":[" PULL "]}]", 1 },
        { "[" OF_IMAGES ",\"access\":[" PULL "]}]", NULL, 1 },
        { "[" OF_IMAGES ",\"access\":[" PULL "]}]", "[" OF_IMAGES "}]", 1 },
        { "[" OF_IMAGES ",\"access\":[" PULL "]}]", "[" OF_IMAGES ",\"ttl\":60}]", 1 },
        { "[" OF_IMAGES ",\"access\":[" PULL "]}]", "[]", 1 },
        { "[" OF_IMAGES ",\"access\":[" PULL "]}]",
          "[{\"type\":\"stagepass_grant\",\"grant\":\"artifacts\",\"ttl\":60}]", 1 },
        { "[" OF_IMAGES ",\"access\":[" PULL "," PUSH "]}]",
          "[" OF_IMAGES ",\"access\":[" PUSH "]}]", 1 },
        { "[" OF_IMAGES ",\"access\":[" PULL "," PUSH "]}]", "[" OF_IMAGES "}]", 2 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        void *object = NULL;
        struct error error = { 0 };

        (void)fixture_init(&object);
        if (!go_on(object, cases[i].first, cases[i].fresh, &error))
            fail_msg("case %zu: %s", i, error.cause);
        if (access_count(object) != cases[i].count)
            fail_msg("case %zu: %zu scopes", i, access_count(object));
        (void)fixture_release(&object);
    }
}

static void and_never_wider(void **state)
{
    static const char *const wider[] = {
        "[" OF_IMAGES ",\"access\":[" PUSH "]}]",
        "[" OF_IMAGES ",\"access\":[" PULL "," PUSH "]}]",
        "[" OF_IMAGES ",\"access\":\"*\"}]",
        "[" OF_IMAGES ",\"access\":null}]",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(wider); i++) {
        void *object = NULL;
        struct error error = { 0 };

        (void)fixture_init(&object);
        if (go_on(object, "[" OF_IMAGES ",\"access\":[" PULL "]}]", wider[i], &error) ||
            error.code != ERROR_DETAILS)
            fail_msg("case %zu: not refused", i);
        (void)fixture_release(&object);
    }
}

/* A key that came at first was proven for the token of then: a fresh request brings its own. */
static void a_key_of_then_is_not_put_into_fresh_details(void **state)
{
    struct fixture *fixture = *state;
    struct kept *kept = arena_alloc(fixture->arena, sizeof(*kept));
    struct error error = { 0 };

    kept->request.details = json_pack("[{s:s, s:s, s:s, s:s}]", "type", "stagepass_grant", "grant",
                                      "host", "public_key", "k", "proof", "p");
    assert_true(
        json_keep(fixture->arena, json_incref(json_iterable(kept->request.details)), &error));
    json_decref(json_iterable(kept->request.details));
    fixture->exchange.request.kept = kept;
    assert_true(assign(fixture, "[]", &error));
    assert_null(fixture->mints[1].details);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_details_are_fine, fixture_init, fixture_release),
        cmocka_unit_test_setup_teardown(each_element_goes_to_its_grant, fixture_init,
                                        fixture_release),
        cmocka_unit_test_setup_teardown(a_ttl_never_lengthens, fixture_init, fixture_release),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test_setup_teardown(sixteen_elements_are_the_limit, fixture_init,
                                        fixture_release),
        cmocka_unit_test(what_goes_on_is_as_narrow_as_at_first),
        cmocka_unit_test(and_never_wider),
        cmocka_unit_test_setup_teardown(a_key_of_then_is_not_put_into_fresh_details, fixture_init,
                                        fixture_release),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
