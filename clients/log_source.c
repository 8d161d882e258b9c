#include "clients/log_source.h"

#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "ledger/bundle.h"
#include "ledger/tile.h"

#define FILE_BYTES_MAX (BUNDLE_MAX + (size_t)64 * 1024)
/* Of a live log's partial tiles, which can be gone by the time that they are read. */
#define MOVED_TRIES_MAX 4

static bool holds(const char *folder, const char *name, struct arena *arena)
{
    const char *path = file_join(arena, folder, name);

    return path && access(path, F_OK) == 0;
}

/* The log that lies in a broker's folder; its store may be in a database. */
static bool is_folder_of_broker(const char *name, struct arena *arena)
{
    return !log_files_is_url(name) &&
           (holds(name, "segments", arena) || holds(name, "log/checkpoint", arena));
}

bool log_source_is_store(const char *name, struct arena *arena)
{
    return !log_files_is_url(name) &&
           (holds(name, "segments", arena) ||
            !(holds(name, "checkpoint", arena) || holds(name, "log/checkpoint", arena)));
}

bool log_source_open(struct log_source *source, const char *name, const char *ca_file,
                     struct arena *arena, struct error *error)
{
    const char *log = is_folder_of_broker(name, arena) ? file_join(arena, name, "log") : name;

    if (!log)
        return error_set(error, ERROR_MEMORY, "no memory for a log");
    log_files_init(&source->files, log, FILE_BYTES_MAX);
    source->is_open = true;
    return log_files_is_url(log) ? log_files_connect(&source->files, ca_file, arena, error)
                                 : log_files_enter(&source->files, error);
}

void log_source_release(struct log_source *source)
{
    if (source->is_open)
        log_files_release(&source->files);
}

static bool read_file(void *context, const char *path, size_t max_bytes, struct str *bytes,
                      struct error *error)
{
    struct log_source *source = context;

    if (!log_files_read(&source->files, path, max_bytes, error))
        return false;
    *bytes = buf_str(&source->files.file);
    return true;
}

struct log_reader log_source_reader(struct log_source *source)
{
    return (struct log_reader){ read_file, source };
}

bool log_source_has_entries(const struct log_source *source, bool is_asked_for)
{
    return is_asked_for || (source->files.folder >= 0 &&
                            faccessat(source->files.folder, "tile/entries", F_OK, 0) == 0);
}

/* A mirror on a web server is the same, without "/log". */
static bool find_prefix(struct log_source *source, struct error *error)
{
    struct error why = { 0 };

    if (source->files.folder >= 0 ||
        log_files_read(&source->files, "checkpoint", NOTE_BYTES_MAX, &why))
        return true;
    source->files.prefix = "/";
    if (why.code == ERROR_NOT_FOUND &&
        log_files_read(&source->files, "checkpoint", NOTE_BYTES_MAX, &(struct error){ 0 }))
        return true;
    *error = why;
    return false;
}

bool log_source_update(struct log_source *source, const struct mirror_options *options,
                       struct mirror_report *report, struct error *error)
{
    if (!find_prefix(source, error))
        return false;
    for (int i = 1;; i++) {
        struct error why = { 0 };

        if (mirror_update(options, report, &why))
            return true;
        if (why.code != ERROR_NOT_FOUND || i == MOVED_TRIES_MAX) {
            *error = why;
            return false;
        }
    }
}
