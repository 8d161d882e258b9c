#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/diagnostic.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "config/config.h"
#include "dev.h"
#include "dev_files.h"
#include "policy/policy.h"
#include "tests/test.h"

#define TEXT_MAX ((size_t)64 * 1024)

struct fixture {
    char folder[64];
    struct arena *arena;
    struct diagnostics diagnostics;
};

static int start(void **state)
{
    static struct fixture fixture;

    fixture = (struct fixture){
        .folder = "/tmp/stagepass dev-XXXXXX", /* a path that a shell must have quoted */
        .arena = arena_new((size_t)16 * 1024 * 1024),
    };
    assert_non_null(mkdtemp(fixture.folder));
    assert_non_null(fixture.arena);
    diagnostics_init(&fixture.diagnostics, fixture.arena);
    *state = &fixture;
    return 0;
}

static const char *path_of(struct fixture *fixture, const char *name)
{
    const char *path = file_join(fixture->arena, fixture->folder, name);

    assert_non_null(path);
    return path;
}

static int stop(void **state)
{
    static const char *const files[] = { "ca.pem", "tls.crt", "tls.key" };
    static const char *const folders[] = { "issuer/runs", "issuer", "policies", "store" };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(files); i++)
        (void)unlink(path_of(fixture, files[i])); /* where it is there */
    for (size_t i = 0; i < dev_file_count; i++)
        (void)unlink(
            file_join(fixture->arena, path_of(fixture, dev_files[i].folder), dev_files[i].name));
    for (size_t i = 0; i < COUNT(folders); i++)
        (void)rmdir(path_of(fixture, folders[i]));
    assert_int_equal(rmdir(fixture->folder), 0);
    arena_free(fixture->arena);
    return 0;
}

/* What it says goes into `words` instead of the test's output. */
static const char *prepare_and_hear(struct fixture *fixture, struct str *words)
{
    struct error error = { 0 };
    const char *config = NULL;
    FILE *heard = tmpfile();
    int out = dup(STDOUT_FILENO);
    char *text = arena_alloc(fixture->arena, TEXT_MAX);
    bool is_good;

    assert_true(heard != NULL && out >= 0 && text != NULL);
    assert_int_equal(fflush(stdout), 0);
    assert_int_equal(dup2(fileno(heard), STDOUT_FILENO), STDOUT_FILENO);
    is_good = dev_prepare(fixture->folder, fixture->arena, &config, &error);
    assert_int_equal(dup2(out, STDOUT_FILENO), STDOUT_FILENO);
    assert_int_equal(close(out), 0);
    if (!is_good)
        fail_msg("%s", error.cause);
    rewind(heard);
    *words = (struct str){ text, fread(text, 1, TEXT_MAX - 1, heard) };
    assert_int_equal(fclose(heard), 0);
    return config;
}

static const char *prepare(struct fixture *fixture)
{
    struct str words;

    return prepare_and_hear(fixture, &words);
}

static struct str read_text(struct fixture *fixture, const char *path)
{
    struct error error = { 0 };
    struct str text;

    if (!file_read(fixture->arena, path, TEXT_MAX, &text, &error))
        fail_msg("%s", error.cause);
    return text;
}

static void fail_with(const struct fixture *fixture, const struct error *error)
{
    struct buf text;

    buf_init(&text, TEXT_MAX);
    diagnostics_write(&fixture->diagnostics, &text);
    fail_msg("%s\n%s", error->cause, text.data != NULL ? text.data : "");
}

static bool load_policy(struct fixture *fixture, const struct config *config,
                        struct policy **policy, struct error *error)
{
    const struct policy_load_options options = { .folder = config->policy_directory,
                                                 .world = &config->world,
                                                 .diagnostics = &fixture->diagnostics };

    return policy_load(&options, policy, error);
}

static void the_configuration_and_the_policy_load_and_its_tests_pass(void **state)
{
    struct fixture *fixture = *state;
    OWNED(config_unref) struct config *config = NULL;
    OWNED(policy_unref) struct policy *policy = NULL;
    const struct policy_test_options options = { .claims_folder = path_of(fixture, "issuer/runs") };
    struct policy_test_run tests = { 0 };
    struct error error = { 0 };

    if (!config_load(prepare(fixture), &fixture->diagnostics, &config, &error) ||
        !load_policy(fixture, config, &policy, &error))
        fail_with(fixture, &error);
    assert_int_equal(fixture->diagnostics.count, 0); /* no warnings either */
    assert_true(str_eq(config->issuer, STR(DEV_BROKER_URL)));
    assert_int_equal(config->issuer_count, 1);
    assert_true(str_eq(config->issuers[0].url, STR(DEV_ISSUER_URL)));
    assert_int_equal(policy_stage_count(policy), 2);

    assert_true(policy_run_tests(policy, &options, fixture->arena, &tests, &error));
    assert_int_equal(tests.count, 5);
    for (size_t i = 0; i < tests.count; i++)
        if (!tests.results[i].has_passed)
            fail_msg(STR_FMT ": " STR_FMT, STR_ARG(tests.results[i].name),
                     STR_ARG(tests.results[i].detail));
}

