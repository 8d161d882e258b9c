#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "tests/fault/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR_LEN 512
#define FILE_MAX ((size_t)64 * 1024 * 1024)

/* A change of a file's content, in order. */
struct change {
    enum fault_operation operation;
    enum {
        CHANGE_PENDING,
        CHANGE_LOST,
        CHANGE_DURABLE
    } state;
    size_t offset; /* the new length, of a truncation */
    size_t len;
    const uint8_t *data; /* NULL: zeros */
};

/* A file or a folder. What is durable for good is in `bytes`, the rest in `changes`. */
struct object {
    bool is_folder;
    size_t size;
    uint8_t *bytes; /* `room` of them; behind them are zeros up to `size` */
    size_t room;
    struct change *changes;
    size_t change_count;
};

/* A name, or none where `object` is NULL. */
struct name {
    char *path;
    struct object *object;
};

struct names {
    struct name *items;
    size_t count;
};

/* A change of names that is not synced. */
struct renaming {
    char *from; /* goes, where not NULL */
    char *to;   /* is `object` now, where not NULL */
    struct object *object;
};

struct disk {
    struct names visible; /* with all that happened */
    struct names durable;
    struct renaming *renamings;
    size_t renaming_count;
    struct object **objects;
    size_t object_count;
};

/* A state that is being made: content as it is put together. */
struct choice {
    enum disk_rest rest;
    uint64_t random;
};

static bool grow(void *list, size_t count, size_t item_len)
{
    void **items = list;
    void *grown = NULL;

    if ((count & (count - 1)) != 0)
        return true;
    grown = realloc(*items, (count == 0 ? 1 : count * 2) * item_len);
    if (grown == NULL)
        return false;
    *items = grown;
    return true;
}

/* ---- names ---- */

static struct name *find(const struct names *names, const char *path)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->items[i].path, path) == 0)
            return &names->items[i];
    }
    return NULL;
}

static struct object *object_of(const struct names *names, const char *path)
{
    const struct name *name = find(names, path);

    return name == NULL ? NULL : name->object;
}

static bool set(struct names *names, const char *path, struct object *object)
{
    struct name *name = find(names, path);

    if (name != NULL) {
        name->object = object;
        return true;
    }
    if (object == NULL)
        return true;
    if (!grow((void *)&names->items, names->count, sizeof(*names->items)))
        return false;
    names->items[names->count].path = strdup(path);
    names->items[names->count].object = object;
    return names->items[names->count++].path != NULL;
}

static bool apply_renaming(struct names *names, const struct renaming *renaming)
{
    return (renaming->from == NULL || set(names, renaming->from, NULL)) &&
           (renaming->to == NULL || set(names, renaming->to, renaming->object));
}

static void names_release(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i].path);
    free(names->items);
}

static bool names_copy(const struct names *from, struct names *to)
{
    for (size_t i = 0; i < from->count; i++) {
        if (!set(to, from->items[i].path, from->items[i].object))
            return false;
    }
    return true;
}

/* ---- content ---- */

static bool reserve(struct object *object, size_t len)
{
    uint8_t *grown = NULL;

    if (len > FILE_MAX)
        return false;
    if (len <= object->room)
        return true;
    grown = realloc(object->bytes, len);
    if (grown == NULL)
        return false;
    memset(grown + object->room, 0, len - object->room);
    object->bytes = grown;
    object->room = len;
    return true;
}

static void clear(struct object *object, size_t from, size_t to)
{
    if (to > object->room)
        to = object->room;
    if (from < to)
        memset(object->bytes + from, 0, to - from);
}

static bool set_size(struct object *object, size_t size)
{
    clear(object, size, object->size);
    object->size = size;
    return size <= FILE_MAX;
}

static bool put_bytes(struct object *object, size_t offset, const uint8_t *data, size_t len)
{
    if (offset + len > object->size && !set_size(object, offset + len))
        return false;
    if (data == NULL || len == 0) {
        clear(object, offset, offset + len);
        return true;
    }
    if (!reserve(object, offset + len))
        return false;
    memcpy(object->bytes + offset, data, len);
    return true;
}

