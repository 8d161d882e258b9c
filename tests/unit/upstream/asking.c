#include "asking.h"

#include <stdlib.h>
#include <string.h>

struct upstream *upstream;

int upstream_begin(void **state)
{
    struct error error = { 0 };

    (void)state;
    /* NOLINTBEGIN(concurrency-mt-unsafe): no other thread is there yet */
    (void)setenv("http_proxy", "http://127.0.0.1:9", 1);
    (void)setenv("ALL_PROXY", "http://127.0.0.1:9", 1);
    /* NOLINTEND(concurrency-mt-unsafe) */
    return upstream_start(&upstream, &error) ? 0 : -1;
}

int upstream_end(void **state)
{
    (void)state;
    upstream_stop(upstream);
    return 0;
}

static void copy_text(char *out, size_t size, struct str text)
{
    size_t len = text.len < size - 1 ? text.len : size - 1;

    if (len > 0)
        memcpy(out, text.data, len);
    out[len] = '\0';
}

static void keep_answer(const struct upstream_response *response, void *context)
{
    struct answer *answer = context;

    answer->outcome = response->outcome;
    answer->status = response->status;
    answer->body_len = response->body.len;
    answer->max_age_s = response->max_age_s;
    answer->retry_after_s = response->retry_after_s;
    answer->rate_remaining = response->rate_remaining;
    answer->rate_reset_s = response->rate_reset_s;
    answer->error = response->error;
    copy_text(answer->body, sizeof(answer->body), response->body);
    copy_text(answer->content_type, sizeof(answer->content_type), response->content_type);
    answer->count++;
}

struct upstream_request request_of(const char *method, const char *url)
{
    return (struct upstream_request){
        .method = method,
        .url = url,
        .peer = { .may_use_http = true },
        .done = keep_answer,
    };
}

struct answer call(struct upstream_request request)
{
    struct answer answer = { 0 };
    struct error error = { 0 };

    request.context = &answer;
    if (!upstream_call(upstream, &request, &error))
        fail_msg("not submitted: %s", error.cause);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.outcome == UPSTREAM_ANSWERED, answer.error.code == ERROR_NONE);
    return answer;
}

struct answer get(struct peer *peer, const char *path)
{
    char url[PEER_URL_MAX];

    return call(request_of("GET", peer_url(peer, LOOPBACK, path, url)));
}

bool answer_hello(struct peer *peer, int fd, const char *request, void *context)
{
    (void)peer;
    (void)request;
    (void)context;
    peer_answer(fd, 200, "Content-Type: text/plain\r\nCache-Control: max-age=42\r\n", "hello");
    return true;
}

bool answer_never(struct peer *peer, int fd, const char *request, void *context)
{
    (void)fd;
    (void)request;
    (void)context;
    peer_hang(peer);
    return false;
}
