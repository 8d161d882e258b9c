#include "store/erasure.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "store/bytes.h"
#include "store/segment.h"
#include "store/store.h"

#define TEMPORARY_NAME "erasing.new"
#define NOTE_END "end\n"
#define NOTE_PRUNE "prune "
#define NOTE_MAX ((size_t)STORE_ERASE_MAX * 21 + sizeof(NOTE_END))

_Static_assert(STORE_PRUNE_MAX * 65 + 64 < NOTE_MAX, "hashes of what is pruned fit a note, too");

/* Where a private part stands in its segment, its checksum first. */
struct spot {
    uint64_t offset;
    size_t len; /* 0: there is none */
};

/* A walk through the segments. Threads: confined */
struct erasure {
    const struct store_folders *folders;
    struct segment_list segments;
    struct segment_view view;
    uint64_t offset; /* of the frame that begins with `index` */
    uint64_t index;
    int file; /* of the view's segment, to write to; -1: none */
    struct error *error;
};

/* ---- finding ---- */

static bool write_error(struct erasure *erasure, const char *what)
{
    return error_set_errno(erasure->error, "segment %020" PRIu64 ": cannot %s",
                           erasure->view.first_index, what);
}

/* Leave a segment: all that was written there is durable. */
static bool leave_segment(struct erasure *erasure)
{
    bool is_synced = erasure->file < 0 || fdatasync(erasure->file) == 0;

    if (!is_synced)
        (void)write_error(erasure, "sync");
    if (erasure->file >= 0)
        (void)close(erasure->file); /* synced, or the error is set */
    erasure->file = -1;
    return is_synced;
}

