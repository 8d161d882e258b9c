#include "clients/policy_source.h"

#include <stdio.h>

#include "base/error.h"
#include "config/config.h"
#include "config/jobs.h"
#include "policy/policy.h"

#define ARENA_MAX ((size_t)256 * 1024 * 1024) /* test results of a large organisation */
#define REPORT_MAX ((size_t)1024 * 1024)

bool policy_source_load(struct policy_source *source, const char *config_file,
                        const struct operands *operands, struct error *error)
{
    struct policy_load_options options = { .diagnostics = &source->diagnostics,
                                           .run_jobs = jobs_run };

    source->arena = arena_new(ARENA_MAX);
    if (!source->arena)
        return error_set(error, ERROR_MEMORY, "no memory");
    diagnostics_init(&source->diagnostics, source->arena);
    if (!config_load(config_file, &source->diagnostics, &source->config, error))
        return false;
    source->folder = operands->count > 0 ? operands->items[0] : source->config->policy_directory;
    options.folder = source->folder;
    options.world = &source->config->world;
    return policy_load(&options, &source->policy, error);
}

void policy_source_release(struct policy_source *source)
{
    policy_unref(source->policy);
    config_free(source->config);
    arena_free(source->arena);
}

void policy_source_report(const struct policy_source *source)
{
    OWNED(buf_release) struct buf text = { 0 };

    if (!source->arena)
        return;
    buf_init(&text, REPORT_MAX);
    diagnostics_write(&source->diagnostics, &text);
    if (text.len > 0)
        (void)fwrite(text.data, 1, text.len, stderr); /* nowhere else to say it */
}
