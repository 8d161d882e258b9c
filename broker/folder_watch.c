#include "folder_watch.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/str.h"

/*
 * Each look goes over all paths anew and asks the kernel to watch every folder that it meets,
 * before it reads it: whatever comes into a folder later is told, and whatever was there is seen by
 * whoever is told of the change that this look follows. Watches that a look did not ask for again
 * end. A folder is one watch, whichever paths lead to it; it knows for which paths all of it
 * counts, and for which only one name in it does (a file, or a folder that may be taken away and
 * made again).
 *
 * The look also sums up what it sees of every file (inode, size, times, mode): where the kernel
 * cannot tell of everything another sum is the change.
 */

#define EVENTS_BYTES ((size_t)64 * 1024)

#define TREE_EVENTS                                                                                \
    (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_MODIFY |            \
     IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)
#define NAME_EVENTS                                                                                \
    (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB)

/* A folder that the kernel watches. */
struct watched {
    int number;     /* the kernel's */
    unsigned trees; /* bits of the paths for which all in it counts */
    unsigned names; /* bits of the paths whose own name stands in it */
    bool is_asked;  /* by the look at hand */
};

struct folder_watch {
    char *paths[FOLDER_WATCH_PATHS_MAX];
    size_t path_count;
    size_t watches_max;
    int descriptor; /* -1: no inotify */

    struct watched *list; /* sorted by number */
    size_t count;
    size_t capacity;

    const char *trouble; /* of the latest look; NULL: all is watched */
    uint64_t sums[FOLDER_WATCH_PATHS_MAX];
    int64_t looked_ms;

    unsigned changed; /* bits of paths, not given on yet */
    int64_t first_ms; /* of these changes */
    int64_t latest_ms;
};

/* One look. */
struct look {
    struct folder_watch *watch;
    size_t path; /* the index of the one at hand */
    size_t entry_count;
    uint64_t sum;
    struct stat
        stack[FOLDER_WATCH_DEPTH_MAX]; /* the folders above, to see a link that leads back */
    size_t depth;
    const char *trouble;
};

/* ---- the kernel's watches ---- */

