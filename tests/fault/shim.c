/*
 * Each function here has the C library's name and does its work by a system call of its own. One
 * lock is held over the operation and its record, so that the journal's order is what happened.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "tests/fault/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* The names of the C library: NOLINTBEGIN(readability-identifier-naming) */
#define EXPORT __attribute__((visibility("default")))
#define ALIAS(name) __attribute__((visibility("default"), alias(name)))

static struct fault_control *control; /* NULL: all is left alone */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* What an operation is about, found before it is done. */
struct subject {
    bool is_ours;
    bool is_folder;
    uint64_t inode;
    int64_t size;
    char name[PATH_MAX]; /* relative to the root */
};

__attribute__((constructor)) static void map_control(void)
{
    const char *path = getenv("STAGEPASS_FAULT_CONTROL");
    struct stat status;
    void *map = MAP_FAILED;
    int file = -1;

    if (path == NULL)
        return;
    file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (file >= 0 && fstat(file, &status) == 0)
        map = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (map == MAP_FAILED || ((struct fault_control *)map)->magic != FAULT_MAGIC) {
        fprintf(stderr, "fault shim: %s: no control block\n", path);
        _exit(99);
    }
    (void)close(file);
    control = map;
}

EXPORT struct fault_control *fault_begin(const char *root, size_t journal_bytes)
{
    void *map = mmap(NULL, sizeof(struct fault_control) + journal_bytes, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct fault_control *made = map;

    if (map == MAP_FAILED)
        return NULL;
    made->magic = FAULT_MAGIC;
    made->capacity = journal_bytes;
    made->space = -1;
    (void)snprintf(made->root, sizeof(made->root), "%s", root);
    control = made;
    return made;
}

EXPORT void fault_end(struct fault_control *block)
{
    control = NULL;
    (void)munmap(block, sizeof(*block) + block->capacity);
}

/* ---- the journal ---- */

static bool is_all_zero(const uint8_t *bytes, size_t len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/* With the lock held. The length counts last: a process may be killed at any point. */
static void put_record(struct fault_record record, const char *name, const void *data)
{
    uint64_t used = atomic_load(&control->used);
    uint8_t *at = control->journal + used;

    if (control->capacity == 0)
        return;
    if (used + fault_record_len(&record) > control->capacity) {
        atomic_store(&control->overflow, 1);
        return;
    }
    memcpy(at, &record, sizeof(record));
    memcpy(at + sizeof(record), name, record.name_len);
    if (record.data_len > 0)
        memcpy(at + sizeof(record) + record.name_len, data, record.data_len);
    atomic_store(&control->used, used + fault_record_len(&record));
}

static void put_simple(enum fault_operation operation, const struct subject *subject)
{
    put_record((struct fault_record){ .operation = operation,
                                      .name_len = (uint32_t)strlen(subject->name) },
               subject->name, NULL);
}

static void put_write(const struct subject *subject, int64_t offset, const void *bytes, size_t len)
{
    bool is_zero = is_all_zero(bytes, len);

    put_record((struct fault_record){ .operation = FAULT_WRITE,
                                      .name_len = (uint32_t)strlen(subject->name),
                                      .offset = (uint64_t)offset,
                                      .len = len,
                                      .data_len = is_zero ? 0 : len },
               subject->name, bytes);
}

EXPORT void fault_note(const void *bytes, size_t len)
{
    if (control == NULL)
        return;
    (void)pthread_mutex_lock(&lock);
    put_record((struct fault_record){ .operation = FAULT_NOTE, .data_len = len }, "", bytes);
    (void)pthread_mutex_unlock(&lock);
}

/* ---- what it is about ---- */

static bool is_watching(void)
{
    return control != NULL && atomic_load(&control->paused) == 0;
}

/* Whether a path is below the root, and how it goes on there. */
static bool is_below(const char *path, const char **rest)
{
    size_t len = strlen(control->root);

    if (len == 0 || strncmp(path, control->root, len) != 0)
        return false;
    if (path[len] != '\0' && path[len] != '/')
        return false;
    *rest = path[len] == '/' ? path + len + 1 : path + len;
    return true;
}

static bool path_of(int file, char path[PATH_MAX])
{
    char link[64];
    ssize_t len = 0;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
    len = readlink(link, path, PATH_MAX - 1);
    if (len <= 0)
        return false;
    path[len] = '\0';
    return path[0] == '/';
}

static struct subject subject_of_file(int file)
{
    struct subject subject = { 0 };
    char path[PATH_MAX];
    const char *rest = NULL;
    struct stat status;

    if (!is_watching() || !path_of(file, path) || !is_below(path, &rest) ||
        fstat(file, &status) != 0)
        return subject;
    subject.is_ours = S_ISREG(status.st_mode) || S_ISDIR(status.st_mode);
    subject.is_folder = S_ISDIR(status.st_mode);
    subject.inode = status.st_ino;
    subject.size = status.st_size;
    (void)snprintf(subject.name, sizeof(subject.name), "%s", rest);
    return subject;
}

/* Of a name in a folder; the inode is 0 where there is nothing of that name. */
static struct subject subject_of_name(int folder, const char *name)
{
    struct subject subject = { 0 };
    char path[PATH_MAX * 2] = "";
    const char *rest = NULL;
    struct stat status;

    if (!is_watching())
        return subject;
    if (name[0] != '/') {
        if (folder == AT_FDCWD ? getcwd(path, PATH_MAX) == NULL : !path_of(folder, path))
            return subject;
        (void)snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%s", name);
    } else {
        (void)snprintf(path, sizeof(path), "%s", name);
    }
    if (!is_below(path, &rest))
        return subject;
    subject.is_ours = true;
    (void)snprintf(subject.name, sizeof(subject.name), "%.*s", PATH_MAX - 1, rest);
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
        subject.inode = status.st_ino;
        subject.size = status.st_size;
        subject.is_folder = S_ISDIR(status.st_mode);
    }
    return subject;
}

/* ---- what is to fail ---- */

static void die(void)
{
    (void)kill(getpid(), SIGKILL);
    for (;;)
        (void)pause();
}

/* With the lock held: what becomes of an operation; one that is to be killed before it is. */
static enum fault_mode next_mode(enum fault_operation operation)
{
    uint64_t at = atomic_load(&control->at);
    enum fault_mode mode = (enum fault_mode)atomic_load(&control->mode);
    uint64_t number = 0;

    if ((atomic_load(&control->kinds) & UINT64_C(1) << operation) == 0)
        return FAULT_NEVER;
    number = atomic_fetch_add(&control->count, 1) + 1;
    if (mode == FAULT_NEVER || number < at || number - at >= atomic_load(&control->times))
        return FAULT_NEVER;
    (void)atomic_fetch_add(&control->fired, 1);
    if (mode == FAULT_KILL || (mode == FAULT_KILL_HALF && operation != FAULT_WRITE))
        die();
    if (mode == FAULT_SHORT && operation != FAULT_WRITE)
        return FAULT_ERROR;
    return mode;
}

static bool fails(enum fault_mode mode)
{
    if (mode != FAULT_ERROR)
        return false;
    errno = (int)atomic_load(&control->error);
    return true;
}

static void end(enum fault_mode mode)
{
    if (mode == FAULT_KILL_BEHIND)
        die();
    (void)pthread_mutex_unlock(&lock);
}

/* ---- writing ---- */

/* How much of a write fits on the disk. */
static size_t within_space(const struct subject *subject, int64_t offset, size_t len)
{
    int64_t space = atomic_load(&control->space);
    int64_t growth = offset + (int64_t)len - subject->size;

    if (space < 0 || growth <= 0)
        return len;
    if (growth > space) {
        len = (size_t)((int64_t)len - (growth - space) > 0 ? (int64_t)len - (growth - space) : 0);
        growth = space;
    }
    (void)atomic_fetch_sub(&control->space, growth);
    return len;
}

/* Zeros behind a file's end are a hole: nobody can tell, and it is quicker. */
static bool make_hole(int file, const void *bytes, size_t len, int64_t offset)
{
    struct stat status;

    return is_all_zero(bytes, len) && fstat(file, &status) == 0 && status.st_size <= offset &&
           syscall(SYS_ftruncate, file, offset + (int64_t)len) == 0;
}

static ssize_t do_write(int file, const void *bytes, size_t len, int64_t offset, bool is_at)
{
    if (is_at && make_hole(file, bytes, len, offset))
        return (ssize_t)len;
    if (is_at)
        return syscall(SYS_pwrite64, file, bytes, len, offset);
    return syscall(SYS_write, file, bytes, len);
}

static ssize_t write_ours(int file, const struct subject *subject, const void *bytes, size_t len,
                          int64_t offset, bool is_at)
{
    enum fault_mode mode = FAULT_NEVER;
    size_t fitting = 0;
    ssize_t count = -1;

    (void)pthread_mutex_lock(&lock);
    mode = next_mode(FAULT_WRITE);
    if (!fails(mode)) {
        if ((mode == FAULT_SHORT || mode == FAULT_KILL_HALF) && len > 1)
            len /= 2;
        fitting = within_space(subject, offset, len);
        errno = ENOSPC;
        if (fitting > 0 || len == 0)
            count = do_write(file, bytes, fitting, offset, is_at);
        if (count > 0)
            put_write(subject, offset, bytes, (size_t)count);
        if (mode == FAULT_KILL_HALF)
            die();
    }
    end(mode);
    return count;
}

EXPORT ssize_t pwrite(int file, const void *bytes, size_t len, off_t offset)
{
    struct subject subject = subject_of_file(file);

    if (!subject.is_ours)
        return syscall(SYS_pwrite64, file, bytes, len, offset);
    return write_ours(file, &subject, bytes, len, offset, true);
}
ALIAS("pwrite") ssize_t pwrite64(int file, const void *bytes, size_t len, off64_t offset);

EXPORT ssize_t write(int file, const void *bytes, size_t len)
{
    struct subject subject = subject_of_file(file);
    int flags = subject.is_ours ? fcntl(file, F_GETFL) : 0;
    off_t offset = subject.is_ours ? lseek(file, 0, SEEK_CUR) : 0;

    if (!subject.is_ours)
        return syscall(SYS_write, file, bytes, len);
    return write_ours(file, &subject, bytes, len, flags & O_APPEND ? subject.size : offset, false);
}

static int truncate_ours(int file, const struct subject *subject, off_t len)
{
    enum fault_mode mode = FAULT_NEVER;
    int outcome = -1;

    (void)pthread_mutex_lock(&lock);
    mode = next_mode(FAULT_TRUNCATE);
    if (!fails(mode)) {
        outcome = (int)syscall(SYS_ftruncate, file, len);
        if (outcome == 0)
            put_record((struct fault_record){ .operation = FAULT_TRUNCATE,
                                              .name_len = (uint32_t)strlen(subject->name),
                                              .offset = (uint64_t)len },
                       subject->name, NULL);
    }
    end(mode);
    return outcome;
}

EXPORT int ftruncate(int file, off_t len)
{
    struct subject subject = subject_of_file(file);

    return subject.is_ours ? truncate_ours(file, &subject, len)
                           : (int)syscall(SYS_ftruncate, file, len);
}
ALIAS("ftruncate") int ftruncate64(int file, off64_t len);

EXPORT int fallocate(int file, int flags, off_t offset, off_t len)
{
    struct subject subject = subject_of_file(file);
    enum fault_mode mode = FAULT_NEVER;
    int outcome = -1;

    if (!subject.is_ours)
        return (int)syscall(SYS_fallocate, file, flags, offset, len);
    (void)pthread_mutex_lock(&lock);
    mode = next_mode(FAULT_ALLOCATE);
    if (!fails(mode)) {
        outcome = (int)syscall(SYS_fallocate, file, flags, offset, len);
        if (outcome == 0)
            put_record((struct fault_record){ .operation = FAULT_ALLOCATE,
                                              .name_len = (uint32_t)strlen(subject.name),
                                              .offset = (uint64_t)offset,
                                              .len = (uint64_t)len },
                       subject.name, NULL);
    }
    end(mode);
    return outcome;
}
ALIAS("fallocate") int fallocate64(int file, int flags, off64_t offset, off64_t len);

EXPORT int posix_fallocate(int file, off_t offset, off_t len)
{
    return fallocate(file, 0, offset, len) == 0 ? 0 : errno;
}
ALIAS("posix_fallocate") int posix_fallocate64(int file, off64_t offset, off64_t len);

/* ---- making durable ---- */

static int sync_any(int file, long number)
{
    struct subject subject = subject_of_file(file);
    enum fault_operation operation = subject.is_folder ? FAULT_SYNC_DIR : FAULT_SYNC;
    enum fault_mode mode = FAULT_NEVER;
    int outcome = -1;

    if (!subject.is_ours)
        return (int)syscall(number, file);
    (void)pthread_mutex_lock(&lock);
    mode = next_mode(operation);
    if (fails(mode)) {
        int failure = errno;

        put_simple(FAULT_SYNC_FAILED, &subject);
        errno = failure;
    } else {
        outcome = (int)syscall(number, file);
        if (outcome == 0 && mode != FAULT_LIE)
            put_simple(operation, &subject);
    }
    end(mode);
    return outcome;
}

EXPORT int fsync(int file)
{
    return sync_any(file, SYS_fsync);
}

EXPORT int fdatasync(int file)
{
    return sync_any(file, SYS_fdatasync);
}

/* ---- names ---- */

EXPORT int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    struct subject old = subject_of_name(from_folder, from);
    struct subject fresh = subject_of_name(to_folder, to);
    char names[2 * PATH_MAX + 1];
    enum fault_mode mode = FAULT_NEVER;
    int outcome = -1;
    int len = 0;

    if (!old.is_ours || !fresh.is_ours)
        return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, 0);
    (void)pthread_mutex_lock(&lock);
    mode = next_mode(FAULT_RENAME);
    if (!fails(mode)) {
        len = snprintf(names, sizeof(names), "%s%c%s", old.name, '\0', fresh.name);
        outcome = (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, 0);
        if (outcome == 0)
            put_record(
                (struct fault_record){ .operation = FAULT_RENAME, .name_len = (uint32_t)len },
                names, NULL);
    }
    end(mode);
    return outcome;
}

