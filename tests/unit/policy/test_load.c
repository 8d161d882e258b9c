#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/yaml.h"
#include "tests/test.h"
#include "world.h"

#define HEAD "owner: me\nidentity: { issuer: github, repository_id: \"1\" }\n"
#define GOOD "pipeline: p\n" HEAD "stages: { a: { kind: build } }\n"

/* A fresh folder for each test, and what loading it gave. */
struct loading {
    char folder[64];
    struct arena *arena;
    struct diagnostics diagnostics;
    struct policy *policy;
    struct error error;
};

static int set_up(void **state)
{
    struct loading *loading = calloc(1, sizeof(*loading));

    if (loading == NULL)
        return -1;
    world_make_folder(loading->folder);
    loading->arena = arena_new((size_t)4 * 1024 * 1024);
    diagnostics_init(&loading->diagnostics, loading->arena);
    *state = loading;
    return loading->arena == NULL ? -1 : 0;
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

static bool load_folder(struct loading *loading, const char *folder)
{
    const struct policy_load_options options = { .folder = folder,
                                                 .world = &test_world,
                                                 .diagnostics = &loading->diagnostics };

    return policy_load(&options, &loading->policy, &loading->error);
}

static bool load(struct loading *loading)
{
    return load_folder(loading, loading->folder);
}

static void assert_refused(struct loading *loading, const char *fragment)
{
    OWNED(buf_release) struct buf said = { 0 };

    buf_init(&said, (size_t)1024 * 1024);
    assert_false(load(loading));
    assert_null(loading->policy);
    assert_int_equal(loading->error.code, ERROR_CONFIG);
    diagnostics_write(&loading->diagnostics, &said);
    if (strstr(said.data, fragment) == NULL)
        fail_msg("expected '%s' in: %s", fragment, said.data);
}

static void a_folder_of_good_files_loads(void **state)
{
    struct loading *loading = *state;

    world_write(loading->folder, "p.yaml", GOOD);
    world_write(loading->folder, "README.md", "not read");
    world_write(loading->folder, ".hidden.yaml", "not: read");
    assert_true(load(loading));
    assert_int_equal(policy_pipeline_count(loading->policy), 1);
}

static void an_empty_folder_is_refused(void **state)
{
    assert_refused(*state, "there is no pipeline in this folder");
}

static void a_folder_that_is_not_there_is_an_error_of_its_own(void **state)
{
    struct loading *loading = *state;

    assert_false(load_folder(loading, path_of(loading, "nope")));
    assert_int_equal(loading->error.code, ERROR_CONFIG);
}

static void a_file_in_place_of_a_folder_is_an_error(void **state)
{
    struct loading *loading = *state;

    world_write(loading->folder, "p.yaml", GOOD);
    assert_false(load_folder(loading, path_of(loading, "p.yaml")));
    assert_int_equal(loading->error.code, ERROR_CONFIG);
}

static void one_bad_file_refuses_all(void **state)
{
    struct loading *loading = *state;

    world_write(loading->folder, "a.yaml", GOOD);
    world_write(loading->folder, "b.yaml", "pipeline: q\n");
    assert_refused(loading, "b.yaml:1:1: error: the key 'owner' is missing here");
}

static void the_hash_is_of_names_and_bytes(void **state)
{
    struct loading *loading = *state;
    uint8_t first[SHA256_LEN];

    world_write(loading->folder, "a.yaml", GOOD);
    assert_true(load(loading));
    memcpy(first, policy_sha256(loading->policy), SHA256_LEN);
    policy_unref(loading->policy);
    world_write(loading->folder, "a.yaml", GOOD "# more\n");
    assert_true(load(loading));
    assert_memory_not_equal(first, policy_sha256(loading->policy), SHA256_LEN);
    policy_unref(loading->policy);
    assert_int_equal(rename(path_of(loading, "a.yaml"), path_of(loading, "b.yaml")), 0);
    world_write(loading->folder, "b.yaml", GOOD);
    assert_true(load(loading));
    assert_memory_not_equal(first, policy_sha256(loading->policy), SHA256_LEN);
}

/* ---- links ---- */

static void a_config_map_mount_loads_once(void **state)
{
    struct loading *loading = *state;
    const char *data = path_of(loading, "..2026_11_22_10_00_00.1");

    assert_int_equal(mkdir(data, 0755), 0);
    world_write(data, "p.yaml", GOOD);
    assert_int_equal(symlink("..2026_11_22_10_00_00.1", path_of(loading, "..data")), 0);
    assert_int_equal(symlink("..data/p.yaml", path_of(loading, "p.yaml")), 0);
    assert_true(load(loading));
    assert_int_equal(policy_pipeline_count(loading->policy), 1);
}

static void a_linked_folder_inside_is_followed(void **state)
{
    struct loading *loading = *state;

    assert_int_equal(mkdir(path_of(loading, ".real"), 0755), 0);
    world_write(path_of(loading, ".real"), "p.yaml", GOOD);
    assert_int_equal(symlink(".real", path_of(loading, "shown")), 0);
    assert_true(load(loading));
}

static void a_link_to_a_file_outside_is_refused(void **state)
{
    struct loading *loading = *state;

    assert_int_equal(symlink("/etc/hostname", path_of(loading, "p.yaml")), 0);
    assert_refused(loading, "leads out of the policy folder");
}

static void a_link_to_a_folder_outside_is_refused(void **state)
{
    struct loading *loading = *state;

    world_write(loading->folder, "p.yaml", GOOD);
    assert_int_equal(symlink("/etc", path_of(loading, "more")), 0);
    assert_refused(loading, "leads out of the policy folder");
}

/* "/tmp/x" is no part of "/tmp/x-more". */
static void a_sibling_whose_name_starts_alike_is_outside(void **state)
{
    struct loading *loading = *state;
    const char *sibling = arena_printf(loading->arena, "%s-more", loading->folder).data;

    assert_int_equal(mkdir(sibling, 0755), 0);
    world_write(sibling, "p.yaml", GOOD);
    assert_int_equal(symlink(arena_printf(loading->arena, "%s/p.yaml", sibling).data,
                             path_of(loading, "p.yaml")),
                     0);
    assert_refused(loading, "leads out of the policy folder");
    world_remove(sibling);
}

static void a_link_that_leads_nowhere_is_refused(void **state)
{
    struct loading *loading = *state;

    world_write(loading->folder, "p.yaml", GOOD);
    assert_int_equal(symlink("gone", path_of(loading, "more")), 0);
    assert_refused(loading, "leads nowhere");
}

static void a_link_back_up_is_refused(void **state)
{
    struct loading *loading = *state;

    world_write(loading->folder, "p.yaml", GOOD);
    assert_int_equal(mkdir(path_of(loading, "sub"), 0755), 0);
    assert_int_equal(symlink("..", path_of(loading, "sub/up")), 0);
    assert_refused(loading, "leads back to a folder that it stands in");
}

/* ---- permissions and kinds of files ---- */

static void a_file_that_others_may_write_is_refused(void **state)
{
    struct loading *loading = *state;

    world_write(loading->folder, "p.yaml", GOOD);
    assert_int_equal(chmod(path_of(loading, "p.yaml"), 0666), 0);
    assert_refused(loading, "others may write to this file");
}

static void a_folder_that_others_may_write_is_refused(void **state)
{
    struct loading *loading = *state;

    assert_int_equal(mkdir(path_of(loading, "sub"), 0755), 0);
    world_write(path_of(loading, "sub"), "p.yaml", GOOD);
    assert_int_equal(chmod(path_of(loading, "sub"), 01777), 0); /* sticky: they still add files */
    assert_refused(loading, "others may write to this folder");
}

static void the_policy_folder_itself_is_checked_too(void **state)
{
    struct loading *loading = *state;

    world_write(loading->folder, "p.yaml", GOOD);
    assert_int_equal(chmod(loading->folder, 0777), 0);
    assert_refused(loading, "others may write to this folder");
}

static void a_hidden_folder_behind_a_link_is_checked_too(void **state)
{
    struct loading *loading = *state;

    assert_int_equal(mkdir(path_of(loading, ".open"), 0755), 0);
    world_write(path_of(loading, ".open"), "p.yaml", GOOD);
    assert_int_equal(chmod(path_of(loading, ".open"), 0777), 0);
    assert_int_equal(symlink(".open/p.yaml", path_of(loading, "p.yaml")), 0);
    assert_refused(loading, "others may write to its folder");
}

static void what_is_no_regular_file_is_refused_without_waiting(void **state)
{
    struct loading *loading = *state;

    world_write(loading->folder, "a.yaml", GOOD);
    assert_int_equal(mkfifo(path_of(loading, "p.yaml"), 0644), 0);
    assert_refused(loading, "p.yaml: error: not a regular file");
}

static void an_ending_that_would_not_be_read_is_refused(void **state)
{
    struct loading *loading = *state;

    world_write(loading->folder, "a.yaml", GOOD);
    world_write(loading->folder, "b.YAML", GOOD);
    assert_refused(loading, "b.YAML: error: would not be read");
}

static void folders_nest_16_deep(void **state)
{
    struct loading *loading = *state;
    struct str path = str_from(loading->folder);

    world_write(loading->folder, "p.yaml", GOOD);
    for (size_t depth = 1; depth < 16; depth++) {
        path = arena_printf(loading->arena, STR_FMT "/d", STR_ARG(path));
        assert_int_equal(mkdir(path.data, 0755), 0);
    }
    assert_true(load(loading));
    policy_unref(loading->policy);
    loading->policy = NULL;
    path = arena_printf(loading->arena, STR_FMT "/d", STR_ARG(path));
    assert_int_equal(mkdir(path.data, 0755), 0);
    assert_refused(loading, "nested more than 16 deep");
}

/* ---- limits, at and past ---- */

/* A good file of exactly `size` bytes. */
static void write_sized(const struct loading *loading, size_t size)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, size);
    buf_add_text(&text, GOOD);
    while (text.len < size) {
        size_t line = size - text.len < 80 ? size - text.len : 80;

        for (size_t i = 0; i + 1 < line; i++)
            buf_add_byte(&text, '#');
        buf_add_byte(&text, '\n');
    }
    world_write(loading->folder, "p.yaml", text.data);
}

