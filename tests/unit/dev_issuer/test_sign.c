#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "identity/identity.h"
#include "identity/profile.h"
#include "keys/keys.h"
#include "keys/verifier.h"
#include "tests/dev_issuer/options.h"
#include "tests/dev_issuer/sign.h"
#include "tests/test.h"

#define MAIN "../../data/claims/github/main.json"
#define NOW_S ((int64_t)1790000600)
#define ISSUER STR("http://127.0.0.1:8480")
#define AUDIENCE STR("https://broker.example")
#define MANY 200
#define TEXT_MAX ((size_t)1024 * 1024)

struct fixture {
    char folder[64];
    struct options options;
    struct arena *arena;
};

static int start(void **state)
{
    static struct fixture fixture;

    fixture = (struct fixture){
        .folder = "/tmp/stagepass-sign-XXXXXX",
        .arena = arena_new(16 * TEXT_MAX),
    };
    assert_non_null(mkdtemp(fixture.folder));
    assert_non_null(fixture.arena);
    fixture.options = (struct options){
        .folder = fixture.folder,
        .algorithm = KEY_RS256,
        .profile = profile_find(STR("github")),
        .url = ISSUER,
        .audience = AUDIENCE,
        .claims_file = MAIN,
        .lifetime_s = 300,
        .count = 1,
    };
    *state = &fixture;
    return 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    const struct dirent *entry;
    DIR *names;

    (void)snprintf(path, sizeof(path), "%s/keys", fixture->folder);
    names = opendir(path);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    while (names != NULL && (entry = readdir(names)) != NULL)
        (void)unlinkat(dirfd(names), entry->d_name, 0); /* not '.' and '..' */
    if (names != NULL)
        (void)closedir(names);
    (void)rmdir(path);
    assert_int_equal(rmdir(fixture->folder), 0);
    arena_free(fixture->arena);
    return 0;
}

/* All that the command writes. */
static struct str sign_all(struct fixture *fixture)
{
    struct error error = { 0 };
    char *data = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&data, &len);
    struct str text;

    assert_non_null(out);
    if (!sign_run(&fixture->options, NOW_S, out, &error))
        fail_msg("%s", error.cause);
    assert_int_equal(fclose(out), 0);
    text = arena_copy(fixture->arena, (struct str){ data, len });
    assert_non_null(text.data);
    free(data);
    return text;
}

static struct str sign_one(struct fixture *fixture)
{
    struct str text = sign_all(fixture);

    assert_true(str_ends_with(text, STR("\n")));
    return str_slice(text, 0, text.len - 1);
}

/* By the key set of whoever opens the folder now, with the identity room's own rules. */
static bool verify(struct fixture *fixture, struct str token, int64_t now_s,
                   struct verified_token *verified, struct error *error)
{
    OWNED(keys_close) struct keys *keys = NULL;
    const struct profile *profile = profile_find(STR("github"));
    struct issuer_options issuer = {
        .name = STR("dev"),
        .profile = profile,
        .url = ISSUER,
        .audience = AUDIENCE,
        .algorithms = (unsigned)JOSE_RS256 | (unsigned)JOSE_ES256,
        .claims = profile->claims,
    };
    struct identity_input input = { .token = token, .now_s = now_s };
    struct str jwks;

    return sign_open_keys(&fixture->options, NOW_S, &keys, error) &&
           keys_jwks(keys, fixture->arena, &jwks, error) &&
           identity_verify_offline(&issuer, jwks, &input, 30, fixture->arena, verified, error);
}

static enum error_code code_of(struct fixture *fixture, struct str token, int64_t now_s)
{
    struct verified_token verified = { 0 };
    struct error error = { 0 };
    bool is_good = verify(fixture, token, now_s, &verified, &error);

    assert_int_equal(is_good, error.code == ERROR_NONE);
    return error.code;
}

static void a_token_is_one_that_a_broker_takes(void **state)
{
    struct fixture *fixture = *state;
    struct verified_token verified = { 0 };
    struct error error = { 0 };

    if (!verify(fixture, sign_one(fixture), NOW_S + 1, &verified, &error))
        fail_msg("%s", error.cause);
    assert_true(str_eq(verified.subject, STR("repo:acme/payments:environment:production")));
    assert_int_equal(verified.issued_s, NOW_S);
    assert_int_equal(verified.expires_s, NOW_S + 300);
}

static void keys_of_both_algorithms_are_published_together(void **state)
{
    struct fixture *fixture = *state;
    struct str first = sign_one(fixture);
    struct str second;

    fixture->options.algorithm = KEY_ES256;
    second = sign_one(fixture);
    fixture->options.algorithm = KEY_RS256;
    assert_int_equal(code_of(fixture, first, NOW_S), ERROR_NONE);
    assert_int_equal(code_of(fixture, second, NOW_S), ERROR_NONE);
}

