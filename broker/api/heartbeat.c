#include "api/api_internal.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/metrics.h"
#include "base/time_text.h"
#include "ledger/ledger.h"

/*
 * A job says that it lives. Beats are no entries: that they came is worth nothing later, and that
 * they did not is the entry of the lease's end.
 */

/* Why there was no beat: of a lease that has ended, which its holder may know, or of none at all.
 */
static bool tell_why(const struct api *api, const uint8_t hash[SHA256_LEN], const struct error *why,
                     struct error *error)
{
    struct store_lease lease;
    struct error cause = *why;

    if (why->code == ERROR_NOT_FOUND) {
        cause = (struct error){ 0 };
        if (ledger_lease_by_handle(api->service->ledger, hash, &lease, &cause))
            return error_set(error, ERROR_NOT_FOUND, "lease %s has ended", lease.id);
    }
    if (cause.code == ERROR_NOT_FOUND)
        return error_set(error, ERROR_UNAUTHORIZED, "the handle is nobody's");
    *error = cause;
    return false;
}

static bool beat(const struct http_request *request, const struct api *api,
                 struct store_lease *lease, struct error *error)
{
    struct error why = { 0 };
    uint8_t hash[SHA256_LEN];
    struct str handle;

    if (!bearer_get(request, &handle, error))
        return false;
    sha256(handle, hash);
    if (!ledger_beat(api->service->ledger, hash, lease, &why))
        return tell_why(api, hash, &why, error);
    return lease->expires_s > clock_wall_s() ||
           error_set(error, ERROR_NOT_FOUND, "lease %s has expired", lease->id);
}

static json_t *time_json(int64_t wall_s)
{
    char text[TIME_TEXT_S_LEN + 1];

    time_text_s(wall_s, text);
    return json_string(text);
}

static enum progress answer(struct http_request *request, const struct store_lease *lease)
{
    json_t *body = json_object();

    if (!json_put(body, "expires_at", time_json(lease->expires_s)) ||
        (lease->heartbeat_s > 0 &&
         (!json_put(body, "heartbeat_s", json_integer(lease->heartbeat_s)) ||
          !json_put(body, "next_at", time_json(clock_wall_s() + lease->heartbeat_s))))) {
        json_decref(body);
        body = NULL;
    }
    return http_answer_json(request, 200, body);
}

enum progress heartbeat_post(struct http_request *request, void *context)
{
    struct error error = { 0 };
    struct store_lease lease;

    if (beat(request, context, &lease, &error)) {
        metric_add(METRIC_HEARTBEATS, 1);
        return answer(request, &lease);
    }
    return handle_refuse(request, context, &error);
}
