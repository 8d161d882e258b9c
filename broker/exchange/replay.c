#include <string.h>

#include "base/json.h"
#include "exchange/exchange_internal.h"
#include "exchange/lease_end.h"

static const struct json_limits entry_limits = { STORE_ENTRY_MAX, 32, 4096 };

static bool read_opened(struct exchange *exchange, struct replay *replay)
{
    struct error ignored = { 0 };
    json_t *opened = NULL;
    struct str text;

    if (!ledger_entry(exchange->service->ledger, replay->index, exchange->arena, &text, &ignored) ||
        !json_parse_object(text, entry_limits, &opened, &ignored) ||
        !json_keep(exchange->arena, opened, &ignored))
        return false;
    replay->opened = opened;
    return true;
}

/* Whoever has the same key is the job itself: it used its token up. */
static bool is_theft(const struct exchange *exchange, const struct store_mark *mark)
{
    uint8_t holder[STORE_HOLDER_LEN];

    return !exchange_holder(&exchange->request.proof, holder) ||
           memcmp(holder, mark->holder, sizeof(holder)) != 0;
}

void replay_look(struct exchange *exchange)
{
    struct replay *replay = arena_alloc(exchange->arena, sizeof(*replay));
    struct ledger *ledger = exchange->service->ledger;
    const struct lease_ending ending = { .type = ENTRY_LEASE_REVOKED };
    struct error ignored = { 0 };
    struct store_mark mark;
    struct str lease;

    exchange->replay = NULL;
    if (!replay || !ledger_mark(ledger, exchange->token.mark, &mark, &ignored))
        return;
    replay->mark = mark;
    replay->index = mark.first_index;
    if (!read_opened(exchange, replay))
        return;
    exchange->replay = replay;
    replay->ends_lease = exchange->token.issuer->revokes_on_replay && is_theft(exchange, &mark) &&
                         json_get_str(replay->opened, "lease", &lease) &&
                         ledger_lease_by_id(ledger, lease, &replay->lease, &ignored) &&
                         lease_end_is_due(&ending, &replay->lease, exchange->now_s);
}

bool replay_put_first(const struct replay *replay, json_t *entry)
{
    json_t *first;
    json_t *lease;
    json_t *address;

    if (!replay)
        return true;
    first = json_object();
    lease = json_object_get(replay->opened, "lease");
    address = json_object_get(json_object_get(replay->opened, "facts"), "address");
    return json_put(entry, "first", first) &&
           json_put(first, "index", json_integer((json_int_t)replay->index)) &&
           (!lease || json_put(first, "lease", json_incref(lease))) &&
           (!address || json_put(first, "address", json_incref(address)));
}

bool replay_record_end(const struct exchange *exchange, json_t **entry, struct store_guard *guard,
                       struct error *error)
{
    const struct lease_ending ending = {
        .type = ENTRY_LEASE_REVOKED,
        .decision = exchange->decision_id,
        .reason = "replay",
    };

    return lease_end_entry(exchange->service->ledger, &exchange->replay->lease, &ending,
                           exchange->arena, entry, guard, error);
}
