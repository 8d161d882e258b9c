/*
 * Lines of JSON at a file's end. A batch is one write; a sync comes before the cursor moves, so at
 * most once a second: the store's own syncs may be on the same disk. A file that is moved away or
 * removed is made anew before the next batch, so it can be rotated without a signal.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "stream/sink.h"

#define LINE_START "{\"index\":"
/* The longest line, and so the longest piece of one: entry, private part, what is around them. */
#define LINE_MAX_BYTES ((size_t)48 * 1024)
#define LINES_MAX (STREAM_BATCH_BYTES_MAX + (size_t)STREAM_BATCH_ENTRIES_MAX * 64)

struct file_sink {
    const struct stream_options *options;
    int file;      /* -1: not open */
    bool is_dirty; /* written, not synced */
    bool has_lost; /* it was closed, and what was not synced may be gone */
};

static bool sync_file(struct file_sink *sink, struct error *error)
{
    if (sink->is_dirty && fdatasync(sink->file) != 0)
        return error_set_errno(error, "%s: cannot sync", sink->options->path);
    sink->is_dirty = false;
    return true;
}

static void close_file(struct file_sink *sink)
{
    struct error told_later = { 0 };

    if (sink->file < 0)
        return;
    if (!sync_file(sink, &told_later))
        sink->has_lost = true;
    sink->is_dirty = false;
    (void)close(sink->file); /* what is not on disk is known by now */
    sink->file = -1;
}

static bool file_flush(void *state, struct error *error)
{
    struct file_sink *sink = state;

    if (sink->has_lost) {
        sink->has_lost = false;
        return error_set(error, ERROR_IO, "%s: could not be synced", sink->options->path);
    }
    if (sync_file(sink, error))
        return true;
    /* no second sync is trusted: it begins anew */
    sink->is_dirty = false;
    close_file(sink);
    return false;
}

/* Whether the open file still stands under its name. */
static bool is_in_place(const struct file_sink *sink)
{
    struct stat named;
    struct stat own;

    return sink->file >= 0 && fstat(sink->file, &own) == 0 &&
           lstat(sink->options->path, &named) == 0 && named.st_dev == own.st_dev &&
           named.st_ino == own.st_ino;
}

static bool sync_folder(const char *path, struct error *error)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int file;
    bool is_synced;

    (void)snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) + 1 : 1,
                   slash ? path : ".");
    file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0)
        return error_set_errno(error, "%s: cannot open", folder);
    is_synced = fsync(file) == 0 || error_set_errno(error, "%s: cannot sync", folder);
    (void)close(file); /* read-only, nothing to lose */
    return is_synced;
}

/* How long the piece behind the last line's end is, of at most LINE_MAX_BYTES. */
static bool measure_piece(const struct file_sink *sink, off_t size, char *piece, size_t *len,
                          struct error *error)
{
    size_t window = size < (off_t)LINE_MAX_BYTES ? (size_t)size : LINE_MAX_BYTES;

    if (pread(sink->file, piece, window, size - (off_t)window) != (ssize_t)window)
        return error_set_errno(error, "%s: cannot read its end", sink->options->path);
    *len = 0;
    while (*len < window && piece[window - *len - 1] != '\n')
        (*len)++;
    memmove(piece, piece + window - *len, *len);
    return true;
}

/*
 * A crash can leave the beginning of a line of ours: its entry comes again, so it is cut. What is
 * no line of ours is left, and ended.
 */
static bool mend(const struct file_sink *sink, struct error *error)
{
    static const struct str start = STR_INIT(LINE_START);
    OWNED(buf_release) struct buf piece = { 0 };
    struct stat status;
    size_t len = 0;
    size_t known;
    char *room;

    if (fstat(sink->file, &status) != 0)
        return error_set_errno(error, "%s: cannot look at it", sink->options->path);
    if (!S_ISREG(status.st_mode))
        return error_set(error, ERROR_IO, "%s: expected a regular file", sink->options->path);
    buf_init(&piece, LINE_MAX_BYTES);
    room = buf_extend(&piece, LINE_MAX_BYTES);
    if (room == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a line");
    if (status.st_size == 0)
        return true;
    if (!measure_piece(sink, status.st_size, room, &len, error))
        return false;
    if (len == 0)
        return true;
    known = len < start.len ? len : start.len;
    if (len < LINE_MAX_BYTES && memcmp(room, start.data, known) == 0)
        return ftruncate(sink->file, status.st_size - (off_t)len) == 0 ||
               error_set_errno(error, "%s: cannot cut a torn line", sink->options->path);
    return write(sink->file, "\n", 1) == 1 ||
           error_set_errno(error, "%s: cannot write", sink->options->path);
}

static bool open_file(struct file_sink *sink, struct error *error)
{
    const struct stream_options *options = sink->options;
    int flags = O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    bool is_new = false;

    sink->file = open(options->path, flags);
    if (sink->file < 0 && errno == ENOENT) {
        is_new = true;
        sink->file = open(options->path, flags | O_CREAT, options->mode);
    }
    if (sink->file < 0)
        return error_set_errno(error, "%s: cannot open", options->path);
    /* whatever the process' mask says, this is what was asked for */
    if (is_new && fchmod(sink->file, options->mode) != 0)
        return error_set_errno(error, "%s: cannot set its mode", options->path);
    return mend(sink, error) && (!is_new || sync_folder(options->path, error));
}

static bool write_all(const struct file_sink *sink, struct str text, struct error *error)
{
    size_t done = 0;

    while (done < text.len) {
        ssize_t count = write(sink->file, text.data + done, text.len - done);

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return error_set_errno(error, "%s: cannot write", sink->options->path);
        done += (size_t)count;
    }
    return true;
}

/* All of it, or nothing where that can be undone. */
static bool append(struct file_sink *sink, struct str text, struct error *error)
{
    struct stat before;

    if (fstat(sink->file, &before) != 0)
        return error_set_errno(error, "%s: cannot look at it", sink->options->path);
    sink->is_dirty = true;
    if (write_all(sink, text, error))
        return true;
    if (ftruncate(sink->file, before.st_size) != 0)
        (void)error_wrap(error, "left a piece of a line");
    return false;
}

static bool file_open(const struct stream_options *options, const struct sink_tools *tools,
                      void **state, struct error *error)
{
    struct file_sink *sink = calloc(1, sizeof(*sink));

    (void)tools;
    if (sink == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a stream");
    sink->options = options;
    sink->file = -1;
    *state = sink;
    return true;
}

static bool file_deliver(void *state, const struct stream_item *items, size_t count,
                         struct delivery *delivery, struct error *error)
{
    OWNED(buf_release) struct buf lines = { 0 };
    struct file_sink *sink = state;

    buf_init(&lines, LINES_MAX);
    for (size_t i = 0; i < count; i++) {
        item_write_json(&items[i], &lines);
        buf_add_byte(&lines, '\n');
    }
    if (!buf_is_ok(&lines))
        return error_set(error, ERROR_MEMORY, "no memory for lines");
    if (!is_in_place(sink)) {
        close_file(sink);
        if (!open_file(sink, error)) {
            close_file(sink);
            return false;
        }
    }
    if (!append(sink, buf_str(&lines), error)) {
        close_file(sink);
        return false;
    }
    delivery->delivered = count;
    return true;
}

static void file_close(void *state)
{
    struct file_sink *sink = state;

    if (sink == NULL)
        return;
    close_file(sink);
    free(sink);
}

const struct stream_sink sink_file = {
    .open = file_open,
    .deliver = file_deliver,
    .flush = file_flush,
    .close = file_close,
};
