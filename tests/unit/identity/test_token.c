#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/error.h"
#include "identity/identity.h"
#include "identity/token.h"
#include "keys/verifier.h"
#include "tests/test.h"
#include "tests/unit/identity/signer.h"

#define TEXT_MAX ((size_t)1024 * 1024)
#define HEADER "{\"alg\":\"RS256\",\"kid\":\"a\"}"
#define LONG_KID_16                                                                                \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"                             \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define KID_256 LONG_KID_16 LONG_KID_16

static int set_up(void **state)
{
    *state = arena_new(ARENA_REQUEST_MAX);
    return *state == NULL;
}

static int tear_down(void **state)
{
    arena_free(*state);
    return 0;
}

/* A token of this header and payload whose signature is three bytes that nobody looks at. */
static char *token_of(const char *header, const char *payload)
{
    struct buf buf = { 0 };
    char *text;

    buf_init(&buf, TEXT_MAX);
    buf_add_base64url(&buf, str_from(header));
    buf_add_text(&buf, ".");
    buf_add_base64url(&buf, str_from(payload));
    buf_add_text(&buf, ".AAAA");
    assert_true(buf_is_ok(&buf));
    text = strndup(buf.data, buf.len);
    buf_release(&buf);
    assert_non_null(text);
    return text;
}

struct header_row {
    const char *name;
    const char *header;
    const char *typ;
    bool is_good;
};

static const struct header_row headers[] = {
    { "plain", HEADER, NULL, true },
    { "no kid", "{\"alg\":\"RS256\"}", NULL, true },
    { "typ JWT", "{\"alg\":\"RS256\",\"typ\":\"JWT\"}", NULL, true },
    { "typ jwt", "{\"alg\":\"RS256\",\"typ\":\"jwt\"}", NULL, true },
    { "other members", "{\"alg\":\"ES256\",\"x5t\":\"a\",\"x\":{\"y\":[1]}}", NULL, true },
    { "members that are never looked at",
      "{\"alg\":\"RS256\",\"jku\":\"https://evil.example/\",\"x5u\":\"https://evil.example/\","
      "\"jwk\":{\"kty\":\"oct\",\"k\":\"AA\"},\"x5c\":[\"AA\"]}",
      NULL, true },
    { "an empty kid", "{\"alg\":\"RS256\",\"kid\":\"\"}", NULL, true },
    { "a kid at the limit", "{\"alg\":\"RS256\",\"kid\":\"" KID_256 "\"}", NULL, true },
    { "the wanted typ", "{\"alg\":\"ES256\",\"typ\":\"dpop+jwt\",\"jwk\":{}}", "dpop+jwt", true },

    { "a kid past the limit", "{\"alg\":\"RS256\",\"kid\":\"" KID_256 "x\"}", NULL, false },
    { "a kid that is a number", "{\"alg\":\"RS256\",\"kid\":1}", NULL, false },
    { "a kid that is null", "{\"alg\":\"RS256\",\"kid\":null}", NULL, false },
    { "a kid that is an array", "{\"alg\":\"RS256\",\"kid\":[\"a\"]}", NULL, false },
    { "a kid with NUL", "{\"alg\":\"RS256\",\"kid\":\"a\\u0000b\"}", NULL, false },
    { "no alg", "{\"kid\":\"a\"}", NULL, false },
    { "alg none", "{\"alg\":\"none\"}", NULL, false },
    { "alg None", "{\"alg\":\"None\"}", NULL, false },
    { "alg empty", "{\"alg\":\"\"}", NULL, false },
    { "alg null", "{\"alg\":null}", NULL, false },
    { "alg a list", "{\"alg\":[\"RS256\"]}", NULL, false },
    { "alg a number", "{\"alg\":256}", NULL, false },
    { "alg in another case", "{\"alg\":\"rs256\"}", NULL, false },
    { "alg with a space", "{\"alg\":\"RS256 \"}", NULL, false },
    { "HS256", "{\"alg\":\"HS256\"}", NULL, false },
    { "HS512", "{\"alg\":\"HS512\"}", NULL, false },
    { "dir", "{\"alg\":\"dir\",\"enc\":\"A256GCM\"}", NULL, false },
    { "ES256K", "{\"alg\":\"ES256K\"}", NULL, false },
    { "two alg", "{\"alg\":\"RS256\",\"alg\":\"none\"}", NULL, false },
    { "two alg behind an escape", "{\"alg\":\"RS256\",\"\\u0061lg\":\"none\"}", NULL, false },
    { "crit", "{\"alg\":\"RS256\",\"crit\":[\"exp\"]}", NULL, false },
    { "an empty crit", "{\"alg\":\"RS256\",\"crit\":[]}", NULL, false },
    { "crit null", "{\"alg\":\"RS256\",\"crit\":null}", NULL, false },
    { "b64", "{\"alg\":\"RS256\",\"b64\":false}", NULL, false },
    { "zip", "{\"alg\":\"RS256\",\"zip\":\"DEF\"}", NULL, false },
    { "enc", "{\"alg\":\"RS256\",\"enc\":\"A256GCM\"}", NULL, false },
    { "nesting", "{\"alg\":\"RS256\",\"cty\":\"JWT\"}", NULL, false },
    { "typ at+jwt", "{\"alg\":\"RS256\",\"typ\":\"at+jwt\"}", NULL, false },
    { "typ dpop+jwt", "{\"alg\":\"RS256\",\"typ\":\"dpop+jwt\"}", NULL, false },
    { "typ a number", "{\"alg\":\"RS256\",\"typ\":1}", NULL, false },
    { "typ null", "{\"alg\":\"RS256\",\"typ\":null}", NULL, false },
    { "typ empty", "{\"alg\":\"RS256\",\"typ\":\"\"}", NULL, false },
    { "a wanted typ that is missing", "{\"alg\":\"ES256\"}", "dpop+jwt", false },
    { "a wanted typ that is JWT", "{\"alg\":\"ES256\",\"typ\":\"JWT\"}", "dpop+jwt", false },
    { "a wanted typ in another case", "{\"alg\":\"ES256\",\"typ\":\"DPoP+jwt\"}", "dpop+jwt",
      false },
    { "an array", "[\"alg\",\"RS256\"]", NULL, false },
    { "a string", "\"RS256\"", NULL, false },
    { "no JSON", "alg=RS256", NULL, false },
    { "cut off", "{\"alg\":\"RS256\"", NULL, false },
    { "text behind", "{\"alg\":\"RS256\"}x", NULL, false },
    { "a BOM", "\xef\xbb\xbf{\"alg\":\"RS256\"}", NULL, false },
    { "a comment", "{\"alg\":\"RS256\"/**/}", NULL, false },
    { "no UTF-8", "{\"alg\":\"RS256\",\"x\":\"\xff\"}", NULL, false },
    { "too deep", "{\"alg\":\"RS256\",\"x\":[[[[[[[[[[]]]]]]]]]]}", NULL, false },
};

