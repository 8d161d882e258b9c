#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "clients/broker.h"

struct error;

/**
 * The files of a log, `checkpoint` and `tile/...`: in a folder, below a broker's "/log/", or below
 * a web server's "/". Nothing of what they say is checked here.
 *
 * Threads: confined
 */
struct log_files {
    const char *name; /* as it was given: the folder or the URL */
    int folder;       /* -1: a URL's */
    struct upstream *upstream;
    struct broker broker;
    const char *prefix; /* of paths at the URL */
    struct buf file;    /* the last one that was read */
};

/** Whether a name is a URL's, and no folder's. */
bool log_files_is_url(const char *name);

/** No file may have more than `max_bytes`. Release it whatever else happens. */
void log_files_init(struct log_files *files, const char *name, size_t max_bytes);
void log_files_release(struct log_files *files);

OWNED_VALUE(log_files_release, struct log_files)

/** For a URL. `ca_file` may be NULL. */
bool log_files_connect(struct log_files *files, const char *ca_file, struct arena *arena,
                       struct error *error) MUST_USE;

/** For a folder: open it, anew where it is open. It may have been replaced by another. */
bool log_files_enter(struct log_files *files, struct error *error) MUST_USE;

/**
 * Read a file of the log into `files->file`.
 *
 * Errors: ERROR_NOT_FOUND, ERROR_REFUSED (entries need an auditor's login), ERROR_INVALID (too
 *         large), ERROR_IO, and those of fetch()
 */
bool log_files_read(struct log_files *files, const char *name, size_t max, struct error *error)
    MUST_USE;

/** Append the answer to a GET of any path at the URL, with the login that is kept for it. */
bool log_files_request(struct log_files *files, const char *path, size_t max, struct buf *out,
                       struct error *error) MUST_USE;
