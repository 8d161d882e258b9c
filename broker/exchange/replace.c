#include "base/json.h"
#include "exchange/exchange_internal.h"
#include "exchange/lease_end.h"

/*
 * `full: replace`. Where as many leases of a stage live as may, the oldest end in the very append
 * that opens ours: each under the guard that it is as it was looked at and lives still, so that it
 * is one of those that are counted. At no time more live than may, and nobody loses a lease to one
 * that does not open.
 */

/* So often somebody else came first; then who asks can try again. */
#define LOOKS_MAX 16

bool exchange_must_replace(struct exchange *exchange)
{
    const struct store_guard *guard = exchange_failed_guard(exchange);

    if (guard && !exchange->has_intent && !exchange->request.renewal &&
        exchange->decision.obligations.limits.full == POLICY_FULL_REPLACE)
        exchange->is_full =
            guard->kind == STORE_GUARD_FEWER_LIVE || guard->kind == STORE_GUARD_LEASE;
    return exchange->is_full;
}

static bool refuse(struct exchange *exchange, struct error *error)
{
    exchange->decision.failed[0] = STR("limits");
    exchange->decision.failed_count = 1;
    return error_set(error, ERROR_CONDITION, "too many leases of the stage would have to end");
}

/* The oldest that live, and how many there are. */
static bool find_live(struct exchange *exchange, struct store_lease oldest[REPLACED_MAX],
                      size_t *live, struct error *error)
{
    struct store_guard stage = { .key_kind = STORE_KEY_STAGE };

    exchange_write_key(exchange, exchange->decision.stage->id, exchange->decision.instance, &stage);
    return ledger_live_of_stage(exchange->service->ledger, stage.key, oldest, REPLACED_MAX, live,
                                error) ||
           error_wrap(error, "leases of the stage");
}

/* The entry that ends one, and its guard. */
static bool add_end(struct exchange *exchange, const struct store_lease *lease, struct error *error)
{
    const struct lease_ending ending = {
        .type = ENTRY_LEASE_REVOKED,
        .decision = exchange->decision_id,
        .reason = "replaced",
    };
    struct ledger_append *append = &exchange->append;
    struct store_guard *guard = &append->guards[append->guard_count];
    json_t *entry = NULL;

    if (!lease_end_entry(exchange->service->ledger, lease, &ending, exchange->arena, &entry, guard,
                         error) ||
        !json_keep(exchange->arena, entry, error))
        return false;
    guard->must_live = true;
    append->guard_count++;
    append->entries[append->entry_count] = entry;
    append->private_parts[append->entry_count] = NULL;
    append->entry_count++;
    return true;
}

bool exchange_make_room(struct exchange *exchange, struct error *error)
{
    size_t limit = (size_t)exchange->decision.obligations.limits.concurrent;
    struct store_lease oldest[REPLACED_MAX];
    size_t live = 0;
    size_t too_many;

    exchange->replaced_count = 0;
    if (!exchange->is_full)
        return true;
    exchange->is_full = false;
    exchange->block_looks = 0; /* it was not for a block that we are here again */
    if (exchange->replace_looks++ == LOOKS_MAX)
        return error_set(error, ERROR_FULL, "leases of the stage come faster than they end");
    if (!find_live(exchange, oldest, &live, error))
        return false;
    too_many = live < limit ? 0 : live - limit + 1;
    if (too_many > REPLACED_MAX)
        return refuse(exchange, error);
    for (; exchange->replaced_count < too_many; exchange->replaced_count++)
        if (!add_end(exchange, &oldest[exchange->replaced_count], error))
            return false;
    return true;
}