static bool enter_segment(struct erasure *erasure, uint64_t segment)
{
    char name[SEGMENT_NAME_LEN + 1];

    if (erasure->file >= 0 && erasure->view.first_index == segment)
        return true;
    if (!leave_segment(erasure) ||
        !segment_view_open(&erasure->view, erasure->folders->segments, segment, erasure->error))
        return false;
    segment_name(segment, name);
    erasure->file = openat(erasure->folders->segments, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    erasure->offset = 0;
    erasure->index = segment;
    return erasure->file >= 0 || write_error(erasure, "open");
}

/* Go to the frame that holds an entry; false without an error where the log ends before. */
static bool walk_to(struct erasure *erasure, uint64_t index)
{
    for (;;) {
        struct frame_head head = { 0 };
        bool is_head = false;

        if (!segment_view_head(&erasure->view, erasure->offset, erasure->index, &is_head, &head,
                               erasure->error) ||
            !is_head)
            return false;
        if (index - erasure->index < head.entry_count)
            return true;
        erasure->index += head.entry_count;
        erasure->offset += frame_len(&head);
    }
}

/* The spot of an entry's private part. An entry that is not there has none. */
static bool find(struct erasure *erasure, uint64_t index, struct spot *spot)
{
    enum frame_status status = FRAME_END;
    struct frame frame = { 0 };
    size_t offset = 0;

    *spot = (struct spot){ 0 };
    if (erasure->segments.count == 0 || index < erasure->segments.first_indices[0])
        return true;
    if (!enter_segment(
            erasure, erasure->segments.first_indices[segment_list_find(&erasure->segments, index)]))
        return false;
    if (!walk_to(erasure, index))
        return erasure->error->code == ERROR_NONE;
    if (!segment_view_frame(&erasure->view, erasure->offset, erasure->index, &status, &frame,
                            erasure->error))
        return false;
    if (status != FRAME_WHOLE)
        return segment_view_refuse(&erasure->view, erasure->offset, "damaged", erasure->error);
    spot->len = frame_private_place(&frame, (uint32_t)(index - erasure->index), &offset);
    spot->offset = erasure->offset + offset;
    return true;
}

/* ---- overwriting ---- */

static bool mark(struct erasure *erasure, const struct spot *spot)
{
    uint8_t bytes[4];

    put_u32(bytes, FRAME_ERASED);
    errno = segment_write(erasure->file, (struct str){ (const char *)bytes, sizeof(bytes) },
                          spot->offset);
    return errno == 0 || write_error(erasure, "write");
}

static bool overwrite(struct erasure *erasure, const struct spot *spot)
{
    errno = segment_write_zeros(erasure->file, spot->offset + 4, spot->len - 4);
    return errno == 0 || write_error(erasure, "write");
}

static bool each(struct erasure *erasure, const uint64_t *indices, size_t count,
                 bool (*act)(struct erasure *erasure, const struct spot *spot))
{
    for (size_t i = 0; i < count; i++) {
        struct spot spot = { 0 };

        if (!find(erasure, indices[i], &spot) || (spot.len > 0 && !act(erasure, &spot)))
            return false;
    }
    return leave_segment(erasure);
}

/* Marks are durable before any byte goes: a reader sees a whole part, or one that is erased. */
bool erasure_run(const struct store_folders *folders, const uint64_t *indices, size_t count,
                 struct error *error)
{
    struct erasure erasure = { .folders = folders, .file = -1, .error = error };
    bool is_erased = false;

    *error = (struct error){ 0 }; /* the walk asks whether there is one */
    segment_view_init(&erasure.view);
    is_erased = segment_list_read(&erasure.segments, folders->segments, error) &&
                each(&erasure, indices, count, mark) && each(&erasure, indices, count, overwrite);
    if (erasure.file >= 0)
        (void)close(erasure.file); /* the error is set */
    segment_view_wipe(&erasure.view);
    segment_view_release(&erasure.view);
    segment_list_release(&erasure.segments);
    return is_erased;
}

/* ---- pruning ---- */

void pruning_release(struct pruning *pruning)
{
    free(pruning->hashes);
    *pruning = (struct pruning){ 0 };
}

/* The frame that begins with `index`, if one does; of a pruned one only its head counts. */
static bool frame_at(struct erasure *erasure, uint64_t index, bool *is_there, struct frame *frame)
{
    const struct segment_list *segments = &erasure->segments;
    enum frame_status status = FRAME_END;

    *is_there = false;
    if (segments->count == 0 || index < segments->first_indices[0])
        return true;
    if (!enter_segment(erasure, segments->first_indices[segment_list_find(segments, index)]))
        return false;
    if (!walk_to(erasure, index))
        return erasure->error->code == ERROR_NONE;
    if (erasure->index != index)
        return true;
    if (!segment_view_frame(&erasure->view, erasure->offset, index, &status, frame, erasure->error))
        return false;
    *is_there = true;
    return status == FRAME_WHOLE ||
           segment_view_refuse(&erasure->view, erasure->offset, "damaged", erasure->error);
}

static bool can_be_pruned(struct frame *frame)
{
    for (uint32_t i = 0; i < frame->head.entry_count; i++)
        if (frame_entry(frame, i).len < STORE_PRUNED_LEN)
            return false;
    return true;
}

/* RFC 6962 2.1; of one that is pruned already what is left of it. */
static void hash_leaf(struct str entry, uint8_t hash[SHA256_LEN])
{
    OWNED(buf_release) struct buf text = { 0 };

    if (store_entry_is_pruned(entry)) {
        memcpy(hash, entry.data + 1, SHA256_LEN);
        return;
    }
    buf_init(&text, STORE_ENTRY_MAX + 1);
    buf_add_byte(&text, 0);
    buf_add(&text, entry);
    sha256(buf_str(&text), hash);
}

static bool plan(struct erasure *erasure, uint64_t below, struct pruning *pruning)
{
    for (;;) {
        uint64_t index = pruning->from + pruning->count;
        struct frame frame = { 0 };
        bool is_there = false;

        if (!frame_at(erasure, index, &is_there, &frame))
            return false;
        if (!is_there || index + frame.head.entry_count > below ||
            pruning->count + frame.head.entry_count > STORE_PRUNE_MAX || !can_be_pruned(&frame))
            return true;
        for (uint32_t i = 0; i < frame.head.entry_count; i++)
            hash_leaf(frame_entry(&frame, i), pruning->hashes[pruning->count++]);
    }
}

static bool begin(struct erasure *erasure)
{
    *erasure->error = (struct error){ 0 }; /* the walk asks whether there is one */
    segment_view_init(&erasure->view);
    return segment_list_read(&erasure->segments, erasure->folders->segments, erasure->error);
}

static void end(struct erasure *erasure)
{
    if (erasure->file >= 0)
        (void)close(erasure->file); /* synced, or the error is set */
    segment_view_wipe(&erasure->view);
    segment_view_release(&erasure->view);
    segment_list_release(&erasure->segments);
}

bool pruning_plan(const struct store_folders *folders, uint64_t from, uint64_t below,
                  struct pruning *pruning, struct error *error)
{
    struct erasure erasure = { .folders = folders, .file = -1, .error = error };
    bool is_planned = false;

    *pruning = (struct pruning){ .from = from,
                                 .hashes = calloc(STORE_PRUNE_MAX, sizeof(*pruning->hashes)) };
    if (pruning->hashes == NULL)
        return error_set(error, ERROR_MEMORY, "no memory to prune");
    is_planned = begin(&erasure) && plan(&erasure, below, pruning);
    end(&erasure);
    return is_planned;
}

/* The entries and private parts of the frame where the walk is, by its head and lengths alone. */
static bool prune_frame(struct erasure *erasure, const struct frame_head *head,
                        uint8_t (*hashes)[SHA256_LEN])
{
    const uint8_t *bytes = NULL;
    size_t heads_len = FRAME_HEAD_LEN + (size_t)head->entry_count * 8;
    uint8_t *made = calloc(1, frame_len(head));
    size_t entry = heads_len;
    size_t part = FRAME_HEAD_LEN + (size_t)head->body_len;

    if (made == NULL ||
        !segment_view_bytes(&erasure->view, erasure->offset, heads_len, &bytes, erasure->error)) {
        free(made);
        return erasure->error->code != ERROR_NONE ||
               error_set(erasure->error, ERROR_MEMORY, "no memory to prune");
    }
    for (uint32_t i = 0; i < head->entry_count; i++) {
        size_t len = get_u32(bytes + FRAME_HEAD_LEN + (size_t)i * 8);
        size_t part_len = get_u32(bytes + FRAME_HEAD_LEN + (size_t)i * 8 + 4);

        if (entry + len > FRAME_HEAD_LEN + (size_t)head->body_len || len < STORE_PRUNED_LEN ||
            part + (part_len > 0 ? part_len + 4 : 0) > frame_len(head))
            break; /* what is not as it was planned is left to be found out */
        memcpy(made + entry + 1, hashes[i], SHA256_LEN);
        entry += len;
        if (part_len > 0)
            put_u32(made + part, FRAME_ERASED);
        part += part_len > 0 ? part_len + 4 : 0;
    }
    errno = segment_write(
        erasure->file, (struct str){ (const char *)made + heads_len, frame_len(head) - heads_len },
        erasure->offset + heads_len);
    free(made);
    return errno == 0 || write_error(erasure, "write");
}

static bool prune(struct erasure *erasure, const struct pruning *pruning)
{
    for (size_t done = 0; done < pruning->count;) {
        uint64_t index = pruning->from + done;
        struct frame_head head = { 0 };
        bool is_head = false;

        if (erasure->segments.count == 0 ||
            !enter_segment(
                erasure,
                erasure->segments.first_indices[segment_list_find(&erasure->segments, index)]))
            return false;
        if (!walk_to(erasure, index) || erasure->index != index ||
            !segment_view_head(&erasure->view, erasure->offset, index, &is_head, &head,
                               erasure->error) ||
            !is_head || head.entry_count > pruning->count - done)
            return erasure->error->code != ERROR_NONE ||
                   segment_view_refuse(&erasure->view, erasure->offset, "not what was to be pruned",
                                       erasure->error);
        if (!prune_frame(erasure, &head, &pruning->hashes[done]))
            return false;
        done += head.entry_count;
    }
    return leave_segment(erasure);
}

bool pruning_run(const struct store_folders *folders, const struct pruning *pruning,
                 struct error *error)
{
    struct erasure erasure = { .folders = folders, .file = -1, .error = error };
    bool is_pruned = begin(&erasure) && prune(&erasure, pruning);

    end(&erasure);
    return is_pruned && error->code == ERROR_NONE;
}

/* ---- the note ---- */

static bool write_note(const struct store_folders *folders, struct str text, struct error *error)
{
    int file = openat(folders->store, TEMPORARY_NAME,
                      O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int failure = file < 0 ? errno : segment_write(file, text, 0);

    if (failure == 0 && fsync(file) != 0)
        failure = errno;
    if (file >= 0)
        (void)close(file); /* synced, or of no use */
    if (failure == 0 &&
        (renameat(folders->store, TEMPORARY_NAME, folders->store, ERASURE_NAME) != 0 ||
         fsync(folders->store) != 0))
        failure = errno;
    errno = failure;
    return failure == 0 || error_set_errno(error, ERASURE_NAME ": cannot write");
}

bool erasure_note(const struct store_folders *folders, const uint64_t *indices, size_t count,
                  struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, NOTE_MAX);
    for (size_t i = 0; i < count; i++)
        buf_printf(&text, "%" PRIu64 "\n", indices[i]);
    buf_add_text(&text, NOTE_END);
    if (!buf_is_ok(&text))
        return error_set(error, ERROR_MEMORY, "no memory to note what is erased");
    return write_note(folders, buf_str(&text), error);
}

bool pruning_note(const struct store_folders *folders, const struct pruning *pruning,
                  struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, NOTE_MAX);
    buf_printf(&text, NOTE_PRUNE "%" PRIu64 "\n", pruning->from);
    for (size_t i = 0; i < pruning->count; i++) {
        buf_add_hex(&text, (struct str){ (const char *)pruning->hashes[i], SHA256_LEN });
        buf_add_text(&text, "\n");
    }
    buf_add_text(&text, NOTE_END);
    if (!buf_is_ok(&text))
        return error_set(error, ERROR_MEMORY, "no memory to note what is pruned");
    return write_note(folders, buf_str(&text), error);
}

