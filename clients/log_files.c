#include "clients/log_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "clients/login_file.h"
#include "upstream/upstream.h"

#define TIMEOUT_MS 30000

/* ---- files ---- */

static bool read_all(int file, size_t max, struct buf *out)
{
    for (size_t left = max + 1; left > 0;) {
        size_t want = left < (size_t)64 * 1024 ? left : (size_t)64 * 1024;
        char *at = buf_extend(out, want);
        ssize_t count;

        if (!at)
            return false;
        do
            count = read(file, at, want);
        while (count < 0 && errno == EINTR);
        out->len -= want - (count > 0 ? (size_t)count : 0);
        if (count < 0)
            return false;
        if (count == 0)
            return true;
        left -= (size_t)count;
    }
    return false;
}

static bool read_local(struct log_files *files, const char *name, size_t max, struct error *error)
{
    int file = openat(files->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool is_read;

    if (file < 0 && errno == ENOENT)
        return error_set(error, ERROR_NOT_FOUND, "%s: there is no %s", files->name, name);
    if (file < 0)
        return error_set_errno(error, "%s: %s", files->name, name);
    is_read = read_all(file, max, &files->file);
    (void)close(file); /* read-only, nothing to lose */
    return is_read || error_set(error, ERROR_INVALID, "%s: %s cannot be read, or is too large",
                                files->name, name);
}

/* ---- requests ---- */

/* Looked up each time: whoever logs in again meanwhile goes on. */
static struct str bearer(const struct log_files *files, struct arena *arena)
{
    struct error ignored = { 0 };
    struct str token;

    if (!login_file_read(files->broker.url, arena, &token, &ignored))
        return STR("");
    return arena_printf(arena, "Authorization: Bearer " STR_FMT, STR_ARG(token));
}

static bool refuse_status(const struct log_files *files, int status, const char *path,
                          struct error *error)
{
    const char *name = files->name;

    if (status == 404)
        return error_set(error, ERROR_NOT_FOUND, "%s: there is no %s", name, path);
    if (status == 401)
        return error_set(error, ERROR_REFUSED,
                         "%s gives entries to auditors only: 'stagepass login --broker %s'", name,
                         name);
    if (status == 403)
        return error_set(error, ERROR_REFUSED,
                         "%s: your roles do not allow it: an auditor of all tenants reads entries",
                         name);
    return error_set(error, status == 429 || status >= 500 ? ERROR_LATER : ERROR_INVALID,
                     "%s answers %d for %s", name, status, path);
}

bool log_files_request(struct log_files *files, const char *path, size_t max, struct buf *out,
                       struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(max + (size_t)256 * 1024);
    struct upstream_request sent = { .method = "GET",
                                     .peer = files->broker.peer,
                                     .total_timeout_ms = TIMEOUT_MS,
                                     .response_max_bytes = max };
    struct fetch_answer answer = { 0 };
    struct str header;

    if (!arena)
        return error_set(error, ERROR_MEMORY, "no memory for a request");
    header = bearer(files, arena);
    sent.url = broker_path(&files->broker, path, arena).data;
    if (!sent.url || !header.data)
        return error_set(error, ERROR_MEMORY, "no memory for a request");
    sent.headers[0] = header.len > 0 ? header.data : NULL;
    if (!fetch(files->upstream, &sent, arena, &answer, error))
        return false;
    if (answer.status != 200)
        return refuse_status(files, answer.status, path, error);
    buf_add(out, answer.body);
    return buf_is_ok(out) || error_set(error, ERROR_LIMIT, "%s: an answer is too large", path);
}

bool log_files_read(struct log_files *files, const char *name, size_t max, struct error *error)
{
    OWNED(buf_release) struct buf path = { 0 };

    buf_clear(&files->file);
    if (files->folder >= 0)
        return read_local(files, name, max, error);
    buf_init(&path, 256);
    buf_printf(&path, "%s%s", files->prefix, name);
    if (!buf_is_ok(&path))
        return error_set(error, ERROR_MEMORY, "no memory for a path");
    return log_files_request(files, path.data, max, &files->file, error);
}

/* ---- opening ---- */

bool log_files_is_url(const char *name)
{
    return str_starts_with(str_from(name), STR("https://")) ||
           str_starts_with(str_from(name), STR("http://"));
}

void log_files_init(struct log_files *files, const char *name, size_t max_bytes)
{
    *files = (struct log_files){ .name = name, .folder = -1, .prefix = "/log/" };
    buf_init(&files->file, max_bytes);
}

bool log_files_connect(struct log_files *files, const char *ca_file, struct arena *arena,
                       struct error *error)
{
    return upstream_start(&files->upstream, error) &&
           broker_init(&files->broker, files->name, ca_file, files->upstream, arena, error);
}

bool log_files_enter(struct log_files *files, struct error *error)
{
    int folder = open(files->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (folder < 0)
        return error_set_errno(error, "%s", files->name);
    if (files->folder >= 0)
        (void)close(files->folder); /* read-only, nothing to lose */
    files->folder = folder;
    return true;
}

void log_files_release(struct log_files *files)
{
    if (files->folder >= 0)
        (void)close(files->folder); /* read-only, nothing to lose */
    upstream_stop(files->upstream);
    buf_release(&files->file);
}
