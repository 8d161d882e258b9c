#include "console/console.h"

#include "api/api_internal.h"
#include "exchange/rules.h"
#include "identity/people.h"

/*
 * The pages are for everybody: they are the same for all, and say nothing. Without a client of
 * theirs at the provider there are none.
 */

#define PAGE_CACHE STR("no-cache")

static void add_guards(struct http_request *request, struct str policy)
{
    http_add_header(request, "Content-Security-Policy", policy);
    http_add_header(request, "Referrer-Policy", STR("no-referrer"));
    http_add_header(request, "Cross-Origin-Opener-Policy", STR("same-origin"));
    http_add_header(request, "Cross-Origin-Resource-Policy", STR("same-origin"));
}

static enum progress answer_file(struct http_request *request, int status,
                                 const struct console_file *file)
{
    return http_answer_text(request, status, file->content_type, file->bytes);
}

static enum progress answer_closed(struct http_request *request)
{
    struct error error = { 0 };
    struct console_file file;

    if (!console_find(STR(CONSOLE_CLOSED), &file)) {
        (void)error_set(&error, ERROR_NOT_FOUND, "there is no console");
        return http_answer_problem(request, &error);
    }
    add_guards(request, STR(CONSOLE_POLICY_CLOSED));
    return answer_file(request, 404, &file);
}

/* Whoever has it is told so; else they get it. */
static enum progress answer_page(struct http_request *request, const struct console_file *file,
                                 struct str origins)
{
    struct str policy = arena_printf(
        request->arena, CONSOLE_POLICY_BEGIN STR_FMT CONSOLE_POLICY_END, STR_ARG(origins));
    struct error error = { 0 };
    struct str known;

    if (policy.data == NULL) {
        (void)error_set(&error, ERROR_MEMORY, "no memory for a content policy");
        return http_answer_problem(request, &error);
    }
    add_guards(request, policy);
    request->response.is_cacheable = true;
    http_add_header(request, "Cache-Control", PAGE_CACHE);
    http_add_header(request, "ETag", file->etag);
    if (http_header_get(request, "If-None-Match", &known) == 1 && console_is_known(file, known))
        return http_answer_text(request, 304, NULL, STR(""));
    return answer_file(request, 200, file);
}

static enum progress answer(struct http_request *request, const struct people_options *people,
                            struct str name)
{
    struct error error = { 0 };
    struct console_file file;

    if (!people || people->console_client_id.len == 0)
        return answer_closed(request);
    if (console_find(name, &file) && !str_eq(name, STR(CONSOLE_CLOSED)))
        return answer_page(request, &file, people->console_origins);
    (void)error_set(&error, ERROR_NOT_FOUND, "the console has no such file");
    return http_answer_problem(request, &error);
}

static enum progress answer_as_configured(struct http_request *request, const struct api *api,
                                          struct str name)
{
    struct rules *rules = rules_get(api->service->rules);
    enum progress progress = answer(request, rules->people, name);

    rules_put(api->service->rules, rules);
    return progress;
}

/* A query is the provider's, for the page: `code` and `state`. We do not look at it. */
enum progress console_get(struct http_request *request, void *context)
{
    return answer_as_configured(request, context, STR(CONSOLE_INDEX));
}

enum progress console_file_get(struct http_request *request, void *context)
{
    return answer_as_configured(request, context, request->rest);
}

enum progress console_without_slash_get(struct http_request *request, void *context)
{
    (void)context;
    http_add_header(request, "Location", STR("console/"));
    return http_answer_text(request, 307, NULL, STR(""));
}