bool erasure_end(const struct store_folders *folders, struct error *error)
{
    if (unlinkat(folders->store, ERASURE_NAME, 0) == 0 && fsync(folders->store) == 0)
        return true;
    return errno == ENOENT || error_set_errno(error, ERASURE_NAME ": cannot remove");
}

static bool read_number(struct str text, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' ||
            __builtin_mul_overflow(*number, (uint64_t)10, number) ||
            __builtin_add_overflow(*number, (uint64_t)(text.data[i] - '0'), number))
            return false;
    }
    return text.len > 0;
}

/* The indices of a note; false where it is none that we wrote. */
static bool parse_note(struct str text, uint64_t *indices, size_t *count)
{
    struct str line = { 0 };

    *count = 0;
    while (str_cut(text, '\n', &line, &text)) {
        if (str_eq(line, STR("end")))
            return text.len == 0;
        if (*count == STORE_ERASE_MAX || !read_number(line, &indices[*count]) ||
            (*count > 0 && indices[*count] <= indices[*count - 1]))
            return false;
        (*count)++;
    }
    return false;
}

static bool parse_pruning(struct str text, struct pruning *pruning)
{
    struct str line = { 0 };

    if (!str_cut(text, '\n', &line, &text) ||
        !read_number(str_slice(line, sizeof(NOTE_PRUNE) - 1, line.len), &pruning->from))
        return false;
    while (str_cut(text, '\n', &line, &text)) {
        if (str_eq(line, STR("end")))
            return text.len == 0;
        if (pruning->count == STORE_PRUNE_MAX || line.len != (size_t)2 * SHA256_LEN ||
            !hex_decode(line, pruning->hashes[pruning->count]))
            return false;
        pruning->count++;
    }
    return false;
}

