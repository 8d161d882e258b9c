#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "tests/assert_str.h"
#include "tests/test.h"
#include "world.h"

#define PIPELINE                                                                                   \
    "pipeline: p\nowner: me\nidentity: { issuer: github, repository_id: \"1\" }\n"                 \
    "stages: { a: { kind: build } }\n"
#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define REPOSITORY_MAX 256

struct loading {
    char folder[64];
    struct arena *arena;
    struct diagnostics diagnostics;
    struct policy *policy;
};

static int set_up(void **state)
{
    struct loading *loading = calloc(1, sizeof(*loading));

    assert_non_null(loading);
    world_make_folder(loading->folder);
    world_write(loading->folder, "p.yaml", PIPELINE);
    loading->arena = arena_new((size_t)4 * 1024 * 1024);
    assert_non_null(loading->arena);
    *state = loading;
    return 0;
}

static int tear_down(void **state)
{
    struct loading *loading = *state;

    policy_unref(loading->policy);
    arena_free(loading->arena);
    world_remove(loading->folder);
    free(loading);
    return 0;
}

static const char *path_of(const struct loading *loading, const char *name)
{
    return arena_printf(loading->arena, "%s/%s", loading->folder, name).data;
}

static bool load(struct loading *loading)
{
    const struct policy_load_options options = { .folder = loading->folder,
                                                 .world = &test_world,
                                                 .diagnostics = &loading->diagnostics };
    struct error error = { 0 };

    policy_unref(loading->policy);
    loading->policy = NULL;
    diagnostics_init(&loading->diagnostics, loading->arena);
    return policy_load(&options, &loading->policy, &error);
}

static void assert_refused(struct loading *loading, const char *fragment)
{
    OWNED(buf_release) struct buf said = { 0 };

    buf_init(&said, (size_t)1024 * 1024);
    assert_false(load(loading));
    diagnostics_write(&loading->diagnostics, &said);
    if (strstr(said.data, fragment) == NULL || strstr(said.data, "SOURCE") == NULL)
        fail_msg("expected '%s' of SOURCE in: %s", fragment, said.data);
}

static const struct policy_provenance *read_source(struct loading *loading, const char *text)
{
    world_write(loading->folder, "SOURCE", text);
    if (!load(loading))
        fail_msg("%s was refused", text);
    return policy_provenance(loading->policy);
}

static void a_folder_without_source_says_nothing(void **state)
{
    struct loading *loading = *state;

    assert_true(load(loading));
    assert_int_equal(policy_provenance(loading->policy)->repository.len, 0);
    assert_int_equal(policy_provenance(loading->policy)->commit.len, 0);
}

static void source_names_repository_and_commit(void **state)
{
    const struct policy_provenance *found =
        read_source(*state, "repository: https://git.acme.example/platform/policies\n"
                            "commit: " COMMIT "\n");

    assert_str(found->repository, "https://git.acme.example/platform/policies");
    assert_str(found->commit, COMMIT);
}

static void source_is_not_part_of_the_hash(void **state)
{
    struct loading *loading = *state;
    uint8_t before[SHA256_LEN];

    assert_true(load(loading));
    memcpy(before, policy_sha256(loading->policy), SHA256_LEN);
    (void)read_source(loading, "{ repository: acme/policies, commit: \"" COMMIT "\" }\n");
    assert_memory_equal(before, policy_sha256(loading->policy), SHA256_LEN);
    assert_int_equal(policy_text_count(loading->policy), 1);
}

static void repositories_without_credentials_are_taken(void **state)
{
    static const char *const names[] = {
        "acme/policies",
        "https://git.acme.example/policies.git",
        "git@git.acme.example:acme/policies.git",
        "ssh://git@git.acme.example/acme/policies.git",
        "https://git.acme.example/@acme/policies",
        "file:///srv/git/policies",
    };
    char text[512];

    for (size_t i = 0; i < COUNT(names); i++) {
        (void)snprintf(text, sizeof(text), "repository: \"%s\"\ncommit: " COMMIT "\n", names[i]);
        assert_true(str_eq(read_source(*state, text)->repository, str_from(names[i])));
    }
}

static void a_hostile_or_broken_source_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *text;
        const char *said;
    } cases[] = {
        { "", "SOURCE" },
        { "main", "expected a map" },
        { "repository: a/b\n", "'commit' is missing" },
        { "commit: " COMMIT "\n", "'repository' is missing" },
        { "repository: a/b\ncommit: main\n", "'commit' is a whole commit id" },
        { "repository: a/b\ncommit: 0123456\n", "'commit' is a whole commit id" },
        { "repository: a/b\ncommit: 0123456789ABCDEF0123456789abcdef01234567\n", "whole commit" },
        { "repository: a/b\ncommit: " COMMIT "0\n", "'commit' is a whole commit id" },
        { "repository: a/b\ncommit: [" COMMIT "]\n", "SOURCE:2:9" },
        { "repository: \"\"\ncommit: " COMMIT "\n", "'repository' has 1 to 256 bytes" },
        { "repository: a b\ncommit: " COMMIT "\n", "'repository' has 1 to 256 bytes" },
        { "repository: \"a\\nb\"\ncommit: " COMMIT "\n", "'repository' has 1 to 256 bytes" },
        { "repository: \"a\\u001bb\"\ncommit: " COMMIT "\n", "control character" },
        { "repository: https://bot:secret@h/a\ncommit: " COMMIT "\n", "without credentials" },
        { "repository: https://ghp_token@h/a\ncommit: " COMMIT "\n", "without credentials" },
        { "repository: https://ghp_token@h\ncommit: " COMMIT "\n", "without credentials" },
        { "repository: ssh://git:pw@h/a\ncommit: " COMMIT "\n", "without credentials" },
        { "repository: a/b\ncommit: " COMMIT "\nbranch: main\n", "unknown key 'branch'" },
        { "repository: a/b\nrepository: c/d\ncommit: " COMMIT "\n", "repository" },
        { "repository: &a a/b\ncommit: *a\n", "anchor" },
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct loading *loading = *state;

        world_write(loading->folder, "SOURCE", cases[i].text);
        assert_refused(loading, cases[i].said);
    }
}

