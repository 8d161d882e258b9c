#include "clients/out_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

#define SUFFIX ".new-XXXXXX"

/* Putting a file into the place of a device would end whatever uses that. */
static bool check_place(const char *path, struct error *error)
{
    struct stat status;

    if (lstat(path, &status) != 0)
        return errno == ENOENT || error_set_errno(error, "%s", path);
    return S_ISREG(status.st_mode) ||
           error_set(error, ERROR_USAGE,
                     "%s is there and no file: standard output is where no "
                     "file is named",
                     path);
}

bool out_file_open(struct out_file *file, const char *path, struct error *error)
{
    size_t len;
    int descriptor;

    *file = (struct out_file){ .stream = stdout, .path = path };
    if (!path)
        return true;
    file->stream = NULL;
    if (!check_place(path, error))
        return false;
    len = strlen(path) + sizeof(SUFFIX);
    file->temporary = malloc(len);
    if (!file->temporary)
        return error_set(error, ERROR_MEMORY, "no memory for a file's name");
    (void)snprintf(file->temporary, len, "%s%s", path, SUFFIX);
    descriptor = mkstemp(file->temporary); /* of mode 0600 */
    if (descriptor < 0) {
        (void)error_set_errno(error, "%s", path);
        free(file->temporary);
        file->temporary = NULL;
        return false;
    }
    (void)fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    file->stream = fdopen(descriptor, "w");
    if (file->stream)
        return true;
    (void)close(descriptor); /* nothing is in it */
    return error_set_errno(error, "%s", path);
}

static bool sync_folder(const char *path, struct error *error)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == path ? strdup("/")
                   : slash       ? strndup(path, (size_t)(slash - path))
                                 : strdup(".");
    int descriptor = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    bool is_synced = descriptor >= 0 && fsync(descriptor) == 0;

    free(folder);
    if (!is_synced)
        (void)error_set_errno(error, "%s: cannot sync its folder", path);
    if (descriptor >= 0)
        (void)close(descriptor); /* read-only, nothing to lose */
    return is_synced;
}

bool out_file_commit(struct out_file *file, struct error *error)
{
    FILE *stream = file->stream;
    bool is_written = fflush(stream) == 0 && !ferror(stream);

    if (!file->path)
        return is_written || error_set(error, ERROR_IO, "cannot write to standard output");
    is_written = is_written && fsync(fileno(stream)) == 0;
    file->stream = NULL;
    if (fclose(stream) != 0 || !is_written || rename(file->temporary, file->path) != 0)
        return error_set_errno(error, "%s: cannot write", file->path);
    free(file->temporary);
    file->temporary = NULL;
    return sync_folder(file->path, error);
}

void out_file_release(struct out_file *file)
{
    if (file->path && file->stream)
        (void)fclose(file->stream); /* it is taken away */
    if (file->temporary)
        (void)unlink(file->temporary);
    free(file->temporary);
    *file = (struct out_file){ 0 };
}
