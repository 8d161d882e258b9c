#include "targets/remote_call.h"

#include <string.h>

#include "targets/target.h"

#define RESPONSE_MAX ((size_t)64 * 1024)
#define TOTAL_TIMEOUT_MS 5000

static void call_release(void *object)
{
    struct remote_call *call = object;

    buf_release(&call->body);
}

/* On the upstream thread; the step waits. */
static void on_answer(const struct upstream_response *response, void *context)
{
    struct remote_call *call = context;
    struct waker waker = call->waker;

    call->outcome = response->outcome;
    call->status = response->status;
    call->retry_after_s = response->retry_after_s;
    call->rate_remaining = response->rate_remaining;
    call->rate_reset_s = response->rate_reset_s;
    if (response->outcome == UPSTREAM_ANSWERED)
        buf_add(&call->body, response->body);
    else
        call->error = response->error;
    waker.wake(waker.context); /* from here on the call is not ours */
}

static size_t response_max(const struct remote_request *request)
{
    return request->response_max_bytes > 0 ? request->response_max_bytes : RESPONSE_MAX;
}

static struct remote_call *call_new(struct arena *arena, struct waker waker, size_t max)
{
    struct remote_call *call = arena_alloc(arena, sizeof(*call));

    if (!call)
        return NULL;
    call->waker = waker;
    buf_init(&call->body, max);
    return arena_defer(arena, call_release, call) ? call : NULL;
}

/* The token in a request's headers. */
static struct str key_in(const struct remote_request *request)
{
    static const char *const names[] = { "Authorization: Bearer ",
                                         "PRIVATE-TOKEN: ", "X-Vault-Token: " };

    for (size_t i = 0; i < UPSTREAM_HEADERS_MAX && request->headers[i]; i++)
        for (size_t k = 0; k < COUNT(names); k++) {
            struct str key = str_from(request->headers[i]);

            if (str_starts_with(key, str_from(names[k])))
                return str_slice(key, strlen(names[k]), key.len);
        }
    return (struct str){ 0 };
}

bool remote_call_send(struct upstream *upstream, struct waker waker, struct arena *arena,
                      const struct remote_request *request, struct remote_call **call,
                      struct error *error)
{
    struct upstream_request asked = {
        .method = request->method,
        .url = request->url,
        .body = request->body,
        .peer = *request->peer,
        .total_timeout_ms =
            request->total_timeout_ms > 0 ? request->total_timeout_ms : TOTAL_TIMEOUT_MS,
        .response_max_bytes = response_max(request),
        .done = on_answer,
    };
    struct error inner = { 0 };

    memcpy(asked.headers, request->headers, sizeof(asked.headers));
    *call = call_new(arena, waker, response_max(request));
    if (!*call)
        return error_set(error, ERROR_MEMORY, "no memory for a request to %s", request->who);
    (*call)->key = key_in(request);
    asked.context = *call;
    if (upstream_submit(upstream, &asked, &inner))
        return true;
    *call = NULL;
    return error_set(error, inner.code == ERROR_MEMORY ? ERROR_MEMORY : ERROR_MINT,
                     "%s was not asked: %s", request->who, inner.cause);
}

bool remote_call_mint(struct mint *mint, const struct remote_request *request,
                      struct remote_call **call, struct error *error)
{
    mint->may_exist = true; /* before the thread may wake us */
    if (remote_call_send(mint->tools->upstream, mint->waker, mint->arena, request, call, error))
        return true;
    mint->may_exist = false;
    return false;
}

bool remote_call_is_answered(const struct remote_call *call, const char *who, struct error *error)
{
    switch (call->outcome) {
    case UPSTREAM_ANSWERED:
        return buf_is_ok(&call->body) ||
               error_set(error, ERROR_MINT_UNKNOWN, "no memory for the answer of %s", who);
    case UPSTREAM_UNSENT:
        return error_set(error, ERROR_MINT, "%s was not asked: %s", who, call->error.cause);
    case UPSTREAM_UNKNOWN:
        break;
    }
    return error_set(error, ERROR_MINT_UNKNOWN, "%s was asked and did not answer: %s", who,
                     call->error.cause);
}

struct str remote_call_words(const struct remote_call *call, struct str words, size_t max)
{
    if (call->key.len > 0 && str_contains(words, call->key))
        return STR("(withheld: it has the token)");
    return str_slice(words, 0, max);
}
