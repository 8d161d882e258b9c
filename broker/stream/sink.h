#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"
#include "stream/batch.h"
#include "stream/stream.h"

struct error;
struct upstream;

/** What came of handing entries over. */
struct delivery {
    size_t delivered; /* so many from the front are the receiver's; at least 1 on success */
    size_t refused;   /* of these: it said that it dropped them, and does not want them again */
    int64_t retry_after_s; /* of a failure: when it wants to be asked again; 0: it did not say */
};

/** What receivers work with, beside a stream's options. */
struct sink_tools {
    struct upstream *upstream;
    struct str origin;            /* of the ledger */
    const atomic_bool *is_ending; /* what may take long gives up once it is set */
};

/**
 * A kind of receiver: one row, one file.
 *
 * `open` reaches nobody yet. `deliver` blocks, with an end; after a failure it begins anew: what it
 * was given may be there, in part.
 *
 * Threads: each state is confined to its stream's thread
 */
struct stream_sink {
    /*
     * 0: what was delivered is acknowledged. Else nothing is ever acknowledged, and what was
     * delivered counts as received after so long, where `is_alive` still holds then.
     */
    int64_t settle_ms;
    bool (*open)(const struct stream_options *options, const struct sink_tools *tools, void **state,
                 struct error *error);
    bool (*deliver)(void *state, const struct stream_item *items, size_t count,
                    struct delivery *delivery, struct error *error);
    bool (*is_alive)(void *state); /* NULL where settle_ms is 0 */
    /*
     * Before the cursor passes what was delivered; NULL where that needs nothing. After a failure
     * all that was delivered since the last one that worked may be lost.
     */
    bool (*flush)(void *state, struct error *error);
    void (*close)(void *state); /* NULL is nothing */
};

extern const struct stream_sink sink_file;
extern const struct stream_sink sink_syslog;
extern const struct stream_sink sink_webhook;
extern const struct stream_sink sink_otlp;
