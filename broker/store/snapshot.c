/*
 * The file: magic, position, then rows, each a letter and its fields ('M' a mark, 'L' a lease,
 * 'A' an approval, 'B' a block), 'E', and the CRC-32C of all before it. Numbers are big-endian.
 */
#include "store/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/error.h"
#include "store/bytes.h"

#define SNAPSHOT_TEMPORARY "snapshot.new"
/* Of earlier ones rows say too little: the log is read again. */
#define SNAPSHOT_MAGIC "SPSNAP4\n"
#define MAGIC_LEN 8
#define POSITION_LEN 48
#define MARK_ROW_LEN (MARK_KEPT_LEN + STORE_HOLDER_LEN + 1 + 8 + 8 + 8)
#define LEASE_KEYS_LEN ((size_t)STORE_KEY_COUNT * STORE_KEY_LEN)
#define LEASE_SMALL_LEN (4 + 4 + 2 + 2 + 2)
#define LEASE_NUMBERS ((size_t)8)
#define LEASE_ROW_LEN                                                                              \
    (ID_LEN + STORE_HANDLE_LEN + LEASE_KEYS_LEN + LEASE_SMALL_LEN + LEASE_NUMBERS * 8)
#define BLOCK_ROW_LEN (ID_LEN + 8 + 8)
#define APPROVAL_SMALL_LEN 3
#define APPROVAL_ROW_LEN (ID_LEN + 32 + 32 + APPROVAL_SMALL_LEN + (size_t)4 * 8)
#define APPROVALS_A_PIECE 256
#define CRC_LEN 4
#define WINDOW_LEN ((size_t)256 * 1024)

/* Writes through a piece of memory and keeps the checksum; the first failure stays. */
struct sink {
    int file;
    uint8_t *window;
    size_t len;
    uint32_t crc;
    int failure;
};

static void sink_flush(struct sink *sink)
{
    size_t done = 0;

    sink->crc = crc32c(sink->crc, (struct str){ (const char *)sink->window, sink->len });
    while (sink->failure == 0 && done < sink->len) {
        ssize_t count = write(sink->file, sink->window + done, sink->len - done);

        if (count > 0)
            done += (size_t)count;
        else if (count == 0 || errno != EINTR)
            sink->failure = count == 0 ? ENOSPC : errno;
    }
    sink->len = 0;
}

static void sink_add(struct sink *sink, const void *bytes, size_t len)
{
    if (sink->len + len > WINDOW_LEN)
        sink_flush(sink);
    memcpy(sink->window + sink->len, bytes, len);
    sink->len += len;
}

static void sink_add_u64(struct sink *sink, uint64_t value)
{
    uint8_t bytes[8];

    put_u64(bytes, value);
    sink_add(sink, bytes, sizeof(bytes));
}

static void put_position(struct sink *sink, const struct log_position *position)
{
    sink_add(sink, SNAPSHOT_MAGIC, MAGIC_LEN);
    sink_add_u64(sink, position->size);
    sink_add_u64(sink, position->segment);
    sink_add_u64(sink, position->offset);
    sink_add_u64(sink, position->last_frame);
    sink_add_u64(sink, position->last_index);
    sink_add_u64(sink, (uint64_t)position->time_ms);
}

static void put_mark(struct sink *sink, uint8_t shard, const struct mark *slot)
{
    struct store_mark mark = mark_read(slot);

    sink_add(sink, "M", 1);
    sink_add(sink, &shard, 1);
    sink_add(sink, slot->key, sizeof(slot->key));
    sink_add(sink, mark.holder, sizeof(mark.holder));
    sink_add(sink, &slot->uses, 1);
    sink_add_u64(sink, (uint64_t)mark.expires_s);
    sink_add_u64(sink, mark.first_index);
    sink_add_u64(sink, mark.latest_index);
}

