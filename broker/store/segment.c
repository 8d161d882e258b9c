#include "store/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"

#define SEGMENT_DIGITS 20
#define SEGMENT_SUFFIX ".seg"

/* 128 TiB of 64 MiB segments. */
#define SEGMENTS_MAX ((size_t)2 * 1024 * 1024)

#define WINDOW_LEN ((size_t)256 * 1024)
#define WINDOW_LEN_ELSEWHERE ((size_t)32 * 1024)
#define NEAR_LEN ((uint64_t)1024 * 1024)
#define ZEROS_LEN ((size_t)1024 * 1024) /* a larger write would keep the log's own waiting */

/* Never written. Were it const, each program's file would have as many zeros. */
static _Alignas(FILE_DIRECT_ALIGNMENT) uint8_t zeros[ZEROS_LEN];

void segment_name(uint64_t first_index, char name[SEGMENT_NAME_LEN + 1])
{
    (void)snprintf(name, SEGMENT_NAME_LEN + 1, "%020" PRIu64 SEGMENT_SUFFIX, first_index);
}

static bool segment_name_parse(const char *name, uint64_t *first_index)
{
    struct str text = str_from(name);
    uint64_t value = 0;

    if (text.len != SEGMENT_NAME_LEN || !str_ends_with(text, STR(SEGMENT_SUFFIX)))
        return false;
    for (size_t i = 0; i < SEGMENT_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(name[i] - '0'), &value))
            return false;
    }
    *first_index = value;
    return true;
}

static int compare_indices(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static bool list_add(struct segment_list *list, size_t *capacity, uint64_t first_index)
{
    if (list->count == *capacity) {
        size_t larger = *capacity == 0 ? 16 : *capacity * 2;
        uint64_t *grown = NULL;

        if (larger > SEGMENTS_MAX)
            return false;
        grown = realloc(list->first_indices, larger * sizeof(*grown));
        if (grown == NULL)
            return false;
        list->first_indices = grown;
        *capacity = larger;
    }
    list->first_indices[list->count++] = first_index;
    return true;
}

static bool list_fill(struct segment_list *list, DIR *directory, struct error *error)
{
    const struct dirent *item = NULL;
    size_t capacity = 0;
    uint64_t first_index = 0;

    /* readdir() is safe: nobody else has this stream. */
    while ((item = readdir(directory)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
        if (!segment_name_parse(item->d_name, &first_index))
            continue;
        if (!list_add(list, &capacity, first_index))
            return error_set(error, ERROR_MEMORY, "too many segments");
    }
    if (list->count > 0)
        qsort(list->first_indices, list->count, sizeof(*list->first_indices), compare_indices);
    return true;
}

bool segment_list_read(struct segment_list *list, int folder, struct error *error)
{
    int file = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = file < 0 ? NULL : fdopendir(file);
    struct segment_list fresh = { 0 };
    bool is_read = false;

    if (directory == NULL) {
        if (file >= 0)
            (void)close(file); /* read-only, nothing to lose */
        return error_set_errno(error, SEGMENT_FOLDER ": cannot list");
    }
    is_read = list_fill(&fresh, directory, error);
    (void)closedir(directory); /* read-only, nothing to lose */
    if (!is_read) {
        segment_list_release(&fresh);
        return false;
    }
    segment_list_release(list);
    *list = fresh;
    return true;
}

void segment_list_release(struct segment_list *list)
{
    free(list->first_indices);
    *list = (struct segment_list){ 0 };
}

size_t segment_list_find(const struct segment_list *list, uint64_t index)
{
    size_t low = 0;
    size_t high = list->count;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (list->first_indices[middle] <= index)
            low = middle;
        else
            high = middle;
    }
    return low;
}

int segment_write(int file, struct str bytes, uint64_t offset)
{
    while (bytes.len > 0) {
        ssize_t count = pwrite(file, bytes.data, bytes.len, (off_t)offset);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return errno;
        if (count == 0)
            return ENOSPC;
        bytes = str_slice(bytes, (size_t)count, bytes.len);
        offset += (uint64_t)count;
    }
    return 0;
}

int segment_write_zeros(int file, uint64_t offset, uint64_t len)
{
    while (len > 0) {
        size_t step = len < ZEROS_LEN ? (size_t)len : ZEROS_LEN;
        int failure = segment_write(file, (struct str){ (const char *)zeros, step }, offset);

        if (failure != 0)
            return failure;
        offset += step;
        len -= step;
    }
    return 0;
}

/* Whole blocks; how far it came is added to `*offset`, whatever stopped it. */
static void write_direct(int file, uint64_t *offset, uint64_t end)
{
    int flags;

    if (!file_begin_direct(file, &flags))
        return;
    while (*offset < end) {
        size_t step = end - *offset < ZEROS_LEN ? (size_t)(end - *offset) : ZEROS_LEN;

        if (segment_write(file, (struct str){ (const char *)zeros, step }, *offset) != 0)
            break;
        *offset += step;
    }
    (void)file_end_direct(file, flags); /* where it fails, so does the next write */
}

int segment_write_zeros_ahead(int file, uint64_t offset, uint64_t len)
{
    uint64_t end = offset + len;
    uint64_t from = ROUND_UP(offset, FILE_DIRECT_ALIGNMENT);
    uint64_t to = end / FILE_DIRECT_ALIGNMENT * FILE_DIRECT_ALIGNMENT;
    int failure = 0;

    if (from < to) {
        failure = segment_write_zeros(file, offset, from - offset);
        if (failure != 0)
            return failure;
        offset = from;
        write_direct(file, &offset, to);
    }
    return segment_write_zeros(file, offset, end - offset);
}

void segment_view_init(struct segment_view *view)
{
    *view = (struct segment_view){ .file = -1 };
}

void segment_view_release(struct segment_view *view)
{
    if (view->file >= 0)
        (void)close(view->file); /* read-only, nothing to lose */
    free(view->window);
    segment_view_init(view);
}

bool segment_view_open(struct segment_view *view, int folder, uint64_t first_index,
                       struct error *error)
{
    char name[SEGMENT_NAME_LEN + 1];
    int file = -1;

    segment_name(first_index, name);
    file = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0)
        return error_set_errno(error, "segment %s: cannot open", name);
    if (view->file >= 0)
        (void)close(view->file); /* read-only, nothing to lose */
    view->file = file;
    view->first_index = first_index;
    segment_view_forget(view);
    return true;
}

