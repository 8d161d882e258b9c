#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"
#include "stream/members.h"
#include "stream/stream.h"

struct arena;
struct buf;
struct error;
struct store_reader;

/** One entry to be sent, with what a receiver's form asks of it. */
struct stream_item {
    uint64_t index;
    struct str entry;        /* the leaf's bytes */
    struct str private_part; /* empty where there is none, or the stream sends none */
    struct str members[STREAM_MEMBER_COUNT]; /* as they stand in it, still escaped */
    const struct stream_severity *severity;
};

/** How grave an entry is, in the words of both syslog and OpenTelemetry. */
struct stream_severity {
    unsigned syslog; /* RFC 5424 6.2.1 */
    unsigned otlp;   /* SeverityNumber, as OpenTelemetry maps syslog's */
    const char *name;
};

/**
 * Entries that were read and not yet delivered, in order.
 *
 * Threads: confined
 */
struct stream_batch {
    struct stream_item items[STREAM_BATCH_ENTRIES_MAX];
    size_t count;
    size_t bytes;        /* of entries and private parts */
    uint64_t end;        /* entries below were looked at; those that `only` leaves out, too */
    struct arena *arena; /* of all that is in here; NULL where there is nothing */
};

/**
 * Fill an empty batch with entries from `next` on, as far as the reader sees.
 *
 * What cannot be read ends a batch that has something already, and is an error of one that has not.
 *
 * Errors: those of store_reader_get(), ERROR_INVALID (an entry that is no object), ERROR_MEMORY
 */
bool batch_fill(struct stream_batch *batch, const struct stream_options *options,
                struct store_reader *reader, uint64_t next, struct error *error) MUST_USE;

/** Forget what is in it. */
void batch_clear(struct stream_batch *batch);

/** Whether a stream takes entries of a type. */
bool batch_takes(const struct stream_options *options, struct str type);

/**
 * Append the form that files, syslog and webhooks have in common, without a line's end:
 * {"index":N,"entry":{...}}, with the leaf's exact bytes, and `private` where there is any.
 */
void item_write_json(const struct stream_item *item, struct buf *out);

/** How grave an entry is. */
const struct stream_severity *item_severity(const struct str members[STREAM_MEMBER_COUNT]);
