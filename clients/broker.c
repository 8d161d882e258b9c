#include "clients/broker.h"

#include <poll.h>

#include "base/buf.h"
#include "base/error.h"
#include "clients/answer.h"

#define CONNECT_TIMEOUT_MS 5000
#define RELEASE_TIMEOUT_MS 5000 /* each time: a job's end does not wait for ever */
#define RELEASE_TRIES_MAX 3
#define RELEASE_PAUSE_MS 300

static const char *const outcome_names[] = { NULL, "success", "failure" };

const struct option_row broker_option_rows[] = {
    { .name = "broker",
      .kind = OPTION_TEXT,
      .value = "URL",
      .environment = "STAGEPASS_BROKER",
      .help = "The broker",
      .offset = offsetof(struct broker_options, url) },
    { .name = "ca",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .environment = "STAGEPASS_CA",
      .help = "Certificates (PEM) that the broker's is to be signed by; else the system's",
      .offset = offsetof(struct broker_options, ca_file) },
};
_Static_assert(COUNT(broker_option_rows) == BROKER_OPTION_COUNT,
               "as many as BROKER_OPTION_COUNT says");

bool broker_init(struct broker *broker, const char *url, const char *ca_file,
                 struct upstream *upstream, struct arena *arena, struct error *error)
{
    struct error why = { 0 };
    struct str text = str_from(url);

    if (text.len == 0)
        return error_set(error, ERROR_USAGE,
                         "which broker? say it with --broker URL or STAGEPASS_BROKER");
    if (text.data[text.len - 1] == '/')
        text.len--;
    if (!upstream_url_check(text, true, &why))
        return error_set(error, ERROR_USAGE, "the broker's URL: %s", why.cause);
    if (str_find(text, '?') < text.len)
        return error_set(error, ERROR_USAGE, "the broker's URL has no query");
    *broker = (struct broker){ .upstream = upstream, .url = text };
    return fetch_peer_init(&broker->peer, ca_file, arena, error);
}

struct str broker_path(const struct broker *broker, const char *path, struct arena *arena)
{
    return arena_printf(arena, STR_FMT "%s", STR_ARG(broker->url), path);
}

bool broker_send(const struct broker *broker, const struct broker_post *post, struct arena *arena,
                 struct fetch_answer *answer, struct error *error)
{
    struct str url = broker_path(broker, post->path, arena);
    struct upstream_request request = {
        .method = "POST",
        .url = url.data,
        .body = post->form,
        .headers = { "Content-Type: application/x-www-form-urlencoded", "Accept: application/json",
                     post->header },
        .peer = broker->peer,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .total_timeout_ms = post->timeout_ms,
        .response_max_bytes = ANSWER_BYTES_MAX,
    };

    *answer = (struct fetch_answer){ 0 };
    if (!url.data)
        return error_set(error, ERROR_MEMORY, "no memory for a URL");
    return fetch(broker->upstream, &request, arena, answer, error);
}

static bool release_once(const struct broker *broker, struct str form, struct arena *arena,
                         struct error *error)
{
    struct broker_post post = { .path = "/revoke", .form = form, .timeout_ms = RELEASE_TIMEOUT_MS };
    struct fetch_answer answer;

    if (!broker_send(broker, &post, arena, &answer, error))
        return false;
    if (answer.status == 200)
        return true;
    return error_set(error, answer.status >= 429 ? ERROR_LATER : ERROR_IO,
                     "the broker answers %d to the release", answer.status);
}

bool broker_release(const struct broker *broker, struct str handle, enum broker_outcome outcome,
                    struct arena *arena, struct error *error)
{
    OWNED(buf_release) struct buf form = { 0 };

    buf_init(&form, 1024);
    buf_add_text(&form, "token=");
    buf_add_percent(&form, handle);
    if (outcome_names[outcome])
        buf_printf(&form, "&outcome=%s", outcome_names[outcome]);
    if (!buf_is_ok(&form))
        return error_set(error, ERROR_LIMIT, "that is no lease's handle: it is too long");
    for (int i = 1;; i++) {
        struct error failure = { 0 };

        if (release_once(broker, buf_str(&form), arena, &failure))
            return true;
        if (i == RELEASE_TRIES_MAX ||
            (failure.code != ERROR_UNREACHABLE && failure.code != ERROR_LATER)) {
            *error = failure;
            return false;
        }
        (void)poll(NULL, 0, RELEASE_PAUSE_MS << i); /* a signal shortens it: no harm */
    }
}