EXPORT int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

EXPORT int unlinkat(int folder, const char *name, int flags)
{
    struct subject subject = subject_of_name(folder, name);
    enum fault_operation operation = flags & AT_REMOVEDIR ? FAULT_RMDIR : FAULT_UNLINK;
    enum fault_mode mode = FAULT_NEVER;
    int outcome = -1;

    /* What is not there, "." and ".." are for the system to refuse. */
    if (!subject.is_ours || subject.inode == 0 || (operation == FAULT_UNLINK && subject.is_folder))
        return (int)syscall(SYS_unlinkat, folder, name, flags);
    (void)pthread_mutex_lock(&lock);
    mode = next_mode(operation);
    if (!fails(mode)) {
        outcome = (int)syscall(SYS_unlinkat, folder, name, flags);
        if (outcome == 0)
            put_simple(operation, &subject);
    }
    end(mode);
    return outcome;
}

EXPORT int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

EXPORT int mkdirat(int folder, const char *name, mode_t access)
{
    struct subject subject = subject_of_name(folder, name);
    enum fault_mode mode = FAULT_NEVER;
    int outcome = -1;

    if (!subject.is_ours || subject.inode != 0)
        return (int)syscall(SYS_mkdirat, folder, name, access);
    (void)pthread_mutex_lock(&lock);
    mode = next_mode(FAULT_MKDIR);
    if (!fails(mode)) {
        outcome = (int)syscall(SYS_mkdirat, folder, name, access);
        if (outcome == 0)
            put_simple(FAULT_MKDIR, &subject);
    }
    end(mode);
    return outcome;
}

