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
    struct ledger_append *append = &exchange->append;

    if (!record_lease(exchange, type, cause, &entry, &private_part, error))
        return PROGRESS_FAILED;
    append->entries[append->entry_count] = entry;
    append->private_parts[append->entry_count] = private_part;
    append->entry_count++;
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
    exchange->append.entry_count = 0;
}

const struct store_guard *exchange_failed_guard(const struct exchange *exchange)
{
    const struct ledger_append *append = &exchange->append;

    return append->is_committed || append->failed_guard >= append->guard_count
               ? NULL
               : &append->guards[append->failed_guard];
}

/* What a guard stands for, one row a kind; blocks are looked at again instead. */
static const struct {
    enum store_guard_kind kind;
    enum error_code code;
    const char *word; /* of what the stage asks for; NULL: it is something else */
    const char *cause;
} tellings[] = {
    { STORE_GUARD_MARK_USABLE, ERROR_TOKEN_USED, NULL, "the token was used before" },
    { STORE_GUARD_MARK_ABSENT, ERROR_DPOP, NULL, "the proof was shown before" },
    { STORE_GUARD_LEASE, ERROR_CONDITION, NULL, "the lease was ended while a target was asked" },
    { STORE_GUARD_LATEST, ERROR_CONDITION, "after", "a stage before it has not gone well" },
    { STORE_GUARD_FEWER_OPENED, ERROR_CONDITION, "limits", "as many were opened as may be" },
    { STORE_GUARD_FEWER_LIVE, ERROR_CONDITION, "limits", "as many live as may" },
};

bool exchange_tell_guard(struct exchange *exchange, const struct store_guard *guard,
                         struct error *error)
{
    struct policy_decision *decision = &exchange->decision;
    size_t row = 0;

    while (row < COUNT(tellings) && tellings[row].kind != guard->kind)
        row++;
    if (row == COUNT(tellings))
        return error_set(error, ERROR_LEDGER, "guard %d refused", (int)guard->kind);
    if (tellings[row].word) {
        decision->failed[0] = str_from(tellings[row].word);
        decision->failed_count = 1;
    }
    if (guard->kind == STORE_GUARD_FEWER_LIVE &&
        decision->obligations.limits.full == POLICY_FULL_WAIT)
        return error_set(error, ERROR_FULL, "%s", tellings[row].cause);
    return error_set(error, tellings[row].code, "%s", tellings[row].cause);
}
