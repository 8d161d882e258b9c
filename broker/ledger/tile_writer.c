#include "ledger/tile_writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

#define TEMPORARY_NAME "new"

/* Open a folder's folder `name`, which is made where it is missing. */
static int enter_folder(int parent, const char *name, mode_t mode)
{
    if (mkdirat(parent, name, mode) == 0) {
        if (fsync(parent) != 0)
            return -1;
    } else if (errno != EEXIST) {
        return -1;
    }
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* Open "0/x001/234.p" below `root`, making what is missing. */
static int open_path(int root, const char *path, mode_t mode)
{
    struct str rest = str_from(path);
    int folder = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    while (folder >= 0 && rest.len > 0) {
        char name[TILE_PATH_MAX];
        struct str part = { 0 };
        int inner = -1;

        (void)str_cut(rest, '/', &part, &rest);
        (void)snprintf(name, sizeof(name), STR_FMT, STR_ARG(part));
        inner = enter_folder(folder, name, mode);
        (void)close(folder); /* synced where anything was made in it */
        folder = inner;
    }
    return folder;
}

static bool close_folder(struct tile_writer_folder *slot, struct error *error)
{
    bool is_synced = fsync(slot->folder) == 0;

    if (!is_synced)
        (void)error_set_errno(error, "tile/%s: cannot sync", slot->path);
    (void)close(slot->folder); /* synced, or the error is set */
    slot->folder = 0;
    return is_synced;
}

/* The slot of an open folder, or a free one. */
static struct tile_writer_folder *find_slot(struct tile_writer *writer, const char *path)
{
    struct tile_writer_folder *free_slot = NULL;

    for (size_t i = 0; i < TILE_WRITER_FOLDERS; i++) {
        struct tile_writer_folder *slot = &writer->folders[i];

        if (slot->folder > 0 && strcmp(slot->path, path) == 0)
            return slot;
        if (slot->folder <= 0 && free_slot == NULL)
            free_slot = slot;
    }
    return free_slot;
}

static struct tile_writer_folder *use_folder(struct tile_writer *writer, const char *path,
                                             struct error *error)
{
    struct tile_writer_folder *slot = find_slot(writer, path);

    if (slot == NULL) {
        slot = &writer->folders[writer->next];
        writer->next = (writer->next + 1) % TILE_WRITER_FOLDERS;
        if (!close_folder(slot, error))
            return NULL;
    }
    if (slot->folder > 0)
        return slot;
    slot->folder = open_path(writer->root, path, writer->is_public ? 0755 : 0700);
    if (slot->folder < 0) {
        slot->folder = 0;
        (void)error_set_errno(error, "tile/%s: cannot open", path);
        return NULL;
    }
    (void)snprintf(slot->path, sizeof(slot->path), "%s", path);
    return slot;
}

static bool write_file(int file, struct str content)
{
    while (content.len > 0) {
        ssize_t count = write(file, content.data, content.len);

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        content = str_slice(content, (size_t)count, content.len);
    }
    return fdatasync(file) == 0;
}

static bool put_in_folder(int folder, const char *name, struct str content, mode_t mode,
                          struct error *error)
{
    int file =
        openat(folder, TEMPORARY_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    bool is_put = file >= 0 && write_file(file, content) &&
                  renameat(folder, TEMPORARY_NAME, folder, name) == 0;

    if (!is_put)
        (void)error_set_errno(error, "tile %s: cannot write", name);
    if (file >= 0)
        (void)close(file); /* synced, or the error is set */
    return is_put;
}

/* Cut a path into its folder and the name in it. */
static void split_path(char *path, const char **name)
{
    char *slash = strrchr(path, '/');

    *slash = '\0';
    *name = slash + 1;
}

bool tile_writer_put(struct tile_writer *writer, const struct tile_path *path, struct str content,
                     struct error *error)
{
    char text[TILE_PATH_MAX];
    const char *name = NULL;
    struct tile_writer_folder *slot = NULL;
    mode_t mode = writer->is_public && path->level != TILE_ENTRIES ? 0644 : 0600;

    tile_path_write(path, text);
    split_path(text, &name);
    slot = use_folder(writer, text, error);
    return slot != NULL && put_in_folder(slot->folder, name, content, mode, error);
}

bool tile_writer_sync(struct tile_writer *writer, struct error *error)
{
    for (size_t i = 0; i < TILE_WRITER_FOLDERS; i++) {
        if (writer->folders[i].folder > 0 && !close_folder(&writer->folders[i], error))
            return false;
    }
    return true;
}

void tile_writer_release(struct tile_writer *writer)
{
    for (size_t i = 0; i < TILE_WRITER_FOLDERS; i++) {
        if (writer->folders[i].folder > 0)
            (void)close(writer->folders[i].folder); /* the writing failed before */
        writer->folders[i].folder = 0;
    }
}

static void remove_files(int folder)
{
    DIR *directory = fdopendir(folder);
    const struct dirent *item = NULL;

    if (directory == NULL) {
        (void)close(folder); /* read-only, nothing to lose */
        return;
    }
    /* readdir() is safe: nobody else has this stream. */
    while ((item = readdir(directory)) != NULL)            /* NOLINT(concurrency-mt-unsafe) */
        (void)unlinkat(dirfd(directory), item->d_name, 0); /* "." and ".." fail, as they should */
    (void)closedir(directory);                             /* closes `folder` too */
}

void tile_writer_remove_partial(const struct tile_writer *writer, const struct tile_path *path)
{
    struct tile_path partial = *path;
    char text[TILE_PATH_MAX];
    const char *name = NULL;
    int folder = -1;

    if (path->width < TILE_WIDTH) {
        tile_path_write(path, text);
        (void)unlinkat(writer->root, text, 0); /* a file too many harms nobody */
        return;
    }
    partial.width = 1;
    tile_path_write(&partial, text);
    split_path(text, &name);
    folder = openat(writer->root, text, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (folder < 0)
        return;
    remove_files(folder);
    (void)unlinkat(writer->root, text, AT_REMOVEDIR); /* a folder too many harms nobody */
}
