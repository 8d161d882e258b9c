#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "config/config.h"
#include "identity/profile.h"
#include "tests/assert_str.h"
#include "tests/test.h"

#define FOLDER "../../data/config"
#define TEXT_MAX ((size_t)256 * 1024)

/* One file, and all that was said about it. */
struct run {
    struct arena *arena;
    struct diagnostics diagnostics;
    struct config *config;
    struct error error;
    bool is_good;
};

static void run_init(struct run *run, const char *path)
{
    memset(run, 0, sizeof(*run));
    run->arena = arena_new((size_t)16 * 1024 * 1024);
    assert_non_null(run->arena);
    diagnostics_init(&run->diagnostics, run->arena);
    run->is_good = config_load(path, &run->diagnostics, &run->config, &run->error);
}

static void run_release(struct run *run)
{
    config_free(run->config);
    arena_free(run->arena);
}

static struct str printed(struct run *run)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, TEXT_MAX);
    diagnostics_write(&run->diagnostics, &text);
    return arena_copy(run->arena, buf_str(&text));
}

static void expect_file(struct run *run, const char *yaml)
{
    struct str expected;
    struct str got = printed(run);
    struct str path = arena_printf(run->arena, "%.*s.expected", (int)(strlen(yaml) - 5), yaml);

    assert_true(file_read(run->arena, path.data, TEXT_MAX, &expected, &run->error));
    if (!str_eq(expected, got))
        fail_msg("%s: expected\n%s\ngot\n%s", yaml, expected.data, got.data);
}

/* Each `<case>.yaml` of the folder is refused in exactly the words of `<case>.expected`. */
static void mistakes_are_told_with_their_place(void **state)
{
    DIR *folder = opendir(FOLDER "/refused");
    const struct dirent *entry;
    size_t count = 0;

    (void)state;
    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) { /* NOLINT(concurrency-mt-unsafe): one thread */
        struct error ignored = { 0 };
        char path[512];
        struct run run;

        if (!str_ends_with(str_from(entry->d_name), STR(".yaml")))
            continue;
        (void)snprintf(path, sizeof(path), FOLDER "/refused/%s", entry->d_name);
        run_init(&run, path);
        assert_false(run.is_good);
        assert_int_equal(run.error.code, ERROR_CONFIG);
        run.error = ignored;
        expect_file(&run, path);
        run_release(&run);
        count++;
    }
    closedir(folder);
    assert_true(count >= 20);
}

static void a_whole_file_is_read(void **state)
{
    struct run run;

    (void)state;
    run_init(&run, FOLDER "/good/whole.yaml");
    if (!run.is_good)
        fail_msg("%s", printed(&run).data);
    assert_str(run.config->issuer, "https://broker.acme.example");
    assert_str(run.config->origin, "broker.acme.example/log");
    assert_int_equal(run.config->listen.port, 8443);
    assert_string_equal(run.config->listen.certificate_file, FOLDER "/good/tls.crt");
    assert_string_equal(run.config->store, "/var/lib/stagepass");
    assert_int_equal(run.config->limits.leeway_s, 30);
    assert_int_equal(run.config->keys.rotate_every_s, 30 * 24 * 3600);
    assert_int_equal(run.config->issuer_count, 2);
    assert_int_equal(run.config->target_count, 2);
    run_release(&run);
}

static void people_are_read(void **state)
{
    const struct people_options *people;
    struct run run;

    (void)state;
    run_init(&run, FOLDER "/good/whole.yaml");
    assert_true(run.is_good);
    people = run.config->people;
    assert_str(people->issuer.name, "people");
    assert_str(people->issuer.audience, "stagepass");
    assert_str(people->scopes, "openid email groups");
    assert_int_equal(people->issuer.max_age_s, 8 * 3600);
    assert_int_equal(people->rule_count, 4);
    assert_int_equal(people->rules[0].role, PERSON_AUDITOR);
    assert_int_equal(people->rules[0].conditions[0].value_count, 2);
    assert_int_equal(people->rules[0].tenant_count, 0);
    assert_str(people->rules[2].tenants[1], "ledger");
    assert_int_equal(people->rules[2].condition_count, 1);
    assert_str(people->rules[3].conditions[0].claim, "/realm_access/roles");
    assert_int_equal(people->same_count, 3);
    assert_str(people->same[0].fact, "actor_id");
    assert_str(people->same[2].issuer, "old-ci");
    run_release(&run);
}

static void claims_of_the_configuration_join_the_profile_s(void **state)
{
    const struct issuer_options *issuer;
    const struct claim *claim;
    struct run run;

    (void)state;
    run_init(&run, FOLDER "/good/whole.yaml");
    assert_true(run.is_good);
    issuer = &run.config->issuers[1];
    assert_str(issuer->name, "old-ci");
    claim = claim_find(&issuer->claims, STR("build_number"));
    assert_non_null(claim);
    assert_int_equal(claim->type, CLAIM_INTEGER);
    claim = claim_find(&issuer->claims, STR("project_id"));
    assert_non_null(claim);
    assert_true((claim->flags & CLAIM_ID) != 0);
    assert_int_equal(issuer->max_age_s, 600);
    run_release(&run);
}

static void defaults_are_those_of_the_documents(void **state)
{
    struct run run;

    (void)state;
    run_init(&run, FOLDER "/good/least.yaml");
    if (!run.is_good)
        fail_msg("%s", printed(&run).data);
    assert_str(run.config->listen.address, "127.0.0.1");
    assert_int_equal(run.config->listen.port, 8443);
    assert_int_equal(run.config->admin.port, 9464);
    assert_int_equal(run.config->limits.default_ttl_s, 900);
    assert_int_equal(run.config->keys.issuer_algorithm, KEY_ES256);
    assert_string_equal(run.config->keys.directory, FOLDER "/good/store/keys");
    assert_str(run.config->broker, "a");
    run_release(&run);
}

static void a_file_that_is_not_there_is_named(void **state)
{
    struct run run;

    (void)state;
    run_init(&run, FOLDER "/nothing.yaml");
    assert_false(run.is_good);
    assert_int_equal(run.error.code, ERROR_IO);
    assert_non_null(strstr(run.error.cause, "nothing.yaml"));
    run_release(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_told_with_their_place),
        cmocka_unit_test(a_whole_file_is_read),
        cmocka_unit_test(people_are_read),
        cmocka_unit_test(claims_of_the_configuration_join_the_profile_s),
        cmocka_unit_test(defaults_are_those_of_the_documents),
        cmocka_unit_test(a_file_that_is_not_there_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
