#include <stdio.h>
#include <string.h>

#include <jwt.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/token_status.h"
#include "fixture.h"
#include "tests/assert_str.h"
#include "tests/test.h"
#include "tests/unit/keys/help.h"

#define SERVICE "{audience: https://artifacts.acme.example, scope: [read, write, admin]}"

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

static enum progress mint(struct fixture *fixture)
{
    const struct target_kind *kind = target_kind_find(STR("jwt"));
    enum progress progress = kind->mint(&fixture->mint, &fixture->error);

    assert_null(fixture->mint.credential);
    if (progress != PROGRESS_DONE)
        return progress;
    return kind->sign(&fixture->mint, &fixture->error);
}

/* The claims of the token that was minted, its signature checked by our own key. */
static json_t *claims_of(struct fixture *fixture)
{
    struct str token = fixture_text(fixture->mint.credential, "jwt", "token");
    json_t *claims = NULL;

    if (!keys_verify_own_jwt(fixture->keys, token, "at+jwt", &claims, &fixture->error))
        fail_msg("%s", fixture->error.cause);
    return claims;
}

static json_t *minted(struct fixture *fixture, const char *fields)
{
    fixture_fields(fixture, fields);
    if (mint(fixture) != PROGRESS_DONE)
        fail_msg("%s", fixture->error.cause);
    return claims_of(fixture);
}

static int64_t number(const json_t *claims, const char *name)
{
    return json_integer_value(json_object_get(claims, name));
}

static void a_token_says_who_for_whom_and_how_long(void **state)
{
    struct fixture *fixture = *state;
    JSON_OWNED json_t *claims = minted(fixture, "{audience: https://artifacts.acme.example}");

    assert_str(fixture_text(claims, NULL, "iss"), FIXTURE_ISSUER);
    assert_str(fixture_text(claims, NULL, "sub"), FIXTURE_STAGE);
    assert_str(fixture_text(claims, NULL, "client_id"), FIXTURE_STAGE);
    assert_str(fixture_text(claims, NULL, "aud"), "https://artifacts.acme.example");
    assert_str(fixture_text(claims, NULL, "lease"), FIXTURE_LEASE);
    assert_int_equal(number(claims, "iat"), FIXTURE_NOW_S);
    assert_int_equal(number(claims, "exp"), FIXTURE_NOW_S + 900);
    assert_int_equal(fixture->mint.expires_s, FIXTURE_NOW_S + 900);
    assert_null(json_object_get(claims, "scope"));
    assert_null(json_object_get(claims, "cnf"));
    assert_null(json_object_get(claims, "act"));
    assert_true(
        str_eq(fixture_text(claims, NULL, "jti"), fixture_text(fixture->mint.record, NULL, "id")));
    assert_false(fixture->mint.may_exist);
}

static void the_record_has_nothing_of_the_token(void **state)
{
    struct fixture *fixture = *state;
    JSON_OWNED json_t *claims = minted(fixture, SERVICE);
    struct str token = fixture_text(fixture->mint.credential, "jwt", "token");
    struct str record = json_text(fixture->arena, fixture->mint.record);

    assert_non_null(claims);
    assert_non_null(record.data);
    assert_null(strstr(record.data, arena_copy(fixture->arena, str_slice(token, 0, 20)).data));
}

static void two_tokens_have_two_ids(void **state)
{
    struct fixture *fixture = *state;
    JSON_OWNED json_t *first = minted(fixture, SERVICE);
    JSON_OWNED json_t *second = NULL;

    fixture_again(fixture);
    second = minted(fixture, SERVICE);
    assert_false(str_eq(fixture_text(first, NULL, "jti"), fixture_text(second, NULL, "jti")));
}

