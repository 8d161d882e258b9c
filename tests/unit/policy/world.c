#include "world.h"

#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "tests/test.h"

static const struct claim github_claims[] = {
    { "repository_id", CLAIM_STRING, CLAIM_ID },
    { "repository_owner_id", CLAIM_STRING, CLAIM_ID | CLAIM_OWNER_ID },
    { "repository", CLAIM_STRING, CLAIM_CAN_BE_RENAMED },
    { "ref", CLAIM_STRING, 0 },
    { "ref_type", CLAIM_STRING, 0 },
    { "sha", CLAIM_STRING, 0 },
    { "environment", CLAIM_STRING, CLAIM_OPTIONAL },
    { "event_name", CLAIM_STRING, 0 },
    { "actor", CLAIM_STRING, CLAIM_PERSONAL },
    { "head_ref", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_SET_BY_USER },
    { "job_workflow_ref", CLAIM_STRING, 0 },
    { "job_workflow_sha", CLAIM_STRING, 0 },
    { "runner_environment", CLAIM_STRING, 0 },
};

static const struct claim gitlab_claims[] = {
    { "project_id", CLAIM_STRING, CLAIM_ID },
    { "namespace_id", CLAIM_STRING, CLAIM_OWNER_ID },
    { "ref", CLAIM_STRING, 0 },
    { "ref_type", CLAIM_STRING, 0 },
    { "environment", CLAIM_STRING, CLAIM_OPTIONAL },
    { "actor", CLAIM_INTEGER, 0 },
};

static const struct claim old_ci_claims[] = {
    { "project_id", CLAIM_STRING, CLAIM_ID }, { "build_number", CLAIM_INTEGER, 0 },
    { "is_manual", CLAIM_BOOLEAN, 0 },        { "groups", CLAIM_STRINGS, CLAIM_OPTIONAL },
    { "started", CLAIM_INTEGER, 0 },          { "deadline", CLAIM_STRING, CLAIM_OPTIONAL },
    { "name", CLAIM_STRING, CLAIM_OPTIONAL },
};

static const struct claim cluster_claims[] = {
    { "kubernetes.io", CLAIM_OBJECT, 0 },
    { "/kubernetes.io/namespace", CLAIM_STRING, 0 },
    { "/kubernetes.io/serviceaccount/uid", CLAIM_STRING, CLAIM_ID },
    { "/kubernetes.io/warnafter", CLAIM_INTEGER, CLAIM_OPTIONAL },
    { "label_", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_PREFIX },
    { "label_tier", CLAIM_INTEGER, CLAIM_OPTIONAL },
};

static const struct claim nameless_claims[] = {
    { "name", CLAIM_STRING, 0 },
};

static const struct claim ci_rows[] = {
    { "repository_id", CLAIM_STRING, CLAIM_ID },
    { "ref", CLAIM_STRING, 0 },
    { "ref_protected", CLAIM_BOOLEAN, 0 },
    { "environment", CLAIM_STRING, CLAIM_OPTIONAL },
    { "runner", CLAIM_STRING, 0 },
    { "actor", CLAIM_STRING, CLAIM_PERSONAL },
    { "event", CLAIM_STRING, CLAIM_OPTIONAL },
    { "fork", CLAIM_BOOLEAN, CLAIM_OPTIONAL },
};
static const struct claim_table ci_facts = { ci_rows, COUNT(ci_rows) };

/* `ref_protected` is what this issuer cannot say. */
static bool fill_github(const json_t *claims, json_t *ci)
{
    static const char *const same[] = { "repository_id", "ref", "environment", "actor" };
    struct str runner = STR("");
    struct str event;

    for (size_t i = 0; i < COUNT(same); i++) {
        json_t *value = json_object_get(claims, same[i]);

        if (value != NULL && json_object_set(ci, same[i], value) != 0)
            return false;
    }
    if (json_get_str(claims, "event_name", &event) && !json_put(ci, "event", json_from_str(event)))
        return false;
    if (!json_get_str(claims, "runner_environment", &runner))
        runner = STR("self-hosted");
    return json_put(ci, "runner",
                    json_from_str(str_eq(runner, STR("github-hosted")) ? STR("hosted")
                                                                       : STR("self-hosted"))) &&
           json_put(ci, "ref_protected", json_null());
}

static const struct claim_danger danger_rows[] = {
    { "event_name", "issue_comment", "ci.event", "issue_comment", NULL },
    { NULL, "", "ci.fork", "true", NULL },
};
const struct claim_dangers test_dangers = { danger_rows, COUNT(danger_rows) };

static const struct policy_issuer issuers[] = {
    { { "github", 6 }, { github_claims, COUNT(github_claims) }, fill_github, &test_dangers },
    { { "gitlab", 6 }, { gitlab_claims, COUNT(gitlab_claims) }, NULL, NULL },
    { { "old-ci", 6 }, { old_ci_claims, COUNT(old_ci_claims) }, NULL, NULL },
    { { "cluster", 7 }, { cluster_claims, COUNT(cluster_claims) }, NULL, NULL },
    { { "nameless", 8 }, { nameless_claims, COUNT(nameless_claims) }, NULL, NULL },
};

static void check_jwt(const struct yaml_reader *reader, const struct policy_grant_view *grant)
{
    (void)yaml_require(reader, grant->fields, "audience");
}

static void check_ssh(const struct yaml_reader *reader, const struct policy_grant_view *grant)
{
    struct str *principals = NULL;
    size_t count = 0;

    if (yaml_require(reader, grant->fields, "principals") &&
        yaml_get_strs(reader, grant->fields, "principals", &principals, &count) && count == 0)
        (void)yaml_complain(reader, json_object_get(grant->fields, "principals"),
                            "a certificate has principals");
}

