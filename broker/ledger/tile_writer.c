#include "ledger/tile_writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

/* A file before it gets its name, in the root: "new" and its number. */
#define TEMPORARY_LEN 8

/* What is shorter is copied as quickly. */
#define DIRECT_LEN_MIN ((size_t)64 * 1024)

/* SYNC_FILE_RANGE_WRITE, which the C library hides outside of _GNU_SOURCE. */
#define SYNC_BEGINS 2

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

static void temporary_name(size_t number, char name[TEMPORARY_LEN])
{
    (void)snprintf(name, TEMPORARY_LEN, "new%zu", number % TILE_WRITER_FILES);
}

/* What a writer before us left that was killed: nobody would look at it again, or prune it. */
static void remove_left(struct tile_writer *writer)
{
    char name[TEMPORARY_LEN];

    for (size_t i = 0; i < TILE_WRITER_FILES && !writer->has_begun; i++) {
        temporary_name(i, name);
        (void)unlinkat(writer->root, name, 0); /* most are not there */
    }
    writer->has_begun = true;
}

/* All of them begin to be written before the first is waited for. */
static void begin_syncs(const struct tile_writer *writer)
{
    for (size_t i = 0; i < writer->file_count; i++)
        (void)syscall(SYS_sync_file_range, writer->files[i].file, (off_t)0, (off_t)0,
                      SYNC_BEGINS); /* a hint: what counts is the sync that follows */
}

static bool settle_file(const struct tile_writer *writer, size_t number)
{
    const struct tile_writer_file *file = &writer->files[number];
    char name[TEMPORARY_LEN];

    temporary_name(number, name);
    return fdatasync(file->file) == 0 &&
           renameat(writer->root, name, file->slot->folder, file->name) == 0;
}

/* Drop files from `first` on, those without a name. */
static void drop_files(struct tile_writer *writer, size_t first)
{
    for (size_t i = first; i < writer->file_count; i++) {
        char name[TEMPORARY_LEN];

        temporary_name(i, name);
        (void)unlinkat(writer->root, name, 0); /* the next writer tries again */
        (void)close(writer->files[i].file);    /* the writing failed before */
    }
    writer->file_count = 0;
}

/* Make all files durable, and give them their names. */
static bool settle_files(struct tile_writer *writer, struct error *error)
{
    begin_syncs(writer);
    for (size_t i = 0; i < writer->file_count; i++) {
        const struct tile_writer_file *file = &writer->files[i];

        if (!settle_file(writer, i)) {
            (void)error_set_errno(error, "tile %s: cannot write", file->name);
            drop_files(writer, i);
            return false;
        }
        (void)close(file->file); /* synced */
    }
    writer->file_count = 0;
    return true;
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
        if (!settle_files(writer, error) || !close_folder(slot, error))
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

static bool write_copied(int file, struct str content)
{
    while (content.len > 0) {
        ssize_t count = write(file, content.data, content.len);

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        content = str_slice(content, (size_t)count, content.len);
    }
    return true;
}

/* How much of the content was written past the page cache; where that cannot be, nothing. */
static size_t write_direct(int file, struct str content)
{
    size_t len = content.len / FILE_DIRECT_ALIGNMENT * FILE_DIRECT_ALIGNMENT;
    size_t done = 0;
    int flags;

    if (content.len < DIRECT_LEN_MIN || (uintptr_t)content.data % FILE_DIRECT_ALIGNMENT != 0 ||
        !file_begin_direct(file, &flags))
        return 0;
    while (done < len && done % FILE_DIRECT_ALIGNMENT == 0) {
        ssize_t count = write(file, content.data + done, len - done);

        if (count <= 0)
            break;
        done += (size_t)count;
    }
    return file_end_direct(file, flags) ? done : 0;
}

/* What could not be written past the page cache, and the rest of a block, goes through it. */
static bool write_file(int file, struct str content)
{
    size_t done = write_direct(file, content);

    return lseek(file, (off_t)done, SEEK_SET) == (off_t)done &&
           write_copied(file, str_slice(content, done, content.len));
}

static bool put_in_folder(struct tile_writer *writer, struct tile_writer_folder *slot,
                          const char *name, struct str content, mode_t mode)
{
    struct tile_writer_file *file = &writer->files[writer->file_count];
    char temporary[TEMPORARY_LEN];

    remove_left(writer);
    temporary_name(writer->file_count, temporary);
    file->slot = slot;
    file->file = openat(writer->root, temporary,
                        O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (file->file < 0)
        return false;
    (void)snprintf(file->name, sizeof(file->name), "%s", name);
    writer->file_count++;
    return write_file(file->file, content);
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
    if (writer->file_count == TILE_WRITER_FILES && !settle_files(writer, error))
        return false;
    slot = use_folder(writer, text, error);
    if (slot == NULL)
        return false;
    if (put_in_folder(writer, slot, name, content, mode))
        return true;
    (void)error_set_errno(error, "tile %s: cannot write", name);
    drop_files(writer, 0);
    return false;
}

bool tile_writer_has(const struct tile_writer *writer, const struct tile_path *path)
{
    char text[TILE_PATH_MAX];
    const char *name = NULL;

    tile_path_write(path, text);
    if (faccessat(writer->root, text, F_OK, 0) == 0)
        return true;
    split_path(text, &name);
    for (size_t i = 0; i < writer->file_count; i++)
        if (strcmp(writer->files[i].slot->path, text) == 0 &&
            strcmp(writer->files[i].name, name) == 0)
            return true;
    return false;
}

bool tile_writer_sync(struct tile_writer *writer, struct error *error)
{
    if (!settle_files(writer, error))
        return false;
    for (size_t i = 0; i < TILE_WRITER_FOLDERS; i++) {
        if (writer->folders[i].folder > 0 && !close_folder(&writer->folders[i], error))
            return false;
    }
    return true;
}

void tile_writer_release(struct tile_writer *writer)
{
    drop_files(writer, 0);
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