/* 256 bytes and 4096 bytes are taken, one more is not. */
static void source_has_limits(void **state)
{
    static char text[8192];
    struct loading *loading = *state;
    char name[REPOSITORY_MAX + 2];
    int len;

    memset(name, 'a', sizeof(name));
    len = snprintf(text, sizeof(text), "repository: %.*s\ncommit: " COMMIT "\n", REPOSITORY_MAX,
                   name);
    (void)read_source(loading, text);
    memset(text + len, '#', 4096 - (size_t)len);
    text[4096] = '\0';
    (void)read_source(loading, text);
    text[4096] = '#';
    text[4097] = '\0';
    world_write(loading->folder, "SOURCE", text);
    assert_refused(loading, "at most 4096 bytes");
    (void)snprintf(text, sizeof(text), "repository: %.*s\ncommit: " COMMIT "\n", REPOSITORY_MAX + 1,
                   name);
    world_write(loading->folder, "SOURCE", text);
    assert_refused(loading, "1 to 256 bytes");
}

static void source_is_as_guarded_as_a_policy(void **state)
{
    struct loading *loading = *state;
    const char *path = path_of(loading, "SOURCE");

    world_write(loading->folder, "SOURCE", "repository: a/b\ncommit: " COMMIT "\n");
    assert_int_equal(chmod(path, 0666), 0);
    assert_refused(loading, "others may write to this file");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/hostname", path), 0);
    assert_refused(loading, "leads out of the policy folder");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("nowhere", path), 0);
    assert_refused(loading, "SOURCE");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_refused(loading, "not a regular file");
    assert_int_equal(unlink(path), 0);
    world_write(loading->folder, ".source", "repository: a/b\ncommit: " COMMIT "\n");
    assert_int_equal(symlink(".source", path), 0); /* as a ConfigMap has it */
    assert_true(load(loading));
    assert_str(policy_provenance(loading->policy)->repository, "a/b");
}

static void files_are_told_by_name_and_hash(void **state)
{
    struct loading *loading = *state;
    struct policy_text text;
    uint8_t digest[SHA256_LEN];

    assert_int_equal(mkdir(path_of(loading, "sub"), 0700), 0);
    world_write(loading->folder, "sub/s.yaml", "sets: { a: [b] }\n");
    assert_true(load(loading));
    assert_int_equal(policy_text_count(loading->policy), 2);
    text = policy_text_at(loading->policy, 0);
    assert_str(text.name, "p.yaml");
    assert_true(str_eq(text.path, str_from(path_of(loading, "p.yaml"))));
    sha256(STR(PIPELINE), digest);
    assert_memory_equal(text.sha256, digest, SHA256_LEN);
    assert_str(policy_text_at(loading->policy, 1).name, "sub/s.yaml");
}

static void names_that_cannot_be_shown_are_refused(void **state)
{
    static const char *const names[] = { "a\nb.yaml", "a\x1b[31m.yaml", "caf\xe9.yaml" };
    struct loading *loading = *state;

    for (size_t i = 0; i < COUNT(names); i++) {
        world_write(loading->folder, names[i], PIPELINE);
        assert_false(load(loading));
        assert_non_null(strstr(loading->diagnostics.list[0].message.data, "could not be shown"));
        assert_int_equal(unlink(path_of(loading, names[i])), 0);
    }
    world_write(loading->folder, "caf\xe9.txt", "nobody reads it");
    assert_true(load(loading));
}

static void a_name_as_long_as_can_be_kept_is_read_and_a_longer_one_is_refused(void **state)
{
    struct loading *loading = *state;
    char name[POLICY_FILE_NAME_MAX + 2];

    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    for (size_t at = 200; at < POLICY_FILE_NAME_MAX - 100; at += 201) {
        name[at] = '\0';
        assert_int_equal(mkdir(path_of(loading, name), 0700), 0);
        name[at] = '/';
    }
    memcpy(name + POLICY_FILE_NAME_MAX - 4, ".yaml", 6);
    world_write(loading->folder, name, "sets: { a: [b] }\n");
    assert_false(load(loading));
    assert_str(loading->diagnostics.list[0].message, "its name has more than 1024 bytes");
    assert_int_equal(unlink(path_of(loading, name)), 0);
    memcpy(name + POLICY_FILE_NAME_MAX - 5, ".yaml", 6);
    world_write(loading->folder, name, "sets: { a: [b] }\n");
    assert_true(load(loading));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_folder_without_source_says_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(source_names_repository_and_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(source_is_not_part_of_the_hash, set_up, tear_down),
        cmocka_unit_test_setup_teardown(repositories_without_credentials_are_taken, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_hostile_or_broken_source_is_refused_with_its_place,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(source_has_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(source_is_as_guarded_as_a_policy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_are_told_by_name_and_hash, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_name_as_long_as_can_be_kept_is_read_and_a_longer_one_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_that_cannot_be_shown_are_refused, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
