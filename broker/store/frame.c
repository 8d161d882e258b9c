#include "store/frame.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "store/bytes.h"
#include "store/store.h"

#define FRAME_MAGIC 0xF5535031U /* F5 "SP1" */
#define RECORD_HEAD_LEN 8
#define PRIVATE_CRC_LEN 4

/* A batch stops growing here, so that waiting for one stays short. One proposal always fits. */
#define BATCH_LEN_MAX ((size_t)1024 * 1024)

/* The head and the most records' heads. */
#define HEADS_MAX (FRAME_HEAD_LEN + (size_t)FRAME_ENTRIES_MAX * RECORD_HEAD_LEN)

enum head_offset {
    HEAD_MAGIC = 0,
    HEAD_ENTRY_COUNT = 4,
    HEAD_FIRST_INDEX = 8,
    HEAD_TIME = 16,
    HEAD_BODY_LEN = 24,
    HEAD_PRIVATE_LEN = 28,
    HEAD_BODY_CRC = 32,
    HEAD_CRC = 36,
};

static struct str bytes_str(const uint8_t *bytes, size_t len)
{
    return (struct str){ (const char *)bytes, len };
}

static size_t unpadded_len(const struct frame_head *head)
{
    return (size_t)FRAME_HEAD_LEN + head->body_len + head->private_len;
}

bool frame_head_read(const uint8_t bytes[FRAME_HEAD_LEN], struct frame_head *head)
{
    struct frame_head read = {
        .entry_count = get_u32(bytes + HEAD_ENTRY_COUNT),
        .first_index = get_u64(bytes + HEAD_FIRST_INDEX),
        .time_ms = (int64_t)get_u64(bytes + HEAD_TIME),
        .body_len = get_u32(bytes + HEAD_BODY_LEN),
        .private_len = get_u32(bytes + HEAD_PRIVATE_LEN),
        .body_crc = get_u32(bytes + HEAD_BODY_CRC),
    };

    if (get_u32(bytes + HEAD_MAGIC) != FRAME_MAGIC)
        return false;
    if (get_u32(bytes + HEAD_CRC) != crc32c(0, bytes_str(bytes, HEAD_CRC)))
        return false;
    if (read.entry_count == 0 || read.entry_count > FRAME_ENTRIES_MAX || read.time_ms < 0)
        return false;
    if (read.body_len > FRAME_BODY_MAX || read.private_len > FRAME_PRIVATE_MAX)
        return false;
    if (read.body_len < read.entry_count * RECORD_HEAD_LEN)
        return false;
    *head = read;
    return true;
}

size_t frame_len(const struct frame_head *head)
{
    return ROUND_UP(unpadded_len(head), FRAME_ALIGNMENT);
}

static const uint8_t *record_head(const struct frame *frame, uint32_t position)
{
    return frame->bytes + FRAME_HEAD_LEN + (size_t)position * RECORD_HEAD_LEN;
}

static size_t private_stored_len(const uint8_t *record)
{
    uint32_t len = get_u32(record + 4);

    return len == 0 ? 0 : (size_t)len + PRIVATE_CRC_LEN;
}

/* Whether the records' lengths add up to what the head says. */
static bool lengths_fit(const struct frame *frame)
{
    uint64_t body_len = (uint64_t)frame->head.entry_count * RECORD_HEAD_LEN;
    uint64_t private_len = 0;

    for (uint32_t i = 0; i < frame->head.entry_count; i++) {
        body_len += get_u32(record_head(frame, i));
        private_len += private_stored_len(record_head(frame, i));
    }
    return body_len == frame->head.body_len && private_len == frame->head.private_len;
}

