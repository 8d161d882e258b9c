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

/* What fill_github() copies. */
static const struct claim_copy github_copy_rows[] = {
    { "repository_id", "repository_id", CLAIM_FORM_NONE },
    { "ref", "ref", CLAIM_FORM_NONE },
    { "environment", "environment", CLAIM_FORM_NONE },
    { "actor", "actor", CLAIM_FORM_NONE },
    { "event", "event_name", CLAIM_FORM_NONE },
};
static const struct claim_copies github_copies = { github_copy_rows, COUNT(github_copy_rows) };

/* An issuer whose facts are copied in every form, and a danger that a fact can make harmless. */
static const struct claim forge_claims[] = {
    { "project_id", CLAIM_STRING, CLAIM_ID },
    { "number", CLAIM_INTEGER, 0 },
    { "branch", CLAIM_STRING, 0 },
    { "trigger", CLAIM_STRING, 0 },
    { "/run/actor", CLAIM_STRING, CLAIM_OPTIONAL },
    { "pool", CLAIM_STRING, CLAIM_OPTIONAL },
    { "is_safe", CLAIM_BOOLEAN, CLAIM_OPTIONAL },
};

static const struct claim_word forge_word_rows[] = {
    { "pool", "hosted", "runner", "hosted" },
    { "pool", "a", "runner", "a" },
    { "pool", "b", "runner", "a" },
    { "is_safe", "true", "ref_protected", "true" },
    { "is_safe", "false", "ref_protected", "false" },
};
static const struct claim_words forge_words = { forge_word_rows, COUNT(forge_word_rows) };

static const struct claim_copy forge_copy_rows[] = {
    { "repository_id", "project_id", CLAIM_FORM_UNKNOWN },
    { "environment", "number", CLAIM_FORM_NUMBER },
    { "ref", "branch", CLAIM_FORM_NONE },
    { "event", "trigger", CLAIM_FORM_UNKNOWN },
    { "actor", "/run/actor", CLAIM_FORM_UNKNOWN },
};
static const struct claim_copies forge_copies = { forge_copy_rows, COUNT(forge_copy_rows) };

static const struct claim_danger forge_danger_rows[] = {
    { "trigger", "merge", "ci.event", "merge", "ci.fork" },
};
static const struct claim_dangers forge_dangers = { forge_danger_rows, COUNT(forge_danger_rows) };

static bool fill_forge(const json_t *claims, json_t *ci)
{
    bool is_good = true;

    for (size_t i = 0; i < COUNT(ci_rows) && is_good; i++)
        is_good = json_put(ci, ci_rows[i].name, json_null());
    return is_good && claim_copies_put(&forge_copies, claims, ci) &&
           claim_words_put(&forge_words, &ci_facts, claims, ci);
}

#define CLAIMS_OF(rows)                                                                            \
    {                                                                                              \
        (rows), COUNT(rows)                                                                        \
    }

