#include "clients/work_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "clients/variable.h"

/* A socket's path has 108 bytes at most; the folder's own name and the socket's need some. */
#define PARENT_MAX_BYTES 64

static const char *const parent_variables[] = { "XDG_RUNTIME_DIR", "TMPDIR" };

/* In a pod a volume at /tmp is open to all and has no sticky bit; its shared memory has one. */
static const char *const parents[] = { "/tmp", "/dev/shm" };

bool work_folder_is_safe(const char *parent)
{
    struct stat status;

    return stat(parent, &status) == 0 && (status.st_uid == 0 || status.st_uid == geteuid()) &&
           ((status.st_mode & (S_IWGRP | S_IWOTH)) == 0 || (status.st_mode & S_ISVTX) != 0);
}

static bool is_usable(const char *parent)
{
    return parent && parent[0] == '/' && strlen(parent) <= PARENT_MAX_BYTES &&
           access(parent, W_OK | X_OK) == 0 && work_folder_is_safe(parent);
}

static const char *find_parent(void)
{
    for (size_t i = 0; i < COUNT(parent_variables); i++) {
        const char *parent = variable_get(parent_variables[i]);

        if (is_usable(parent))
            return parent;
    }
    for (size_t i = 0; i < COUNT(parents); i++)
        if (is_usable(parents[i]))
            return parents[i];
    return NULL;
}

bool work_folder_make(struct work_folder *folder, struct arena *arena, struct error *error)
{
    static const char name[] = "/stagepass-XXXXXX";
    const char *parent = find_parent();
    size_t parent_len;
    char *path;

    if (!parent)
        return error_set(error, ERROR_IO,
                         "no place for credentials where nobody else can replace them: set TMPDIR "
                         "to a folder of your own");
    parent_len = strlen(parent);
    path = arena_alloc(arena, parent_len + sizeof(name));
    if (!path)
        return error_set(error, ERROR_MEMORY, "no memory for a folder's name");
    memcpy(path, parent, parent_len);
    memcpy(path + parent_len, name, sizeof(name));
    if (!mkdtemp(path)) /* makes it with mode 0700 */
        return error_set_errno(error, "cannot make a folder in %s", parent);
    folder->path = path;
    return true;
}

static void empty(const char *path)
{
    DIR *listing = opendir(path);
    const struct dirent *item;

    if (!listing)
        return;
    while ((item = readdir(listing))) /* NOLINT(concurrency-mt-unsafe): this listing is ours */
        (void)unlinkat(dirfd(listing), item->d_name, 0); /* "." and ".." refuse, as they should */
    (void)closedir(listing);                             /* read-only, nothing to lose */
}

void work_folder_remove(struct work_folder *folder)
{
    if (!folder->path)
        return;
    empty(folder->path);
    (void)rmdir(folder->path); /* what somebody put there stays, and nobody else sees into it */
    folder->path = NULL;
}

const char *work_folder_file(const struct work_folder *folder, struct arena *arena,
                             const char *name)
{
    return file_join(arena, folder->path, name);
}