static void a_file_has_at_most_1_mib(void **state)
{
    struct loading *loading = *state;

    write_sized(loading, YAML_BYTES_MAX);
    assert_true(load(loading));
    policy_unref(loading->policy);
    loading->policy = NULL;
    write_sized(loading, YAML_BYTES_MAX + 1);
    assert_refused(loading, "larger than 1 MiB");
}

/* Write "before, item, item ..., after" with `count` numbered items. */
static void write_items(const struct loading *loading, const char *name, const char *before,
                        const char *item, size_t count, const char *after)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, YAML_BYTES_MAX);
    buf_add_text(&text, before);
    for (size_t i = 0; i < count; i++)
        buf_printf(&text, "%s%s%zu%s", i > 0 ? ", " : "", item, i, strchr(item, '{') ? " }" : "");
    buf_add_text(&text, after);
    world_write(loading->folder, name, text.data);
}

static void limits_hold_at_and_past(void **state)
{
    static const struct {
        const char *name;
        const char *before;
        const char *item;
        const char *after;
        size_t max;
        const char *message;
    } cases[] = {
        { "alternatives", "pipeline: p\n" HEAD "stages: { a: { kind: build, when: [", "{ ref: r",
          "] } }\n", 16, "at most 16 maps" },
        { "values", "pipeline: p\n" HEAD "stages: { a: { kind: build, when: { ref: [", "r",
          "] } } }\n", 1000, "at most 1000 values" },
        { "networks",
          "pipeline: p\n" HEAD "stages: { a: { kind: build, when: { request.address: { within: [",
          "2001:db8::", "] } } } }\n", 1000, "1 to 1000 networks" },
    };
    struct loading *loading = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        write_items(loading, "p.yaml", cases[i].before, cases[i].item, cases[i].max,
                    cases[i].after);
        assert_true(load(loading));
        policy_unref(loading->policy);
        loading->policy = NULL;
        write_items(loading, "p.yaml", cases[i].before, cases[i].item, cases[i].max + 1,
                    cases[i].after);
        assert_refused(loading, cases[i].message);
        memset(&loading->error, 0, sizeof(loading->error));
        diagnostics_init(&loading->diagnostics, loading->arena);
    }
}