void segment_view_forget(struct segment_view *view)
{
    view->window_len = 0;
    view->window_offset = 0;
}

void segment_view_wipe(struct segment_view *view)
{
    segment_view_forget(view);
    if (view->window != NULL)
        secret_wipe(view->window, view->window_capacity);
}

static bool window_reserve(struct segment_view *view, size_t len, struct error *error)
{
    size_t capacity = len < WINDOW_LEN ? WINDOW_LEN : len;
    uint8_t *window = NULL;

    if (capacity <= view->window_capacity)
        return true;
    window = realloc(view->window, capacity);
    if (window == NULL)
        return error_set(error, ERROR_MEMORY, "no memory to read a segment");
    view->window = window;
    view->window_capacity = capacity;
    return true;
}

/* Who goes on reads ahead; who comes from elsewhere may want no more than this. */
static size_t window_wanted(const struct segment_view *view, uint64_t offset, size_t len)
{
    bool goes_on = view->window_len > 0 && offset >= view->window_offset &&
                   offset <= view->window_offset + view->window_len;
    size_t least = len < WINDOW_LEN_ELSEWHERE ? WINDOW_LEN_ELSEWHERE : len;

    return goes_on ? view->window_capacity : least;
}

/* The bytes of the window from `offset` on come to its beginning. */
static void window_move(struct segment_view *view, uint64_t offset)
{
    uint64_t end = view->window_offset + view->window_len;
    bool is_inside = offset >= view->window_offset && offset < end;

    if (is_inside)
        memmove(view->window, view->window + (offset - view->window_offset),
                (size_t)(end - offset));
    view->window_len = is_inside ? (size_t)(end - offset) : 0;
    view->window_offset = offset;
}

/* Fill the window from `offset` on with at least `len` bytes, as far as the file goes. */
static bool window_fill(struct segment_view *view, uint64_t offset, size_t len, struct error *error)
{
    size_t wanted = window_wanted(view, offset, len);

    window_move(view, offset);
    while (view->window_len < wanted) {
        ssize_t count = pread(view->file, view->window + view->window_len,
                              wanted - view->window_len, (off_t)(offset + view->window_len));

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_set_errno(error, "segment %020" PRIu64 ": cannot read", view->first_index);
        if (count == 0)
            break;
        view->window_len += (size_t)count;
    }
    return true;
}

/* `*bytes` at `offset`, of which `*available` (at most `len`) are there before the file's end. */
static bool view_bytes(struct segment_view *view, uint64_t offset, size_t len,
                       const uint8_t **bytes, size_t *available, struct error *error)
{
    bool is_inside =
        offset >= view->window_offset && offset + len <= view->window_offset + view->window_len;
    size_t rest = 0;

    if (!is_inside && (!window_reserve(view, len, error) || !window_fill(view, offset, len, error)))
        return false;
    rest = view->window_len - (size_t)(offset - view->window_offset);
    *bytes = view->window + (offset - view->window_offset);
    *available = rest < len ? rest : len;
    return true;
}

