#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "base/error.h"

/* O_DIRECT, which the C library hides outside of _GNU_SOURCE. */
#define OPEN_DIRECT __O_DIRECT

/* Read until `len` bytes or the end; `*got` says how many there were. */
static bool read_up_to(int file, const char *path, char *data, size_t len, size_t *got,
                       struct error *error)
{
    *got = 0;
    while (*got < len) {
        ssize_t count = read(file, data + *got, len - *got);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_set_errno(error, "%s: cannot read", path);
        if (count == 0)
            break;
        *got += (size_t)count;
    }
    return true;
}

static bool read_descriptor(struct arena *arena, int file, const char *path, size_t max_bytes,
                            struct str *out, struct error *error)
{
    struct stat status;
    size_t got;
    size_t len;
    char *data;

    if (fstat(file, &status) != 0)
        return error_set_errno(error, "%s: cannot look at it", path);
    if (!S_ISREG(status.st_mode))
        return error_set(error, ERROR_IO, "%s: expected a regular file", path);
    if (status.st_size < 0 || (uintmax_t)status.st_size > max_bytes)
        return error_set(error, ERROR_LIMIT, "%s: larger than %zu bytes", path, max_bytes);
    len = (size_t)status.st_size;
    data = arena_alloc(arena, len + 1);
    if (data == NULL)
        return error_set(error, ERROR_MEMORY, "%s: no memory for its %zu bytes", path, len);
    if (!read_up_to(file, path, data, len + 1, &got, error))
        return false;
    if (got != len)
        return error_set(error, ERROR_IO, "%s: changed while it was read", path);
    *out = (struct str){ data, len };
    return true;
}

bool file_read(struct arena *arena, const char *path, size_t max_bytes, struct str *out,
               struct error *error)
{
    /* O_NONBLOCK: a FIFO in its place must not hold us */
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool is_read;

    if (file < 0)
        return error_set_errno(error, "%s: cannot open", path);
    is_read = read_descriptor(arena, file, path, max_bytes, out, error);
    (void)close(file); /* read-only, nothing to lose */
    return is_read;
}

/* The folder that holds `path`, without slashes at its end. */
static bool parent_of(const char *path, char parent[PATH_MAX], struct error *error)
{
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        len--;
    while (len > 0 && path[len - 1] != '/')
        len--;
    while (len > 1 && path[len - 1] == '/')
        len--;
    if (len >= PATH_MAX)
        return error_set(error, ERROR_LIMIT, "a path of %zu bytes is too long", len);
    (void)snprintf(parent, PATH_MAX, "%.*s", len == 0 ? 1 : (int)len, len == 0 ? "." : path);
    return true;
}

/* Make the names in the folder that holds `path` durable. */
static bool sync_parent(const char *path, struct error *error)
{
    char parent[PATH_MAX];
    bool is_synced;
    int folder;

    if (!parent_of(path, parent, error))
        return false;
    folder = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return error_set_errno(error, "%s: cannot open", parent);
    is_synced = fsync(folder) == 0 || error_set_errno(error, "%s: cannot sync", parent);
    (void)close(folder); /* read-only, nothing to lose */
    return is_synced;
}

static bool write_all(int file, const char *path, struct str content, struct error *error)
{
    while (content.len > 0) {
        ssize_t count = write(file, content.data, content.len);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_set_errno(error, "%s: cannot write", path);
        content = str_slice(content, (size_t)count, content.len);
    }
    return true;
}

static bool fill(int file, const char *path, struct str content, unsigned mode, struct error *error)
{
    /* what open() gave lacks what the umask takes */
    if (fchmod(file, (mode_t)mode) != 0)
        return error_set_errno(error, "%s: cannot set its mode", path);
    return write_all(file, path, content, error);
}

static bool fill_and_sync(int file, const char *path, struct str content, unsigned mode,
                          struct error *error)
{
    if (!fill(file, path, content, mode, error))
        return false;
    return fsync(file) == 0 || error_set_errno(error, "%s: cannot sync", path);
}

/* A new file at `path`, filled by `write_content`; none is left behind on failure. */
static bool write_new(const char *path, struct str content, unsigned mode,
                      bool (*write_content)(int file, const char *path, struct str content,
                                            unsigned mode, struct error *error),
                      struct error *error)
{
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool is_written;

    if (file < 0)
        return error_set_errno(error, "%s: cannot create", path);
    is_written = write_content(file, path, content, mode, error);
    if (close(file) != 0 && is_written)
        is_written = error_set_errno(error, "%s: cannot close", path);
    if (!is_written)
        (void)unlink(path); /* the first failure is the one to tell */
    return is_written;
}

