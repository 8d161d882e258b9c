#include "store/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "store/frame.h"

/* Ask for more zeros when less than this is left, and for so many more. */
#define LOW_LEN ((uint64_t)2 * 1024 * 1024)
#define STEP_LEN ((uint64_t)4 * 1024 * 1024)

/* What one proposal takes at most, about. */
#define PROPOSAL_LEN_MAX ((uint64_t)320 * 1024)

/* How far zeros should go for `need` more bytes behind `used`: some more, but not past the segment.
 */
static uint64_t zeros_for(const struct writer *writer, uint64_t used, uint64_t need)
{
    uint64_t least = used + need;
    uint64_t ahead =
        least + STEP_LEN < writer->segment_len ? least + STEP_LEN : writer->segment_len;

    ahead = (ahead > least ? ahead : least) + WRITER_RESERVE_LEN;
    return ROUND_UP(ahead, FILE_DIRECT_ALIGNMENT);
}

/* Read all of it: 0 or an errno value. */
static int read_all(int file, char *bytes, size_t len, uint64_t offset)
{
    while (len > 0) {
        ssize_t count = pread(file, bytes, len, (off_t)offset);

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? errno : EIO;
        bytes += count;
        len -= (size_t)count;
        offset += (uint64_t)count;
    }
    return 0;
}

/*
 * Write the last frame once more. A process that was killed, or fenced itself after a failed sync,
 * leaves one that can be read but may be on no disk; and after a failed sync the system takes what
 * it could not write for written, so that only another write brings it there. Frames before it were
 * synced before it was written.
 */
static int rewrite_last(const struct writer *writer)
{
    size_t len = (size_t)(writer->used - writer->last_frame);
    char *bytes = NULL;
    int failure = 0;

    if (len == 0)
        return 0;
    bytes = malloc(len);
    if (bytes == NULL)
        return ENOMEM;
    failure = read_all(writer->file, bytes, len, writer->last_frame);
    if (failure == 0)
        failure = segment_write(writer->file, (struct str){ bytes, len }, writer->last_frame);
    free(bytes);
    return failure;
}

/* All that is there is durable, and with `is_torn` there are zeros behind it. */
static bool settle_end(const struct writer *writer, bool is_torn, uint64_t size,
                       struct error *error)
{
    int failure = rewrite_last(writer);

    if (failure == 0 && is_torn && size > writer->used)
        failure = segment_write_zeros(writer->file, writer->used, size - writer->used);
    if (failure == 0 && fdatasync(writer->file) != 0)
        failure = errno;
    if (failure == 0)
        return true;
    errno = failure;
    return error_set_errno(error, "cannot make the end of the log durable");
}

