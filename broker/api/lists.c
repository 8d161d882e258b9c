#include "exchange/lists.h"

#include "api/api_internal.h"
#include "base/json.h"
#include "base/token_status.h"
#include "exchange/token_lists.h"

/* New ones are there within seconds; who asks each minute is served from what is there. */
#define LIST_CACHE STR("public, max-age=10")

static enum progress answer(struct http_request *request, const struct api *api, const char *folder)
{
    struct str path = arena_printf(request->arena, "/%s/" STR_FMT, folder, STR_ARG(request->rest));
    struct error error = { 0 };
    struct target_list list;

    if (path.data == NULL)
        (void)error_set(&error, ERROR_MEMORY, "no memory for a path");
    if (error.code != ERROR_NONE ||
        !lists_get(api->service->lists, path, request->arena, &list, &error))
        return http_answer_problem(request, &error);
    request->response.is_cacheable = true;
    http_add_header(request, "Cache-Control", LIST_CACHE);
    return http_answer_text(request, 200, list.content_type, list.bytes);
}

enum progress crl_get(struct http_request *request, void *context)
{
    return answer(request, context, "crl");
}

enum progress krl_get(struct http_request *request, void *context)
{
    return answer(request, context, "krl");
}

static enum progress answer_token(struct http_request *request, struct token_lists *lists,
                                  uint64_t number)
{
    struct error error = { 0 };
    struct str list;

    if (!token_lists_get(lists, number, request->arena, &list, &error))
        return http_answer_problem(request, &error);
    request->response.is_cacheable = true;
    http_add_header(request, "Cache-Control", LIST_CACHE);
    return http_answer_text(request, 200, "application/statuslist+jwt", list);
}

enum progress status_list_get(struct http_request *request, void *context)
{
    const struct api *api = context;
    struct error error = { 0 };
    uint64_t number;

    if (token_status_list_of(request->rest, &number))
        return answer_token(request, lists_of_tokens(api->service->lists), number);
    (void)error_set(&error, ERROR_NOT_FOUND, "no number of a status list");
    return http_answer_problem(request, &error);
}

static bool put_uri(json_t *uris, uint64_t number, struct str issuer)
{
    struct token_status status = { number, 0 };
    JSON_OWNED json_t *claim = token_status_claim(&status, issuer);
    const json_t *uri = json_object_get(json_object_get(claim, "status_list"), "uri");

    return uri && json_array_append(uris, json_iterable(uri)) == 0;
}

static json_t *all_uris(uint64_t first, size_t count, struct str issuer)
{
    JSON_OWNED json_t *body = json_object();
    json_t *uris = json_array();

    if (!json_put(body, "status_lists", uris))
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (!put_uri(uris, first + i, issuer))
            return NULL;
    return TAKE(body);
}

/* Source: draft-ietf-oauth-status-list-18 9.3 */
enum progress status_lists_get(struct http_request *request, void *context)
{
    const struct api *api = context;
    struct error error = { 0 };
    uint64_t first;
    size_t count;

    if (!token_lists_range(lists_of_tokens(api->service->lists), &first, &count, &error))
        return http_answer_problem(request, &error);
    request->response.is_cacheable = true;
    http_add_header(request, "Cache-Control", LIST_CACHE);
    return http_answer_json(request, 200, all_uris(first, count, api->issuer));
}
