#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "policy/policy_internal.h"

/*
 * A policy is only as safe as the folder that it comes from: what strangers may write is refused,
 * and so is what leads out of it. Names that start with '.' are passed over, which is how a
 * ConfigMap's
 * `..data` is met through its links only, and how `.git` is left alone.
 */

#define DEPTH_MAX 16 /* folders inside one another */

/* The folders from the root to the one at hand, to see a link that leads back up. */
struct walk {
    struct policy_files *files;
    struct arena *arena;
    struct diagnostics *diagnostics;
    struct stat stack[DEPTH_MAX];
    size_t depth;
    bool is_out_of_memory;
};

static bool complain(struct diagnostics *diagnostics, const char *path, const char *message)
{
    return diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, (struct position){ str_from(path), 0, 0 },
                           STR(""), STR(""), "%s", message);
}

static bool is_inside(const char *root, const char *path)
{
    struct str folder = str_from(root);

    if (str_eq(folder, STR("/")))
        return true;
    return str_starts_with(str_from(path), folder) &&
           (path[folder.len] == '/' || path[folder.len] == '\0');
}

/* ---- finding ---- */

static bool grow(struct walk *walk)
{
    struct policy_files *files = walk->files;
    size_t capacity = files->capacity == 0 ? 64 : files->capacity * 2;
    struct policy_file *list = arena_alloc_array(walk->arena, capacity, sizeof(*list));

    if (list == NULL)
        return false;
    if (files->count > 0)
        memcpy(list, files->list, files->count * sizeof(*list));
    files->list = list;
    files->capacity = capacity;
    return true;
}

/* Whether a name can be shown, be a line of a list, and lead to a file below any other folder. */
static bool check_name(struct walk *walk, const char *path, struct str name)
{
    _Static_assert(POLICY_FILE_NAME_MAX == 1024, "the message says so");
    if (name.len > POLICY_FILE_NAME_MAX)
        return complain(walk->diagnostics, path, "its name has more than 1024 bytes");
    return (!str_has_control(name) && str_is_utf8(name)) ||
           complain(walk->diagnostics, path,
                    "its name has control characters, or is not UTF-8: it could not be shown");
}

static bool add_file(struct walk *walk, const char *path, struct str name)
{
    struct policy_files *files = walk->files;

    if (!check_name(walk, path, name))
        return false;
    if (files->count == POLICY_FILES_MAX)
        return complain(walk->diagnostics, path, "a policy has at most 100000 files");
    if (files->count == files->capacity && !grow(walk)) {
        walk->is_out_of_memory = true;
        return false;
    }
    files->list[files->count++] = (struct policy_file){ name, path };
    return true;
}

static bool walk_folder(struct walk *walk, const char *path, struct str name);

static bool is_above(const struct walk *walk, const struct stat *status)
{
    for (size_t i = 0; i < walk->depth; i++)
        if (walk->stack[i].st_dev == status->st_dev && walk->stack[i].st_ino == status->st_ino)
            return true;
    return false;
}

static bool enter_folder(struct walk *walk, const char *path, struct str name)
{
    char resolved[PATH_MAX];
    struct stat status;

    if (realpath(path, resolved) == NULL || stat(resolved, &status) != 0)
        return complain(walk->diagnostics, path, "the folder cannot be read");
    if (!is_inside(walk->files->root, resolved))
        return complain(walk->diagnostics, path, "a link leads out of the policy folder");
    if (is_above(walk, &status))
        return complain(walk->diagnostics, path, "a link leads back to a folder that it stands in");
    if (walk->depth == DEPTH_MAX)
        return complain(walk->diagnostics, path, "folders are nested more than 16 deep");
    if (file_is_open_to_others(resolved, &status))
        return complain(walk->diagnostics, path, "others may write to this folder (chmod o-w)");
    walk->stack[walk->depth++] = status;
    (void)walk_folder(walk, path, name);
    walk->depth--;
    return true;
}

static bool ends_like(struct str name, struct str ending)
{
    return name.len > ending.len &&
           str_eq_ignore_case(str_slice(name, name.len - ending.len, ending.len), ending);
}

/* One name of a folder; `name` is relative to the root. */
static bool visit(struct walk *walk, const char *path, struct str name)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return complain(walk->diagnostics, path, "a link leads nowhere, or cannot be followed");
    if (S_ISDIR(status.st_mode))
        return check_name(walk, path, name) && enter_folder(walk, path, name);
    if (ends_like(name, STR(".yml")) ||
        (ends_like(name, STR(".yaml")) && !str_ends_with(name, STR(".yaml"))))
        return complain(walk->diagnostics, path, "would not be read: policy files end in '.yaml'");
    if (!str_ends_with(name, STR(".yaml")))
        return true;
    if (!S_ISREG(status.st_mode))
        return complain(walk->diagnostics, path, "not a regular file");
    return add_file(walk, path, name);
}

