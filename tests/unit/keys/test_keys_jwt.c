#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jwt.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/json.h"
#include "help.h"
#include "tests/test.h"

#define TYP "at+jwt"
#define THREADS 8
#define ROUNDS 50

static struct str sign(struct keys *keys, const json_t *claims, struct arena *arena)
{
    struct error error = { 0 };
    struct str token;

    if (!keys_sign_jwt(keys, TYP, claims, arena, &token, &error))
        fail_msg("%s", error.cause);
    return token;
}

static json_t *some_claims(void)
{
    return json_of("{\"sub\":\"acme/payments:deploy-prod\",\"iss\":\"https://broker.acme.example\","
                   "\"aud\":\"artifacts\",\"iat\":1763800000,\"exp\":4102444800,"
                   "\"text\":\"\\u00e9\\\"\\\\\\n\"}");
}

static enum error_code verify(struct keys *keys, struct str token, const char *typ)
{
    JSON_OWNED json_t *claims = NULL;
    struct error error = { 0 };
    bool is_ours = keys_verify_own_jwt(keys, token, typ, &claims, &error);

    assert_int_equal(is_ours, error.code == ERROR_NONE);
    assert_int_equal(is_ours, claims != NULL);
    return error.code;
}

/* Each of a fixture's keys: one signs ES256, one RS256. */
struct fixture {
    char *folders[2];
    struct keys *keys[2];
    struct arena *arena;
    json_t *claims;
};

static int start(void **state)
{
    static struct fixture fixture;

    for (size_t i = 0; i < COUNT(fixture.keys); i++) {
        fixture.folders[i] = temporary_folder();
        fixture.keys[i] = keys_of(fixture.folders[i], i == 0 ? KEY_ES256 : KEY_RS256, TEST_START_S);
    }
    fixture.claims = some_claims();
    fixture.arena = arena_new(ARENA_REQUEST_MAX);
    assert_non_null(fixture.arena);
    *state = &fixture;
    return 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(fixture->keys); i++) {
        keys_close(fixture->keys[i]);
        remove_folder(fixture->folders[i]);
    }
    json_decref(fixture->claims);
    arena_free(fixture->arena);
    return 0;
}

static json_t *decode_part(struct str token, size_t part)
{
    uint8_t bytes[BASE64_DECODED_MAX(KEYS_TOKEN_MAX)];
    struct str text;
    size_t len;

    do
        (void)str_cut(token, '.', &text, &token);
    while (part-- > 0);
    assert_true(base64url_decode(text, bytes, &len));
    return json_loadb((const char *)bytes, len, 0, NULL);
}

static void the_header_names_typ_algorithm_and_key(void **state)
{
    static const char *const names[] = { "ES256", "RS256" };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(fixture->keys); i++) {
        JSON_OWNED json_t *header =
            decode_part(sign(fixture->keys[i], fixture->claims, fixture->arena), 0);
        struct error error = { 0 };
        struct str jwks;
        struct str kid = json_str(json_object_get(header, "kid"));

        assert_true(keys_jwks(fixture->keys[i], fixture->arena, &jwks, &error));
        assert_int_equal(kid.len, 43);
        assert_true(str_contains(jwks, kid));
        assert_int_equal(json_object_size(header), 3);
        assert_string_equal(json_string_value(json_object_get(header, "typ")), TYP);
        assert_string_equal(json_string_value(json_object_get(header, "alg")), names[i]);
    }
}

static void the_claims_come_back_as_they_were(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(fixture->keys); i++) {
        JSON_OWNED json_t *claims = NULL;
        struct str token = sign(fixture->keys[i], fixture->claims, fixture->arena);
        struct error error = { 0 };

        assert_true(keys_verify_own_jwt(fixture->keys[i], token, TYP, &claims, &error));
        assert_true(json_equal(claims, fixture->claims));
    }
}

