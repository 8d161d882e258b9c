#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "clients/command.h"
#include "clients/first_policy.h"
#include "clients/report.h"
#include "clients/token_input.h"
#include "identity/profile.h"

#define ARENA_MAX ((size_t)16 * 1024 * 1024)

struct values {
    struct token_input_options input;
    const char *profile;
    const char *issuer;
    const char *pipeline;
    const char *owner;
};

static const struct option_row rows[] = {
    { .name = "profile",
      .kind = OPTION_TEXT,
      .value = "NAME",
      .help = "The CI system's; else its issuer URL tells, or it is generic",
      .offset = offsetof(struct values, profile) },
    { .name = "issuer",
      .kind = OPTION_TEXT,
      .value = "NAME",
      .help = "What the catalog calls the issuer; else as the profile is called",
      .offset = offsetof(struct values, issuer) },
    { .name = "pipeline",
      .kind = OPTION_TEXT,
      .value = "NAME",
      .help = "The pipeline's name; else the repository's",
      .offset = offsetof(struct values, pipeline) },
    { .name = "owner",
      .kind = OPTION_TEXT,
      .value = "TEXT",
      .help = "Who answers for it: a team's address",
      .offset = offsetof(struct values, owner) },
};

/* A file to write. */
struct target_file {
    const char *folder; /* under the one at hand; empty: that */
    const char *name;
    const struct buf *text;
};

static const char *path_of(struct arena *arena, const char *root, const struct target_file *file)
{
    const char *folder = file->folder[0] == '\0' ? root : file_join(arena, root, file->folder);

    return folder == NULL ? NULL : file_join(arena, folder, file->name);
}

/* Nothing is written where one of them is there. */
static bool check_missing(struct arena *arena, const char *root, const struct target_file *files,
                          size_t count, struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        const char *path = path_of(arena, root, &files[i]);
        struct stat status;

        if (path == NULL)
            return error_set(error, ERROR_MEMORY, "no memory");
        if (lstat(path, &status) == 0)
            return error_set(error, ERROR_IO, "%s is there already: nothing was written", path);
    }
    return true;
}

static bool write_files(struct arena *arena, const char *root, const struct target_file *files,
                        size_t count, struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        const char *path = path_of(arena, root, &files[i]);
        const char *folder =
            files[i].folder[0] == '\0' ? root : file_join(arena, root, files[i].folder);

        if (path == NULL || folder == NULL)
            return error_set(error, ERROR_MEMORY, "no memory");
        if (!file_make_folder(folder, 0755, error) ||
            !file_create(path, buf_str(files[i].text), 0644, error))
            return false;
        (void)printf("wrote %s\n", path);
    }
    return true;
}

static bool write_policy(const struct values *values, const char *root, struct arena *arena,
                         struct error *error)
{
    OWNED(first_policy_release) struct first_policy policy = { 0 };
    struct first_policy_options options = { .pipeline = str_from(values->pipeline),
                                            .owner = str_from(values->owner) };

    if (!token_input_claims(&values->input, arena, &options.claims, error) ||
        !token_input_profile(values->profile, json_str(json_object_get(options.claims, "iss")),
                             &options.profile, error))
        return false;
    options.issuer = str_from(values->issuer ? values->issuer : options.profile->name);
    if (!str_is_made_of(options.issuer, "abcdefghijklmnopqrstuvwxyz0123456789-") ||
        options.issuer.len == 0 || options.issuer.len > 40)
        return error_set(error, ERROR_USAGE, "--issuer: a name has 1 to 40 of a-z, 0-9 and '-'");
    if (!first_policy_write(&options, arena, &policy, error))
        return false;
    {
        const char *name = arena_printf(arena, STR_FMT ".json", STR_ARG(options.issuer)).data;
        const struct target_file files[] = {
            { "", "catalog.yaml", &policy.catalog },
            { "policies/claims", name, &policy.claims },
            { "policies", "first.yaml", &policy.pipeline },
        };

        if (name == NULL)
            return error_set(error, ERROR_MEMORY, "no memory");
        return check_missing(arena, root, files, COUNT(files), error) &&
               write_files(arena, root, files, COUNT(files), error);
    }
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    const char *root = operands->count > 0 ? operands->items[0] : ".";
    struct error error = { 0 };

    if (!arena)
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    if (!write_policy(given, root, arena, &error))
        return report_failure(&error);
    (void)printf("try: cd %s && stagepass policy check && stagepass policy test\n", root);
    return report_finish();
}

const struct command command_policy_init = {
    .group = "policy",
    .name = "init",
    .operands = "[FOLDER]",
    .summary = "Write a first policy with tests, from a job's token",
    .description =
        "Reads the claims of a job that shall be let in, which nobody verifies, and writes into "
        "FOLDER\n"
        "(default: where you are) catalog.yaml, policies/first.yaml and the claims that its tests "
        "read,\n"
        "without times and persons. Nothing is written where one of these is there.",
    .groups = { OPTION_GROUP(token_input_option_rows, offsetof(struct values, input)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .operands_max = 1,
    .run = run,
};
