#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/diagnostic.h"
#include "base/macros.h"
#include "clients/options.h"

struct config;
struct error;
struct policy;

/** Where the configuration is, unless --config or STAGEPASS_CONFIG says it. */
#define POLICY_CONFIG_DEFAULT "/etc/stagepass/broker.yaml"
/** The catalog that counts where neither is given, in the folder at hand. */
#define POLICY_CATALOG_DEFAULT "catalog.yaml"

/** Options of every `policy` command that reads a policy. All-zero is none given. */
struct policy_source_options {
    const char *config;
    const char *catalog; /* counts before `config` */
};

/** Their rows, for OPTION_GROUP, whose offset is that of the struct. */
#define POLICY_SOURCE_OPTION_COUNT 2
extern const struct option_row policy_source_option_rows[POLICY_SOURCE_OPTION_COUNT];

/** What the `policy` commands read. All-zero is none. */
struct policy_source {
    struct arena *arena;
    struct diagnostics diagnostics;
    const char *file; /* the configuration's, or the catalog's */
    struct config *config;
    const char *folder;
    struct policy *policy;
    /* Told how far a load is, as in struct policy_load_options; set before it. NULL: nobody asks.
     */
    void (*progress)(size_t done, size_t total, void *context);
    void *progress_context;
};

/**
 * Load a catalog or broker.yaml, for its issuers and targets, and the policy under them. The first
 * of `operands`, where there is one, names another folder than the configuration does.
 *
 * What is wrong in the files is in `source->diagnostics`, also where it succeeds (warnings).
 *
 * Errors: ERROR_CONFIG, ERROR_IO, ERROR_MEMORY
 */
bool policy_source_load(struct policy_source *source, const struct policy_source_options *options,
                        const struct operands *operands, struct error *error) MUST_USE;

/**
 * The same in two steps, for commands that read more than one folder: the configuration, then each
 * folder's policy in the same world.
 *
 * Errors: ERROR_CONFIG, ERROR_IO, ERROR_MEMORY
 * Owns:   `*policy` has one reference, and must not outlive the source
 */
bool policy_source_load_world(struct policy_source *source,
                              const struct policy_source_options *options, struct error *error)
    MUST_USE;
bool policy_source_load_folder(struct policy_source *source, const char *folder,
                               struct policy **policy, struct error *error) MUST_USE;
void policy_source_release(struct policy_source *source);

OWNED_VALUE(policy_source_release, struct policy_source)

/** Write the diagnostics as compilers do, on standard error. */
void policy_source_report(const struct policy_source *source);