static bool walk_folder(struct walk *walk, const char *path, struct str name)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;

    if (folder == NULL)
        return complain(walk->diagnostics, path, "the folder cannot be read");
    /* The stream is this function's own. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while ((entry = readdir(folder)) != NULL && !walk->is_out_of_memory) {
        const char *inner;
        struct str inner_name;

        if (entry->d_name[0] == '.')
            continue;
        inner = file_join(walk->arena, path, entry->d_name);
        inner_name = arena_printf(walk->arena, STR_FMT "%s%s", STR_ARG(name),
                                  name.len > 0 ? "/" : "", entry->d_name);
        if (inner == NULL || inner_name.data == NULL)
            walk->is_out_of_memory = true;
        else
            (void)visit(walk, inner, inner_name);
    }
    (void)closedir(folder); /* read-only, nothing to lose */
    return true;
}

static int compare_files(const void *a, const void *b)
{
    return str_compare(((const struct policy_file *)a)->name,
                       ((const struct policy_file *)b)->name);
}

bool policy_files_list(const char *folder, struct arena *arena, struct diagnostics *diagnostics,
                       struct policy_files *files, struct error *error)
{
    struct walk walk = { .files = files, .arena = arena, .diagnostics = diagnostics };
    char resolved[PATH_MAX];
    struct stat status;

    *files = (struct policy_files){ 0 };
    if (realpath(folder, resolved) == NULL || stat(resolved, &status) != 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? error_set(error, ERROR_CONFIG, "policy folder %s: there is none", folder)
                   : error_set_errno(error, "policy folder %s", folder);
    if (!S_ISDIR(status.st_mode))
        return error_set(error, ERROR_CONFIG, "policy folder %s: not a folder", folder);
    files->root = arena_copy(arena, str_from(resolved)).data;
    if (files->root == NULL)
        return error_set(error, ERROR_MEMORY, "listing a policy folder");
    (void)enter_folder(&walk, folder, STR(""));
    if (walk.is_out_of_memory)
        return error_set(error, ERROR_MEMORY, "listing a policy folder");
    if (files->count > 0)
        qsort(files->list, files->count, sizeof(files->list[0]), compare_files);
    return true;
}

/* ---- reading ---- */

/* Whether any folder from the file up to the root may be written to by others. */
static bool has_open_folder(const struct policy_files *files, char *resolved)
{
    size_t root_len = str_from(files->root).len;

    for (char *slash = strrchr(resolved, '/'); slash != NULL && slash != resolved;
         slash = strrchr(resolved, '/')) {
        struct stat status;

        *slash = '\0';
        if ((size_t)(slash - resolved) < root_len)
            break;
        if (stat(resolved, &status) != 0 || file_is_open_to_others(resolved, &status))
            return true;
    }
    return false;
}

/* Open the file itself, wherever links lead, and see that it may be read. -1 where it was reported.
 */
static int open_checked(const struct policy_files *files, const struct policy_file *file,
                        struct diagnostics *diagnostics, struct stat *status)
{
    char resolved[PATH_MAX];
    int descriptor;

    if (realpath(file->path, resolved) == NULL || !is_inside(files->root, resolved)) {
        (void)complain(diagnostics, file->path, "a link leads out of the policy folder");
        return -1;
    }
    descriptor = open(resolved, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0 || fstat(descriptor, status) != 0)
        (void)complain(diagnostics, file->path, "the file cannot be read");
    else if (!S_ISREG(status->st_mode))
        (void)complain(diagnostics, file->path, "not a regular file");
    else if (file_is_open_to_others(resolved, status))
        (void)complain(diagnostics, file->path, "others may write to this file (chmod o-w)");
    else if (has_open_folder(files, resolved))
        (void)complain(diagnostics, file->path, "others may write to its folder (chmod o-w)");
    else if (status->st_size > (off_t)YAML_BYTES_MAX)
        (void)complain(diagnostics, file->path, "larger than 1 MiB: split it into several files");
    else
        return descriptor;
    if (descriptor >= 0)
        (void)close(descriptor);
    return -1;
}

/* Read what is there, at most `max` bytes. */
static bool read_all(int descriptor, char *bytes, size_t max, size_t *len)
{
    *len = 0;
    while (*len < max) {
        ssize_t got = read(descriptor, bytes + *len, max - *len);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return false;
        if (got == 0)
            return true;
        *len += (size_t)got;
    }
    return true;
}

bool policy_file_read(const struct policy_files *files, const struct policy_file *file,
                      struct arena *arena, struct diagnostics *diagnostics, struct str *text)
{
    struct stat status;
    int descriptor = open_checked(files, file, diagnostics, &status);
    size_t max;
    size_t len = 0;
    char *bytes;
    bool is_read;

    if (descriptor < 0)
        return false;
    max = (size_t)status.st_size + 1; /* one more, to see that it did not grow */
    bytes = arena_alloc(arena, max);
    is_read = bytes != NULL && read_all(descriptor, bytes, max, &len) && len < max;
    (void)close(descriptor);
    if (!is_read)
        return complain(diagnostics, file->path, "the file cannot be read, or changes meanwhile");
    *text = (struct str){ bytes, len };
    return true;
}
