#pragma once

#include <stdbool.h>

#include "base/macros.h"
#include "clients/log_files.h"
#include "ledger/mirror.h"

/**
 * A log that is read as a whole: a folder of tiles (a mirror, or a store's "log"), a broker's, or a
 * mirror's on a web server.
 *
 * Threads: confined
 */
struct log_source {
    struct log_files files;
    bool is_open;
};

/** Whether a folder is a store's, with segments: these have more to look at than tiles. */
bool log_source_is_store(const char *name, struct arena *arena);

/**
 * Open it. A store's folder stands for its "log".
 *
 * Errors: ERROR_IO, ERROR_USAGE (URL), ERROR_MEMORY, and those of fetch()
 * Owns:   `source` is released by log_source_release() in any case
 */
bool log_source_open(struct log_source *source, const char *name, const char *ca_file,
                     struct arena *arena, struct error *error) MUST_USE;
void log_source_release(struct log_source *source);

OWNED_VALUE(log_source_release, struct log_source)

/** Borrows `source`. */
struct log_reader log_source_reader(struct log_source *source);

/** Whether bundles are to be had: of a folder where they are there, of a URL where asked for. */
bool log_source_has_entries(const struct log_source *source, bool is_asked_for);

/**
 * mirror_update(), tried anew where a live log has moved on under it, and below a URL's "/" where
 * there is no log below "/log/".
 */
bool log_source_update(struct log_source *source, const struct mirror_options *options,
                       struct mirror_report *report, struct error *error) MUST_USE;
