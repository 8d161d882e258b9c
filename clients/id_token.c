#include "clients/id_token.h"

#include <poll.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "clients/fetch.h"
#include "clients/variable.h"
#include "identity/identity.h"

#define URL_VARIABLE "ACTIONS_ID_TOKEN_REQUEST_URL"
#define BEARER_VARIABLE "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
#define TRIES_MAX 4
#define FIRST_PAUSE_MS 250
#define FETCH_TIMEOUT_MS 10000

static const struct json_limits answer_limits = { (size_t)64 * 1024, 8, 100 };

bool id_token_check(struct str token, struct error *error)
{
    static const char *const alphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    size_t dots = 0;

    if (token.len > TOKEN_MAX)
        return error_set(error, ERROR_LIMIT,
                         "an identity token of %zu bytes, at most %zu are taken", token.len,
                         TOKEN_MAX);
    for (size_t i = 0; i < token.len; i++)
        dots += token.data[i] == '.';
    if (dots != 2 || !str_is_made_of(token, alphabet))
        return error_set(error, ERROR_SYNTAX,
                         "expected an identity token: three parts of base64url "
                         "with '.' between them");
    return true;
}

bool id_token_read_answer(struct str body, struct arena *arena, struct str *token,
                          struct error *error)
{
    struct str value;
    json_t *answer;

    if (!json_parse_object(body, answer_limits, &answer, error) || !json_keep(arena, answer, error))
        return error_wrap(error, "the answer with the identity token");
    if (!json_get_str(answer, "value", &value))
        return error_set(error, ERROR_SYNTAX, "the answer with the identity token has no 'value'");
    if (!id_token_check(value, error))
        return false;
    *token = value;
    return true;
}

/* The URL has a query already; its own words are GitHub's, ours is the audience. */
static struct str endpoint_url(const char *url, const char *audience, struct arena *arena)
{
    OWNED(buf_release) struct buf text = { 0 };
    struct str start = str_from(url);

    buf_init(&text, 8192);
    buf_add(&text, start);
    buf_add_text(&text, str_find(start, '?') < start.len ? "&audience=" : "?audience=");
    buf_add_percent(&text, str_from(audience));
    return buf_is_ok(&text) ? arena_copy(arena, buf_str(&text)) : (struct str){ 0 };
}

static bool may_try_again(const struct error *error, int status)
{
    return error->code == ERROR_UNREACHABLE || (error->code == ERROR_NONE && status >= 500) ||
           status == 429;
}

/* Asking is free of side effects, so what may pass is tried again. */
static bool ask_often(struct upstream *upstream, const struct upstream_request *request,
                      struct arena *arena, struct fetch_answer *answer, struct error *error)
{
    for (int i = 0; i < TRIES_MAX; i++) {
        struct error failure = { 0 };

        *answer = (struct fetch_answer){ 0 };
        if (fetch(upstream, request, arena, answer, &failure) && answer->status == 200)
            return true;
        if (i == TRIES_MAX - 1 || !may_try_again(&failure, answer->status)) {
            *error = failure;
            break;
        }
        (void)poll(NULL, 0, FIRST_PAUSE_MS << i); /* a signal shortens it: no harm */
    }
    if (error->code == ERROR_NONE)
        (void)error_set(error, ERROR_IO,
                        "GitHub's token endpoint answers %d: does the job have "
                        "'permissions: id-token: write'?",
                        answer->status);
    return false;
}

static bool from_github(const struct id_token_options *options, const char *url, const char *bearer,
                        struct arena *arena, struct str *token, struct error *error)
{
    struct str full_url = endpoint_url(url, options->audience, arena);
    struct str header = arena_printf(arena, "Authorization: Bearer %s", bearer);
    struct upstream_request request = { .method = "GET", .total_timeout_ms = FETCH_TIMEOUT_MS };
    struct fetch_answer answer;

    if (!full_url.data || !header.data)
        return error_set(error, ERROR_MEMORY, "no memory for the identity token");
    if (str_has_control(header))
        return error_set(error, ERROR_SYNTAX, "control characters in " BEARER_VARIABLE);
    request.url = full_url.data;
    request.headers[0] = header.data;
    request.headers[1] = "Accept: application/json";
    return fetch_peer_init(&request.peer, NULL, arena, error) &&
           ask_often(options->upstream, &request, arena, &answer, error) &&
           id_token_read_answer(answer.body, arena, token, error);
}

static bool from_file(const char *path, struct arena *arena, struct str *token, struct error *error)
{
    struct str text;

    /* Some room for the line feeds that files end in. */
    if (!file_read(arena, path, TOKEN_MAX + 16, &text, error))
        return false;
    *token = str_trim(text);
    return id_token_check(*token, error) || error_wrap(error, "%s", path);
}

bool id_token_get(const struct id_token_options *options, struct arena *arena, struct str *token,
                  struct error *error)
{
    const char *url = variable_get(URL_VARIABLE);
    const char *bearer = variable_get(BEARER_VARIABLE);
    const char *text = variable_get("STAGEPASS_ID_TOKEN");

    if (options->file)
        return from_file(options->file, arena, token, error);
    if (url && bearer)
        return from_github(options, url, bearer, arena, token, error);
    if (!text)
        return error_set(error, ERROR_USAGE,
                         "no identity token: name one with --token-file or STAGEPASS_ID_TOKEN, or "
                         "give the GitHub job 'permissions: id-token: write'");
    *token = arena_copy(arena, str_trim(str_from(text)));
    if (!token->data)
        return error_set(error, ERROR_MEMORY, "no memory for the identity token");
    return id_token_check(*token, error) || error_wrap(error, "STAGEPASS_ID_TOKEN");
}