static void libjwt_verifies_the_token_with_our_published_keys(void **state)
{
    struct fixture *fixture = *state;
    JSON_OWNED json_t *claims = minted(fixture, SERVICE);
    struct str token = fixture_text(fixture->mint.credential, "jwt", "token");
    jwt_checker_t *checker = jwt_checker_new();
    char spoilt[2048];
    struct str keys;
    jwk_set_t *set;

    assert_non_null(claims);
    assert_true(keys_jwks(fixture->keys, fixture->arena, &keys, &fixture->error));
    set = jwks_load_strn(NULL, keys.data, keys.len);
    assert_non_null(set);
    assert_int_equal(jwt_checker_setkey(checker, JWT_ALG_ES256, jwks_item_get(set, 0)), 0);
    (void)jwt_checker_time_leeway(checker, JWT_CLAIM_NBF, 1000000000);
    assert_int_equal(jwt_checker_verify(checker, token.data), 0);
    assert_true(token.len < sizeof(spoilt));
    memcpy(spoilt, token.data, token.len + 1);
    spoilt[token.len / 2] = spoilt[token.len / 2] == 'A' ? 'B' : 'A';
    assert_int_not_equal(jwt_checker_verify(checker, spoilt), 0);
    jwt_checker_free(checker);
    jwks_free(set);
}

static void the_header_says_that_it_is_an_access_token(void **state)
{
    struct fixture *fixture = *state;
    JSON_OWNED json_t *claims = minted(fixture, SERVICE);
    struct str token = fixture_text(fixture->mint.credential, "jwt", "token");
    uint8_t header[512];
    size_t len = 0;
    JSON_OWNED json_t *object = NULL;

    assert_non_null(claims);
    assert_true(base64url_decode(str_slice(token, 0, str_find(token, '.')), header, &len));
    assert_true(json_parse_object((struct str){ (const char *)header, len }, JSON_LIMITS_REQUEST,
                                  &object, &fixture->error));
    assert_str(fixture_text(object, NULL, "typ"), "at+jwt");
    assert_str(fixture_text(object, NULL, "alg"), "ES256");
    assert_int_equal(fixture_text(object, NULL, "kid").len, 43);
}

