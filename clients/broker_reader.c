#include "clients/broker_reader.h"

#include <poll.h>

#include "base/error.h"
#include "base/json.h"
#include "clients/fetch.h"
#include "clients/login_file.h"
#include "upstream/upstream.h"

#define ARENA_MAX ((size_t)1024 * 1024)
#define TIMEOUT_MS 30000
#define ANSWER_MAX ((size_t)16 * 1024 * 1024)
#define ATTEMPTS 10
#define PAUSE_MS 500

static const struct json_limits limits = { ANSWER_MAX, 64, 1000000 };

bool broker_reader_is_url(const char *text)
{
    return text && (str_starts_with(str_from(text), STR("https://")) ||
                    str_starts_with(str_from(text), STR("http://")));
}

bool broker_reader_open(struct broker_reader *reader, const char *url, const char *ca_file,
                        struct error *error)
{
    struct str id_token;

    reader->arena = arena_new(ARENA_MAX);
    if (!reader->arena)
        return error_set(error, ERROR_MEMORY, "no memory");
    if (!upstream_start(&reader->upstream, error) ||
        !broker_init(&reader->broker, url, ca_file, reader->upstream, reader->arena, error) ||
        !login_file_read(reader->broker.url, reader->arena, &id_token, error))
        return false;
    reader->header =
        arena_printf(reader->arena, "Authorization: Bearer " STR_FMT, STR_ARG(id_token)).data;
    return reader->header || error_set(error, ERROR_MEMORY, "no memory");
}

void broker_reader_release(struct broker_reader *reader)
{
    upstream_stop(reader->upstream);
    arena_free(reader->arena);
    *reader = (struct broker_reader){ 0 };
}

static bool send(struct broker_reader *reader, const char *path, struct arena *arena,
                 struct fetch_answer *answer, struct error *error)
{
    struct str url = broker_path(&reader->broker, path, arena);
    struct upstream_request request = {
        .method = "GET",
        .url = url.data,
        .headers = { "Accept: application/json", reader->header },
        .peer = reader->broker.peer,
        .total_timeout_ms = TIMEOUT_MS,
        .response_max_bytes = ANSWER_MAX,
    };

    *answer = (struct fetch_answer){ 0 };
    if (!url.data)
        return error_set(error, ERROR_MEMORY, "no memory for a URL");
    return fetch(reader->upstream, &request, arena, answer, error);
}

static bool refuse(int status, struct error *error)
{
    if (status == 401)
        return error_set(error, ERROR_REFUSED,
                         "the broker does not take the login (any more): 'stagepass login' makes a "
                         "new one");
    if (status == 403)
        return error_set(error, ERROR_REFUSED,
                         "none of your roles allows this: see 'stagepass "
                         "whoami'");
    if (status == 404)
        return error_set(error, ERROR_NOT_FOUND, "the broker does not have this");
    if (status == 400)
        return error_set(error, ERROR_USAGE, "the broker does not take this question");
    return error_set(error, status >= 429 ? ERROR_LATER : ERROR_INVALID, "the broker answers %d",
                     status);
}

bool broker_reader_get(struct broker_reader *reader, const char *path, struct arena *arena,
                       const json_t **body, struct error *error)
{
    struct fetch_answer answer = { 0 };
    struct error why = { 0 };
    json_t *json = NULL;

    for (unsigned i = 0; i < ATTEMPTS; i++) {
        if (i > 0)
            (void)poll(NULL, 0, PAUSE_MS); /* a signal ends us, or shortens it: no harm */
        if (!send(reader, path, arena, &answer, error))
            return false;
        if (answer.status != 429 && answer.status != 503)
            break;
    }
    if (answer.status != 200)
        return refuse(answer.status, error);
    if (!json_parse_object(answer.body, limits, &json, &why))
        return error_set(error, ERROR_INVALID, "the broker's answer is none: %s", why.cause);
    *body = json;
    return json_keep(arena, json, error);
}
