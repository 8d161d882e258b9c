#include <string.h>

#include "api/api_internal.h"
#include "base/digest.h"
#include "base/json.h"
#include "ledger/ledger.h"

/* The version of a lease that was issued at once and then ended. */
#define ENDED_WITHOUT_INTENT 2

/* The lease that the path names, if the bearer's handle is its own. */
static bool find_lease(const struct http_request *request, const struct api *api,
                       struct store_lease *lease, struct error *error)
{
    struct error cause = { 0 };
    uint8_t hash[SHA256_LEN];
    struct str handle;

    if (!bearer_get(request, &handle, error))
        return false;
    sha256(handle, hash);
    if (!ledger_lease_by_handle(api->service->ledger, hash, lease, &cause)) {
        if (cause.code != ERROR_NOT_FOUND) {
            *error = cause;
            return false;
        }
        return error_set(error, ERROR_UNAUTHORIZED, "the handle is nobody's");
    }
    return str_eq(str_from(lease->id), request->rest) ||
           error_set(error, ERROR_UNAUTHORIZED, "the handle is not that lease's");
}

static enum progress answer(struct http_request *request, struct str entry, struct str proof)
{
    json_t *body = json_object();

    /* The entry is text: its exact bytes are what was hashed. */
    if (!json_put(body, "entry", json_from_str(entry)) ||
        !json_put(body, "proof", json_from_str(proof))) {
        json_decref(body);
        body = NULL;
    }
    return http_answer_json(request, 200, body);
}

/* Whether credentials that can be ended were given: then the lease knows by which entry. */
static bool knows_issuance(const struct store_lease *lease)
{
    return lease->has_credentials &&
           (lease->state == LEASE_RELEASED || lease->state == LEASE_REVOKED ||
            lease->state == LEASE_EXPIRED);
}

/*
 * The entry with the credentials: the latest while the lease is issued; after its end that of
 * credentials that can be ended, or the first, if that was the issuance itself and no intent came
 * before it. Else behind an intent nothing points at it any more.
 */
static bool find_issuance(const struct store_lease *lease, uint64_t *index, struct error *error)
{
    bool has_ended = lease->state != LEASE_ISSUED;

    if (knows_issuance(lease)) {
        *index = lease->credentials_index;
        return true;
    }
    if (has_ended && lease->version > ENDED_WITHOUT_INTENT)
        return error_set(error, ERROR_NOT_FOUND, "the lease has ended, and began with an intent");
    *index = has_ended ? lease->opened_index : lease->latest_index;
    return true;
}

enum progress receipt_get(struct http_request *request, void *context)
{
    const struct api *api = context;
    struct error error = { 0 };
    struct store_lease lease;
    enum progress progress;
    uint64_t index = 0;
    struct str entry;
    struct str proof;

    if (request->is_abandoned && !request->is_woken)
        return ledger_forget(api->service->ledger, request) ? PROGRESS_DONE : PROGRESS_WAIT;
    if (!find_lease(request, api, &lease, &error))
        return handle_refuse(request, api, &error);
    if (!find_issuance(&lease, &index, &error))
        return http_answer_problem(request, &error);
    progress = ledger_receipt(api->service->ledger, index, http_waker(request), request->arena,
                              &entry, &proof, &error);
    if (progress == PROGRESS_WAIT)
        return progress;
    return progress == PROGRESS_DONE ? answer(request, entry, proof)
                                     : http_answer_problem(request, &error);
}