static void check_nothing(const struct yaml_reader *reader, const struct policy_grant_view *grant)
{
    (void)reader;
    (void)grant;
}

static const struct policy_grant_kind jwt = {
    .name = "jwt",
    .fields = (const char *const[]){ "audience", "scope", "claims", NULL },
    .ttl_min_s = 60,
    .ttl_max_s = 3600,
    .check = check_jwt,
    .fields_with_holes = (const char *const[]){ "scope", "claims", NULL },
};

static const struct policy_grant_kind ssh = {
    .name = "ssh",
    .fields = (const char *const[]){ "target", "principals", "force_command", NULL },
    .has_target = true,
    .ttl_min_s = 60,
    .ttl_max_s = 3600,
    .check = check_ssh,
    .fields_with_holes = (const char *const[]){ "principals", "force_command", NULL },
};

static const struct policy_grant_kind aws = {
    .name = "aws",
    .fields = (const char *const[]){ "target", "role", "allow", NULL },
    .has_target = true,
    .ttl_min_s = 900,
    .ttl_max_s = 43200,
    .check = check_nothing,
};

/* A kind whose floor is above the default. */
static const struct policy_grant_kind slow = {
    .name = "slow",
    .fields = (const char *const[]){ NULL },
    .ttl_min_s = 1200,
    .ttl_max_s = 3600,
    .check = check_nothing,
};

static const struct policy_grant_kind *const kinds[] = { &jwt, &ssh, &aws, &slow };

static const struct str payments[] = { { "payments", 8 } };

static const struct policy_target targets[] = {
    { { "fleet", 5 }, { "ssh", 3 }, { "production", 10 }, NULL, 0, NULL },
    { { "lab", 3 }, { "ssh", 3 }, { "staging", 7 }, payments, 1, NULL },
    { { "bare-host", 9 }, { "ssh", 3 }, { "", 0 }, NULL, 0, NULL },
    { { "prod-aws", 8 }, { "aws", 3 }, { "production", 10 }, payments, 1, NULL },
};

static const struct claim people_claims[] = {
    { "sub", CLAIM_STRING, CLAIM_PERSONAL },
    { "groups", CLAIM_STRINGS, CLAIM_OPTIONAL },
    { "email", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_PERSONAL },
};
static const struct policy_issuer people = {
    .name = { "people", 6 },
    .claims = { people_claims, COUNT(people_claims) },
};

const struct policy_world test_world = {
    .issuers = issuers,
    .issuer_count = COUNT(issuers),
    .people = &people,
    .ci_facts = &ci_facts,
    .targets = targets,
    .target_count = COUNT(targets),
    .kinds = kinds,
    .kind_count = COUNT(kinds),
    .default_ttl_s = 900,
};

#define DIAGNOSTICS_BYTES ((size_t)4 * 1024 * 1024)

/* Load, and write what was said into `said`. */
static struct policy *load(const char *folder, struct buf *said)
{
    OWNED(arena_free) struct arena *arena = arena_new(DIAGNOSTICS_BYTES);
    struct diagnostics diagnostics;
    const struct policy_load_options options = { .folder = folder,
                                                 .world = &test_world,
                                                 .diagnostics = &diagnostics };
    struct policy *policy = NULL;
    struct error error = { 0 };

    diagnostics_init(&diagnostics, arena);
    if (!policy_load(&options, &policy, &error))
        assert_null(policy);
    diagnostics_write(&diagnostics, said);
    if (policy == NULL)
        buf_add_text(said, error.cause);
    return policy;
}

struct policy *world_load(const char *folder)
{
    OWNED(buf_release) struct buf said = { 0 };
    struct policy *policy;

    buf_init(&said, DIAGNOSTICS_BYTES);
    policy = load(folder, &said);
    if (policy == NULL)
        fail_msg("%s", said.data);
    return policy;
}

struct policy *world_load_text(const char *text)
{
    struct policy *policy;
    char folder[64];

    world_make_folder(folder);
    world_write(folder, "policy.yaml", text);
    policy = world_load(folder);
    world_remove(folder);
    return policy;
}

bool world_refuses(const char *text, const char *fragment)
{
    OWNED(buf_release) struct buf said = { 0 };
    OWNED(policy_unref) struct policy *policy = NULL;
    char folder[64];

    buf_init(&said, DIAGNOSTICS_BYTES);
    world_make_folder(folder);
    world_write(folder, "policy.yaml", text);
    policy = load(folder, &said);
    world_remove(folder);
    if (policy == NULL && strstr(said.data, fragment) != NULL)
        return true;
    print_error("expected '%s' in: %s\n", fragment, said.data == NULL ? "" : said.data);
    return false;
}

void world_make_folder(char out[64])
{
    (void)snprintf(out, 64, "/tmp/stagepass-policy-XXXXXX");
    assert_non_null(mkdtemp(out));
}

void world_write(const char *folder, const char *name, const char *text)
{
    char path[512];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

void world_remove(const char *folder)
{
    char root[64];
    char *const roots[] = { root, NULL };
    const FTSENT *entry;
    FTS *tree;

    (void)snprintf(root, sizeof(root), "%s", folder);
    tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    assert_non_null(tree);
    while ((entry = fts_read(tree)) != NULL)
        if (entry->fts_info != FTS_D)
            assert_int_equal(remove(entry->fts_path), 0);
    (void)fts_close(tree);
}
