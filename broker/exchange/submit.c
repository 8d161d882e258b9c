#include <string.h>

#include "base/json.h"
#include "exchange/exchange_internal.h"

enum progress exchange_submit(struct exchange *exchange, struct error *error)
{
    exchange->append.waker = exchange->waker;
    if (!ledger_submit(exchange->service->ledger, &exchange->append, exchange->arena, error))
        return PROGRESS_FAILED;
    exchange->is_submitted = true;
    return PROGRESS_WAIT;
}

enum progress exchange_submit_lease(struct exchange *exchange, enum entry_type type,
                                    const struct error *cause, struct error *error)
{
    JSON_OWNED json_t *entry = NULL;
    JSON_OWNED json_t *private_part = NULL;

    if (!record_lease(exchange, type, cause, &entry, &private_part, error))
        return PROGRESS_FAILED;
    exchange->append.entries[0] = entry;
    exchange->append.private_parts[0] = private_part;
    exchange->append.entry_count = 1;
    return exchange_submit(exchange, error);
}

void exchange_guard_requested(struct exchange *exchange)
{
    struct store_guard *guard = &exchange->append.guards[0];

    *guard = (struct store_guard){
        .kind = STORE_GUARD_LEASE,
        .state = LEASE_REQUESTED,
        .version = 1,
    };
    memcpy(guard->lease_id, exchange->lease_id, sizeof(guard->lease_id));
    exchange->append.guard_count = 1;
}