static void nobody_else_can_look_into_the_folder(void **state)
{
    struct fixture *fixture = *state;
    struct stat status;

    assert_int_equal(rmdir(fixture->folder), 0); /* it is to make it */
    (void)prepare(fixture);
    assert_int_equal(stat(fixture->folder, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
}

static void what_is_there_stays(void **state)
{
    struct fixture *fixture = *state;
    struct error error = { 0 };
    const char *config = prepare(fixture);
    const char *policy = path_of(fixture, "policies/acme-payments.yaml");
    struct str key = read_text(fixture, path_of(fixture, "tls.key"));

    assert_true(file_replace(config, STR("edited"), 0600, &error));
    assert_int_equal(unlink(policy), 0);
    assert_string_equal(prepare(fixture), config);
    assert_true(str_eq(read_text(fixture, config), STR("edited")));
    assert_true(str_eq(read_text(fixture, path_of(fixture, "tls.key")), key));
    assert_int_equal(access(policy, R_OK), 0); /* what was missing came back */
}

static void a_dangling_link_is_not_written_through(void **state)
{
    struct fixture *fixture = *state;
    const char *config = path_of(fixture, "broker.yaml");

    assert_int_equal(symlink("nowhere", config), 0);
    assert_string_equal(prepare(fixture), config);
    assert_int_equal(access(path_of(fixture, "nowhere"), F_OK), -1);
}

static void a_place_where_no_folder_can_be_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    struct error error = { 0 };
    const char *config = NULL;

    assert_false(dev_prepare("/dev/null/x", fixture->arena, &config, &error));
    assert_int_equal(error.code, ERROR_IO);
    assert_null(config);
}

static void it_says_what_to_try_for_this_folder(void **state)
{
    static const char *const expected[] = {
        "stagepass-dev-issuer serve --folder '%s'/issuer --port 8480\n",
        "STAGEPASS_BROKER=https://127.0.0.1:8443 STAGEPASS_CA='%s'/ca.pem\n",
        "stagepass audit tail --ledger '%s'/store\n",
    };
    struct fixture *fixture = *state;
    struct str words;

    (void)prepare_and_hear(fixture, &words);
    assert_int_equal(str_find(words, '@'), words.len);
    for (size_t i = 0; i < COUNT(expected); i++) {
        char line[256];
        const char *hole = strstr(expected[i], "%s");

        (void)snprintf(line, sizeof(line), "%.*s%s%s", (int)(hole - expected[i]), expected[i],
                       fixture->folder, hole + 2);
        if (strstr(words.data, line) == NULL)
            fail_msg("no '%s' in:\n%s", line, words.data);
    }
}

/* The broker is built without the tests' data, so it has claims of its own: the same. */
static void the_runs_are_those_of_the_tests(void **state)
{
    struct fixture *fixture = *state;
    size_t count = 0;

    for (size_t i = 0; i < dev_file_count; i++) {
        JSON_OWNED json_t *written = NULL;
        JSON_OWNED json_t *expected = NULL;
        struct error error = { 0 };
        const char *path;

        if (!str_ends_with(str_from(dev_files[i].name), STR(".json")))
            continue;
        path = file_join(fixture->arena, "../../data/claims/github", dev_files[i].name);
        assert_true(
            json_parse_object(str_from(dev_files[i].text), JSON_LIMITS_REQUEST, &written, &error));
        assert_true(
            json_parse_object(read_text(fixture, path), JSON_LIMITS_REQUEST, &expected, &error));
        assert_true(json_equal(written, expected));
        count++;
    }
    assert_int_equal(count, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_configuration_and_the_policy_load_and_its_tests_pass,
                                        start, stop),
        cmocka_unit_test_setup_teardown(nobody_else_can_look_into_the_folder, start, stop),
        cmocka_unit_test_setup_teardown(what_is_there_stays, start, stop),
        cmocka_unit_test_setup_teardown(a_dangling_link_is_not_written_through, start, stop),
        cmocka_unit_test_setup_teardown(a_place_where_no_folder_can_be_is_an_error, start, stop),
        cmocka_unit_test_setup_teardown(it_says_what_to_try_for_this_folder, start, stop),
        cmocka_unit_test_setup_teardown(the_runs_are_those_of_the_tests, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
