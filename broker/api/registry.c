#include "exchange/registry.h"

#include "api/api_internal.h"
#include "base/base64.h"
#include "base/json.h"
#include "base/log.h"
#include "base/time_text.h"
#include "http/form.h"

/*
 * The token server of registries: what their clients ask for a token, with the password that an
 * exchange gave. Nobody gets anything without one.
 *
 * Source: distribution specification, token authentication and its OAuth 2.0 form
 */

#define BASIC "Basic "

static const char *const parameters[] = { "grant_type", "username", "password", "refresh_token",
                                          "service",    "scope",    NULL };

/* ---- what is asked ---- */

/* The header's user and password; where there is none, nobody asks. */
static bool read_basic(const struct http_request *request, struct registry_request *wanted,
                       struct error *error)
{
    struct str value = { 0 };
    uint8_t *bytes;
    size_t len = 0;

    if (http_header_get(request, "Authorization", &value) != 1 || value.len <= sizeof(BASIC) - 1 ||
        !str_eq_ignore_case(str_slice(value, 0, sizeof(BASIC) - 1), STR(BASIC)))
        return error_set(error, ERROR_UNAUTHORIZED, "nobody shows a password");
    value = str_slice(value, sizeof(BASIC) - 1, value.len);
    bytes = arena_alloc(request->arena, BASE64_DECODED_MAX(value.len));
    if (!bytes)
        return error_set(error, ERROR_MEMORY, "no memory for a password");
    if (!base64_decode(value, bytes, &len) ||
        !str_cut((struct str){ (const char *)bytes, len }, ':', &wanted->username,
                 &wanted->password) ||
        wanted->username.len == 0)
        return error_set(error, ERROR_UNAUTHORIZED, "no user and password");
    return true;
}

static bool read_scopes(const struct form *form, struct arena *arena,
                        struct registry_request *wanted, struct error *error)
{
    struct str *list = arena_alloc_array(arena, form->count + 1, sizeof(*list));

    if (!list)
        return error_set(error, ERROR_MEMORY, "no memory for scopes");
    wanted->scopes = list;
    for (size_t i = 0; i < form->count; i++)
        if (str_eq(form->list[i].name, STR("scope")))
            list[wanted->scope_count++] = form->list[i].value;
    return form_get(form, "service", &wanted->service) ||
           error_set(error, ERROR_REQUEST, "no service");
}

static bool read_query(const struct http_request *request, struct registry_request *wanted,
                       struct error *error)
{
    struct form *form = arena_alloc(request->arena, sizeof(*form));

    if (!form)
        return error_set(error, ERROR_MEMORY, "form");
    if (!read_basic(request, wanted, error) ||
        !form_parse_query(request->query, request->arena, form, error))
        return false;
    if (form_count(form, "service") > 1)
        return error_set(error, ERROR_REQUEST, "several services");
    return read_scopes(form, request->arena, wanted, error);
}

/* By the grant type: where the password stands, and whether it has a user. */
static bool read_password(const struct form *form, struct registry_request *wanted,
                          struct error *error)
{
    struct str type = { 0 };
    bool is_there;

    (void)form_get(form, "grant_type", &type);
    if (str_eq(type, STR("refresh_token")))
        is_there = form_get(form, "refresh_token", &wanted->password);
    else if (str_eq(type, STR("password")))
        is_there = form_get(form, "username", &wanted->username) &&
                   form_get(form, "password", &wanted->password);
    else
        return error_set(error, ERROR_GRANT_TYPE, "another grant_type");
    return is_there || error_set(error, ERROR_UNAUTHORIZED, "nobody shows a password");
}

static bool read_form(const struct http_request *request, struct registry_request *wanted,
                      struct error *error)
{
    struct form *form = arena_alloc(request->arena, sizeof(*form));

    if (!form)
        return error_set(error, ERROR_MEMORY, "form");
    return form_parse(request->body, parameters, request->arena, form, error) &&
           read_password(form, wanted, error) && read_scopes(form, request->arena, wanted, error);
}

/* ---- what is answered ---- */

static enum progress answer_failure(struct http_request *request, const struct error *error)
{
    struct log_line line;

    log_begin(&line, LOG_LEVEL_INFO, "registry.refused");
    log_error(&line, error);
    log_end(&line);
    if (error->code == ERROR_UNAUTHORIZED)
        http_add_header(request, "WWW-Authenticate", STR("Basic realm=\"registry\""));
    return oauth_answer_error(request, error, STR(""), NULL);
}

static void log_given(const struct registry_answer *answer)
{
    struct log_line line;

    log_begin(&line, LOG_LEVEL_INFO, "registry.given");
    log_str(&line, "lease", answer->lease);
    log_str(&line, "stage", answer->stage);
    log_str(&line, "token", answer->jti);
    log_int(&line, "access", (int64_t)answer->access_count);
    log_end(&line);
}

/* Under both of its names, as clients look for one or the other. */
static enum progress answer_success(struct http_request *request,
                                    const struct registry_answer *answer)
{
    json_t *body = json_object();
    char issued[TIME_TEXT_S_LEN + 1];

    time_text_s(answer->issued_s, issued);
    if (!json_put(body, "token", json_from_str(answer->token)) ||
        !json_put(body, "access_token", json_from_str(answer->token)) ||
        !json_put(body, "expires_in", json_integer(answer->expires_s - answer->issued_s)) ||
        !json_put(body, "issued_at", json_string(issued))) {
        json_decref(body);
        body = NULL;
    }
    log_given(answer);
    return http_answer_json(request, 200, body);
}

typedef bool (*reading)(const struct http_request *request, struct registry_request *wanted,
                        struct error *error);

static struct registry_call *begin(struct http_request *request, const struct api *api,
                                   reading read, struct error *error)
{
    struct registry_call *call = arena_alloc(request->arena, sizeof(*call));

    if (!call) {
        (void)error_set(error, ERROR_MEMORY, "no memory for a registry's token");
        return NULL;
    }
    call->service = api->service;
    call->arena = request->arena;
    call->waker = http_waker(request);
    return api_spend_address(request, api, error) && read(request, &call->request, error) ? call
                                                                                          : NULL;
}

static enum progress answer(struct http_request *request, const struct api *api, reading read)
{
    struct registry_call *call = request->state;
    struct error error = { 0 };
    enum progress progress;

    if (request->is_abandoned && call && !request->is_woken)
        return PROGRESS_WAIT; /* a worker has it */
    if (request->is_abandoned)
        return PROGRESS_DONE;
    if (!call)
        call = begin(request, api, read, &error);
    request->state = call; /* before a worker may wake us */
    progress = call ? registry_answer(call, &error) : PROGRESS_FAILED;
    if (progress == PROGRESS_WAIT)
        return progress;
    return progress == PROGRESS_DONE ? answer_success(request, &call->answer)
                                     : answer_failure(request, &error);
}

enum progress registry_token_get(struct http_request *request, void *context)
{
    return answer(request, context, read_query);
}

enum progress registry_token_post(struct http_request *request, void *context)
{
    return answer(request, context, read_form);
}
