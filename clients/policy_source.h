#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/diagnostic.h"
#include "base/macros.h"
#include "clients/options.h"

struct config;
struct error;
struct policy;

/** What the `policy` commands read. All-zero is none. */
struct policy_source {
    struct arena *arena;
    struct diagnostics diagnostics;
    struct config *config;
    const char *folder;
    struct policy *policy;
};

/** Where the configuration is, unless --config or STAGEPASS_CONFIG says it. */
#define POLICY_CONFIG_DEFAULT "/etc/stagepass/broker.yaml"

/**
 * Load broker.yaml, for its issuers and targets, and the policy under them; `operands` may name
 * another folder than the configuration does.
 *
 * What is wrong in the files is in `source->diagnostics`, also where it succeeds (warnings).
 *
 * Errors: ERROR_CONFIG, ERROR_IO, ERROR_MEMORY
 */
bool policy_source_load(struct policy_source *source, const char *config_file,
                        const struct operands *operands, struct error *error) MUST_USE;
void policy_source_release(struct policy_source *source);

OWNED_VALUE(policy_source_release, struct policy_source)

/** Write the diagnostics as compilers do, on standard error. */
void policy_source_report(const struct policy_source *source);
