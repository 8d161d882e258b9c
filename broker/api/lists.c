#include "exchange/lists.h"

#include "api/api_internal.h"

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