static struct watched *find(const struct folder_watch *watch, int number)
{
    size_t low = 0;
    size_t high = watch->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (watch->list[middle].number == number)
            return &watch->list[middle];
        if (watch->list[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static bool grow(struct folder_watch *watch)
{
    size_t capacity = watch->capacity == 0 ? 64 : watch->capacity * 2;
    struct watched *list;

    if (watch->count < watch->capacity)
        return true;
    list = realloc(watch->list, capacity * sizeof(*list));
    if (list == NULL)
        return false;
    watch->list = list;
    watch->capacity = capacity;
    return true;
}

/* The kernel counts upwards, so a new number belongs at the end, or nearly so. */
static struct watched *insert(struct folder_watch *watch, int number)
{
    size_t at = watch->count;

    if (!grow(watch))
        return NULL;
    while (at > 0 && watch->list[at - 1].number > number) {
        watch->list[at] = watch->list[at - 1];
        at--;
    }
    watch->list[at] = (struct watched){ .number = number };
    watch->count++;
    return &watch->list[at];
}

static const char *why_not(int number)
{
    if (number == ENOSPC)
        return "the system's limit of watches is reached (fs.inotify.max_user_watches)";
    if (number == ENOMEM)
        return "there is no memory for a watch";
    return "a folder cannot be watched";
}

static void fail(struct look *look, const char *trouble)
{
    if (look->trouble == NULL)
        look->trouble = trouble;
}

/* Ask for a folder. One that went away meanwhile is told of by the folder that it was in. */
static struct watched *ask(struct look *look, const char *path, uint32_t events)
{
    struct folder_watch *watch = look->watch;
    struct watched *watched;
    int number;

    if (watch->descriptor < 0)
        return NULL;
    number = inotify_add_watch(watch->descriptor, path, events | IN_MASK_ADD | IN_ONLYDIR);
    if (number < 0) {
        if (errno != ENOENT && errno != ENOTDIR)
            fail(look, why_not(errno));
        return NULL;
    }
    watched = find(watch, number);
    if (watched == NULL && watch->watches_max > 0 && watch->count >= watch->watches_max) {
        (void)inotify_rm_watch(watch->descriptor, number); /* it was added just now */
        fail(look, why_not(ENOSPC));
        return NULL;
    }
    if (watched == NULL)
        watched = insert(watch, number);
    if (watched == NULL)
        fail(look, why_not(ENOMEM));
    else
        watched->is_asked = true;
    return watched;
}

static unsigned bit(const struct look *look)
{
    return 1U << look->path;
}

static void watch_tree(struct look *look, const char *path)
{
    struct watched *watched = ask(look, path, TREE_EVENTS);

    if (watched != NULL)
        watched->trees |= bit(look);
}

/* The folder that a path's own name stands in. */
static void watch_name(struct look *look, const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);
    struct watched *watched;

    if (slash == NULL)
        (void)snprintf(folder, sizeof(folder), ".");
    else
        (void)snprintf(folder, sizeof(folder), "%.*s", len == 0 ? 1 : (int)len, path);
    watched = ask(look, folder, NAME_EVENTS);
    if (watched != NULL)
        watched->names |= bit(look);
    else
        fail(look, "the folder above is away");
}

static void begin_look(struct folder_watch *watch)
{
    for (size_t i = 0; i < watch->count; i++) {
        watch->list[i].is_asked = false;
        watch->list[i].trees = 0;
        watch->list[i].names = 0;
    }
}

/* End the watches that were not asked for. */
static void end_look(struct folder_watch *watch)
{
    size_t kept = 0;

    for (size_t i = 0; i < watch->count; i++) {
        if (watch->list[i].is_asked)
            watch->list[kept++] = watch->list[i];
        else
            (void)inotify_rm_watch(watch->descriptor, watch->list[i].number); /* it may be gone */
    }
    watch->count = kept;
}

/* ---- looking ---- */

/* A mix of 64 bits (splitmix64): sums of it do not depend on the order of names. */
static uint64_t mix(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static uint64_t sum_of(const char *path, const struct stat *status)
{
    const uint64_t parts[] = {
        (uint64_t)status->st_dev,         (uint64_t)status->st_ino,
        (uint64_t)status->st_size,        (uint64_t)status->st_mode,
        (uint64_t)status->st_mtim.tv_sec, (uint64_t)status->st_mtim.tv_nsec,
        (uint64_t)status->st_ctim.tv_sec, (uint64_t)status->st_ctim.tv_nsec,
    };
    uint64_t sum = 0;

    for (const char *byte = path; *byte != '\0'; byte++)
        sum = mix(sum ^ (uint8_t)*byte);
    for (size_t i = 0; i < COUNT(parts); i++)
        sum = mix(sum ^ parts[i]);
    return sum;
}

/* A link's file changes where it is: that folder counts, too. */
static void look_behind_link(struct look *look, const char *path)
{
    char resolved[PATH_MAX];
    char *slash;

    if (realpath(path, resolved) == NULL)
        return;
    slash = strrchr(resolved, '/');
    if (slash == NULL || slash == resolved)
        return;
    *slash = '\0';
    watch_tree(look, resolved);
}

static void look_at(struct look *look, const char *path);

/* What a ConfigMap keeps its versions in begins with dots, too: it is met through links. */
static bool is_hidden(const char *name)
{
    return name[0] == '.';
}

static void look_into(struct look *look, const char *path)
{
    DIR *folder;
    const struct dirent *entry;

    watch_tree(look, path);
    folder = opendir(path);
    if (folder == NULL)
        return;
    /* The stream is this function's own. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while ((entry = readdir(folder)) != NULL) {
        char inner[PATH_MAX];
        int len;

        if (is_hidden(entry->d_name))
            continue;
        len = snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
        if (len > 0 && (size_t)len < sizeof(inner))
            look_at(look, inner);
    }
    (void)closedir(folder); /* read-only, nothing to lose */
}

static bool is_above(const struct look *look, const struct stat *status)
{
    for (size_t i = 0; i < look->depth; i++)
        if (look->stack[i].st_dev == status->st_dev && look->stack[i].st_ino == status->st_ino)
            return true;
    return false;
}

static void look_at(struct look *look, const char *path)
{
    struct stat link;
    struct stat status;

    if (look->entry_count++ >= FOLDER_WATCH_ENTRIES_MAX) {
        fail(look, "there are too many files to look at");
        return;
    }
    if (lstat(path, &link) != 0)
        return;
    look->sum += sum_of(path, &link);
    if (stat(path, &status) != 0)
        return;
    if (S_ISLNK(link.st_mode)) {
        look->sum += sum_of(path, &status);
        look_behind_link(look, path);
    }
    if (!S_ISDIR(status.st_mode) || look->depth == FOLDER_WATCH_DEPTH_MAX ||
        is_above(look, &status))
        return;
    look->stack[look->depth++] = status;
    look_into(look, path);
    look->depth--;
}

/* Look at everything; the bits of paths whose sum is another one than before. */
static unsigned look_again(struct folder_watch *watch, int64_t now_ms)
{
    struct look look = { .watch = watch };
    unsigned changed = 0;

    if (watch->descriptor < 0)
        look.trouble = "the system has no inotify to give (fs.inotify.max_user_instances)";
    begin_look(watch);
    for (look.path = 0; look.path < watch->path_count; look.path++) {
        look.sum = 0;
        look.entry_count = 0;
        watch_name(&look, watch->paths[look.path]);
        look_at(&look, watch->paths[look.path]);
        if (watch->sums[look.path] != look.sum)
            changed |= bit(&look);
        watch->sums[look.path] = look.sum;
    }
    end_look(watch);
    watch->trouble = look.trouble;
    watch->looked_ms = now_ms;
    return changed;
}

/* ---- what is told ---- */

static void note(struct folder_watch *watch, unsigned paths, int64_t now_ms)
{
    if (paths == 0)
        return;
    if (watch->changed == 0)
        watch->first_ms = now_ms;
    watch->changed |= paths;
    watch->latest_ms = now_ms;
}

static const char *own_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

/* The paths that an event in a folder is of. */
static unsigned paths_of(const struct folder_watch *watch, const struct watched *watched,
                         const struct inotify_event *event)
{
    const char *name = event->len > 0 ? event->name : "";
    bool is_swap = is_hidden(name) && name[1] == '.'; /* how a ConfigMap changes its versions */
    unsigned paths = 0;

    if (!is_hidden(name) || is_swap)
        paths |= watched->trees;
    for (size_t i = 0; i < watch->path_count; i++)
        if ((watched->names & (1U << i)) != 0 &&
            (is_swap || strcmp(name, own_name(watch->paths[i])) == 0))
            paths |= 1U << i;
    return paths;
}

static unsigned all_paths(const struct folder_watch *watch)
{
    return (1U << watch->path_count) - 1;
}

/* A queue that ran over, and a file system that was unmounted, may be of anything. */
static void take_event(struct folder_watch *watch, const struct inotify_event *event,
                       int64_t now_ms)
{
    struct watched *watched = find(watch, event->wd);

    if ((event->mask & (IN_Q_OVERFLOW | IN_UNMOUNT)) != 0)
        note(watch, all_paths(watch), now_ms);
    else if (watched != NULL)
        note(watch, paths_of(watch, watched, event), now_ms);
}

static void read_events(struct folder_watch *watch, int64_t now_ms)
{
    _Alignas(struct inotify_event) char bytes[EVENTS_BYTES];
    ssize_t len;

    while (watch->descriptor >= 0 && (len = read(watch->descriptor, bytes, sizeof(bytes))) > 0) {
        size_t at = 0;

        while (at < (size_t)len) {
            const struct inotify_event *event = (const void *)(bytes + at);

            take_event(watch, event, now_ms);
            at += sizeof(*event) + event->len;
        }
    }
}

/* ---- its life ---- */

static char *without_slashes(const char *path)
{
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        len--;
    return strndup(path, len);
}

bool folder_watch_new(const struct folder_watch_options *options, int64_t now_ms,
                      struct folder_watch **out, struct error *error)
{
    OWNED(folder_watch_free) struct folder_watch *watch = calloc(1, sizeof(*watch));

    if (watch == NULL)
        return error_set(error, ERROR_MEMORY, "a folder's watch");
    watch->watches_max = options->watches_max;
    watch->descriptor = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    for (size_t i = 0; i < options->path_count && i < FOLDER_WATCH_PATHS_MAX; i++) {
        watch->paths[i] = without_slashes(options->paths[i]);
        if (watch->paths[i] == NULL)
            return error_set(error, ERROR_MEMORY, "a folder's watch");
        watch->path_count++;
    }
    (void)look_again(watch, now_ms); /* the first: there is nothing to compare it with */
    *out = TAKE(watch);
    return true;
}

void folder_watch_free(struct folder_watch *watch)
{
    if (watch == NULL)
        return;
    if (watch->descriptor >= 0)
        (void)close(watch->descriptor); /* nothing to lose */
    for (size_t i = 0; i < watch->path_count; i++)
        free(watch->paths[i]);
    free(watch->list);
    free(watch);
}

int folder_watch_descriptor(const struct folder_watch *watch)
{
    return watch->descriptor;
}

const char *folder_watch_trouble(const struct folder_watch *watch)
{
    return watch->trouble;
}

static int64_t ready_ms(const struct folder_watch *watch)
{
    int64_t quiet_ms = watch->latest_ms + FOLDER_WATCH_QUIET_MS;
    int64_t longest_ms = watch->first_ms + FOLDER_WATCH_LONGEST_MS;

    if (watch->changed == 0)
        return INT64_MAX;
    return quiet_ms < longest_ms ? quiet_ms : longest_ms;
}

int64_t folder_watch_due_ms(const struct folder_watch *watch)
{
    int64_t poll_ms = watch->trouble == NULL ? INT64_MAX : watch->looked_ms + FOLDER_WATCH_POLL_MS;
    int64_t due_ms = ready_ms(watch);

    return due_ms < poll_ms ? due_ms : poll_ms;
}

unsigned folder_watch_take(struct folder_watch *watch, int64_t now_ms)
{
    unsigned changed;

    read_events(watch, now_ms);
    if (watch->trouble != NULL && now_ms >= watch->looked_ms + FOLDER_WATCH_POLL_MS)
        note(watch, look_again(watch, now_ms), now_ms);
    if (now_ms < ready_ms(watch))
        return 0;
    changed = watch->changed;
    watch->changed = 0;
    (void)look_again(watch, now_ms); /* before whoever is told reads: see above */
    return changed;
}