EXPORT int mkdir(const char *path, mode_t access)
{
    return mkdirat(AT_FDCWD, path, access);
}

/* With the lock held: an open() that makes or empties a file. */
static int open_and_record(struct subject *subject, int folder, const char *name, int flags,
                           mode_t access)
{
    bool is_new = subject->inode == 0;
    int file = (int)syscall(SYS_openat, folder, name, flags, access);
    struct stat status;

    if (file < 0 || fstat(file, &status) != 0)
        return file;
    subject->inode = status.st_ino;
    if (is_new)
        put_simple(FAULT_CREATE, subject);
    else if (subject->size > 0)
        put_simple(FAULT_TRUNCATE, subject);
    return file;
}

static int open_any(int folder, const char *name, int flags, mode_t access)
{
    bool makes = (flags & O_CREAT) != 0;
    bool empties = (flags & O_TRUNC) != 0;
    struct subject subject = { 0 };
    enum fault_mode mode = FAULT_NEVER;
    int file = -1;

    if (makes || empties)
        subject = subject_of_name(folder, name);
    makes = makes && subject.inode == 0;
    empties = empties && subject.inode != 0;
    if (!subject.is_ours || (!makes && !empties))
        return (int)syscall(SYS_openat, folder, name, flags, access);
    (void)pthread_mutex_lock(&lock);
    mode = next_mode(makes ? FAULT_CREATE : FAULT_TRUNCATE);
    if (makes && atomic_load(&control->space) == 0)
        errno = ENOSPC;
    else if (!fails(mode))
        file = open_and_record(&subject, folder, name, flags, access);
    end(mode);
    return file;
}

static mode_t access_of(int flags, va_list rest)
{
    return flags & O_CREAT ? va_arg(rest, mode_t) : 0;
}

EXPORT int openat(int folder, const char *name, int flags, ...)
{
    va_list rest;
    mode_t access = 0;

    va_start(rest, flags);
    access = access_of(flags, rest);
    va_end(rest);
    return open_any(folder, name, flags, access);
}
ALIAS("openat") int openat64(int folder, const char *name, int flags, ...);

EXPORT int open(const char *name, int flags, ...)
{
    va_list rest;
    mode_t access = 0;

    va_start(rest, flags);
    access = access_of(flags, rest);
    va_end(rest);
    return open_any(AT_FDCWD, name, flags, access);
}
ALIAS("open") int open64(const char *name, int flags, ...);
/* NOLINTEND(readability-identifier-naming) */
