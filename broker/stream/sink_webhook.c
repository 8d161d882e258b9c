/*
 * A POST of entries, signed as Standard Webhooks ask for it: HMAC-SHA256 over id, time and body,
 * "ID.SECONDS.BODY". The id is the body's own, so that a batch that comes again has the same one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/secret.h"
#include "stream/http_post.h"
#include "stream/webhook_signature.h"

#define HEADER_MAX 128
#define ID_BYTES 16

struct webhook_sink {
    const struct stream_options *options;
    const struct sink_tools *tools;
    size_t entries_max; /* halved where the receiver says that a body is too large */
};

static const struct http_form lines_form = {
    .separator = STR_INIT("\n"),
    .tail = STR_INIT("\n"),
    .write_item = item_write_json,
};

static const struct http_form array_form = {
    .head = STR_INIT("["),
    .separator = STR_INIT(","),
    .tail = STR_INIT("]"),
    .write_item = item_write_json,
};

static bool webhook_open(const struct stream_options *options, const struct sink_tools *tools,
                         void **state, struct error *error)
{
    struct webhook_sink *sink = calloc(1, sizeof(*sink));

    if (sink == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a stream");
    sink->options = options;
    sink->tools = tools;
    sink->entries_max = options->batch_entries;
    *state = sink;
    return true;
}

static void write_id(const struct webhook_sink *sink, struct str body, char out[HEADER_MAX])
{
    OWNED(buf_release) struct buf hex = { 0 };
    uint8_t digest[SHA256_LEN];

    sha256_2(str_from(sink->options->name), body, digest);
    buf_init(&hex, (size_t)2 * ID_BYTES);
    buf_add_hex(&hex, (struct str){ (const char *)digest, ID_BYTES });
    (void)snprintf(out, HEADER_MAX, "msg_" STR_FMT, STR_ARG(buf_str(&hex)));
}

/* The file is read each time, so that a changed secret counts at once. */
static bool sign(const struct webhook_sink *sink, const char *id, int64_t now_s, struct str body,
                 char out[WEBHOOK_SIGNATURE_MAX], struct error *error)
{
    OWNED(secret_release) struct secret file = { 0 };

    return secret_read_file(&file, sink->options->secret_file, WEBHOOK_SECRET_MAX, error) &&
           (webhook_sign((struct str){ (const char *)file.data, file.len }, id, now_s, body, out,
                         error) ||
            error_wrap(error, "%s", sink->options->secret_file));
}

static bool send_body(const struct webhook_sink *sink, struct str body, struct http_post *post,
                      struct delivery *delivery, struct error *error)
{
    const char *type = sink->options->is_array ? "Content-Type: application/json"
                                               : "Content-Type: application/x-ndjson";
    char signature[WEBHOOK_SIGNATURE_MAX];
    char lines[3][HEADER_MAX + WEBHOOK_SIGNATURE_MAX];
    char id[HEADER_MAX];
    int64_t now_s = clock_wall_s();

    write_id(sink, body, id);
    if (!sign(sink, id, now_s, body, signature, error))
        return false;
    (void)snprintf(lines[0], sizeof(lines[0]), "webhook-id: %s", id);
    (void)snprintf(lines[1], sizeof(lines[1]), "webhook-timestamp: %" PRId64, now_s);
    (void)snprintf(lines[2], sizeof(lines[2]), "webhook-signature: %s", signature);
    *post = (struct http_post){
        .options = sink->options,
        .upstream = sink->tools->upstream,
        .is_ending = sink->tools->is_ending,
        .headers = { type, lines[0], lines[1], lines[2] },
        .body = body,
    };
    return http_post_send(post, delivery, error);
}

static bool webhook_deliver(void *state, const struct stream_item *items, size_t count,
                            struct delivery *delivery, struct error *error)
{
    struct webhook_sink *sink = state;
    const struct http_form *form = sink->options->is_array ? &array_form : &lines_form;
    OWNED(buf_release) struct buf body = { 0 };
    struct http_post post = { 0 };
    size_t tried = count < sink->entries_max ? count : sink->entries_max;

    buf_init(&body, sink->options->batch_bytes);
    tried = http_form_write(form, items, tried, sink->options->batch_bytes, &body);
    if (tried == 0)
        return error_set(error, ERROR_MEMORY, "no memory for a body");
    if (send_body(sink, buf_str(&body), &post, delivery, error)) {
        delivery->delivered = tried;
        sink->entries_max = sink->options->batch_entries;
        return true;
    }
    if (post.status == 413 && tried > 1)
        sink->entries_max = tried / 2;
    return false;
}

static void webhook_close(void *state)
{
    free(state);
}

const struct stream_sink sink_webhook = {
    .open = webhook_open,
    .deliver = webhook_deliver,
    .close = webhook_close,
};
