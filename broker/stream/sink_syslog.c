/*
 * Syslog acknowledges nothing. What was written is waited for until the other side's kernel has it
 * (over a socket of this host: until it was read), and counts as received when the connection is
 * still there two seconds later; a connection that breaks before is taken up again from there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "stream/sink.h"
#include "stream/syslog_connection.h"
#include "stream/syslog_message.h"

#define SETTLE_MS 2000
#define MESSAGE_MAX ((size_t)64 * 1024)
#define MESSAGES_MAX (STREAM_BATCH_BYTES_MAX + (size_t)STREAM_BATCH_ENTRIES_MAX * 512)

struct syslog_sink {
    const struct stream_options *options;
    const atomic_bool *is_ending;
    struct syslog_origin origin;
    struct syslog_connection *connection; /* NULL: none */
};

static bool syslog_open(const struct stream_options *options, const struct sink_tools *tools,
                        void **state, struct error *error)
{
    struct syslog_sink *sink = calloc(1, sizeof(*sink));

    if (sink == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a stream");
    sink->options = options;
    sink->is_ending = tools->is_ending;
    sink->origin.facility = options->facility;
    sink->origin.process = (int)getpid();
    if (gethostname(sink->origin.host, sizeof(sink->origin.host) - 1) != 0)
        sink->origin.host[0] = '\0';
    *state = sink;
    return true;
}

static bool send_datagrams(const struct syslog_sink *sink, const struct stream_item *items,
                           size_t count, struct error *error)
{
    OWNED(buf_release) struct buf message = { 0 };

    buf_init(&message, MESSAGE_MAX);
    for (size_t i = 0; i < count; i++) {
        buf_clear(&message);
        syslog_write_message(&sink->origin, &items[i], &message);
        if (!buf_is_ok(&message))
            return error_set(error, ERROR_MEMORY, "no memory for a message");
        if (!syslog_write(sink->connection, buf_str(&message), error))
            return false;
    }
    return true;
}

static bool send_frames(const struct syslog_sink *sink, const struct stream_item *items,
                        size_t count, struct error *error)
{
    OWNED(buf_release) struct buf scratch = { 0 };
    OWNED(buf_release) struct buf frames = { 0 };

    buf_init(&scratch, MESSAGE_MAX);
    buf_init(&frames, MESSAGES_MAX);
    for (size_t i = 0; i < count; i++)
        syslog_write_frame(&sink->origin, &items[i], &scratch, &frames);
    if (!buf_is_ok(&scratch) || !buf_is_ok(&frames))
        return error_set(error, ERROR_MEMORY, "no memory for messages");
    return syslog_write(sink->connection, buf_str(&frames), error);
}

static bool send_all(const struct syslog_sink *sink, const struct stream_item *items, size_t count,
                     struct error *error)
{
    if (!(syslog_is_datagram(sink->connection) ? send_datagrams : send_frames)(sink, items, count,
                                                                               error) ||
        !syslog_drain(sink->connection, error))
        return false;
    return syslog_is_alive(sink->connection) ||
           error_set(error, ERROR_UNREACHABLE, "%s: it closed the connection", sink->options->host);
}

static void drop_connection(struct syslog_sink *sink)
{
    syslog_disconnect(sink->connection);
    sink->connection = NULL;
}

static bool syslog_deliver(void *state, const struct stream_item *items, size_t count,
                           struct delivery *delivery, struct error *error)
{
    struct syslog_sink *sink = state;

    if (sink->connection == NULL &&
        !syslog_connect(sink->options, sink->is_ending, &sink->connection, error))
        return false;
    if (!send_all(sink, items, count, error)) {
        drop_connection(sink);
        return false;
    }
    delivery->delivered = count;
    return true;
}

static bool sink_is_alive(void *state)
{
    struct syslog_sink *sink = state;

    if (sink->connection == NULL)
        return false;
    if (syslog_is_alive(sink->connection))
        return true;
    drop_connection(sink);
    return false;
}

static void syslog_close(void *state)
{
    struct syslog_sink *sink = state;

    if (sink == NULL)
        return;
    drop_connection(sink);
    free(sink);
}

const struct stream_sink sink_syslog = {
    .settle_ms = SETTLE_MS,
    .open = syslog_open,
    .deliver = syslog_deliver,
    .is_alive = sink_is_alive,
    .close = syslog_close,
};
