#include "stream/http_post.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/secret.h"
#include "upstream/upstream.h"

#define HEADERS_FILE_MAX ((size_t)8 * 1024)
/* One that wants to be left alone for longer is asked again all the same. */
#define RETRY_AFTER_MAX_S 3600
#define LOOK_EVERY_MS 100 /* whether the stream is to end */

/*
 * One request under way: the stream's thread waits for it, but no longer than the stream lasts.
 * Whoever comes last frees it: the callback of one that nobody waits for any more, else the thread.
 */
struct call {
    pthread_mutex_t lock;
    pthread_cond_t has_ended;
    bool is_ended;     /* guarded by lock */
    bool is_abandoned; /* guarded by lock */

    enum upstream_outcome outcome;
    struct error error;
    int status;
    int64_t retry_after_s;
    char answer[HTTP_POST_ANSWER_MAX];
    size_t answer_len;
};

static struct call *call_new(void)
{
    struct call *call = calloc(1, sizeof(*call));

    if (call == NULL)
        return NULL;
    (void)pthread_mutex_init(&call->lock, NULL); /* never fails on Linux; nor does the next */
    (void)pthread_cond_init(&call->has_ended, NULL);
    return call;
}

static void call_free(struct call *call)
{
    (void)pthread_cond_destroy(&call->has_ended);
    (void)pthread_mutex_destroy(&call->lock);
    free(call);
}

static void take_answer(const struct upstream_response *response, void *context)
{
    struct call *call = context;
    size_t len = response->body.len <= sizeof(call->answer) ? response->body.len : 0;
    bool is_abandoned;

    (void)pthread_mutex_lock(&call->lock);
    call->outcome = response->outcome;
    call->error = response->error;
    call->retry_after_s = response->retry_after_s;
    call->status = response->outcome == UPSTREAM_ANSWERED ? response->status : 0;
    if (len > 0)
        memcpy(call->answer, response->body.data, len);
    call->answer_len = len;
    call->is_ended = true;
    is_abandoned = call->is_abandoned;
    (void)pthread_cond_signal(&call->has_ended);
    (void)pthread_mutex_unlock(&call->lock);
    if (is_abandoned)
        call_free(call);
}

/* Whether it has ended; if not, it is the callback's. */
static bool wait_for(struct call *call, const atomic_bool *is_ending)
{
    bool is_ended;

    (void)pthread_mutex_lock(&call->lock);
    while (!call->is_ended && !atomic_load(is_ending)) {
        struct timespec until;

        (void)clock_gettime(CLOCK_REALTIME, &until); /* for a wait of the system's */
        until.tv_nsec += LOOK_EVERY_MS * 1000000L;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        (void)pthread_cond_timedwait(&call->has_ended, &call->lock, &until);
    }
    is_ended = call->is_ended;
    call->is_abandoned = !is_ended;
    (void)pthread_mutex_unlock(&call->lock);
    return is_ended;
}

/* "Name: value" a line, cut in place; `file` keeps what the pointers point into. */
static bool split_lines(char *text, size_t len, const char **headers, size_t *count,
                        struct error *error)
{
    size_t start = 0;

    for (size_t i = 0; i <= len; i++) {
        if (i < len && text[i] != '\n')
            continue;
        text[i] = '\0'; /* there is room for one at the end */
        if (i > start && text[i - 1] == '\r')
            text[i - 1] = '\0';
        if (text[start] != '\0') {
            if (*count == HTTP_POST_FILE_HEADERS_MAX)
                return error_set(error, ERROR_CONFIG, "headers_file: at most %d lines",
                                 HTTP_POST_FILE_HEADERS_MAX);
            if (strchr(&text[start], ':') == NULL)
                return error_set(error, ERROR_CONFIG,
                                 "headers_file: a line is not \"Name: value\"");
            headers[(*count)++] = &text[start];
        }
        start = i + 1;
    }
    return true;
}

/* Read at each delivery, so that a changed one counts at once. */
static bool read_headers(const char *path, struct secret *file, const char **headers,
                         struct error *error)
{
    OWNED(secret_release) struct secret read = { 0 };
    size_t count = 0;

    if (path == NULL)
        return true;
    if (!secret_read_file(&read, path, HEADERS_FILE_MAX, error) ||
        !secret_init(file, read.len + 1, error))
        return false;
    memcpy(file->data, read.data, read.len);
    return split_lines((char *)file->data, read.len, headers, &count, error);
}

static bool judge(struct http_post *post, const struct call *call, struct delivery *delivery,
                  struct error *error)
{
    post->status = call->status;
    if (call->outcome != UPSTREAM_ANSWERED)
        return error_set(error, call->error.code, "%s", call->error.cause);
    if (call->status < 200 || call->status > 299) {
        delivery->retry_after_s =
            call->retry_after_s < RETRY_AFTER_MAX_S ? call->retry_after_s : RETRY_AFTER_MAX_S;
        return error_set(error, ERROR_UNREACHABLE, STR_FMT ": HTTP status %d",
                         STR_ARG(upstream_url_host(str_from(post->options->url))), call->status);
    }
    memcpy(post->answer, call->answer, call->answer_len);
    post->answer_len = call->answer_len;
    return true;
}

static bool send_request(struct http_post *post, struct upstream_request *request,
                         struct delivery *delivery, struct error *error)
{
    struct call *call = call_new();
    bool is_good;

    if (call == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a request");
    request->done = take_answer;
    request->context = call;
    if (!upstream_submit(post->upstream, request, error)) {
        call_free(call);
        return false;
    }
    if (!wait_for(call, post->is_ending))
        return error_set(error, ERROR_STOPPING, "the stream ends");
    is_good = judge(post, call, delivery, error);
    call_free(call);
    return is_good;
}

bool http_post_send(struct http_post *post, struct delivery *delivery, struct error *error)
{
    OWNED(secret_release) struct secret file = { 0 };
    const char *from_file[HTTP_POST_FILE_HEADERS_MAX] = { 0 };
    struct upstream_request request = {
        .method = "POST",
        .url = post->options->url,
        .body = post->body,
        .peer = post->options->peer,
        .total_timeout_ms = post->options->timeout_ms,
    };
    size_t count = 0;

    post->status = 0;
    post->answer_len = 0;
    if (!read_headers(post->options->headers_file, &file, from_file, error))
        return false;
    while (count < HTTP_POST_HEADERS_MAX && post->headers[count] != NULL) {
        request.headers[count] = post->headers[count];
        count++;
    }
    for (size_t i = 0; i < COUNT(from_file) && from_file[i] != NULL; i++)
        request.headers[count++] = from_file[i];
    return send_request(post, &request, delivery, error);
}

size_t http_form_write(const struct http_form *form, const struct stream_item *items, size_t count,
                       size_t max_bytes, struct buf *out)
{
    OWNED(buf_release) struct buf one = { 0 };
    size_t written = 0;

    buf_init(&one, max_bytes);
    buf_add(out, form->head);
    for (size_t i = 0; i < count; i++) {
        buf_clear(&one);
        if (i > 0)
            buf_add(&one, form->separator);
        form->write_item(&items[i], &one);
        if (!buf_is_ok(&one) || out->len + one.len + form->tail.len > max_bytes)
            break;
        buf_add(out, buf_str(&one));
        written++;
    }
    buf_add(out, form->tail);
    return buf_is_ok(out) ? written : 0;
}
