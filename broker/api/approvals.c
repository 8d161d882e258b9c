#include <stdlib.h>

#include "api/api_internal.h"
#include "api/approval_view.h"
#include "api/readings.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "identity/people.h"
#include "ledger/inquiry.h"
#include "ledger/ledger.h"

/* Reading approvals. What the list shows is read on the ledger's reading thread. */

#define LIST_MAX 256

/* So many are looked at: what people may not see must not hide what they may. */
#define LOOKED_MAX 2048

#define VIEW_MAX ((size_t)256 * 1024)

/* A list on its way, in the request's arena. */
struct listing {
    struct ledger_inquiry inquiry;
    const struct person *person;
    struct store_approval *rows;
    size_t row_count;
    json_t *approvals;
};

static bool add(struct listing *listing, const struct store_approval *row,
                struct store_reader *reader, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(VIEW_MAX); /* most are not shown */
    struct approval_view view;
    struct str private_part;
    struct str entry;

    if (!arena)
        return error_set(error, ERROR_MEMORY, "approvals");
    if (!store_reader_get(reader, row->opened_index, &entry, &private_part, error))
        return false;
    if (store_entry_is_pruned(entry))
        return true;
    if (!approval_view_read(row, entry, private_part, arena, &view, error))
        return false;
    return !approval_may_see(&view, listing->person) ||
           approval_view_put(&view, clock_wall_s(), json_append_object(listing->approvals)) ||
           error_set(error, ERROR_MEMORY, "approvals");
}

static bool run(const struct ledger_view *view, void *context, struct error *error)
{
    struct listing *listing = context;

    for (size_t i = 0; i < listing->row_count && json_array_size(listing->approvals) < LIST_MAX;
         i++)
        if (!add(listing, &listing->rows[i], view->reader, error))
            return false;
    return true;
}

static bool begin(struct http_request *request, const struct api *api, struct error *error)
{
    struct listing *listing = arena_alloc(request->arena, sizeof(*listing));
    struct ledger *ledger = api->service->ledger;

    if (!listing)
        return error_set(error, ERROR_MEMORY, "approvals");
    listing->person = request->caller;
    listing->rows = arena_alloc_array(request->arena, LOOKED_MAX, sizeof(*listing->rows));
    listing->approvals = json_array();
    if (!listing->rows || !listing->approvals ||
        !json_keep(request->arena, listing->approvals, error))
        return error_set(error, ERROR_MEMORY, "approvals");
    listing->inquiry.run = run;
    listing->inquiry.context = listing;
    listing->inquiry.waker = http_waker(request);
    request->state = listing;
    return ledger_approvals(ledger, listing->rows, LOOKED_MAX, &listing->row_count, error) &&
           ledger_inquire(ledger, &listing->inquiry, error);
}

static bool is_cut(const struct listing *listing)
{
    return listing->row_count == LOOKED_MAX || json_array_size(listing->approvals) == LIST_MAX;
}

static enum progress answer(struct http_request *request, const struct api *api,
                            const struct listing *listing)
{
    json_t *body = json_object();

    readings_note(api->readings, request->caller, READING_ENTRIES, clock_wall_s());
    if (!json_put(body, "approvals", json_incref(listing->approvals)) ||
        (is_cut(listing) && !json_put(body, "is_cut", json_true()))) {
        json_decref(body);
        body = NULL;
    }
    return http_answer_json(request, 200, body);
}

enum progress approvals_get(struct http_request *request, void *context)
{
    const struct api *api = context;
    struct listing *listing = request->state;
    struct error error = { 0 };

    if (!listing && request->is_abandoned)
        return PROGRESS_DONE;
    if (!listing)
        return begin(request, api, &error) ? PROGRESS_WAIT : http_answer_problem(request, &error);
    if (request->is_woken)
        return listing->inquiry.is_good ? answer(request, api, listing)
                                        : http_answer_problem(request, &listing->inquiry.error);
    return ledger_forget_inquiry(api->service->ledger, &listing->inquiry) ? PROGRESS_DONE
                                                                          : PROGRESS_WAIT;
}

enum progress approval_get(struct http_request *request, void *context)
{
    const struct api *api = context;
    struct approval_view view;
    struct error error = { 0 };
    json_t *body;

    if (!approval_view_find(api->service->ledger, request->rest, request->arena, &view, &error))
        return http_answer_problem(request, &error);
    if (!approval_may_see(&view, request->caller)) {
        (void)error_set(&error, ERROR_ROLE, "an approval of another group, owner and tenant");
        return people_refuse(request, &error);
    }
    readings_note(api->readings, request->caller, READING_ENTRIES, clock_wall_s());
    body = json_object();
    if (!approval_view_put(&view, clock_wall_s(), body)) {
        json_decref(body);
        body = NULL;
    }
    return http_answer_json(request, 200, body);
}