static void headers_are_accepted_or_refused(void **state)
{
    for (size_t i = 0; i < COUNT(headers); i++) {
        char *token = token_of(headers[i].header, "{}");
        struct token_envelope envelope = { 0 };
        struct error error = { 0 };
        bool is_good = token_open(str_from(token), headers[i].typ, *state, &envelope, &error);

        free(token);
        if (is_good != headers[i].is_good)
            fail_msg("%s: %s", headers[i].name, is_good ? "accepted" : error.cause);
        if (!is_good && error.code != ERROR_TOKEN)
            fail_msg("%s: code %d", headers[i].name, error.code);
    }
}

struct text_row {
    const char *name;
    const char *token;
};

/* eyJhbGciOiJSUzI1NiJ9 is {"alg":"RS256"}, e30 is {} */
static const struct text_row texts[] = {
    { "nothing", "" },
    { "dots only", ".." },
    { "one segment", "eyJhbGciOiJSUzI1NiJ9" },
    { "two segments", "eyJhbGciOiJSUzI1NiJ9.e30" },
    { "four segments", "eyJhbGciOiJSUzI1NiJ9.e30.AAAA.AAAA" },
    { "a dot behind", "eyJhbGciOiJSUzI1NiJ9.e30.AAAA." },
    { "five segments", "eyJhbGciOiJSUzI1NiJ9.e30.AAAA.AAAA.AAAA" },
    { "no header", ".e30.AAAA" },
    { "no payload", "eyJhbGciOiJSUzI1NiJ9..AAAA" },
    { "no signature", "eyJhbGciOiJSUzI1NiJ9.e30." },
    { "padding", "eyJhbGciOiJSUzI1NiJ9.e30=.AAAA" },
    { "padded signature", "eyJhbGciOiJSUzI1NiJ9.e30.AAA=" },
    { "spare bits in the payload", "eyJhbGciOiJSUzI1NiJ9.e31.AAAA" },
    { "spare bits in the signature", "eyJhbGciOiJSUzI1NiJ9.e30.AAB" },
    { "one character of a group", "eyJhbGciOiJSUzI1NiJ9.e30.AAAAA" },
    { "the standard alphabet", "eyJhbGciOiJSUzI1NiJ9.e30.AA+/" },
    { "a space in front", " eyJhbGciOiJSUzI1NiJ9.e30.AAAA" },
    { "a space behind", "eyJhbGciOiJSUzI1NiJ9.e30.AAAA " },
    { "a line's end", "eyJhbGciOiJSUzI1NiJ9.e30.AAAA\n" },
    { "a line's end inside", "eyJhbGciOiJSUzI1NiJ9.e3\n0.AAAA" },
    { "bearer in front", "Bearer eyJhbGciOiJSUzI1NiJ9.e30.AAAA" },
    { "JSON serialisation", "{\"protected\":\"eyJhbGciOiJSUzI1NiJ9\"}" },
    { "no ASCII", "eyJhbGciOiJSUzI1NiJ9.e30.AA\xc3\xa4" },
};