static void put_lease(struct sink *sink, const struct store_lease *lease)
{
    const uint64_t numbers[LEASE_NUMBERS] = {
        (uint64_t)lease->expires_s, (uint64_t)lease->kept_until_s, (uint64_t)lease->opened_s,
        (uint64_t)lease->renewed_s, (uint64_t)lease->ended_s,      lease->opened_index,
        lease->latest_index,        lease->credentials_index,
    };
    uint8_t small[LEASE_SMALL_LEN] = { (uint8_t)lease->state, (uint8_t)lease->debt,
                                       (uint8_t)lease->outcome, lease->has_credentials };

    put_u32(small + 4, lease->version);
    put_u16(small + 8, lease->attempt);
    put_u16(small + 10, lease->heartbeat_s);
    put_u16(small + 12, lease->renewal);
    sink_add(sink, "L", 1);
    sink_add(sink, lease->id, ID_LEN);
    sink_add(sink, lease->handle, sizeof(lease->handle));
    sink_add(sink, lease->keys, LEASE_KEYS_LEN);
    sink_add(sink, small, sizeof(small));
    for (size_t i = 0; i < LEASE_NUMBERS; i++)
        sink_add_u64(sink, numbers[i]);
}

/* A shard's or block's rows, copied under the lock; the writing is done without it. */
struct piece {
    struct mark *marks;
    size_t mark_count;
    size_t mark_capacity;
    struct store_lease leases[LEASE_BLOCK];
    size_t lease_count;
    struct store_approval approvals[APPROVALS_A_PIECE];
};

static bool reserve_marks(struct piece *piece, size_t count)
{
    struct mark *grown = NULL;

    if (count <= piece->mark_capacity)
        return true;
    grown = realloc(piece->marks, count * sizeof(*grown));
    if (grown == NULL)
        return false;
    piece->marks = grown;
    piece->mark_capacity = count;
    return true;
}

static bool copy_shard(struct state *state, size_t index, struct piece *piece)
{
    const struct mark_shard *shard = &state->marks.shards[index];
    bool is_copied = false;

    piece->mark_count = 0;
    (void)pthread_mutex_lock(&state->lock);
    is_copied = reserve_marks(piece, shard->count);
    for (uint32_t i = 0; is_copied && i < shard->capacity; i++) {
        if (shard->slots[i].uses != 0)
            piece->marks[piece->mark_count++] = shard->slots[i];
    }
    (void)pthread_mutex_unlock(&state->lock);
    return is_copied;
}

static bool put_marks(struct sink *sink, struct state *state, struct piece *piece)
{
    for (size_t shard = 0; shard < MARK_SHARDS; shard++) {
        if (!copy_shard(state, shard, piece))
            return false;
        for (size_t i = 0; i < piece->mark_count; i++)
            put_mark(sink, (uint8_t)shard, &piece->marks[i]);
    }
    return true;
}

static void copy_block(struct state *state, size_t block, struct piece *piece)
{
    (void)pthread_mutex_lock(&state->lock);
    piece->lease_count = leases_read_block(&state->leases, block, piece->leases);
    (void)pthread_mutex_unlock(&state->lock);
}

static void put_leases(struct sink *sink, struct state *state, struct piece *piece)
{
    for (size_t block = 0; block < LEASE_BLOCKS_MAX; block++) {
        copy_block(state, block, piece);
        for (size_t i = 0; i < piece->lease_count; i++)
            put_lease(sink, &piece->leases[i]);
    }
}

/* Few enough to be copied at once. */
static bool put_blocks(struct sink *sink, struct state *state)
{
    struct store_blocks *blocks = malloc(sizeof(*blocks));

    if (blocks == NULL)
        return false;
    state_blocks(state, blocks);
    for (size_t i = 0; i < blocks->count; i++) {
        sink_add(sink, "B", 1);
        sink_add(sink, blocks->rows[i].id, ID_LEN);
        sink_add_u64(sink, (uint64_t)blocks->rows[i].expires_s);
        sink_add_u64(sink, blocks->rows[i].index);
    }
    free(blocks);
    return true;
}