static bool put_change(struct object *object, const struct change *change)
{
    if (change->operation == FAULT_TRUNCATE)
        return set_size(object, change->offset);
    if (change->operation == FAULT_ALLOCATE)
        return change->offset + change->len <= object->size ||
               set_size(object, change->offset + change->len);
    return put_bytes(object, change->offset, change->data, change->len);
}

/* What is durable and has nothing lost before it goes into the bytes. */
static bool settle(struct object *object)
{
    size_t done = 0;

    while (done < object->change_count && object->changes[done].state == CHANGE_DURABLE) {
        if (!put_change(object, &object->changes[done++]))
            return false;
    }
    if (done == 0)
        return true;
    object->change_count -= done;
    memmove(object->changes, object->changes + done,
            object->change_count * sizeof(*object->changes));
    return true;
}

static bool add_change(struct object *object, struct change change)
{
    /* The list shrinks from its front, so its room is not known by its length. */
    struct change *grown =
        realloc(object->changes, (object->change_count + 1) * sizeof(*object->changes));

    if (grown == NULL)
        return false;
    object->changes = grown;
    object->changes[object->change_count++] = change;
    return true;
}

/* ---- what happened ---- */

struct disk *disk_new(void)
{
    return calloc(1, sizeof(struct disk));
}

void disk_free(struct disk *disk)
{
    if (disk == NULL)
        return;
    for (size_t i = 0; i < disk->object_count; i++) {
        free(disk->objects[i]->bytes);
        free(disk->objects[i]->changes);
        free(disk->objects[i]);
    }
    for (size_t i = 0; i < disk->renaming_count; i++) {
        free(disk->renamings[i].from);
        free(disk->renamings[i].to);
    }
    free(disk->objects);
    free(disk->renamings);
    names_release(&disk->visible);
    names_release(&disk->durable);
    free(disk);
}

static struct object *add_object(struct disk *disk, bool is_folder)
{
    struct object *object = calloc(1, sizeof(*object));

    /* NOLINTNEXTLINE(bugprone-sizeof-expression): the array is of pointers */
    if (object == NULL || !grow((void *)&disk->objects, disk->object_count, sizeof(object))) {
        free(object);
        return NULL;
    }
    object->is_folder = is_folder;
    disk->objects[disk->object_count++] = object;
    return object;
}

static bool rename_to(struct disk *disk, const char *from, const char *to, struct object *object)
{
    struct renaming renaming = { .object = object };

    renaming.from = from == NULL ? NULL : strdup(from);
    renaming.to = to == NULL ? NULL : strdup(to);
    if (!grow((void *)&disk->renamings, disk->renaming_count, sizeof(renaming)))
        return false;
    disk->renamings[disk->renaming_count++] = renaming;
    return apply_renaming(&disk->visible, &renaming);
}

/* Whether a path is directly in a folder. */
static bool is_in(const char *path, const char *folder)
{
    const char *slash = path == NULL ? NULL : strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);

    return path != NULL && strlen(folder) == len && strncmp(path, folder, len) == 0;
}

static bool sync_folder(struct disk *disk, const char *folder)
{
    size_t kept = 0;

    for (size_t i = 0; i < disk->renaming_count; i++) {
        struct renaming renaming = disk->renamings[i];

        if (!is_in(renaming.from, folder) && !is_in(renaming.to, folder)) {
            disk->renamings[kept++] = renaming;
            continue;
        }
        if (!apply_renaming(&disk->durable, &renaming))
            return false;
        free(renaming.from);
        free(renaming.to);
    }
    disk->renaming_count = kept;
    return true;
}

static bool sync_file(struct object *object)
{
    for (size_t i = 0; i < object->change_count; i++) {
        if (object->changes[i].state == CHANGE_PENDING)
            object->changes[i].state = CHANGE_DURABLE;
    }
    return settle(object);
}