static void a_proof_key_binds_the_token(void **state)
{
    struct fixture *fixture = *state;
    JSON_OWNED json_t *claims = NULL;

    fixture->mint.thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    claims = minted(fixture, SERVICE);
    assert_str(fixture_text(claims, "cnf", "jkt"), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
}

static void a_certificate_binds_the_token_too(void **state)
{
    struct fixture *fixture = *state;
    JSON_OWNED json_t *claims = NULL;

    fixture->mint.certificate = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo";
    claims = minted(fixture, SERVICE);
    assert_str(fixture_text(claims, "cnf", "x5t#S256"),
               "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
    assert_null(json_object_get(json_object_get(claims, "cnf"), "jkt"));
}

static void key_and_certificate_bind_it_together(void **state)
{
    struct fixture *fixture = *state;
    JSON_OWNED json_t *claims = NULL;

    fixture->mint.thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    fixture->mint.certificate = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo";
    claims = minted(fixture, SERVICE);
    assert_int_equal(json_object_size(json_object_get(claims, "cnf")), 2);
}

static void who_acts_for_the_job_is_in_the_token(void **state)
{
    struct fixture *fixture = *state;
    JSON_OWNED json_t *claims = NULL;

    fixture->mint.actor_issuer = STR("https://idp.example");
    fixture->mint.actor_subject = STR("ann");
    claims = minted(fixture, SERVICE);
    assert_str(fixture_text(claims, "act", "sub"), "ann");
    assert_str(fixture_text(claims, "act", "iss"), "https://idp.example");
}

static void without_a_choice_all_scopes_are_in(void **state)
{
    struct fixture *fixture = *state;
    JSON_OWNED json_t *claims = minted(fixture, SERVICE);

    assert_str(fixture_text(claims, NULL, "scope"), "read write admin");
    assert_str(fixture_text(fixture->mint.credential, "jwt", "scope"), "read write admin");
}

static void a_choice_narrows_the_scopes_in_the_order_of_the_policy(void **state)
{
    struct fixture *fixture = *state;
    JSON_OWNED json_t *claims = NULL;

    fixture->mint.scope = STR("write read");
    claims = minted(fixture, SERVICE);
    assert_str(fixture_text(claims, NULL, "scope"), "read write");
}

static void a_scope_in_one_text_is_its_words(void **state)
{
    struct fixture *fixture = *state;
    JSON_OWNED json_t *claims = NULL;

    fixture->mint.scope = STR("b");
    claims = minted(fixture, "{audience: a, scope: a b c}");
    assert_str(fixture_text(claims, NULL, "scope"), "b");
}

static void a_choice_of_what_the_grant_does_not_have_is_refused(void **state)
{
    static const struct {
        const char *fields;
        struct str scope;
    } cases[] = {
        { SERVICE, { "delete", 6 } },       { SERVICE, { "read delete", 11 } },
        { SERVICE, { "READ", 4 } },         { SERVICE, { "rea", 3 } },
        { SERVICE, { "read ", 5 } },        { SERVICE, { " ", 1 } },
        { SERVICE, { "read  write", 11 } }, { SERVICE, { "read,write", 10 } },
        { "{audience: a}", { "read", 4 } },
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        fixture_again(fixture);
        fixture_fields(fixture, cases[i].fields);
        fixture->mint.scope = cases[i].scope;
        assert_int_equal(mint(fixture), PROGRESS_FAILED);
        assert_int_equal(fixture->error.code, ERROR_SCOPE);
        assert_null(fixture->mint.credential);
    }
}

static void claims_of_the_policy_are_in(void **state)
{
    struct fixture *fixture = *state;
    JSON_OWNED json_t *claims = minted(
        fixture, "{audience: a, claims: {team: payments, \"https://acme.example/x\": \"1\"}}");

    assert_str(fixture_text(claims, NULL, "team"), "payments");
    assert_str(fixture_text(claims, NULL, "https://acme.example/x"), "1");
}

static void good_grants_are_accepted_at_load(void **state)
{
    static const char *const cases[] = {
        "{audience: a}",
        SERVICE,
        "{audience: a, scope: read}",
        "{audience: a, scope: \"read write\"}",
        "{audience: a, claims: {team: payments}}",
        "{audience: a, claims: {preview: \"pr-${pr}\"}}",
        "{audience: a, claims: {issuer: x, subject: y}}",
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *message = fixture_check(fixture, "jwt", cases[i]);

        if (message)
            fail_msg("%s: %s", cases[i], message);
    }
}

static void bad_grants_are_refused_at_load(void **state)
{
    static const struct {
        const char *fields;
        const char *message;
    } cases[] = {
        { "{scope: read}", "needs an 'audience'" },
        { "{audience: \"\"}", "must not be empty" },
        { "{audience: [a]}", "must be text" },
        { "{audience: [a, b]}", "must be text" },
        { "{audience: {a: b}}", "must be text" },
        { "{audience: a, scope: []}", "must not be empty" },
        { "{audience: a, scope: [a, a]}", "twice" },
        { "{audience: a, scope: [\"a b\"]}", "cannot have" },
        { "{audience: a, scope: \"a  b\"}", "different words" },
        { "{audience: a, scope: \"a a\"}", "different words" },
        { "{audience: a, scope: [\"a\\\\b\"]}", "cannot have" },
        { "{audience: a, scope: {a: b}}", "must be text" },
        { "{audience: a, claims: [a]}", "must be a map" },
        { "{audience: a, claims: {team: [a, b]}}", "must be text" },
        { "{audience: a, claims: {team: \"\"}}", "must not be empty" },
        { "{audience: a, claims: {team: \"${\"}}", "without a name" },
        { "{audience: a, claims: {team: \"${}\"}}", "without a name" },
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *message = fixture_check(fixture, "jwt", cases[i].fields);

        if (!message || !strstr(message, cases[i].message))
            fail_msg("%s: %s", cases[i].fields, message ? message : "accepted");
    }
}

static void no_policy_sets_a_reserved_claim(void **state)
{
    static const char *const names[] = {
        "iss",
        "sub",
        "aud",
        "exp",
        "nbf",
        "iat",
        "jti",
        "cnf",
        "act",
        "client_id",
        "scope",
        "azp",
        "auth_time",
        "acr",
        "amr",
        "roles",
        "groups",
        "entitlements",
        "lease",
        "status",
        "stage",
        "may_act",
        "authorization_details",
        "https://aws.amazon.com/roles",
        "https://aws.amazon.com/",
        "Sub",
        "AUD",
    };
    struct fixture *fixture = *state;
    char fields[128];

    for (size_t i = 0; i < COUNT(names); i++) {
        (void)snprintf(fields, sizeof(fields), "{audience: a, claims: {\"%s\": x}}", names[i]);
        if (!fixture_check(fixture, "jwt", fields))
            fail_msg("%s was accepted", names[i]);
        fixture_again(fixture);
        fixture_fields(fixture, fields); /* were it to get past the load, the mint refuses */
        assert_int_equal(mint(fixture), PROGRESS_FAILED);
        assert_int_equal(fixture->error.code, ERROR_MINT);
    }
}

static void limits_hold_at_the_limit_and_one_past_it(void **state)
{
    struct fixture *fixture = *state;
    static char fields[4096];

    (void)snprintf(fields, sizeof(fields), "{audience: %01024d}", 1);
    assert_null(fixture_check(fixture, "jwt", fields));
    (void)snprintf(fields, sizeof(fields), "{audience: %01025d}", 1);
    assert_non_null(fixture_check(fixture, "jwt", fields));
    (void)snprintf(fields, sizeof(fields), "{audience: a, claims: {x: %01024d}}", 1);
    assert_null(fixture_check(fixture, "jwt", fields));
    (void)snprintf(fields, sizeof(fields), "{audience: a, claims: {x: %01025d}}", 1);
    assert_non_null(fixture_check(fixture, "jwt", fields));
    /* a hole counts as 64 bytes: 960 + 64 = 1024 */
    (void)snprintf(fields, sizeof(fields), "{audience: a, claims: {x: \"%0960d${pr}\"}}", 1);
    assert_null(fixture_check(fixture, "jwt", fields));
    (void)snprintf(fields, sizeof(fields), "{audience: a, claims: {x: \"%0961d${pr}\"}}", 1);
    assert_non_null(fixture_check(fixture, "jwt", fields));
    (void)snprintf(fields, sizeof(fields), "{audience: a, scope: [a%0127d]}", 1);
    assert_null(fixture_check(fixture, "jwt", fields));
    (void)snprintf(fields, sizeof(fields), "{audience: a, scope: [a%0128d]}", 1);
    assert_non_null(fixture_check(fixture, "jwt", fields));
}

/* {audience: a, FIELD: [w1, w2, ...]} or a map of as many. */
static const char *with_many(char *out, size_t size, const char *format, int count)
{
    size_t len = (size_t)snprintf(out, size, "%s", format);

    for (int i = 0; i < count; i++)
        len +=
            (size_t)snprintf(out + len, size - len, strchr(format, '[') ? "w%d, " : "w%d: x, ", i);
    len -= 2;
    (void)snprintf(out + len, size - len, strchr(format, '[') ? "]}" : "}}");
    return out;
}

static void counts_hold_at_the_limit_and_one_past_it(void **state)
{
    struct fixture *fixture = *state;
    char out[2048];

    assert_null(
        fixture_check(fixture, "jwt", with_many(out, sizeof(out), "{audience: a, scope: [", 64)));
    assert_non_null(
        fixture_check(fixture, "jwt", with_many(out, sizeof(out), "{audience: a, scope: [", 65)));
    assert_null(
        fixture_check(fixture, "jwt", with_many(out, sizeof(out), "{audience: a, claims: {", 32)));
    assert_non_null(
        fixture_check(fixture, "jwt", with_many(out, sizeof(out), "{audience: a, claims: {", 33)));
}

static void a_hole_that_nobody_filled_is_not_signed(void **state)
{
    struct fixture *fixture = *state;

    fixture_fields(fixture, "{audience: a, claims: {preview: \"pr-${pr}\"}}");
    assert_int_equal(mint(fixture), PROGRESS_FAILED);
    assert_int_equal(fixture->error.code, ERROR_MINT);
    assert_null(fixture->mint.credential);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

static void it_says_where_its_status_stands(void **state)
{
    struct fixture *fixture = *state;
    const struct target_kind *kind = target_kind_find(STR("jwt"));
    struct token_status status = token_status_of(5000, 2);
    JSON_OWNED json_t *claims = NULL;
    const json_t *told;

    fixture_fields(fixture, SERVICE);
    assert_int_equal(kind->mint(&fixture->mint, &fixture->error), PROGRESS_DONE);
    assert_null(fixture->mint.credential); /* there is none before its entry */
    fixture->mint.status = &status;
    assert_int_equal(kind->sign(&fixture->mint, &fixture->error), PROGRESS_DONE);
    claims = claims_of(fixture);
    told = json_object_get(json_object_get(claims, "status"), "status_list");
    assert_int_equal(number(told, "idx"), (5000 - 4096) * 16 + 2);
    assert_str(fixture_text(told, NULL, "uri"), FIXTURE_ISSUER "/status/2");
    assert_int_equal(json_object_size(json_object_get(claims, "status")), 1);
    assert_int_equal(target_revocation(kind, &fixture->mint), POLICY_REVOKED_BY_LIST);
}

/* So many claims of 1,000 bytes; a list of claims that would not fit fails before it is recorded.
 */
static const char *with_claims(struct fixture *fixture, int count)
{
    struct str text = STR("{audience: a, claims: {");

    for (int i = 0; i < count; i++)
        text = arena_printf(fixture->arena, STR_FMT "c%d: \"%01000d\", ", STR_ARG(text), i, 0);
    text = arena_printf(fixture->arena, STR_FMT "}}", STR_ARG(text));
    return text.data;
}

static void a_token_that_would_not_fit_is_not_recorded(void **state)
{
    struct fixture *fixture = *state;
    const struct target_kind *kind = target_kind_find(STR("jwt"));
    struct token_status longest = { TOKEN_STATUS_LIST_MAX, 32767 };

    fixture_fields(fixture, with_claims(fixture, 10));
    assert_int_equal(kind->mint(&fixture->mint, &fixture->error), PROGRESS_DONE);
    fixture->mint.status = &longest;
    assert_int_equal(kind->sign(&fixture->mint, &fixture->error), PROGRESS_DONE);
    fixture_again(fixture);
    fixture_fields(fixture, with_claims(fixture, 11));
    assert_int_equal(kind->mint(&fixture->mint, &fixture->error), PROGRESS_FAILED);
    assert_int_equal(fixture->error.code, ERROR_LIMIT);
    assert_null(fixture->mint.credential);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_token_says_who_for_whom_and_how_long),
        TEST(the_record_has_nothing_of_the_token),
        TEST(two_tokens_have_two_ids),
        TEST(libjwt_verifies_the_token_with_our_published_keys),
        TEST(the_header_says_that_it_is_an_access_token),
        TEST(a_proof_key_binds_the_token),
        TEST(a_certificate_binds_the_token_too),
        TEST(key_and_certificate_bind_it_together),
        TEST(who_acts_for_the_job_is_in_the_token),
        TEST(without_a_choice_all_scopes_are_in),
        TEST(a_choice_narrows_the_scopes_in_the_order_of_the_policy),
        TEST(a_scope_in_one_text_is_its_words),
        TEST(a_choice_of_what_the_grant_does_not_have_is_refused),
        TEST(claims_of_the_policy_are_in),
        TEST(good_grants_are_accepted_at_load),
        TEST(bad_grants_are_refused_at_load),
        TEST(no_policy_sets_a_reserved_claim),
        TEST(limits_hold_at_the_limit_and_one_past_it),
        TEST(counts_hold_at_the_limit_and_one_past_it),
        TEST(a_hole_that_nobody_filled_is_not_signed),
        TEST(it_says_where_its_status_stands),
        TEST(a_token_that_would_not_fit_is_not_recorded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
