#include "stream/batch.h"

#include <inttypes.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "store/store.h"

#define ARENA_MAX ((size_t)8 * 1024 * 1024)

/* A stream that wants few entries of many looks at so many before it keeps its place. */
#define LOOKED_AT_MAX 20000

static const struct stream_severity error_severity = { 3, 17, "ERROR" };
static const struct stream_severity warning_severity = { 4, 13, "WARN" };
static const struct stream_severity notice_severity = { 5, 10, "NOTICE" };
static const struct stream_severity info_severity = { 6, 9, "INFO" };

/* Types that are not here are worth a notice. */
static const struct severity_row {
    const char *type;
    const struct stream_severity *severity;
} severity_rows[] = {
    { "admin.read", &info_severity },          { "approval.refused", &warning_severity },
    { "credential.issued", &info_severity },   { "credential.failed", &warning_severity },
    { "credential.unknown", &error_severity }, { "exchange.denied", &warning_severity },
    { "exchange.observed", &info_severity },   { "lease.expired", &info_severity },
    { "lease.released", &info_severity },      { "lease.renewed", &info_severity },
    { "lease.requested", &info_severity },     { "orphan.found", &error_severity },
    { "renewal.failed", &warning_severity },   { "renewal.requested", &info_severity },
};

const struct stream_severity *item_severity(const struct str members[STREAM_MEMBER_COUNT])
{
    struct str type = members[MEMBER_TYPE];

    /* a token that came again is a theft, or a job that cannot know better */
    if ((str_eq(type, STR("exchange.denied")) && str_eq(members[MEMBER_REASON], STR("replay"))) ||
        (str_eq(type, STR("lease.revoked")) &&
         str_eq(members[MEMBER_REASON], STR("refresh_reuse"))))
        return &error_severity;
    for (size_t i = 0; i < COUNT(severity_rows); i++)
        if (str_eq(type, str_from(severity_rows[i].type)))
            return severity_rows[i].severity;
    return &notice_severity;
}

static bool takes_one(struct str wanted, struct str type)
{
    if (!str_ends_with(wanted, STR(".*")))
        return str_eq(wanted, type);
    return str_starts_with(type, str_slice(wanted, 0, wanted.len - 1));
}

bool batch_takes(const struct stream_options *options, struct str type)
{
    for (size_t i = 0; i < options->only_count; i++)
        if (takes_one(options->only[i], type))
            return true;
    return options->only_count == 0;
}

void batch_clear(struct stream_batch *batch)
{
    arena_free(batch->arena);
    batch->arena = NULL;
    batch->count = 0;
    batch->bytes = 0;
}

/* The reader's bytes are borrowed until its next call. */
static bool add(struct stream_batch *batch, uint64_t index, struct str entry,
                struct str private_part, struct error *error)
{
    struct stream_item *item = &batch->items[batch->count];

    item->index = index;
    item->entry = arena_copy(batch->arena, entry);
    item->private_part = arena_copy(batch->arena, private_part);
    if (item->entry.data == NULL || item->private_part.data == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for entries");
    if (!stream_members_find(item->entry, item->members))
        return error_set(error, ERROR_INVALID, "it is no object");
    item->severity = item_severity(item->members);
    batch->bytes += entry.len + private_part.len;
    batch->count++;
    return true;
}

static bool is_wanted(const struct stream_options *options, struct str entry)
{
    struct str members[STREAM_MEMBER_COUNT];

    return options->only_count == 0 ||
           (stream_members_find(entry, members) && batch_takes(options, members[MEMBER_TYPE]));
}

static bool look_at(struct stream_batch *batch, const struct stream_options *options,
                    struct store_reader *reader, uint64_t index, struct error *error)
{
    struct str private_part = { 0 };
    struct str entry = { 0 };

    if (!store_reader_get(reader, index, &entry, options->with_private ? &private_part : NULL,
                          error))
        return false;
    if (store_entry_is_pruned(entry)) /* a receiver that was away for that long misses it */
        return true;
    return !is_wanted(options, entry) || add(batch, index, entry, private_part, error);
}

static bool has_room(const struct stream_batch *batch, const struct stream_options *options)
{
    size_t largest = STORE_ENTRY_MAX + (options->with_private ? STORE_PRIVATE_MAX : 0);

    return batch->count < options->batch_entries && batch->count < COUNT(batch->items) &&
           batch->bytes + largest <= options->batch_bytes;
}

bool batch_fill(struct stream_batch *batch, const struct stream_options *options,
                struct store_reader *reader, uint64_t next, struct error *error)
{
    uint64_t size = store_reader_size(reader);
    struct error cause = { 0 };

    batch->end = next;
    if (next >= size)
        return true;
    batch->arena = arena_new(ARENA_MAX);
    if (batch->arena == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for entries");
    while (batch->end < size && batch->end - next < LOOKED_AT_MAX && has_room(batch, options)) {
        if (!look_at(batch, options, reader, batch->end, &cause))
            break;
        batch->end++;
    }
    if (cause.code == ERROR_NONE || batch->end > next)
        return true;
    batch_clear(batch);
    return error_set(error, cause.code, "entry %" PRIu64 ": %s", next, cause.cause);
}

void item_write_json(const struct stream_item *item, struct buf *out)
{
    buf_printf(out, "{\"index\":%" PRIu64 ",\"entry\":", item->index);
    buf_add(out, item->entry);
    if (item->private_part.len > 0) {
        buf_add_text(out, ",\"private\":");
        buf_add(out, item->private_part);
    }
    buf_add_byte(out, '}');
}