static bool is_all_zero(const uint8_t *bytes, size_t len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

bool segment_view_head(struct segment_view *view, uint64_t offset, uint64_t index, bool *is_head,
                       struct frame_head *head, struct error *error)
{
    const uint8_t *bytes = NULL;
    size_t available = 0;

    if (!view_bytes(view, offset, FRAME_HEAD_LEN, &bytes, &available, error))
        return false;
    *is_head =
        available == FRAME_HEAD_LEN && frame_head_read(bytes, head) && head->first_index == index;
    return true;
}

static bool try_frame(struct segment_view *view, uint64_t offset, uint64_t index, bool *is_whole,
                      struct frame *frame, struct error *error)
{
    const uint8_t *bytes = NULL;
    struct frame_head head = { 0 };
    size_t available = 0;

    if (!segment_view_head(view, offset, index, is_whole, &head, error))
        return false;
    if (!*is_whole)
        return true;
    if (!view_bytes(view, offset, frame_len(&head), &bytes, &available, error))
        return false;
    *is_whole = available == frame_len(&head) && frame_read(bytes, &head, frame);
    return true;
}

/* The entries that a frame may begin with. */
struct index_range {
    uint64_t first;
    uint64_t last;
};

/* The first head of such a frame in these bytes, and where it stands. */
static bool find_head(const uint8_t *bytes, size_t len, struct index_range range,
                      struct frame_head *head, size_t *at)
{
    for (*at = 0; *at + FRAME_HEAD_LEN <= len; *at += FRAME_ALIGNMENT)
        if (bytes[*at] != 0 && frame_head_read(bytes + *at, head) &&
            head->first_index >= range.first && head->first_index <= range.last)
            return true;
    return false;
}

/* As far as most frames reach. Behind zeros no frame follows, or what is looked for was pruned. */
bool segment_view_near(struct segment_view *view, uint64_t *offset, uint64_t last, bool *is_head,
                       struct frame_head *head, struct error *error)
{
    uint64_t end = *offset + NEAR_LEN;

    *is_head = false;
    *offset = ROUND_UP(*offset, FRAME_ALIGNMENT);
    for (; *offset < end; *offset += WINDOW_LEN_ELSEWHERE - FRAME_HEAD_LEN) {
        const uint8_t *bytes = NULL;
        size_t available = 0;
        size_t at = 0;

        if (!view_bytes(view, *offset, WINDOW_LEN_ELSEWHERE, &bytes, &available, error))
            return false;
        if (is_all_zero(bytes, available))
            return true;
        *is_head = find_head(bytes, available, (struct index_range){ 0, last }, head, &at);
        if (*is_head) {
            *offset += at;
            return true;
        }
    }
    return true;
}

bool segment_view_len(const struct segment_view *view, uint64_t *len, struct error *error)
{
    struct stat status;

    if (fstat(view->file, &status) != 0)
        return error_set_errno(error, "segment %020" PRIu64 ": cannot read", view->first_index);
    *len = (uint64_t)status.st_size;
    return true;
}

/* What a place is where no whole frame stands: depends on all that is behind it. */
static bool look_behind(struct segment_view *view, uint64_t offset, uint64_t index,
                        enum frame_status *status, struct error *error)
{
    const struct index_range later = { index + 1, UINT64_MAX };
    const uint8_t *bytes = NULL;
    struct frame_head head = { 0 };
    size_t available = 0;
    size_t at = 0;

    *status = FRAME_END;
    segment_view_forget(view);
    do {
        if (!view_bytes(view, offset, WINDOW_LEN, &bytes, &available, error))
            return false;
        if (!is_all_zero(bytes, available))
            *status = find_head(bytes, available, later, &head, &at) ? FRAME_DAMAGED : FRAME_TORN;
        /* Windows overlap by a head, so that none is cut in two. */
        offset += WINDOW_LEN - FRAME_HEAD_LEN;
    } while (available == WINDOW_LEN && *status != FRAME_DAMAGED);
    return true;
}

bool segment_view_frame(struct segment_view *view, uint64_t offset, uint64_t index,
                        enum frame_status *status, struct frame *frame, struct error *error)
{
    bool is_whole = false;

    if (!try_frame(view, offset, index, &is_whole, frame, error))
        return false;
    if (!is_whole) {
        if (!look_behind(view, offset, index, status, error))
            return false;
        segment_view_forget(view);
        if (!try_frame(view, offset, index, &is_whole, frame, error))
            return false;
    }
    if (is_whole)
        *status = FRAME_WHOLE;
    return true;
}

bool segment_view_refuse(const struct segment_view *view, uint64_t offset, const char *what,
                         struct error *error)
{
    char name[SEGMENT_NAME_LEN + 1];

    segment_name(view->first_index, name);
    return error_set(error, ERROR_INVALID, "segment %s, offset %" PRIu64 ": %s", name, offset,
                     what);
}

bool segment_view_bytes(struct segment_view *view, uint64_t offset, size_t len,
                        const uint8_t **bytes, struct error *error)
{
    size_t available = 0;

    if (!view_bytes(view, offset, len, bytes, &available, error))
        return false;
    return available == len || segment_view_refuse(view, offset, "it ends here", error);
}