static void libjwt_loads_our_key_set_and_verifies_our_tokens(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(fixture->keys); i++) {
        struct str token = sign(fixture->keys[i], fixture->claims, fixture->arena);
        struct error error = { 0 };
        struct str jwks = { 0 };
        struct str kid = { 0 };
        jwk_set_t *set;
        jwt_checker_t *checker = jwt_checker_new();
        jwt_alg_t algorithm = i == 0 ? JWT_ALG_ES256 : JWT_ALG_RS256;
        jwk_item_t *item;

        assert_true(keys_jwks(fixture->keys[i], fixture->arena, &jwks, &error));
        kid = kid_of(fixture->keys[i], fixture->arena);
        set = jwks_create_strn(jwks.data, jwks.len);
        assert_non_null(set);
        assert_false(jwks_error_any(set));
        item = jwks_find_bykid(set, kid.data);
        assert_non_null(item);
        assert_int_equal(jwks_item_alg(item), algorithm);
        assert_int_equal(jwks_item_use(item), JWK_PUB_KEY_USE_SIG);
        assert_int_equal(jwt_checker_setkey(checker, algorithm, item), 0);
        if (jwt_checker_verify(checker, token.data) != 0)
            fail_msg("%s", jwt_checker_error_msg(checker));
        jwt_checker_free(checker);
        jwks_free(set);
    }
}

static void the_published_keys_are_public_and_complete(void **state)
{
    static const char *const expected[] = { "alg crv kid kty use x y ", "alg e kid kty n use " };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(fixture->keys); i++) {
        OWNED(buf_release) struct buf names;
        JSON_OWNED json_t *set = NULL;
        struct error error = { 0 };
        struct str jwks;
        const char *name;
        json_t *value;

        buf_init(&names, 256);
        assert_true(keys_jwks(fixture->keys[i], fixture->arena, &jwks, &error));
        set = json_of(jwks.data);
        assert_int_equal(json_object_size(set), 1);
        assert_int_equal(json_array_size(json_object_get(set, "keys")), 1);
        json_object_foreach (json_array_get(json_object_get(set, "keys"), 0), name, value)
            buf_printf(&names, "%s ", name);
        assert_string_equal(names.data, expected[i]); /* the text is sorted, jansson keeps order */
    }
}

static void a_token_of_another_typ_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct str token = sign(fixture->keys[0], fixture->claims, fixture->arena);

    assert_int_equal(verify(fixture->keys[0], token, TYP), ERROR_NONE);
    assert_int_equal(verify(fixture->keys[0], token, "JWT"), ERROR_INVALID);
    assert_int_equal(verify(fixture->keys[0], token, "AT+JWT"), ERROR_INVALID);
    assert_int_equal(verify(fixture->keys[0], token, ""), ERROR_INVALID);
}

static void a_token_of_other_keys_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct str token = sign(fixture->keys[0], fixture->claims, fixture->arena);

    assert_int_equal(verify(fixture->keys[1], token, TYP), ERROR_INVALID);
}

/* Put another header in front of a token's claims and signature. */
static struct str with_header(struct arena *arena, const char *header, struct str token)
{
    OWNED(buf_release) struct buf text;
    size_t dot = str_find(token, '.');

    buf_init(&text, KEYS_TOKEN_MAX);
    buf_add_base64url(&text, str_from(header));
    buf_add(&text, str_slice(token, dot, token.len));
    assert_true(buf_is_ok(&text));
    return arena_copy(arena, buf_str(&text));
}