static bool is_padding_zero(const uint8_t *bytes, const struct frame_head *head)
{
    for (size_t i = unpadded_len(head); i < frame_len(head); i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/*
 * What the tree says of their hashes takes the checksum's place. A hash of zeros is none: of a
 * frame whose first sector alone reached the disk the entries are the zeros that were there.
 */
static bool is_pruned(const struct frame *frame)
{
    const uint8_t *entry = record_head(frame, frame->head.entry_count);

    for (uint32_t i = 0; i < frame->head.entry_count; i++) {
        size_t len = get_u32(record_head(frame, i));

        if (len < STORE_PRUNED_LEN || entry[0] != 0 || is_zero(entry, STORE_PRUNED_LEN) ||
            !is_zero(entry + STORE_PRUNED_LEN, len - STORE_PRUNED_LEN))
            return false;
        entry += len;
    }
    return true;
}

static void go_to_first(struct frame *frame)
{
    size_t entries = FRAME_HEAD_LEN + (size_t)frame->head.entry_count * RECORD_HEAD_LEN;

    frame->at.position = 0;
    frame->at.entry = entries;
    frame->at.private_part = FRAME_HEAD_LEN + (size_t)frame->head.body_len;
}

static void go_to(struct frame *frame, uint32_t position)
{
    if (position < frame->at.position)
        go_to_first(frame);
    for (; frame->at.position < position; frame->at.position++) {
        const uint8_t *record = record_head(frame, frame->at.position);

        frame->at.entry += get_u32(record);
        frame->at.private_part += private_stored_len(record);
    }
}

bool frame_read(const uint8_t *bytes, const struct frame_head *head, struct frame *frame)
{
    struct frame read = { .head = *head, .bytes = bytes };

    if (!lengths_fit(&read) || !is_padding_zero(bytes, head))
        return false;
    if (crc32c(0, bytes_str(bytes + FRAME_HEAD_LEN, head->body_len)) != head->body_crc &&
        !is_pruned(&read))
        return false;
    go_to_first(&read);
    *frame = read;
    return true;
}

struct str frame_entry(struct frame *frame, uint32_t position)
{
    size_t len = get_u32(record_head(frame, position));

    go_to(frame, position);
    if (len > STORE_PRUNED_LEN && frame->bytes[frame->at.entry] == 0)
        len = STORE_PRUNED_LEN;
    return bytes_str(frame->bytes + frame->at.entry, len);
}

size_t frame_private_place(struct frame *frame, uint32_t position, size_t *offset)
{
    go_to(frame, position);
    *offset = frame->at.private_part;
    return private_stored_len(record_head(frame, position));
}

bool frame_private(struct frame *frame, uint32_t position, struct str *part)
{
    size_t offset = 0;
    size_t len = frame_private_place(frame, position, &offset);
    struct str stored = { 0 };
    uint32_t crc = 0;

    *part = (struct str){ 0 };
    if (len == 0)
        return true;
    crc = get_u32(frame->bytes + offset);
    stored = bytes_str(frame->bytes + offset + PRIVATE_CRC_LEN, len - PRIVATE_CRC_LEN);
    if (crc == FRAME_ERASED) {
        *part = STR("");
        return true;
    }
    if (crc32c(0, stored) != crc)
        return false;
    *part = stored;
    return true;
}

bool frame_builder_init(struct frame_builder *builder)
{
    *builder = (struct frame_builder){
        .bytes = malloc(HEADS_MAX + BATCH_LEN_MAX + FRAME_ALIGNMENT + FRAME_ZEROS_BEHIND),
        .privates = malloc(BATCH_LEN_MAX),
    };
    return builder->bytes != NULL && builder->privates != NULL;
}

void frame_builder_release(struct frame_builder *builder)
{
    free(builder->bytes);
    free(builder->privates);
    *builder = (struct frame_builder){ 0 };
}

void frame_builder_clear(struct frame_builder *builder, uint64_t first_index)
{
    builder->first_index = first_index;
    builder->entry_count = 0;
    builder->entries_len = 0;
    builder->private_len = 0;
}

bool frame_builder_has_room(const struct frame_builder *builder, size_t entry_count, size_t bytes)
{
    size_t used = builder->entries_len + builder->private_len;

    return builder->entry_count + entry_count <= FRAME_ENTRIES_MAX &&
           used + bytes + entry_count * PRIVATE_CRC_LEN <= BATCH_LEN_MAX;
}

void frame_builder_add(struct frame_builder *builder, struct str entry, struct str private_part)
{
    uint8_t *head =
        builder->bytes + FRAME_HEAD_LEN + (size_t)builder->entry_count * RECORD_HEAD_LEN;

    assert(frame_builder_has_room(builder, 1, entry.len + private_part.len));
    put_u32(head, (uint32_t)entry.len);
    put_u32(head + 4, (uint32_t)private_part.len);
    memcpy(builder->bytes + HEADS_MAX + builder->entries_len, entry.data, entry.len);
    builder->entries_len += entry.len;
    if (private_part.len > 0) {
        put_u32(builder->privates + builder->private_len, crc32c(0, private_part));
        builder->private_len += PRIVATE_CRC_LEN;
        memcpy(builder->privates + builder->private_len, private_part.data, private_part.len);
        builder->private_len += private_part.len;
    }
    builder->entry_count++;
}

static void put_head(uint8_t *bytes, const struct frame_head *head)
{
    put_u32(bytes + HEAD_MAGIC, FRAME_MAGIC);
    put_u32(bytes + HEAD_ENTRY_COUNT, head->entry_count);
    put_u64(bytes + HEAD_FIRST_INDEX, head->first_index);
    put_u64(bytes + HEAD_TIME, (uint64_t)head->time_ms);
    put_u32(bytes + HEAD_BODY_LEN, head->body_len);
    put_u32(bytes + HEAD_PRIVATE_LEN, head->private_len);
    put_u32(bytes + HEAD_BODY_CRC, head->body_crc);
    put_u32(bytes + HEAD_CRC, crc32c(0, bytes_str(bytes, HEAD_CRC)));
}

struct str frame_builder_finish(struct frame_builder *builder, int64_t time_ms)
{
    size_t heads_len = (size_t)builder->entry_count * RECORD_HEAD_LEN;
    uint8_t *heads = builder->bytes + HEADS_MAX - heads_len;
    uint8_t *privates = builder->bytes + HEADS_MAX + builder->entries_len;
    struct frame_head head = {
        .first_index = builder->first_index,
        .entry_count = builder->entry_count,
        .time_ms = time_ms,
        .body_len = (uint32_t)(heads_len + builder->entries_len),
        .private_len = (uint32_t)builder->private_len,
    };

    /* The records' heads go where the entries begin, which is known only now. */
    memmove(heads, builder->bytes + FRAME_HEAD_LEN, heads_len);
    memcpy(privates, builder->privates, builder->private_len);
    memset(privates + builder->private_len, 0,
           frame_len(&head) - unpadded_len(&head) + FRAME_ZEROS_BEHIND);
    head.body_crc = crc32c(0, bytes_str(heads, head.body_len));
    put_head(heads - FRAME_HEAD_LEN, &head);
    return bytes_str(heads - FRAME_HEAD_LEN, frame_len(&head));
}