static void a_set_has_at_most_10000_values(void **state)
{
    struct loading *loading = *state;

    world_write(loading->folder, "p.yaml", GOOD);
    write_items(loading, "s.yaml", "sets: { s: [", "v", 10000, "] }\n");
    assert_true(load(loading));
    policy_unref(loading->policy);
    loading->policy = NULL;
    write_items(loading, "s.yaml", "sets: { s: [", "v", 10001, "] }\n");
    assert_refused(loading, "at most 10000 values");
}

static void a_pipeline_has_at_most_256_stages(void **state)
{
    struct loading *loading = *state;

    for (size_t count = 256; count <= 257; count++) {
        OWNED(buf_release) struct buf text = { 0 };

        buf_init(&text, YAML_BYTES_MAX);
        buf_add_text(&text, "pipeline: p\n" HEAD "stages:\n");
        for (size_t i = 0; i < count; i++)
            buf_printf(&text, "  s%zu: { kind: build }\n", i);
        world_write(loading->folder, "p.yaml", text.data);
        if (count == 257)
            break;
        assert_true(load(loading));
        assert_int_equal(policy_stage_count(loading->policy), 256);
        policy_unref(loading->policy);
        loading->policy = NULL;
    }
    assert_refused(loading, "1 to 256 stages");
}