static size_t people_len(const struct store_approval *approval)
{
    return (size_t)approval->person_count * STORE_PERSON_LEN;
}

static void put_approval(struct sink *sink, const struct store_approval *approval)
{
    const uint8_t small[APPROVAL_SMALL_LEN] = { (uint8_t)approval->state, approval->person_count,
                                                approval->is_break_glass };

    sink_add(sink, "A", 1);
    sink_add(sink, approval->id, ID_LEN);
    sink_add(sink, approval->code_sha256, sizeof(approval->code_sha256));
    sink_add(sink, approval->digest, sizeof(approval->digest));
    sink_add(sink, small, sizeof(small));
    sink_add_u64(sink, approval->version);
    sink_add_u64(sink, (uint64_t)approval->expires_s);
    sink_add_u64(sink, approval->opened_index);
    sink_add_u64(sink, approval->latest_index);
    sink_add(sink, approval->people, people_len(approval));
}

static void put_approvals(struct sink *sink, struct state *state, struct piece *piece)
{
    size_t place = 0;
    size_t count = 0;

    do {
        (void)pthread_mutex_lock(&state->lock);
        count = approvals_read(&state->approvals, &place, piece->approvals, APPROVALS_A_PIECE);
        (void)pthread_mutex_unlock(&state->lock);
        for (size_t i = 0; i < count; i++)
            put_approval(sink, &piece->approvals[i]);
    } while (count > 0);
}

static void put_end(struct sink *sink)
{
    uint8_t crc[CRC_LEN];

    sink_add(sink, "E", 1);
    sink_flush(sink);
    put_u32(crc, sink->crc);
    sink_add(sink, crc, sizeof(crc));
    sink_flush(sink);
}

static bool put_all(struct sink *sink, struct state *state, const struct log_position *position,
                    struct error *error)
{
    struct piece *piece = calloc(1, sizeof(*piece));
    bool is_complete = false;

    if (piece == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a snapshot");
    put_position(sink, position);
    is_complete = put_marks(sink, state, piece);
    put_leases(sink, state, piece);
    put_approvals(sink, state, piece);
    is_complete = is_complete && put_blocks(sink, state);
    put_end(sink);
    free(piece->marks);
    free(piece);
    if (!is_complete)
        return error_set(error, ERROR_MEMORY, "no memory for a snapshot");
    if (sink->failure == 0 && fsync(sink->file) != 0)
        sink->failure = errno;
    errno = sink->failure;
    return sink->failure == 0 || error_set_errno(error, SNAPSHOT_TEMPORARY ": cannot write");
}

static bool put_file(int file, struct state *state, const struct log_position *position,
                     struct error *error)
{
    struct sink sink = { .file = file, .window = malloc(WINDOW_LEN) };
    bool is_written = false;