static void a_header_that_is_not_ours_is_refused(void **state)
{
    static const struct {
        const char *format; /* %s is the kid */
        enum error_code expected;
    } cases[] = {
        { "{\"alg\":\"none\",\"kid\":\"%s\",\"typ\":\"at+jwt\"}", ERROR_INVALID },
        { "{\"alg\":\"HS256\",\"kid\":\"%s\",\"typ\":\"at+jwt\"}", ERROR_INVALID },
        { "{\"alg\":\"RS256\",\"kid\":\"%s\",\"typ\":\"at+jwt\"}", ERROR_INVALID },
        { "{\"alg\":\"es256\",\"kid\":\"%s\",\"typ\":\"at+jwt\"}", ERROR_INVALID },
        { "{\"alg\":\"ES256\",\"kid\":\"%s?\",\"typ\":\"at+jwt\"}", ERROR_INVALID },
        { "{\"alg\":\"ES256\",\"kid\":\"%s\"}", ERROR_INVALID },
        { "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"at+jwt\",\"crit\":[]}", ERROR_INVALID },
        { "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"at+jwt\",\"typ\":\"at+jwt\"}",
          ERROR_SYNTAX },
        { "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"at+jwt\"} ", ERROR_INVALID },
        { "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"at+jwt\"}x", ERROR_SYNTAX },
        { "[\"ES256\",\"%s\",\"at+jwt\"]", ERROR_SYNTAX },
        { "%s", ERROR_SYNTAX },
    };
    struct fixture *fixture = *state;
    struct str token = sign(fixture->keys[0], fixture->claims, fixture->arena);
    struct str kid = kid_of(fixture->keys[0], fixture->arena);

    for (size_t i = 0; i < COUNT(cases); i++) {
        char header[256];
        const char *hole = strstr(cases[i].format, "%s");

        (void)snprintf(header, sizeof(header), "%.*s%s%s", (int)(hole - cases[i].format),
                       cases[i].format, kid.data, hole + 2);
        if (verify(fixture->keys[0], with_header(fixture->arena, header, token), TYP) !=
            cases[i].expected)
            fail_msg("%s", cases[i].format);
    }
}

static void a_token_cut_anywhere_or_with_a_changed_byte_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct str token = sign(fixture->keys[0], fixture->claims, fixture->arena);
    char *text = arena_alloc(fixture->arena, token.len);

    assert_non_null(text);
    memcpy(text, token.data, token.len);
    for (size_t i = 0; i < token.len; i++) {
        assert_int_not_equal(verify(fixture->keys[0], str_slice(token, 0, i), TYP), ERROR_NONE);
        text[i] = text[i] == 'A' ? 'B' : 'A';
        assert_int_not_equal(verify(fixture->keys[0], (struct str){ text, token.len }, TYP),
                             ERROR_NONE);
        text[i] = token.data[i];
    }
    assert_int_equal(verify(fixture->keys[0], (struct str){ text, token.len }, TYP), ERROR_NONE);
}

static void a_token_with_anything_more_is_refused(void **state)
{
    static const char *const more[] = { "=", ".", ".x", " ", "\n", "A" };
    struct fixture *fixture = *state;
    struct str token = sign(fixture->keys[0], fixture->claims, fixture->arena);

    for (size_t i = 0; i < COUNT(more); i++) {
        struct str longer = arena_printf(fixture->arena, STR_FMT "%s", STR_ARG(token), more[i]);

        assert_int_not_equal(verify(fixture->keys[0], longer, TYP), ERROR_NONE);
    }
    assert_int_equal(verify(fixture->keys[0], STR(".."), TYP), ERROR_SYNTAX);
    assert_int_equal(verify(fixture->keys[0], (struct str){ 0 }, TYP), ERROR_SYNTAX);
}

