#include "clients/policy_source.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "clients/paint.h"
#include "config/config.h"
#include "config/jobs.h"
#include "policy/policy.h"

#define ARENA_MAX ((size_t)256 * 1024 * 1024) /* test results of a large organisation */
#define REPORT_MAX ((size_t)1024 * 1024)

const struct option_row policy_source_option_rows[] = {
    { .name = "config",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .environment = "STAGEPASS_CONFIG",
      .help = "broker.yaml, for its issuers and targets; else " POLICY_CATALOG_DEFAULT
              " of this folder,\n"
              "                          where there is one, else " POLICY_CONFIG_DEFAULT,
      .offset = offsetof(struct policy_source_options, config) },
    { .name = "catalog",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .environment = "STAGEPASS_CATALOG",
      .help = "Issuers and targets without secrets: needs no broker, and counts before --config",
      .offset = offsetof(struct policy_source_options, catalog) },
};
_Static_assert(COUNT(policy_source_option_rows) == POLICY_SOURCE_OPTION_COUNT,
               "as many as POLICY_SOURCE_OPTION_COUNT says");

static bool load_config(struct policy_source *source, const struct policy_source_options *options,
                        struct error *error)
{
    const char *catalog = options->catalog;

    if (!catalog && !options->config && access(POLICY_CATALOG_DEFAULT, F_OK) == 0)
        catalog = POLICY_CATALOG_DEFAULT;
    if (catalog) {
        source->file = catalog;
        return config_load_catalog(catalog, &source->diagnostics, &source->config, error);
    }
    source->file = options->config ? options->config : POLICY_CONFIG_DEFAULT;
    return config_load(source->file, &source->diagnostics, &source->config, error);
}

bool policy_source_load_world(struct policy_source *source,
                              const struct policy_source_options *options, struct error *error)
{
    source->arena = arena_new(ARENA_MAX);
    if (!source->arena)
        return error_set(error, ERROR_MEMORY, "no memory");
    diagnostics_init(&source->diagnostics, source->arena);
    return load_config(source, options, error);
}

bool policy_source_load_folder(struct policy_source *source, const char *folder,
                               struct policy **policy, struct error *error)
{
    struct policy_load_options options = { .folder = folder,
                                           .world = &source->config->world,
                                           .diagnostics = &source->diagnostics,
                                           .now_s = clock_wall_s(),
                                           .run_jobs = jobs_run,
                                           .progress = source->progress,
                                           .progress_context = source->progress_context };

    return policy_load(&options, policy, error);
}

bool policy_source_load(struct policy_source *source, const struct policy_source_options *options,
                        const struct operands *operands, struct error *error)
{
    if (!policy_source_load_world(source, options, error))
        return false;
    source->folder = operands->count > 0 ? operands->items[0] : source->config->policy_directory;
    return policy_source_load_folder(source, source->folder, &source->policy, error);
}

void policy_source_release(struct policy_source *source)
{
    policy_unref(source->policy);
    config_unref(source->config);
    arena_free(source->arena);
}

void policy_source_report(const struct policy_source *source)
{
    OWNED(buf_release) struct buf text = { 0 };

    struct paint paint = paint_for(stderr);
    const struct diagnostic_paint codes = {
        .error = paint_code(&paint, PAINT_BAD),
        .warning = paint_code(&paint, PAINT_UNSURE),
        .place = paint_code(&paint, PAINT_STRONG),
        .faint = paint_code(&paint, PAINT_FAINT),
        .stop = paint_code(&paint, PAINT_PLAIN),
    };

    if (!source->arena)
        return;
    buf_init(&text, REPORT_MAX);
    diagnostics_write_painted(&source->diagnostics, &codes, &text);
    if (text.len > 0)
        (void)fwrite(text.data, 1, text.len, stderr); /* nowhere else to say it */
}