static void a_file_has_at_most_1000_tests(void **state)
{
    struct loading *loading = *state;

    for (size_t count = 1000; count <= 1001; count++) {
        OWNED(buf_release) struct buf text = { 0 };

        buf_init(&text, YAML_BYTES_MAX);
        buf_add_text(&text, GOOD "tests:\n");
        for (size_t i = 0; i < count; i++)
            buf_printf(&text, "  - { name: t, claims: { ref: x }, expect: deny }\n");
        world_write(loading->folder, "p.yaml", text.data);
        if (count == 1001)
            break;
        assert_true(load(loading));
        policy_unref(loading->policy);
        loading->policy = NULL;
    }
    assert_refused(loading, "at most 1000 tests");
}

static void names_have_their_longest(void **state)
{
    struct loading *loading = *state;
    char text[1024];

    (void)snprintf(
        text, sizeof(text),
        "pipeline: %.*s\ntenant: %.*s\n" HEAD
        "stages: { %.*s: { kind: build, grants: { %.*s: { jwt: { audience: x } } } } }\n",
        80, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 40,
        "tttttttttttttttttttttttttttttttttttttttt", 40, "ssssssssssssssssssssssssssssssssssssssss",
        40, "gggggggggggggggggggggggggggggggggggggggg");
    world_write(loading->folder, "p.yaml", text);
    assert_true(load(loading));
}

static void owners_have_at_most_256_bytes(void **state)
{
    struct loading *loading = *state;
    char owner[258];
    char text[1024];

    memset(owner, 'o', sizeof(owner));
    for (int len = 256; len <= 257; len++) {
        (void)snprintf(text, sizeof(text),
                       "pipeline: p\nowner: %.*s\nidentity: { issuer: github, repository_id: \"1\" "
                       "}\nstages: { a: { kind: build } }\n",
                       len, owner);
        world_write(loading->folder, "p.yaml", text);
        if (len == 256)
            assert_true(load(loading));
        policy_unref(loading->policy);
        loading->policy = NULL;
    }
    assert_refused(loading, "1 to 256 bytes");
}

/* The fields of the only grant of the only stage of a pipeline. */
static const json_t *fields_of(const struct policy *policy, size_t pipeline)
{
    return policy_stage_at(policy, pipeline)->grants[0].fields;
}

/* In one thread: what comes for the second time is kept for those that follow. */
static void what_grants_of_several_files_say_alike_is_kept_once(void **state)
{
    OWNED(policy_unref) struct policy *policy = NULL;
    char folder[64];

    (void)state;
    world_make_folder(folder);
    for (size_t i = 0; i < 6; i++) {
        char name[16];
        char text[512];

        (void)snprintf(name, sizeof(name), "%zu.yaml", i);
        (void)snprintf(text, sizeof(text),
                       "pipeline: p%zu\nowner: me\nidentity: { issuer: github, repository_id: "
                       "\"%zu\" }\nstages: { a: { kind: deploy, environment: production, grants: { "
                       "g: { ssh: { target: fleet, principals: [a, %s] } } } } }\n",
                       i, i, i == 5 ? "other" : "b");
        world_write(folder, name, text);
    }
    policy = world_load(folder);
    world_remove(folder);
    assert_ptr_not_equal(fields_of(policy, 0), fields_of(policy, 1));
    for (size_t i = 2; i < 5; i++)
        assert_ptr_equal(fields_of(policy, i), fields_of(policy, 1));
    assert_ptr_not_equal(fields_of(policy, 5), fields_of(policy, 1));
    assert_ptr_equal(json_object_get(fields_of(policy, 5), "target"),
                     json_object_get(fields_of(policy, 1), "target"));
    assert_true(json_equal(fields_of(policy, 0), fields_of(policy, 4)));
}

/* ---- many files ---- */

#define MANY 1100
#define MANY_KEPT 100

/* Jobs of a load, for two threads. */
struct crew {
    size_t count;
    void (*job)(void *jobs, size_t index);
    void *jobs;
    atomic_size_t next;
};

static void *work(void *context)
{
    struct crew *crew = context;
    size_t index;

    while ((index = atomic_fetch_add(&crew->next, 1)) < crew->count)
        crew->job(crew->jobs, index);
    return NULL;
}

