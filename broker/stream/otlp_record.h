#pragma once

#include <stddef.h>

#include "base/str.h"

struct buf;
struct stream_item;

/**
 * Append one entry as an OTLP LogRecord in JSON.
 *
 * The body is the leaf's exact bytes, as text; what is looked for most stands in attributes.
 *
 * Source: OTLP 1, logs.proto (ProtoJSON: 64-bit numbers are strings)
 */
void otlp_write_record(const struct stream_item *item, struct buf *out);

/** Append what stands in front of the records: the resource, with the ledger's origin. */
void otlp_write_head(struct str origin, struct buf *out);

/** What closes them. */
extern const struct str otlp_tail;

/**
 * How many records a 200's body says were dropped: these are not to be sent again. A body that is
 * empty or no JSON says nothing: the status does.
 */
size_t otlp_read_rejected(struct str body);