static bool resume_pruning(const struct store_folders *folders, struct str text,
                           struct error *error)
{
    OWNED(pruning_release)
    struct pruning pruning = { .hashes = calloc(STORE_PRUNE_MAX, SHA256_LEN) };

    if (pruning.hashes == NULL)
        return error_set(error, ERROR_MEMORY, "no memory to finish a pruning");
    if (!parse_pruning(text, &pruning))
        return error_set(error, ERROR_INVALID, ERASURE_NAME ": damaged");
    return pruning_run(folders, &pruning, error);
}

static bool resume(const struct store_folders *folders, int file, struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };
    uint64_t *indices = malloc(STORE_ERASE_MAX * sizeof(*indices));
    char piece[4096];
    size_t count = 0;
    ssize_t len = 0;
    bool is_done = false;

    buf_init(&text, NOTE_MAX);
    while ((len = read(file, piece, sizeof(piece))) > 0)
        buf_add(&text, (struct str){ piece, (size_t)len });
    if (indices == NULL)
        (void)error_set(error, ERROR_MEMORY, "no memory to finish an erasure");
    else if (len < 0)
        (void)error_set_errno(error, ERASURE_NAME ": cannot read");
    else if (buf_is_ok(&text) && str_starts_with(buf_str(&text), STR(NOTE_PRUNE)))
        is_done = resume_pruning(folders, buf_str(&text), error);
    else if (!buf_is_ok(&text) || !parse_note(buf_str(&text), indices, &count))
        (void)error_set(error, ERROR_INVALID, ERASURE_NAME ": damaged");
    else
        is_done = erasure_run(folders, indices, count, error);
    free(indices);
    return is_done;
}

bool erasure_resume(const struct store_folders *folders, bool *was_interrupted, struct error *error)
{
    int file = openat(folders->store, ERASURE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool is_done = false;

    *was_interrupted = file >= 0;
    if (file < 0)
        return errno == ENOENT || error_set_errno(error, ERASURE_NAME ": cannot open");
    is_done = resume(folders, file, error);
    (void)close(file); /* read-only, nothing to lose */
    return is_done;
}