bool writer_open(struct writer *writer, bool is_torn, struct error *error)
{
    char name[SEGMENT_NAME_LEN + 1];
    struct stat status;

    segment_name(writer->first_index, name);
    writer->file = openat(writer->folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (writer->file < 0 || fstat(writer->file, &status) != 0 || fsync(writer->folder) != 0)
        return error_set_errno(error, "segment %s: cannot open", name);
    if (!settle_end(writer, is_torn, (uint64_t)status.st_size, error))
        return false;
    writer->grower.folder = writer->folder;
    if (!grower_start(&writer->grower, writer->first_index, (uint64_t)status.st_size, error))
        return false;
    (void)writer_look_for_space(writer);
    return true;
}

void writer_close(struct writer *writer)
{
    grower_stop(&writer->grower);
    if (writer->file >= 0)
        (void)close(writer->file); /* all that counts is synced */
    writer->file = -1;
}

/* A failed write leaves nothing behind, or the segment cannot be trusted. */
static enum writer_outcome undo_write(const struct writer *writer, size_t len, int failure)
{
    struct stat status;
    uint64_t rest = 0;

    if (!grower_is_space(failure) || fstat(writer->file, &status) != 0)
        return WRITER_BROKEN;
    rest = (uint64_t)status.st_size > writer->used ? (uint64_t)status.st_size - writer->used : 0;
    if (segment_write_zeros(writer->file, writer->used, rest < len ? rest : len) != 0 ||
        fdatasync(writer->file) != 0)
        return WRITER_BROKEN;
    return WRITER_NO_SPACE;
}

/*
 * The frame with the zeros behind it up to a page's end, where zeros stand already: so no page is
 * written in part that the page cache does not have, which would be read from the disk first.
 */
static struct str whole_pages(const struct writer *writer, struct str frame, uint64_t zeroed)
{
    uint64_t end = writer->used + frame.len;
    uint64_t page_end = ROUND_UP(end, FILE_DIRECT_ALIGNMENT);

    _Static_assert(FRAME_ZEROS_BEHIND > FILE_DIRECT_ALIGNMENT - 1,
                   "as many zeros as a page can lack");
    page_end = page_end > zeroed && zeroed >= end ? zeroed : page_end;
    return (struct str){ frame.data, (size_t)(page_end - writer->used) };
}

static enum writer_outcome write_frame(struct writer *writer, struct str frame)
{
    struct str written = frame;
    uint64_t zeroed = 0;
    int failure = 0;

    if (grower_look(&writer->grower, &zeroed))
        written = whole_pages(writer, frame, zeroed);
    failure = segment_write(writer->file, written, writer->used);
    if (failure != 0)
        return undo_write(writer, written.len, failure);
    if (fdatasync(writer->file) != 0)
        return WRITER_BROKEN;
    writer->last_frame = writer->used;
    writer->used += frame.len;
    return WRITER_DURABLE;
}

/* Start the next segment; the zeros at the old one's end are given back. */
static enum writer_outcome roll(struct writer *writer, uint64_t index, uint64_t need)
{
    int file = -1;
    int failure = grower_roll(&writer->grower, index, zeros_for(writer, 0, need), &file);
    int cut;

    if (failure != 0)
        return grower_is_space(failure) ? WRITER_NO_SPACE : WRITER_BROKEN;
    cut = ftruncate(writer->file, (off_t)writer->used);
    (void)cut;                 /* where it fails space is lost, no more */
    (void)close(writer->file); /* all that counts is synced */
    writer->file = file;
    writer->first_index = index;
    writer->used = 0;
    writer->last_frame = 0;
    return WRITER_DURABLE;
}

/* Whether `need` bytes fit into the zeros, with the reserve or without it. */
static bool fits_zeros(const struct writer *writer, uint64_t need, uint64_t zeroed,
                       bool is_revocation)
{
    uint64_t reserve = is_revocation ? 0 : WRITER_RESERVE_LEN;

    return writer->used + need + reserve <= zeroed;
}

static enum writer_outcome make_room(struct writer *writer, uint64_t need, bool is_revocation)
{
    uint64_t zeroed = 0;
    int failure = 0;

    if (!grower_look(&writer->grower, &zeroed))
        return WRITER_BROKEN;
    if (fits_zeros(writer, need, zeroed, is_revocation))
        return WRITER_DURABLE;
    failure = grower_wait(&writer->grower, zeros_for(writer, writer->used, need));
    if (!grower_look(&writer->grower, &zeroed))
        return WRITER_BROKEN;
    if (fits_zeros(writer, need, zeroed, is_revocation))
        return WRITER_DURABLE;
    return failure == 0 || grower_is_space(failure) ? WRITER_NO_SPACE : WRITER_BROKEN;
}

/* Have the grower work ahead, so that the next append need not wait for it. */
static void ask_ahead(struct writer *writer)
{
    uint64_t zeroed = 0;

    if (!grower_look(&writer->grower, &zeroed))
        return;
    if (writer->used + writer->segment_len / 4 >= writer->segment_len ||
        writer->used + PROPOSAL_LEN_MAX > writer->segment_len)
        grower_want_spare(&writer->grower, zeros_for(writer, 0, PROPOSAL_LEN_MAX));
    if (zeroed < writer->used + LOW_LEN + WRITER_RESERVE_LEN)
        grower_want(&writer->grower, zeros_for(writer, writer->used, 0));
}

enum writer_outcome writer_append(struct writer *writer, struct str frame, uint64_t index,
                                  bool is_revocation)
{
    enum writer_outcome outcome = WRITER_DURABLE;

    if (writer->used > 0 && writer->used + frame.len > writer->segment_len) {
        outcome = roll(writer, index, frame.len);
        /* What may use the reserve stays in the old segment where there is no new one. */
        if (outcome == WRITER_BROKEN || (outcome == WRITER_NO_SPACE && !is_revocation))
            return outcome;
    }
    outcome = make_room(writer, frame.len, is_revocation);
    if (outcome == WRITER_DURABLE)
        outcome = write_frame(writer, frame);
    if (outcome == WRITER_DURABLE)
        ask_ahead(writer);
    return outcome;
}

bool writer_is_sound(struct writer *writer)
{
    uint64_t zeroed = 0;

    return grower_look(&writer->grower, &zeroed);
}

bool writer_look_for_space(struct writer *writer)
{
    uint64_t zeroed = 0;

    ask_ahead(writer);
    if (!grower_look(&writer->grower, &zeroed))
        return false;
    return fits_zeros(writer, PROPOSAL_LEN_MAX, zeroed, false) || grower_has_spare(&writer->grower);
}