/* The claims' member is made longer until the token is as long as it may be, then one step more. */
static void a_token_has_its_longest_length(void **state)
{
    struct fixture *fixture = *state;
    struct str token = sign(fixture->keys[0], fixture->claims, fixture->arena);
    size_t room = (KEYS_TOKEN_MAX - token.len) / 4 * 3 - 16;
    char *text = calloc(1, KEYS_TOKEN_MAX);
    struct error error = { 0 };

    assert_non_null(text);
    memset(text, 'x', room);
    do {
        text[room++] = 'x';
        assert_int_equal(json_object_set_new(fixture->claims, "long", json_string(text)), 0);
        error = (struct error){ 0 };
        if (keys_sign_jwt(fixture->keys[0], TYP, fixture->claims, fixture->arena, &token, &error))
            assert_int_equal(verify(fixture->keys[0], token, TYP), ERROR_NONE);
    } while (error.code == ERROR_NONE && room < KEYS_TOKEN_MAX - 1);
    assert_int_equal(error.code, ERROR_LIMIT);
    assert_in_range(token.len, KEYS_TOKEN_MAX - 2, KEYS_TOKEN_MAX);
    memset(text, 'A', KEYS_TOKEN_MAX);
    assert_int_equal(verify(fixture->keys[0], (struct str){ text, KEYS_TOKEN_MAX }, TYP),
                     ERROR_SYNTAX);
    text = realloc(text, KEYS_TOKEN_MAX + 1);
    assert_non_null(text);
    text[KEYS_TOKEN_MAX] = 'A';
    assert_int_equal(verify(fixture->keys[0], (struct str){ text, KEYS_TOKEN_MAX + 1 }, TYP),
                     ERROR_LIMIT);
    free(text);
}

struct worker {
    pthread_t thread;
    struct keys *keys;
    size_t wrong_count;
};

static void *sign_and_verify(void *context)
{
    struct worker *worker = context;
    json_t *claims = some_claims();

    for (unsigned round = 0; round < ROUNDS; round++) {
        OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
        JSON_OWNED json_t *back = NULL;
        struct error error = { 0 };
        struct str token;

        worker->wrong_count += arena == NULL ||
                               !keys_sign_jwt(worker->keys, TYP, claims, arena, &token, &error) ||
                               !keys_verify_own_jwt(worker->keys, token, TYP, &back, &error);
    }
    json_decref(claims);
    return NULL;
}

static void threads_sign_while_the_keys_rotate(void **state)
{
    struct fixture *fixture = *state;
    static struct worker workers[THREADS];
    size_t rotated_count = 0;

    for (size_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){ .keys = fixture->keys[0] };
        assert_int_equal(pthread_create(&workers[i].thread, NULL, sign_and_verify, &workers[i]), 0);
    }
    /* one rotation: a token that was signed before it verifies after it */
    for (int64_t day = 0; day < 32; day++) {
        struct error error = { 0 };
        bool has_rotated;

        assert_true(
            keys_rotate(fixture->keys[0], TEST_START_S + day * TEST_DAY_S, &has_rotated, &error));
        rotated_count += has_rotated;
    }
    assert_int_equal(rotated_count, 1);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        assert_int_equal(workers[i].wrong_count, 0);
    }
}

/* ---- keys with a certificate ---- */

static void certify(struct fixture *fixture, struct keys_certified *certified)
{
    struct error error = { 0 };

    if (!keys_certified(fixture->keys[0], STR("registry"), TEST_START_S, certified, &error))
        fail_msg("%s", error.cause);
}

static void a_certified_key_shows_its_certificate(void **state)
{
    struct fixture *fixture = *state;
    struct keys_certified certified;
    struct error error = { 0 };
    struct str token;
    uint8_t text[2048];
    size_t len;

    certify(fixture, &certified);
    assert_true(keys_sign_jwt_certified(&certified, "JWT", fixture->claims, fixture->arena, &token,
                                        &error));
    assert_true(base64url_decode(str_slice(token, 0, str_find(token, '.')), text, &len));
    JSON_OWNED json_t *header = NULL;
    assert_true(json_parse_object((struct str){ (const char *)text, len }, JSON_LIMITS_REQUEST,
                                  &header, &error));
    assert_int_equal(json_object_size(header), 4);
    assert_true(json_equal(json_object_get(header, "x5c"), json_object_get(certified.jwk, "x5c")));
    assert_true(json_equal(json_object_get(header, "kid"), json_object_get(certified.jwk, "kid")));
    assert_int_equal(verify(fixture->keys[0], token, "JWT"), ERROR_LIMIT); /* no issuer's header */
}

