#include <stdio.h>
#include <string.h>

#include "asking.h"
#include "base/buf.h"
#include "tests/test.h"
#include "world.h"

/*
 * The index against the definition: random identities over few values, so that pipelines share them
 * in every way; each token asks for each pipeline by its full name.
 */

#define PIPELINES 80
#define TOKENS 150

/* One map of an identity: an id, and what may stand beside it; 0 stands for "not written". */
struct identity_map {
    unsigned repository[2]; /* one of these */
    unsigned owner;
    unsigned workflow;
};

struct identity {
    struct identity_map maps[2];
    size_t count;
};

struct token {
    unsigned repository;
    unsigned owner;
    unsigned workflow;
};

static uint32_t seed = 1122;

static unsigned pick(unsigned count)
{
    seed = seed * 1664525U + 1013904223U;
    return (seed >> 16) % count;
}

static struct identity_map random_map(void)
{
    struct identity_map map = { .workflow = pick(3) };

    if (pick(4) > 0) {
        map.repository[0] = 1 + pick(6);
        map.repository[1] = pick(3) == 0 ? 10 + pick(3) : 0;
    }
    map.owner = map.repository[0] == 0 ? 1 + pick(3) : pick(3);
    return map;
}

static void write_map(struct buf *text, const struct identity_map *map)
{
    buf_add_text(text, "  - { issuer: github");
    if (map->repository[0] > 0 && map->repository[1] > 0)
        buf_printf(text, ", repository_id: [\"%u\", \"%u\"]", map->repository[0],
                   map->repository[1]);
    else if (map->repository[0] > 0)
        buf_printf(text, ", repository_id: \"%u\"", map->repository[0]);
    if (map->owner > 0)
        buf_printf(text, ", repository_owner_id: \"%u\"", map->owner);
    if (map->workflow > 0)
        buf_printf(text, ", job_workflow_ref: \"%u\"", map->workflow);
    buf_add_text(text, " }\n");
}

static struct identity write_pipeline(const char *folder, size_t index)
{
    OWNED(buf_release) struct buf text = { 0 };
    struct identity identity = { .count = 1 + pick(2) };
    char name[32];

    buf_init(&text, 4096);
    buf_printf(&text, "pipeline: p%zu\nowner: me\nidentity:\n", index);
    for (size_t i = 0; i < identity.count; i++) {
        identity.maps[i] = random_map();
        write_map(&text, &identity.maps[i]);
    }
    buf_add_text(&text, "stages: { s: { kind: build } }\n");
    (void)snprintf(name, sizeof(name), "p%zu.yaml", index);
    world_write(folder, name, text.data);
    return identity;
}

static bool fits(const struct identity *identity, const struct token *token)
{
    for (size_t i = 0; i < identity->count; i++) {
        const struct identity_map *map = &identity->maps[i];
        bool is_repository = map->repository[0] == 0 || map->repository[0] == token->repository ||
                             (map->repository[1] != 0 && map->repository[1] == token->repository);

        if (is_repository && (map->owner == 0 || map->owner == token->owner) &&
            (map->workflow == 0 || map->workflow == token->workflow))
            return true;
    }
    return false;
}

static bool asks(const struct policy *policy, const struct token *token, size_t index)
{
    char claims[256];
    char stage[32];

    (void)snprintf(claims, sizeof(claims),
                   "{\"repository_id\":\"%u\",\"repository_owner_id\":\"%u\","
                   "\"job_workflow_ref\":\"%u\"}",
                   token->repository, token->owner, token->workflow);
    (void)snprintf(stage, sizeof(stage), "p%zu:s", index);
    return ask(policy, &(struct asking){ .claims = claims, .stage = stage })->is_allowed;
}

/* Ask for every pipeline with one token; how many fit. */
static size_t check_token(const struct policy *policy, const struct identity *identities,
                          const struct token *token)
{
    size_t fitting = 0;

    for (size_t i = 0; i < PIPELINES; i++) {
        bool expected = fits(&identities[i], token);

        if (asks(policy, token, i) != expected)
            fail_msg("token %u/%u/%u and p%zu: expected %d", token->repository, token->owner,
                     token->workflow, i, expected);
        fitting += expected;
    }
    return fitting;
}

static void every_pipeline_that_fits_is_found_and_no_other(void **state)
{
    OWNED(policy_unref) struct policy *policy = NULL;
    struct identity identities[PIPELINES];
    size_t fitting = 0;
    char folder[64];

    (void)state;
    world_make_folder(folder);
    for (size_t i = 0; i < PIPELINES; i++)
        identities[i] = write_pipeline(folder, i);
    policy = world_load(folder);
    world_remove(folder);
    for (size_t i = 0; i < TOKENS; i++) {
        struct token token = { 1 + pick(14), 1 + pick(4), pick(3) };

        fitting += check_token(policy, identities, &token);
    }
    assert_in_range(fitting, 100, (size_t)TOKENS * PIPELINES / 2);
}

#define GROUPS_FOUND_MAX 64

static void write_group(const char *folder, size_t number, const char *stage)
{
    OWNED(buf_release) struct buf text = { 0 };
    char name[32];

    buf_init(&text, 1024);
    buf_printf(&text,
               "pipeline: g%zu\nowner: me\n"
               "identity: { issuer: old-ci, project_id: \"7\", groups: g%zu }\n"
               "stages: { %s: { kind: deploy } }\n",
               number, number, stage);
    (void)snprintf(name, sizeof(name), "g%zu.yaml", number);
    world_write(folder, name, text.data);
}

/* Ask for `deploy` with the groups from `first` up to the last. */
static bool asks_with_groups(const struct policy *policy, size_t first)
{
    OWNED(buf_release) struct buf claims = { 0 };

    buf_init(&claims, 4096);
    buf_add_text(&claims, "{\"project_id\":\"7\",\"groups\":[");
    for (size_t i = first; i <= GROUPS_FOUND_MAX; i++)
        buf_printf(&claims, "%s\"g%zu\"", i > first ? "," : "", i);
    buf_add_text(&claims, "]}");
    buf_add_byte(&claims, '\0');
    return ask(policy,
               &(struct asking){ .issuer = "old-ci", .claims = claims.data, .stage = "deploy" })
        ->is_allowed;
}

/* Two pipelines have `deploy`. With one of them out of sight the other would be a guess. */
static void a_token_that_leads_to_too_many_pipelines_fits_none(void **state)
{
    OWNED(policy_unref) struct policy *policy = NULL;
    char folder[64];

    (void)state;
    world_make_folder(folder);
    for (size_t i = 0; i <= GROUPS_FOUND_MAX; i++)
        write_group(folder, i, i == 1 || i == GROUPS_FOUND_MAX ? "deploy" : "other");
    policy = world_load(folder);
    world_remove(folder);
    assert_false(asks_with_groups(policy, 0));
    assert_false(asks_with_groups(policy, 1));
    assert_true(asks_with_groups(policy, 2));
}

static int tear_down(void **state)
{
    (void)state;
    ask_release();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pipeline_that_fits_is_found_and_no_other),
        cmocka_unit_test(a_token_that_leads_to_too_many_pipelines_fits_none),
    };

    return cmocka_run_group_tests(tests, NULL, tear_down);
}