static void lose(struct object *object)
{
    for (size_t i = 0; i < object->change_count; i++) {
        if (object->changes[i].state == CHANGE_PENDING)
            object->changes[i].state = CHANGE_LOST;
    }
}

static struct change change_of(const struct fault_record *record)
{
    const uint8_t *data = (const uint8_t *)(record + 1) + record->name_len;

    return (struct change){
        .operation = (enum fault_operation)record->operation,
        .offset = record->offset,
        .len = record->len,
        .data = record->data_len > 0 ? data : NULL,
    };
}

static bool apply_to_file(struct object *object, const struct fault_record *record)
{
    if (object == NULL || object->is_folder) /* it has no name any more, or it is a folder's sync */
        return true;
    if (record->operation == FAULT_SYNC)
        return sync_file(object);
    if (record->operation == FAULT_SYNC_FAILED)
        lose(object);
    else
        return add_change(object, change_of(record));
    return true;
}

bool disk_apply(struct disk *disk, const struct fault_record *record)
{
    char name[2 * PATH_MAX] = "";
    const char *second;
    struct object *object = NULL;

    if (record->operation == FAULT_NOTE)
        return true;
    memcpy(name, record + 1, record->name_len);
    second = name + strlen(name) + 1;
    object = object_of(&disk->visible, name);
    switch (record->operation) {
    case FAULT_CREATE:
    case FAULT_MKDIR:
        object = add_object(disk, record->operation == FAULT_MKDIR);
        return object != NULL && rename_to(disk, NULL, name, object);
    case FAULT_RENAME:
        return rename_to(disk, name, second, object);
    case FAULT_UNLINK:
    case FAULT_RMDIR:
        return rename_to(disk, name, NULL, object);
    case FAULT_SYNC_DIR:
        return sync_folder(disk, name);
    default:
        return apply_to_file(object, record);
    }
}

/* ---- what is left ---- */

const char *disk_rest_name(enum disk_rest rest)
{
    static const char *const names[] = {
        [DISK_ALL] = "everything",  [DISK_NOTHING] = "only what was synced",
        [DISK_NAMES] = "names",     [DISK_CONTENT] = "content",
        [DISK_SOME] = "some of it",
    };

    return names[rest];
}

bool disk_is_dirty(const struct disk *disk)
{
    for (size_t i = 0; i < disk->object_count; i++) {
        if (disk->objects[i]->change_count > 0)
            return true;
    }
    return disk->renaming_count > 0;
}

/* xorshift64* */
static uint64_t next_random(struct choice *choice)
{
    choice->random ^= choice->random >> 12;
    choice->random ^= choice->random << 25;
    choice->random ^= choice->random >> 27;
    return choice->random * UINT64_C(0x2545f4914f6cdd1d) >> 33;
}

static bool put_sectors(struct object *made, const struct change *change, struct choice *choice)
{
    for (size_t done = 0; done < change->len;) {
        size_t step = SECTOR_LEN - (change->offset + done) % SECTOR_LEN;

        step = step < change->len - done ? step : change->len - done;
        if (next_random(choice) % 2 == 0 &&
            !put_bytes(made, change->offset + done,
                       change->data == NULL ? NULL : change->data + done, step))
            return false;
        done += step;
    }
    return true;
}

static bool put_chosen(struct object *made, const struct change *change, struct choice *choice)
{
    bool is_kept = choice->rest == DISK_ALL || choice->rest == DISK_CONTENT;

    if (change->state == CHANGE_DURABLE || is_kept)
        return put_change(made, change);
    if (choice->rest != DISK_SOME)
        return true;
    if (change->operation == FAULT_WRITE)
        return put_sectors(made, change, choice);
    return next_random(choice) % 2 == 0 || put_change(made, change);
}