static const struct policy_issuer issuers[] = {
    { .name = { "github", 6 },
      .claims = CLAIMS_OF(github_claims),
      .fill_ci = fill_github,
      .dangers = &test_dangers,
      .copies = &github_copies,
      .tells_who_started = true },
    { .name = { "gitlab", 6 }, .claims = CLAIMS_OF(gitlab_claims) },
    { .name = { "old-ci", 6 }, .claims = CLAIMS_OF(old_ci_claims) },
    { .name = { "cluster", 7 }, .claims = CLAIMS_OF(cluster_claims) },
    { .name = { "nameless", 8 }, .claims = CLAIMS_OF(nameless_claims) },
    { .name = { "forge", 5 },
      .claims = CLAIMS_OF(forge_claims),
      .fill_ci = fill_forge,
      .dangers = &forge_dangers,
      .copies = &forge_copies,
      .words = &forge_words },
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

/* Texts of a field, one or several. */
static bool list_texts(const json_t *value, struct arena *arena, struct str **list, size_t *count)
{
    size_t max = json_is_array(value) ? json_array_size(value) : 1;

    *list = arena_alloc_array(arena, max, sizeof(**list));
    for (size_t i = 0; *list != NULL && value != NULL && i < max; i++)
        (*list)[(*count)++] = json_str(json_is_array(value) ? json_array_get(value, i) : value);
    return *list != NULL;
}

/* The audience; nobody shares a subject. */
static bool jwt_gives(const struct policy_grant_view *grant, struct arena *arena,
                      struct policy_given *given)
{
    return list_texts(json_object_get(grant->fields, "audience"), arena, &given->names,
                      &given->name_count);
}

/* The logins; as principals, those of the target. */
static bool ssh_gives(const struct policy_grant_view *grant, struct arena *arena,
                      struct policy_given *given)
{
    const json_t *principals = json_object_get(grant->fields, "principals");

    if (!list_texts(principals, arena, &given->names, &given->name_count) ||
        !list_texts(principals, arena, &given->principals, &given->principal_count))
        return false;
    for (size_t i = 0; i < given->principal_count; i++) {
        given->principals[i] = arena_printf(arena, STR_FMT "@ca", STR_ARG(given->names[i]));
        if (given->principals[i].data == NULL)
            return false;
    }
    return true;
}

/* The actions of `allow`, everything without; the role, and "arn:aws:iam::ACCOUNT:role/..." */
static bool aws_gives(const struct policy_grant_view *grant, struct arena *arena,
                      struct policy_given *given)
{
    struct str role = json_str(json_object_get(grant->fields, "role"));
    const json_t *allow = json_object_get(grant->fields, "allow");

    given->is_everything = allow == NULL;
    if (role.len > 0 && !list_texts(json_object_get(grant->fields, "role"), arena,
                                    &given->principals, &given->principal_count))
        return false;
    for (size_t i = 0; i < 4; i++)
        (void)str_cut(role, ':', &given->account, &role);
    (void)str_cut(role, ':', &given->account, &role);
    return allow == NULL || list_texts(allow, arena, &given->names, &given->name_count);
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
    .gives = jwt_gives,
};

static const struct policy_grant_kind ssh = {
    .name = "ssh",
    .fields = (const char *const[]){ "target", "principals", "force_command", NULL },
    .has_target = true,
    .ttl_min_s = 60,
    .ttl_max_s = 3600,
    .check = check_ssh,
    .fields_with_holes = (const char *const[]){ "principals", "force_command", NULL },
    .gives = ssh_gives,
};

static const struct policy_grant_kind aws = {
    .name = "aws",
    .fields = (const char *const[]){ "target", "role", "allow", NULL },
    .has_target = true,
    .ttl_min_s = 900,
    .ttl_max_s = 43200,
    .check = check_nothing,
    .fields_with_holes = (const char *const[]){ "role", "allow", NULL },
    .matching = POLICY_MATCHING_AWS,
    .gives = aws_gives,
};

/* A kind whose floor is above the default, and that cannot say what it gives. */
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
static struct policy *load(const char *folder, const struct policy_world *world, struct buf *said)
{
    OWNED(arena_free) struct arena *arena = arena_new(DIAGNOSTICS_BYTES);
    struct diagnostics diagnostics;
    const struct policy_load_options options = { .folder = folder,
                                                 .world = world,
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

static struct policy *load_good(const char *folder, const struct policy_world *world)
{
    OWNED(buf_release) struct buf said = { 0 };
    struct policy *policy;

    buf_init(&said, DIAGNOSTICS_BYTES);
    policy = load(folder, world, &said);
    if (policy == NULL)
        fail_msg("%s", said.data);
    return policy;
}

static struct policy *load_text(const char *text, const struct policy_world *world)
{
    struct policy *policy;
    char folder[64];

    world_make_folder(folder);
    world_write(folder, "policy.yaml", text);
    policy = load_good(folder, world);
    world_remove(folder);
    return policy;
}

struct policy *world_load(const char *folder)
{
    return load_good(folder, &test_world);
}

struct policy *world_load_text(const char *text)
{
    return load_text(text, &test_world);
}

bool world_refuses(const char *text, const char *fragment)
{
    OWNED(buf_release) struct buf said = { 0 };
    OWNED(policy_unref) struct policy *policy = NULL;
    char folder[64];

    buf_init(&said, DIAGNOSTICS_BYTES);
    world_make_folder(folder);
    world_write(folder, "policy.yaml", text);
    policy = load(folder, &test_world, &said);
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
    char path[2048];
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