/* A name of its own beside `path`, so that two writers cannot mix their bytes. */
static bool temporary_name(const char *path, char name[PATH_MAX], struct error *error)
{
    unsigned char random[8];
    int len;

    if (RAND_bytes(random, sizeof(random)) != 1)
        return error_set_openssl(error, "cannot get random bytes for a file's name");
    len = snprintf(name, PATH_MAX, "%s.%02x%02x%02x%02x%02x%02x%02x%02x.new", path, random[0],
                   random[1], random[2], random[3], random[4], random[5], random[6], random[7]);
    if (len < 0 || len >= PATH_MAX)
        return error_set(error, ERROR_LIMIT, "a path of %zu bytes is too long", strlen(path));
    return true;
}

bool file_replace(const char *path, struct str content, unsigned mode, struct error *error)
{
    char temporary[PATH_MAX];

    if (!temporary_name(path, temporary, error) ||
        !write_new(temporary, content, mode, fill_and_sync, error))
        return false;
    if (rename(temporary, path) != 0) {
        (void)error_set_errno(error, "%s: cannot replace", path);
        (void)unlink(temporary); /* the first failure is the one to tell */
        return false;
    }
    return sync_parent(path, error);
}

bool file_create(const char *path, struct str content, unsigned mode, struct error *error)
{
    return write_new(path, content, mode, fill, error);
}

static bool make_one(const char *path, unsigned mode, struct error *error)
{
    struct stat status;

    if (mkdir(path, (mode_t)mode) == 0)
        return sync_parent(path, error);
    if (errno != EEXIST)
        return error_set_errno(error, "%s: cannot create the folder", path);
    if (stat(path, &status) != 0)
        return error_set_errno(error, "%s: cannot look at it", path);
    return S_ISDIR(status.st_mode) || error_set(error, ERROR_IO, "%s: expected a folder", path);
}

bool file_make_folder(const char *path, unsigned mode, struct error *error)
{
    char prefix[PATH_MAX];
    size_t len = strlen(path);

    if (len == 0 || len >= sizeof(prefix))
        return error_set(error, ERROR_LIMIT, "a folder's path of %zu bytes", len);
    memcpy(prefix, path, len + 1);
    for (size_t i = 1; i < len; i++) {
        if (path[i] != '/')
            continue;
        prefix[i] = '\0';
        if (!make_one(prefix, mode, error))
            return false;
        prefix[i] = '/';
    }
    return make_one(path, mode, error);
}

bool file_is_ours_alone(const struct stat *status)
{
    return status->st_uid == geteuid() && (status->st_mode & 0077) == 0;
}

bool file_is_open_to_others(const char *path, const struct stat *status)
{
    struct statvfs mount;

    if ((status->st_mode & S_IWOTH) == 0)
        return false;
    return statvfs(path, &mount) != 0 || (mount.f_flag & ST_RDONLY) == 0;
}

static bool remove_entries(int folder, const char *path, size_t depth, struct error *error);

/* A name in an open folder, whatever it is. `path` is for messages. */
static bool remove_name(int parent, const char *name, const char *path, size_t depth,
                        struct error *error)
{
    bool is_removed;
    int folder;

    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return true;
    if (errno != EISDIR && errno != EPERM)
        return error_set_errno(error, "%s: cannot remove what is in it", path);
    if (depth == FILE_DEPTH_MAX)
        return error_set(error, ERROR_LIMIT, "%s: more than %d folders deep", path, FILE_DEPTH_MAX);
    folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        return error_set_errno(error, "%s: cannot open what is in it", path);
    is_removed = remove_entries(folder, path, depth + 1, error); /* closes it */
    if (!is_removed)
        return false;
    return unlinkat(parent, name, AT_REMOVEDIR) == 0 ||
           error_set_errno(error, "%s: cannot remove what is in it", path);
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool remove_entries(int folder, const char *path, size_t depth, struct error *error)
{
    DIR *listing = fdopendir(folder);
    const struct dirent *entry;
    bool is_removed = true;

    if (listing == NULL) {
        (void)close(folder); /* read-only, nothing to lose */
        return error_set_errno(error, "%s: cannot read what is in it", path);
    }
    /* The stream is this function's own. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while (is_removed && (entry = readdir(listing)) != NULL)
        if (!is_dots(entry->d_name))
            is_removed = remove_name(dirfd(listing), entry->d_name, path, depth, error);
    (void)closedir(listing); /* read-only, nothing to lose */
    return is_removed;
}

bool file_remove_folder(const char *path, struct error *error)
{
    return remove_name(AT_FDCWD, path, path, 0, error);
}

bool file_begin_direct(int file, int *flags)
{
    *flags = fcntl(file, F_GETFL);
    return *flags >= 0 && fcntl(file, F_SETFL, *flags | OPEN_DIRECT) == 0;
}

bool file_end_direct(int file, int flags)
{
    return fcntl(file, F_SETFL, flags) == 0;
}

const char *file_join(struct arena *arena, const char *folder, const char *name)
{
    return arena_printf(arena, "%s/%s", folder, name).data;
}