static void a_certificate_stays_as_long_as_its_key(void **state)
{
    struct fixture *fixture = *state;
    struct keys_certified first;
    struct keys_certified again;

    certify(fixture, &first);
    certify(fixture, &again);
    assert_ptr_equal(first.jwk, again.jwk);
    JSON_OWNED json_t *before = json_deep_copy(first.jwk);
    keys_close(fixture->keys[0]);
    fixture->keys[0] = keys_of(fixture->folders[0], KEY_ES256, TEST_START_S);
    certify(fixture, &again);
    assert_true(json_equal(before, again.jwk));
}

static void a_certificate_of_another_key_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct keys_certified certified;
    struct error error = { 0 };
    char key[256];
    char public[256];

    certify(fixture, &certified);
    keys_close(fixture->keys[0]);
    join_path(fixture->folders[0], "registry.key", key);
    join_path(fixture->folders[0], "registry.pub", public);
    assert_int_equal(remove(key), 0);
    assert_int_equal(remove(public), 0);
    fixture->keys[0] = keys_of(fixture->folders[0], KEY_ES256, TEST_START_S);
    assert_false(
        keys_certified(fixture->keys[0], STR("registry"), TEST_START_S, &certified, &error));
    assert_int_equal(error.code, ERROR_CONFIG);
}

/* ---- keys that others gave us ---- */

static void a_given_key_is_not_made(void **state)
{
    struct fixture *fixture = *state;
    struct error error = { 0 };
    struct key *key = NULL;
    char path[256];

    assert_false(keys_given(fixture->keys[0], STR("app"), KEY_RS256, &key, &error));
    assert_int_equal(error.code, ERROR_CONFIG);
    assert_null(key);
    join_path(fixture->folders[0], "app.key", path);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void a_given_key_is_not_named_in_its_tokens(void **state)
{
    struct fixture *fixture = *state;
    struct error error = { 0 };
    struct key *key;
    struct key *given;
    struct str token;
    uint8_t text[2048];
    size_t len;

    assert_true(keys_named(fixture->keys[0], STR("app"), KEY_RS256, &key, &error));
    assert_true(keys_given(fixture->keys[0], STR("app"), KEY_RS256, &given, &error));
    assert_ptr_equal(key, given);
    assert_true(keys_sign_jwt_by(given, "JWT", fixture->claims, fixture->arena, &token, &error));
    assert_true(base64url_decode(str_slice(token, 0, str_find(token, '.')), text, &len));
    assert_true(str_eq((struct str){ (const char *)text, len },
                       STR("{\"alg\":\"RS256\",\"typ\":\"JWT\"}")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_header_names_typ_algorithm_and_key, start, stop),
        cmocka_unit_test_setup_teardown(the_claims_come_back_as_they_were, start, stop),
        cmocka_unit_test_setup_teardown(libjwt_loads_our_key_set_and_verifies_our_tokens, start,
                                        stop),
        cmocka_unit_test_setup_teardown(the_published_keys_are_public_and_complete, start, stop),
        cmocka_unit_test_setup_teardown(a_token_of_another_typ_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(a_token_of_other_keys_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(a_header_that_is_not_ours_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(a_token_cut_anywhere_or_with_a_changed_byte_is_refused,
                                        start, stop),
        cmocka_unit_test_setup_teardown(a_token_with_anything_more_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(a_token_has_its_longest_length, start, stop),
        cmocka_unit_test_setup_teardown(threads_sign_while_the_keys_rotate, start, stop),
        cmocka_unit_test_setup_teardown(a_certified_key_shows_its_certificate, start, stop),
        cmocka_unit_test_setup_teardown(a_certificate_stays_as_long_as_its_key, start, stop),
        cmocka_unit_test_setup_teardown(a_certificate_of_another_key_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(a_given_key_is_not_made, start, stop),
        cmocka_unit_test_setup_teardown(a_given_key_is_not_named_in_its_tokens, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
