#include "keys/key_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

/* What nobody but the owner may: change the folder; and others: look into it. */
#define FORBIDDEN_MODE 0027
#define LOCK_NAME ".lock"

static bool path_of(const struct key_folder *folder, const char *name, char path[PATH_MAX],
                    struct error *error)
{
    int len = snprintf(path, PATH_MAX, "%s/%s", folder->path, name);

    return (len > 0 && len < PATH_MAX) ||
           error_set(error, ERROR_LIMIT, "a path of %d bytes is too long", len);
}

static bool check_folder(const char *path, struct error *error)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return error_set_errno(error, "%s: cannot look at it", path);
    if (!S_ISDIR(status.st_mode))
        return error_set(error, ERROR_CONFIG, "%s: expected a folder", path);
    if ((status.st_mode & FORBIDDEN_MODE) != 0)
        return error_set(error, ERROR_CONFIG, "%s: others may use it (mode %04o): chmod 0700 it",
                         path, (unsigned)status.st_mode & 07777);
    return true;
}

/* Call `visit` with each name in the folder. */
static bool visit_names(const struct key_folder *folder,
                        bool (*visit)(const struct key_folder *folder, const char *name,
                                      void *context, struct error *error),
                        void *context, struct error *error)
{
    DIR *names = opendir(folder->path);
    const struct dirent *entry = NULL;
    bool is_good = true;

    if (names == NULL)
        return error_set_errno(error, "%s: cannot read the folder", folder->path);
    do {
        errno = 0;
        entry = readdir(names); /* NOLINT(concurrency-mt-unsafe): the stream is this thread's own */
        if (entry != NULL)
            is_good = visit(folder, entry->d_name, context, error);
        else if (errno != 0)
            is_good = error_set_errno(error, "%s: cannot read the folder", folder->path);
    } while (entry != NULL && is_good);
    (void)closedir(names); /* read-only, nothing to lose */
    return is_good;
}

static bool remove_half_written(const struct key_folder *folder, const char *name, void *context,
                                struct error *error)
{
    (void)context;
    return !str_ends_with(str_from(name), STR(".new")) || key_folder_remove(folder, name, error);
}

bool key_folder_open(struct key_folder *folder, const char *path, struct error *error)
{
    OWNED(key_folder_unlock) int lock = -1;

    if (access(path, F_OK) != 0 && !file_make_folder(path, 0700, error))
        return false;
    if (!check_folder(path, error))
        return false;
    folder->path = strdup(path);
    if (folder->path == NULL)
        return error_set(error, ERROR_MEMORY, "the keys' folder");
    return key_folder_lock(folder, &lock, error) &&
           visit_names(folder, remove_half_written, NULL, error);
}

void key_folder_release(struct key_folder *folder)
{
    free(folder->path);
    *folder = (struct key_folder){ 0 };
}

bool key_folder_lock(const struct key_folder *folder, int *lock, struct error *error)
{
    char path[PATH_MAX];
    int file;

    if (!path_of(folder, LOCK_NAME, path, error))
        return false;
    file = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0)
        return error_set_errno(error, "%s: cannot open", path);
    while (flock(file, LOCK_EX) != 0) {
        if (errno == EINTR)
            continue;
        (void)error_set_errno(error, "%s: cannot lock", path);
        (void)close(file); /* nothing was written */
        return false;
    }
    *lock = file;
    return true;
}

void key_folder_unlock(int lock)
{
    if (lock >= 0)
        (void)close(lock); /* nothing was written */
}

bool key_folder_read(const struct key_folder *folder, const char *name, struct secret *content,
                     bool *is_there, struct error *error)
{
    struct stat status;
    char path[PATH_MAX];

    if (!path_of(folder, name, path, error))
        return false;
    *is_there = lstat(path, &status) == 0;
    if (!*is_there)
        return errno == ENOENT || error_set_errno(error, "%s: cannot look at it", path);
    return secret_read_file(content, path, KEY_FILE_MAX, error);
}

bool key_folder_write(const struct key_folder *folder, const char *name, struct str content,
                      unsigned mode, struct error *error)
{
    char path[PATH_MAX];

    return path_of(folder, name, path, error) && file_replace(path, content, mode, error);
}

bool key_folder_has(const struct key_folder *folder, const char *name)
{
    struct stat status;
    struct error ignored = { 0 };
    char path[PATH_MAX];

    return path_of(folder, name, path, &ignored) && lstat(path, &status) == 0;
}

bool key_folder_remove(const struct key_folder *folder, const char *name, struct error *error)
{
    char path[PATH_MAX];

    if (!path_of(folder, name, path, error))
        return false;
    return unlink(path) == 0 || error_set_errno(error, "%s: cannot remove", path);
}

struct listing {
    struct str prefix;
    int64_t *numbers;
    size_t count;
};

static bool add_number(const struct key_folder *folder, const char *name, void *context,
                       struct error *error)
{
    struct listing *listing = context;
    struct str rest = str_from(name);
    int64_t number;

    if (!str_starts_with(rest, listing->prefix) || !str_ends_with(rest, STR(".key")))
        return true;
    rest = str_slice(rest, listing->prefix.len, rest.len);
    if (!str_to_int64(str_slice(rest, 0, rest.len - 4), &number) || number < 0)
        return true; /* not a name that we give */
    if (listing->count == KEY_FILES_MAX)
        return error_set(error, ERROR_LIMIT, "%s: more than %d keys of one kind", folder->path,
                         KEY_FILES_MAX);
    listing->numbers[listing->count++] = number;
    return true;
}

static int compare_numbers(const void *a, const void *b)
{
    const int64_t *first = a;
    const int64_t *second = b;

    return (*first > *second) - (*first < *second);
}

bool key_folder_list(const struct key_folder *folder, struct str prefix,
                     int64_t numbers[KEY_FILES_MAX], size_t *count, struct error *error)
{
    struct listing listing = { .prefix = prefix, .numbers = numbers };

    if (!visit_names(folder, add_number, &listing, error))
        return false;
    qsort(numbers, listing.count, sizeof(numbers[0]), compare_numbers);
    *count = listing.count;
    return true;
}
