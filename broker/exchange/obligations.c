#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "exchange/exchange_internal.h"
#include "ledger/lease_key.h"

/*
 * `after` and `limits` are asked of leases as they are when the lease of an exchange opens, so they
 * become guards of its first entry: the store decides them and appends in one step. A key that
 * cannot be made, since the issuer says no run or no commit, is all zero, and its guard fails.
 */

_Static_assert(STORE_PROPOSAL_GUARDS_MAX >= 4 + POLICY_AFTER_MAX + 3 + REPLACED_MAX,
               "token, proof, blocks and approval; after; limits; leases that end for it");
_Static_assert(STORE_PROPOSAL_ENTRIES_MAX > REPLACED_MAX, "they end in the same append");

void exchange_write_key(const struct exchange *exchange, struct str stage, struct str instance,
                        struct store_guard *guard)
{
    const struct lease_key_parts parts = {
        .stage = stage,
        .instance = instance,
        .issuer = exchange->token.issuer->name,
        .ci = exchange->token.ci,
    };

    (void)lease_key(&parts, guard->key_kind, guard->key);
}

static struct store_guard *add(struct exchange *exchange, enum store_guard_kind kind,
                               enum store_lease_key key_kind)
{
    struct ledger_append *append = &exchange->append;
    struct store_guard *guard = &append->guards[append->guard_count++];

    *guard = (struct store_guard){ .kind = kind, .key_kind = key_kind };
    return guard;
}

static void add_limit(struct exchange *exchange, enum store_lease_key key_kind, int64_t count,
                      int64_t since_s)
{
    const struct policy_decision *decision = &exchange->decision;
    struct store_guard *guard;

    if (count == 0)
        return;
    guard = add(exchange, STORE_GUARD_FEWER_OPENED, key_kind);
    guard->count = (uint32_t)count;
    guard->since_s = since_s;
    exchange_write_key(exchange, decision->stage->id, decision->instance, guard);
}

static void add_concurrent(struct exchange *exchange)
{
    const struct policy_decision *decision = &exchange->decision;
    struct store_guard *guard;

    if (decision->obligations.limits.concurrent == 0)
        return;
    guard = add(exchange, STORE_GUARD_FEWER_LIVE, STORE_KEY_STAGE);
    guard->count = (uint32_t)decision->obligations.limits.concurrent;
    guard->count += (uint32_t)exchange->replaced_count; /* which are still counted then */
    exchange_write_key(exchange, decision->stage->id, decision->instance, guard);
}

static void add_after(struct exchange *exchange, const struct policy_after *after, int64_t now_s)
{
    struct str pipeline = exchange->decision.stage->pipeline;
    struct str stage = arena_printf(exchange->arena, STR_FMT ":" STR_FMT, STR_ARG(pipeline),
                                    STR_ARG(after->stage));
    struct store_guard *guard =
        add(exchange, STORE_GUARD_LATEST, after->is_of_commit ? STORE_KEY_COMMIT : STORE_KEY_RUN);

    guard->attempt = after->is_of_commit ? 0 : lease_attempt(exchange->token.ci);
    guard->since_s = now_s - after->within_s;
    guard->must_succeed = !after->issued_is_enough;
    if (stage.data) /* without memory the guard fails */
        exchange_write_key(exchange, stage, after->instance, guard);
}

void exchange_guard_obligations(struct exchange *exchange)
{
    const struct policy_obligations *obligations = &exchange->decision.obligations;
    int64_t now_s = clock_wall_s();

    for (size_t i = 0; i < obligations->after_count; i++)
        add_after(exchange, &obligations->after[i], now_s);
    add_limit(exchange, STORE_KEY_JOB, obligations->limits.per_job, now_s - POLICY_PER_JOB_S);
    add_limit(exchange, STORE_KEY_STAGE, obligations->limits.per_hour, now_s - POLICY_PER_HOUR_S);
    add_concurrent(exchange);
}

/* A broker that was held up, or whose clock is behind, must not make an entry forgotten early. */
#define KEPT_MARGIN_S 60

int64_t exchange_kept_until_s(const struct exchange *exchange)
{
    int64_t kept_s = exchange->decision.obligations.kept_s;

    return kept_s == 0 ? 0 : exchange->now_s + kept_s + KEPT_MARGIN_S;
}