    if (sink.window == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a snapshot");
    is_written = put_all(&sink, state, position, error);
    free(sink.window);
    return is_written;
}

bool snapshot_write(int folder, struct state *state, const struct log_position *position,
                    struct error *error)
{
    int file = openat(folder, SNAPSHOT_TEMPORARY,
                      O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool is_written = false;

    if (file < 0)
        return error_set_errno(error, SNAPSHOT_TEMPORARY ": cannot open");
    is_written = put_file(file, state, position, error);
    (void)close(file); /* synced, or of no use */
    if (is_written &&
        (renameat(folder, SNAPSHOT_TEMPORARY, folder, SNAPSHOT_NAME) != 0 || fsync(folder) != 0))
        is_written = error_set_errno(error, SNAPSHOT_NAME ": cannot replace");
    if (!is_written)
        (void)unlinkat(folder, SNAPSHOT_TEMPORARY, 0); /* gives its space back */
    return is_written;
}

/* Reads through a piece of memory and keeps the checksum of what was taken. */
struct source {
    int file;
    uint8_t *window;
    size_t len;
    size_t taken;
    uint32_t crc;
};

static bool source_fill(struct source *source)
{
    memmove(source->window, source->window + source->taken, source->len - source->taken);
    source->len -= source->taken;
    source->taken = 0;
    while (source->len < WINDOW_LEN) {
        ssize_t count = read(source->file, source->window + source->len, WINDOW_LEN - source->len);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return false;
        if (count == 0)
            break;
        source->len += (size_t)count;
    }
    return true;
}

/* The next `len` bytes, or NULL where the file ends before. */
static const uint8_t *source_take(struct source *source, size_t len)
{
    const uint8_t *bytes = NULL;

    if (source->len - source->taken < len && !source_fill(source))
        return NULL;
    if (source->len - source->taken < len)
        return NULL;
    bytes = source->window + source->taken;
    source->crc = crc32c(source->crc, (struct str){ (const char *)bytes, len });
    source->taken += len;
    return bytes;
}

static bool get_position(struct source *source, struct log_position *position)
{
    const uint8_t *bytes = source_take(source, MAGIC_LEN + POSITION_LEN);

    if (bytes == NULL || memcmp(bytes, SNAPSHOT_MAGIC, MAGIC_LEN) != 0)
        return false;
    bytes += MAGIC_LEN;
    *position = (struct log_position){
        .size = get_u64(bytes),
        .segment = get_u64(bytes + 8),
        .offset = get_u64(bytes + 16),
        .last_frame = get_u64(bytes + 24),
        .last_index = get_u64(bytes + 32),
        .time_ms = (int64_t)get_u64(bytes + 40),
    };
    return true;
}

static bool get_mark(struct source *source, struct state *state)
{
    const uint8_t *bytes = source_take(source, MARK_ROW_LEN);
    struct store_mark mark = { 0 };
    uint8_t key[MARK_LEN] = { 0 };

    if (bytes == NULL)
        return false;
    memcpy(key, bytes, MARK_KEPT_LEN);
    bytes += MARK_KEPT_LEN;
    memcpy(mark.holder, bytes, sizeof(mark.holder));
    bytes += sizeof(mark.holder);
    mark.uses = bytes[0];
    mark.expires_s = (int64_t)get_u64(bytes + 1);
    mark.first_index = get_u64(bytes + 9);
    mark.latest_index = get_u64(bytes + 17);
    return mark.uses > 0 && mark.expires_s > 0 && state->marks.count < MARKS_MAX &&
           marks_set(&state->marks, key, &mark);
}

/* What else a lease says; false where it makes no sense. */
static bool get_small(const uint8_t bytes[LEASE_SMALL_LEN], struct store_lease *lease)
{
    lease->state = bytes[0];
    lease->debt = bytes[1];
    lease->outcome = bytes[2];
    lease->has_credentials = bytes[3] != 0;
    lease->version = get_u32(bytes + 4);
    lease->attempt = get_u16(bytes + 8);
    lease->heartbeat_s = get_u16(bytes + 10);
    lease->renewal = get_u16(bytes + 12);
    return bytes[0] >= LEASE_REQUESTED && bytes[0] <= LEASE_UNKNOWN && bytes[1] >= DEBT_NONE &&
           bytes[1] <= DEBT_LAPSES && bytes[2] <= OUTCOME_FAILURE;
}

static void get_numbers(const uint8_t *bytes, struct store_lease *lease)
{
    lease->expires_s = (int64_t)get_u64(bytes);
    lease->kept_until_s = (int64_t)get_u64(bytes + 8);
    lease->opened_s = (int64_t)get_u64(bytes + 16);
    lease->renewed_s = (int64_t)get_u64(bytes + 24);
    lease->ended_s = (int64_t)get_u64(bytes + 32);
    lease->opened_index = get_u64(bytes + 40);
    lease->latest_index = get_u64(bytes + 48);
    lease->credentials_index = get_u64(bytes + 56);
}

static bool get_lease(struct source *source, struct state *state)
{
    const uint8_t *bytes = source_take(source, LEASE_ROW_LEN);
    struct store_lease lease = { 0 };

    if (bytes == NULL)
        return false;
    memcpy(lease.id, bytes, ID_LEN);
    bytes += ID_LEN;
    memcpy(lease.handle, bytes, sizeof(lease.handle));
    bytes += sizeof(lease.handle);
    memcpy(lease.keys, bytes, LEASE_KEYS_LEN);
    bytes += LEASE_KEYS_LEN;
    get_numbers(bytes + LEASE_SMALL_LEN, &lease);
    return get_small(bytes, &lease) && leases_restore(&state->leases, &lease);
}

static bool get_block(struct source *source, struct state *state)
{
    const uint8_t *bytes = source_take(source, BLOCK_ROW_LEN);
    struct store_block block = { 0 };

    if (bytes == NULL)
        return false;
    memcpy(block.id, bytes, ID_LEN);
    block.expires_s = (int64_t)get_u64(bytes + ID_LEN);
    block.index = get_u64(bytes + ID_LEN + 8);
    return blocks_restore(&state->blocks, &block);
}

static bool get_approval(struct source *source, struct state *state)
{
    const uint8_t *bytes = source_take(source, APPROVAL_ROW_LEN);
    struct store_approval approval = { 0 };

    if (bytes == NULL)
        return false;
    memcpy(approval.id, bytes, ID_LEN);
    bytes += ID_LEN;
    memcpy(approval.code_sha256, bytes, sizeof(approval.code_sha256));
    memcpy(approval.digest, bytes + 32, sizeof(approval.digest));
    bytes += 64;
    approval.state = bytes[0];
    approval.person_count = bytes[1];
    approval.is_break_glass = bytes[2] != 0;
    bytes += APPROVAL_SMALL_LEN;
    approval.version = (uint32_t)get_u64(bytes);
    approval.expires_s = (int64_t)get_u64(bytes + 8);
    approval.opened_index = get_u64(bytes + 16);
    approval.latest_index = get_u64(bytes + 24);
    if (people_len(&approval) > sizeof(approval.people))
        return false;
    bytes = source_take(source, people_len(&approval));
    if (bytes == NULL)
        return false;
    memcpy(approval.people, bytes, people_len(&approval));
    return approvals_restore(&state->approvals, &approval);
}

static bool get_row(struct source *source, uint8_t kind, struct state *state)
{
    switch (kind) {
    case 'M':
        return get_mark(source, state);
    case 'L':
        return get_lease(source, state);
    case 'A':
        return get_approval(source, state);
    case 'B':
        return get_block(source, state);
    default:
        return false;
    }
}

static bool get_end(struct source *source)
{
    uint32_t crc = source->crc;
    const uint8_t *bytes = source_take(source, CRC_LEN);

    return bytes != NULL && get_u32(bytes) == crc && source_take(source, 1) == NULL;
}

static bool get_rows(struct source *source, struct state *state)
{
    for (;;) {
        const uint8_t *kind = source_take(source, 1);

        if (kind == NULL)
            return false;
        if (*kind == 'E')
            return get_end(source);
        if (!get_row(source, *kind, state))
            return false;
    }
}

bool snapshot_read(int folder, struct state *state, struct log_position *position,
                   struct error *error)
{
    struct source source = { 0 };
    bool is_read = false;
    int file = openat(folder, SNAPSHOT_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (file < 0 && errno == ENOENT)
        return error_set(error, ERROR_NOT_FOUND, "no snapshot");
    if (file < 0)
        return error_set_errno(error, SNAPSHOT_NAME ": cannot open");
    source = (struct source){ .file = file, .window = malloc(WINDOW_LEN) };
    is_read = source.window != NULL && get_position(&source, position) &&
              get_rows(&source, state) && leases_link(&state->leases, position->time_ms / 1000);
    free(source.window);
    (void)close(file); /* read-only, nothing to lose */
    if (is_read)
        return true;
    state_clear(state);
    return error_set(error, ERROR_INVALID, SNAPSHOT_NAME ": damaged");
}