static void run_on_two(size_t count, void (*job)(void *jobs, size_t index), void *jobs,
                       void *context)
{
    struct crew crew = { .count = count, .job = job, .jobs = jobs };
    pthread_t other;

    (void)context;
    assert_int_equal(pthread_create(&other, NULL, work, &crew), 0);
    (void)work(&crew);
    assert_int_equal(pthread_join(other, NULL), 0);
}

static void write_many(const char *folder, size_t from, const char *comment)
{
    for (size_t i = from; i < MANY; i++) {
        char name[16];
        char text[256];

        (void)snprintf(name, sizeof(name), "%zu.yaml", i);
        (void)snprintf(text, sizeof(text),
                       "pipeline: p%zu\nowner: me\nidentity: { issuer: github, repository_id: "
                       "\"%zu\" }\nstages: { build: { kind: build }, check: { kind: test, when: { "
                       "ref: refs/heads/main } } }\n%s",
                       i, i, comment);
        world_write(folder, name, text);
    }
}

/* Load a folder after another policy, which is given up then. */
static void load_after(struct loading *loading)
{
    OWNED(policy_unref) struct policy *previous = loading->policy;
    const struct policy_load_options options = { .folder = loading->folder,
                                                 .world = &test_world,
                                                 .diagnostics = &loading->diagnostics,
                                                 .previous = previous,
                                                 .run_jobs = run_on_two };

    loading->policy = NULL;
    assert_true(policy_load(&options, &loading->policy, &loading->error));
    assert_int_equal(policy_pipeline_count(loading->policy), MANY);
}

/* Each is the one that its token leads to, with both stages. */
static void assert_all_decide(const struct loading *loading)
{
    for (size_t i = 0; i < MANY; i++) {
        OWNED(arena_free) struct arena *arena = arena_new((size_t)64 * 1024);
        struct str id = arena_printf(arena, "%zu", i);
        JSON_OWNED json_t *claims =
            json_pack("{s:s, s:s}", "repository_id", id.data, "ref", "refs/heads/main");
        const struct policy_facts facts = { .issuer = STR("github"), .claims = claims };
        const struct policy_request request = { .stage = STR("check") };
        struct policy_decision decision;
        struct error error = { 0 };

        assert_true(policy_decide(loading->policy, &facts, &request, 0, arena, &decision, &error));
        assert_true(str_eq(decision.stage->id, arena_printf(arena, "p%zu:check", i)));
    }
}

/*
 * Units of a large load lie side by side. Those that are left of pages whose others are gone are
 * compiled anew, so that a few do not keep all of them in memory; where an address sanitizer
 * watches, each lies by itself.
 */
static void what_many_reloads_leave_of_a_large_policy_moves_together(void **state)
{
#ifdef __SANITIZE_ADDRESS__
    enum {
        MOVED = 0
    };
#else
    enum {
        MOVED = MANY_KEPT
    };
#endif
    struct loading *loading = *state;

    write_many(loading->folder, 0, "");
    load_after(loading);
    assert_int_equal(policy_parsed_count(loading->policy), MANY);
    assert_all_decide(loading);
    write_many(loading->folder, MANY_KEPT, "# changed\n");
    load_after(loading);
    assert_int_equal(policy_parsed_count(loading->policy), MANY - MANY_KEPT);
    assert_all_decide(loading);
    load_after(loading);
    assert_int_equal(policy_parsed_count(loading->policy), MOVED);
    assert_all_decide(loading);
    load_after(loading);
    assert_int_equal(policy_parsed_count(loading->policy), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_many_reloads_leave_of_a_large_policy_moves_together,
                                        set_up, tear_down),
        cmocka_unit_test(what_grants_of_several_files_say_alike_is_kept_once),
        cmocka_unit_test_setup_teardown(a_folder_of_good_files_loads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_folder_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_that_is_not_there_is_an_error_of_its_own, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_file_in_place_of_a_folder_is_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_bad_file_refuses_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_hash_is_of_names_and_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_config_map_mount_loads_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_linked_folder_inside_is_followed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_to_a_file_outside_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_to_a_folder_outside_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_sibling_whose_name_starts_alike_is_outside, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_link_that_leads_nowhere_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_back_up_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_others_may_write_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_that_others_may_write_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_policy_folder_itself_is_checked_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_hidden_folder_behind_a_link_is_checked_too, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_regular_file_is_refused_without_waiting, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_ending_that_would_not_be_read_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(folders_nest_16_deep, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_has_at_most_1_mib, set_up, tear_down),
        cmocka_unit_test_setup_teardown(limits_hold_at_and_past, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_set_has_at_most_10000_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pipeline_has_at_most_256_stages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_has_at_most_1000_tests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_have_their_longest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(owners_have_at_most_256_bytes, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