/* What may not be zero; the rest is a hole. */
static bool write_content(int file, const struct object *object)
{
    size_t len = object->room < object->size ? object->room : object->size;

    return ftruncate(file, (off_t)object->size) == 0 &&
           (len == 0 || pwrite(file, object->bytes, len, 0) == (ssize_t)len);
}

static bool make_file(const char *path, const struct object *made)
{
    int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool is_made = file >= 0 && write_content(file, made);

    if (file >= 0)
        (void)close(file);
    return is_made;
}

/* A file's content by the choice, with the write that was under way. */
static bool restore_file(const struct object *object, struct choice *choice,
                         const struct change *torn, const char *path)
{
    struct object made = { 0 };
    bool is_made = set_size(&made, object->size) &&
                   (object->room == 0 || put_bytes(&made, 0, object->bytes, object->room)) &&
                   set_size(&made, object->size);

    for (size_t i = 0; is_made && i < object->change_count; i++)
        is_made = put_chosen(&made, &object->changes[i], choice);
    if (is_made && torn != NULL)
        is_made = put_change(&made, torn);
    is_made = is_made && make_file(path, &made);
    free(made.bytes);
    return is_made;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->path, ((const struct name *)b)->path);
}

static bool choose_names(const struct disk *disk, struct choice *choice, struct names *names)
{
    bool in_order = next_random(choice) % 2 == 0;
    bool is_kept = choice->rest == DISK_ALL || choice->rest == DISK_NAMES;

    if (!names_copy(&disk->durable, names))
        return false;
    for (size_t i = 0; i < disk->renaming_count; i++) {
        if (choice->rest == DISK_SOME && next_random(choice) % 4 == 0) {
            if (in_order) /* a file system's journal ends somewhere */
                break;
            continue;
        }
        if ((is_kept || choice->rest == DISK_SOME) && !apply_renaming(names, &disk->renamings[i]))
            return false;
    }
    if (names->count > 0) /* folders before what is in them */
        qsort(names->items, names->count, sizeof(*names->items), compare_names);
    return true;
}

static int remove_item(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    if (walk->level == 0)
        return 0;
    return kind == FTW_DP ? rmdir(path) : unlink(path);
}

static bool empty(const char *folder)
{
    if (mkdir(folder, 0700) == 0)
        return true;
    return errno == EEXIST && nftw(folder, remove_item, 16, FTW_DEPTH | FTW_PHYS) == 0;
}

static bool has_parent(const char *path)
{
    char parent[PATH_MAX];
    struct stat status;
    char *slash = NULL;

    (void)snprintf(parent, sizeof(parent), "%s", path);
    slash = strrchr(parent, '/');
    *slash = '\0';
    return stat(parent, &status) == 0;
}

static bool restore_name(const struct name *name, struct choice *choice,
                         const struct object *torn_object, const struct change *torn,
                         const char *folder)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name->path);
    if (name->object == NULL || !has_parent(path))
        return true;
    if (name->object->is_folder)
        return mkdir(path, 0700) == 0 || errno == EEXIST;
    return restore_file(name->object, choice, name->object == torn_object ? torn : NULL, path);
}

/* NOLINTNEXTLINE(readability-function-size): what is torn is two things */
bool disk_restore(const struct disk *disk, enum disk_rest rest, uint64_t seed,
                  const struct fault_record *torn, size_t torn_len, const char *folder)
{
    struct choice choice = { rest, (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) };
    const struct object *torn_object = NULL;
    struct change change = { 0 };
    struct names names = { 0 };
    char path[PATH_MAX] = "";
    bool is_restored = empty(folder) && choose_names(disk, &choice, &names);

    if (torn != NULL) {
        change = change_of(torn);
        change.len = torn_len;
        memcpy(path, torn + 1, torn->name_len);
        torn_object = object_of(&disk->visible, path);
    }
    for (size_t i = 0; is_restored && i < names.count; i++)
        is_restored = restore_name(&names.items[i], &choice, torn_object, &change, folder);
    names_release(&names);
    return is_restored;
}
