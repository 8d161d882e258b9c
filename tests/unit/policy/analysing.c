#include "analysing.h"

#include <string.h>

#include "base/diagnostic.h"
#include "base/error.h"
#include "policy/analyse.h"
#include "tests/test.h"
#include "world.h"

#define DIAGNOSTICS_BYTES ((size_t)4 * 1024 * 1024)
#define ISSUERS_MAX 16
#define NOW_S 1764000000 /* 2025-11-24 */

static const struct claim_lint github_rows[] = {
    { .rule = "x-environment",
      .claims = CLAIM_NAMES("environment", "ci.environment"),
      .unless = CLAIM_NAMES("ref", "ci.ref"),
      .message = "says nothing of the ref",
      .hint = "add 'ref'" },
    { .rule = "x-tag",
      .claims = CLAIM_NAMES("ref"),
      .has = "refs/tags/",
      .unless = CLAIM_NAMES("sha"),
      .message = "fits a tag",
      .hint = "add 'sha'" },
    { .rule = "x-actor",
      .claims = CLAIM_NAMES("actor"),
      .is_of_production = true,
      .message = "is a name",
      .hint = "remove it" },
};
static const struct claim_lints github_lints = { github_rows, COUNT(github_rows) };

static const struct claim_lint cluster_rows[] = {
    { .rule = "x-pod",
      .claims = CLAIM_NAMES("/kubernetes.io/pod/"),
      .message = "is a name",
      .hint = "remove it" },
};
static const struct claim_lints cluster_lints = { cluster_rows, COUNT(cluster_rows) };

const struct policy_world *analysing_world(void)
{
    static struct policy_issuer issuers[ISSUERS_MAX];
    static struct policy_world world;

    if (world.issuers != NULL)
        return &world;
    world = test_world;
    assert_in_range(world.issuer_count, 1, ISSUERS_MAX);
    for (size_t i = 0; i < world.issuer_count; i++) {
        issuers[i] = test_world.issuers[i];
        if (str_eq(issuers[i].name, STR("github")))
            issuers[i].lints = &github_lints;
        if (str_eq(issuers[i].name, STR("cluster")))
            issuers[i].lints = &cluster_lints;
    }
    world.issuers = issuers;
    return &world;
}

struct policy *analysing_load(const char *folder)
{
    OWNED(arena_free) struct arena *arena = arena_new(DIAGNOSTICS_BYTES);
    OWNED(buf_release) struct buf said = { 0 };
    struct diagnostics diagnostics;
    const struct policy_load_options options = {
        .folder = folder, .world = analysing_world(), .diagnostics = &diagnostics, .now_s = NOW_S
    };
    struct policy *policy = NULL;
    struct error error = { 0 };

    diagnostics_init(&diagnostics, arena);
    if (policy_load(&options, &policy, &error))
        return policy;
    buf_init(&said, DIAGNOSTICS_BYTES);
    diagnostics_write(&diagnostics, &said);
    fail_msg("%s%s", said.data == NULL ? "" : said.data, error.cause);
    return NULL;
}

struct policy *analysing_load_text(const char *text)
{
    struct policy *policy;
    char folder[64];

    world_make_folder(folder);
    world_write(folder, "policy.yaml", text);
    policy = analysing_load(folder);
    world_remove(folder);
    return policy;
}

static bool analyse(const char *folder, struct diagnostics *diagnostics)
{
    OWNED(policy_unref) struct policy *policy = analysing_load(folder);
    const struct policy_analysis_options options = { .policy = policy,
                                                     .diagnostics = diagnostics,
                                                     .now_s = NOW_S };
    struct error error = { 0 };

    if (policy_analyse(&options, &error))
        return true;
    assert_int_equal(error.code, ERROR_CONFIG);
    assert_true(diagnostics->error_count > 0);
    return false;
}

bool analysing_folder_says(const char *folder, struct buf *said)
{
    OWNED(arena_free) struct arena *arena = arena_new(DIAGNOSTICS_BYTES);
    struct diagnostics diagnostics;
    bool is_good;

    diagnostics_init(&diagnostics, arena);
    is_good = analyse(folder, &diagnostics);
    diagnostics_write(&diagnostics, said);
    return is_good;
}

bool analysing_says(const char *text, struct buf *said)
{
    char folder[64];
    bool is_good;

    world_make_folder(folder);
    world_write(folder, "policy.yaml", text);
    is_good = analysing_folder_says(folder, said);
    world_remove(folder);
    return is_good;
}

void analysing_rules(const char *text, struct buf *rules)
{
    OWNED(arena_free) struct arena *arena = arena_new(DIAGNOSTICS_BYTES);
    struct diagnostics diagnostics;
    char folder[64];

    diagnostics_init(&diagnostics, arena);
    world_make_folder(folder);
    world_write(folder, "policy.yaml", text);
    (void)analyse(folder, &diagnostics);
    world_remove(folder);
    for (size_t i = 0; i < diagnostics.count; i++)
        buf_printf(rules, "%s%s", i > 0 ? " " : "", diagnostics.list[i].rule);
}
