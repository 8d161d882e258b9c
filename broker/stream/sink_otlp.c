/*
 * A POST of an ExportLogsServiceRequest, in JSON.
 *
 * OTLP asks senders to drop what a receiver answers with most 4xx. A ledger's entries are not
 * dropped: they stay, and the stream waits, until somebody has set right what is wrong.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "base/error.h"
#include "stream/http_post.h"
#include "stream/otlp_record.h"

#define HEAD_MAX ((size_t)2048)

struct otlp_sink {
    const struct stream_options *options;
    const struct sink_tools *tools;
    struct buf head;
    size_t entries_max; /* halved where the receiver says that a body is too large */
};

static void otlp_close(void *state)
{
    struct otlp_sink *sink = state;

    if (sink == NULL)
        return;
    buf_release(&sink->head);
    free(sink);
}

static bool otlp_open(const struct stream_options *options, const struct sink_tools *tools,
                      void **state, struct error *error)
{
    struct otlp_sink *sink = calloc(1, sizeof(*sink));

    if (sink == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a stream");
    sink->options = options;
    sink->tools = tools;
    sink->entries_max = options->batch_entries;
    buf_init(&sink->head, HEAD_MAX);
    otlp_write_head(tools->origin, &sink->head);
    if (!buf_is_ok(&sink->head)) {
        otlp_close(sink);
        return error_set(error, ERROR_MEMORY, "no memory for a stream");
    }
    *state = sink;
    return true;
}

static bool otlp_deliver(void *state, const struct stream_item *items, size_t count,
                         struct delivery *delivery, struct error *error)
{
    struct otlp_sink *sink = state;
    OWNED(buf_release) struct buf body = { 0 };
    const struct http_form form = {
        .head = buf_str(&sink->head),
        .separator = STR(","),
        .tail = otlp_tail,
        .write_item = otlp_write_record,
    };
    struct http_post post = {
        .options = sink->options,
        .upstream = sink->tools->upstream,
        .is_ending = sink->tools->is_ending,
        .headers = { "Content-Type: application/json" },
    };
    size_t tried = count < sink->entries_max ? count : sink->entries_max;

    buf_init(&body, sink->options->batch_bytes);
    tried = http_form_write(&form, items, tried, sink->options->batch_bytes, &body);
    if (tried == 0)
        return error_set(error, ERROR_MEMORY, "no memory for a body");
    post.body = buf_str(&body);
    if (!http_post_send(&post, delivery, error)) {
        if (post.status == 413 && tried > 1)
            sink->entries_max = tried / 2;
        return false;
    }
    delivery->delivered = tried;
    delivery->refused = otlp_read_rejected((struct str){ post.answer, post.answer_len });
    if (delivery->refused > tried)
        delivery->refused = tried;
    sink->entries_max = sink->options->batch_entries;
    return true;
}

const struct stream_sink sink_otlp = {
    .open = otlp_open,
    .deliver = otlp_deliver,
    .close = otlp_close,
};