static void a_token_ends(void **state)
{
    struct fixture *fixture = *state;
    struct str token;

    fixture->options.lifetime_s = 60;
    token = sign_one(fixture);
    assert_int_equal(code_of(fixture, token, NOW_S + 59), ERROR_NONE);
    assert_int_equal(code_of(fixture, token, NOW_S + 60 + 30), ERROR_TOKEN_EXPIRED);
}

static void a_token_for_another_or_of_another_is_refused(void **state)
{
    struct fixture *fixture = *state;

    fixture->options.audience = STR("https://other.example");
    assert_int_equal(code_of(fixture, sign_one(fixture), NOW_S), ERROR_TOKEN_AUDIENCE);
    fixture->options.audience = AUDIENCE;
    fixture->options.url = STR("http://127.0.0.1:8481");
    assert_int_equal(code_of(fixture, sign_one(fixture), NOW_S), ERROR_TOKEN);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void many_tokens_are_whole_lines_and_all_differ(void **state)
{
    struct fixture *fixture = *state;
    struct str rest;
    char *marks[MANY];

    fixture->options.algorithm = KEY_ES256;
    fixture->options.count = MANY;
    rest = sign_all(fixture);
    for (size_t i = 0; i < MANY; i++) {
        struct verified_token verified = { 0 };
        struct error error = { 0 };
        struct str token;

        assert_true(str_cut(rest, '\n', &token, &rest));
        if (!verify(fixture, token, NOW_S, &verified, &error))
            fail_msg("token %zu: %s", i, error.cause);
        marks[i] = arena_alloc(fixture->arena, 2 * sizeof(verified.mark) + 1);
        assert_non_null(marks[i]);
        for (size_t byte = 0; byte < sizeof(verified.mark); byte++)
            (void)snprintf(marks[i] + 2 * byte, 3, "%02x", verified.mark[byte]);
    }
    assert_int_equal(rest.len, 0);
    qsort(marks, MANY, sizeof(marks[0]), compare_texts);
    for (size_t i = 1; i < MANY; i++)
        assert_string_not_equal(marks[i - 1], marks[i]);
}

static void a_jti_that_is_said_stays(void **state)
{
    struct fixture *fixture = *state;
    struct verified_token verified[2];
    struct error error = { 0 };

    fixture->options.changes[0] = (struct claims_change){ CLAIMS_SET, STR("jti"), STR("once") };
    fixture->options.change_count = 1;
    for (size_t i = 0; i < COUNT(verified); i++)
        assert_true(verify(fixture, sign_one(fixture), NOW_S, &verified[i], &error));
    assert_memory_equal(verified[0].mark, verified[1].mark, sizeof(verified[0].mark));
}

static enum error_code refused(const struct options *options, FILE *out)
{
    struct error error = { 0 };

    assert_non_null(out);
    assert_false(sign_run(options, NOW_S, out, &error));
    (void)fclose(out); /* it may have failed before */
    return error.code;
}

static void a_token_too_long_ends_all_threads(void **state)
{
    struct fixture *fixture = *state;
    static char text[KEYS_TOKEN_MAX];

    memset(text, 'x', sizeof(text));
    fixture->options.count = MANY;
    fixture->options.changes[0] =
        (struct claims_change){ CLAIMS_SET, STR("long"), { text, sizeof(text) } };
    fixture->options.change_count = 1;
    assert_int_equal(refused(&fixture->options, fopen("/dev/null", "w")), ERROR_LIMIT);
}

static void a_token_that_cannot_be_written_is_an_error(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(refused(&fixture->options, fopen("/dev/full", "w")), ERROR_IO);
}

static void without_claims_file_or_folder_nothing_is_signed(void **state)
{
    struct fixture *fixture = *state;

    fixture->options.claims_file = "/nowhere/claims.json";
    assert_int_equal(refused(&fixture->options, fopen("/dev/null", "w")), ERROR_IO);
    fixture->options.claims_file = MAIN;
    fixture->options.folder = "/dev/null";
    assert_int_equal(refused(&fixture->options, fopen("/dev/null", "w")), ERROR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_token_is_one_that_a_broker_takes, start, stop),
        cmocka_unit_test_setup_teardown(keys_of_both_algorithms_are_published_together, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_token_ends, start, stop),
        cmocka_unit_test_setup_teardown(a_token_for_another_or_of_another_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(many_tokens_are_whole_lines_and_all_differ, start, stop),
        cmocka_unit_test_setup_teardown(a_jti_that_is_said_stays, start, stop),
        cmocka_unit_test_setup_teardown(a_token_too_long_ends_all_threads, start, stop),
        cmocka_unit_test_setup_teardown(a_token_that_cannot_be_written_is_an_error, start, stop),
        cmocka_unit_test_setup_teardown(without_claims_file_or_folder_nothing_is_signed, start,
                                        stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