static void texts_that_are_no_compact_jws_are_refused(void **state)
{
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct token_envelope envelope = { 0 };
        struct error error = { 0 };

        if (token_open(str_from(texts[i].token), NULL, *state, &envelope, &error))
            fail_msg("%s: accepted", texts[i].name);
        if (error.code != ERROR_TOKEN)
            fail_msg("%s: code %d: %s", texts[i].name, error.code, error.cause);
    }
}

static void a_nul_byte_ends_nothing(void **state)
{
    static const char token[] = "eyJhbGciOiJSUzI1NiJ9.e30.AAAA\0AAAA";
    struct token_envelope envelope = { 0 };
    struct error error = { 0 };

    assert_false(
        token_open((struct str){ token, sizeof(token) - 1 }, NULL, *state, &envelope, &error));
    assert_int_equal(error.code, ERROR_TOKEN);
}

static void an_envelope_gives_its_parts(void **state)
{
    struct token_envelope envelope = { 0 };
    struct error error = { 0 };
    char *token = token_of("{\"alg\":\"ES256\",\"kid\":\"k1\"}", "{\"a\":1}");

    assert_true(token_open(str_from(token), NULL, *state, &envelope, &error));
    assert_int_equal(envelope.algorithm, JOSE_ES256);
    assert_true(envelope.has_kid);
    assert_true(str_eq(envelope.kid, STR("k1")));
    assert_true(str_eq(envelope.payload, STR("{\"a\":1}")));
    assert_int_equal(envelope.signature.len, 3);
    assert_int_equal(envelope.signing_input.len, strlen(token) - strlen(".AAAA"));
    free(token);
}

/* A token of exactly `len` bytes: the signature fills up. */
static char *token_of_len(size_t len)
{
    static const char start[] = "eyJhbGciOiJSUzI1NiJ9.e30.";
    char *token = malloc(len + 1);

    assert_non_null(token);
    memset(token, 'A', len);
    memcpy(token, start, sizeof(start) - 1);
    token[len] = '\0';
    return token;
}

static void a_token_of_the_longest_length_is_opened_and_one_more_is_not(void **state)
{
    struct token_envelope envelope = { 0 };
    struct error error = { 0 };
    /* a length of base64url is never 1 more than a multiple of 4: the signature's is not */
    char *longest = token_of_len(TOKEN_MAX);
    char *longer = token_of_len(TOKEN_MAX + 1);

    assert_true(token_open(str_from(longest), NULL, *state, &envelope, &error));
    assert_false(token_open(str_from(longer), NULL, *state, &envelope, &error));
    assert_int_equal(error.code, ERROR_TOKEN);
    assert_non_null(strstr(error.cause, "longer"));
    free(longest);
    free(longer);
}

