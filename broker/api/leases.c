#include "api/api_internal.h"
#include "api/lease_find.h"
#include "api/readings.h"
#include "base/clock.h"
#include "base/json.h"

/*
 * The leases that live, or that have ended and still owe: for auditors and operators of their
 * tenant, and for members of their owner.
 */

static const char *const own_words[] = { "stuck", NULL };

static bool read_kind(const struct form *form, struct lease_find *find, struct error *error)
{
    for (size_t i = 0; i < form->count; i++) {
        if (!str_eq(form->list[i].name, STR("stuck")))
            continue;
        if (!str_eq(form->list[i].value, STR("1")) || find->kind == LEASES_STUCK)
            return error_set(error, ERROR_REQUEST, "'stuck' is 1 or absent");
        find->kind = LEASES_STUCK;
    }
    return true;
}

static struct lease_find *begin(struct http_request *request, const struct api *api,
                                struct error *error)
{
    struct lease_find *find = arena_alloc(request->arena, sizeof(*find));
    struct form *form = arena_alloc(request->arena, sizeof(*form));

    if (!find || !form) {
        (void)error_set(error, ERROR_MEMORY, "leases");
        return NULL;
    }
    find->sight = (struct sight){ request->caller, PERSON_AUDITOR | PERSON_OPERATOR, true };
    find->ledger = api->service->ledger;
    find->arena = request->arena;
    if (!form_parse_query(request->query, request->arena, form, error) ||
        !read_kind(form, find, error) || !lease_find_read(find, form, own_words, error) ||
        !lease_find_begin(find, http_waker(request), error))
        return NULL;
    return find;
}

static enum progress answer(struct http_request *request, const struct api *api,
                            struct lease_find *find)
{
    json_t *body = json_object();
    enum reading kind = (find->sight.person->roles & (PERSON_AUDITOR | PERSON_OPERATOR)) != 0
                            ? READING_SEARCH
                            : READING_OWN;

    readings_note(api->readings, find->sight.person, kind, clock_wall_s());
    if (!lease_find_error(find) && lease_find_put(find, body))
        return http_answer_json(request, 200, body);
    json_decref(body);
    return lease_find_error(find) ? http_answer_problem(request, lease_find_error(find))
                                  : http_answer_json(request, 200, NULL);
}

enum progress leases_get(struct http_request *request, void *context)
{
    const struct api *api = context;
    struct lease_find *find = request->state;
    struct error error = { 0 };

    if (!find && request->is_abandoned)
        return PROGRESS_DONE;
    if (!find) {
        request->state = begin(request, api, &error);
        return request->state ? PROGRESS_WAIT : http_answer_problem(request, &error);
    }
    if (!request->is_woken)
        return lease_find_forget(find) ? PROGRESS_DONE : PROGRESS_WAIT;
    return request->is_abandoned ? PROGRESS_DONE : answer(request, api, find);
}