static const char *const payloads[] = {
    "[]",
    "null",
    "\"text\"",
    "1",
    "{\"a\":1,\"a\":2}",
    "{\"a\":1e400}",
    "{\"a\":NaN}",
    "{} ",
    "{}x",
    "{\"a\":\"\\ud800\"}",
    "{\"a\":\"\\u0000\"}",
    "{\"a\":18446744073709551616}",
};

static void payloads_that_are_no_strict_object_are_refused(void **state)
{
    for (size_t i = 0; i < COUNT(payloads); i++) {
        char *token = token_of(HEADER, payloads[i]);
        struct token_envelope envelope = { 0 };
        const json_t *claims = NULL;
        struct error error = { 0 };
        bool is_white_space = str_ends_with(str_from(payloads[i]), STR(" "));

        assert_true(token_open(str_from(token), NULL, *state, &envelope, &error));
        free(token);
        if (token_peek(&envelope, *state, &claims, &error) != is_white_space)
            fail_msg("%s: %s", payloads[i], error.cause);
        if (!is_white_space && error.code != ERROR_TOKEN)
            fail_msg("%s: code %d", payloads[i], error.code);
    }
}

/* {"a":[1,1,...]}: the array and its elements count, the member "a" too. */
static char *payload_of_members(size_t count)
{
    struct buf buf = { 0 };
    char *text;

    buf_init(&buf, TEXT_MAX);
    buf_add_text(&buf, "{\"a\":[1");
    for (size_t i = 2; i < count; i++)
        buf_add_text(&buf, ",1");
    buf_add_text(&buf, "]}");
    assert_true(buf_is_ok(&buf));
    text = strndup(buf.data, buf.len);
    buf_release(&buf);
    return text;
}

static bool can_peek(const char *payload, struct arena *arena)
{
    char *token = token_of(HEADER, payload);
    struct token_envelope envelope = { 0 };
    const json_t *claims = NULL;
    struct error error = { 0 };
    bool is_good = token_open(str_from(token), NULL, arena, &envelope, &error) &&
                   token_peek(&envelope, arena, &claims, &error);

    free(token);
    return is_good;
}

static void a_payload_has_a_thousand_members_and_not_one_more(void **state)
{
    char *most = payload_of_members(1000);
    char *more = payload_of_members(1001);

    assert_true(can_peek(most, *state));
    assert_false(can_peek(more, *state));
    free(most);
    free(more);
}

static char *payload_of_depth(size_t depth)
{
    struct buf buf = { 0 };
    char *text;

    buf_init(&buf, TEXT_MAX);
    buf_add_text(&buf, "{\"a\":");
    for (size_t i = 1; i < depth; i++)
        buf_add_text(&buf, "[");
    for (size_t i = 1; i < depth; i++)
        buf_add_text(&buf, "]");
    buf_add_text(&buf, "}");
    text = strndup(buf.data, buf.len);
    buf_release(&buf);
    return text;
}

static void a_payload_is_32_deep_and_not_one_more(void **state)
{
    char *deepest = payload_of_depth(32);
    char *deeper = payload_of_depth(33);

    assert_true(can_peek(deepest, *state));
    assert_false(can_peek(deeper, *state));
    free(deepest);
    free(deeper);
}

static void a_full_arena_is_a_lack_of_memory(void **state)
{
    struct arena *small = arena_new(16);
    char *token = token_of(HEADER, "{\"a\":\"0123456789abcdef\"}");
    struct token_envelope envelope = { 0 };
    struct error error = { 0 };

    (void)state;
    assert_false(token_open(str_from(token), NULL, small, &envelope, &error));
    assert_int_equal(error.code, ERROR_MEMORY);
    free(token);
    arena_free(small);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(headers_are_accepted_or_refused),
        TEST(texts_that_are_no_compact_jws_are_refused),
        TEST(a_nul_byte_ends_nothing),
        TEST(an_envelope_gives_its_parts),
        TEST(a_token_of_the_longest_length_is_opened_and_one_more_is_not),
        TEST(payloads_that_are_no_strict_object_are_refused),
        TEST(a_payload_has_a_thousand_members_and_not_one_more),
        TEST(a_payload_is_32_deep_and_not_one_more),
        TEST(a_full_arena_is_a_lack_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
