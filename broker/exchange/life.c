#include "exchange/exchange_internal.h"
#include "exchange/kept.h"
#include "exchange/owed.h"
#include "exchange/rules.h"

/*
 * How long a lease lives: as long as the longest of its credentials, at most until the job that it
 * is for is over, and until its stage's `lease.max`. With renewals both stay where they are.
 */

/* A job that begins when our clock has passed its time limit, within the leeway, has this long. */
#define LATE_JOB_S 30

int64_t life_end_s(const struct exchange *exchange, int64_t opened_s)
{
    int64_t max_s = exchange->decision.obligations.lease.max_s;
    int64_t job_s = identity_job_end_s(&exchange->token);
    int64_t end_s = max_s > 0 ? opened_s + max_s : INT64_MAX;

    if (job_s > 0 && job_s < exchange->now_s + LATE_JOB_S && !exchange->request.renewal)
        job_s = exchange->now_s + LATE_JOB_S;
    return job_s > 0 && job_s < end_s ? job_s : end_s;
}

int64_t life_opened_s(const struct exchange *exchange)
{
    const struct exchange_renewal *renewal = exchange->request.renewal;

    return renewal ? renewal->lease.opened_s : exchange->now_s;
}

void life_bound_mint(const struct exchange *exchange, const struct policy_grant_kind *kind,
                     struct mint *mint)
{
    int64_t end_s = life_end_s(exchange, life_opened_s(exchange));

    if (end_s - exchange->now_s >= mint->ttl_s)
        return;
    mint->ttl_s = end_s - exchange->now_s;
    if (mint->ttl_s < kind->ttl_min_s)
        mint->ttl_s = kind->ttl_min_s; /* no shorter: it ends with the lease, if it can */
}

/* Without grants the stage token is all there is; what was asked only shortens. */
static int64_t bare_life_s(const struct exchange *exchange)
{
    int64_t asked_s = exchange->request.ttl_s;
    int64_t life_s = exchange->rules->default_ttl_s;

    return asked_s > 0 && asked_s < life_s ? asked_s : life_s;
}

void life_bound_lease(struct exchange *exchange)
{
    int64_t end_s = life_end_s(exchange, life_opened_s(exchange));

    for (size_t i = 0; i < exchange->mint_count; i++)
        if (exchange->mints[i].expires_s > exchange->expires_s)
            exchange->expires_s = exchange->mints[i].expires_s;
    if (exchange->expires_s == 0)
        exchange->expires_s = exchange->now_s + bare_life_s(exchange);
    if (exchange->expires_s > end_s)
        exchange->expires_s = end_s;
}

int64_t life_expires_s(const struct exchange *exchange)
{
    const struct exchange_renewal *renewal = exchange->request.renewal;

    return renewal && renewal->lease.expires_s > exchange->expires_s ? renewal->lease.expires_s
                                                                     : exchange->expires_s;
}

static bool refuse(struct exchange *exchange, struct error *error)
{
    struct policy_decision *decision = &exchange->decision;

    decision->failed[0] = STR("lease");
    decision->failed_count = 1;
    return error_set(error, ERROR_CONDITION, STR_FMT ": the lease may not go on for long enough",
                     STR_ARG(decision->stage->id));
}

/*
 * Whether ending the lease could take more than is ever read back of one (owed.h): then it could
 * not be ended at all. Each of its entries, of which a renewal has two, may name what was given at
 * first.
 */
static bool owes_too_much(const struct exchange *exchange)
{
    const struct kept *kept = exchange->request.kept;
    size_t entries = (size_t)exchange->request.renewal->lease.version + 2;

    return entries * (kept ? kept->grant_count : 0) > OWED_MAX;
}

bool life_check_renewal(struct exchange *exchange, struct error *error)
{
    int64_t left_s = life_end_s(exchange, life_opened_s(exchange)) - exchange->now_s;

    if (!exchange->request.renewal)
        return true;
    if (owes_too_much(exchange))
        return refuse(exchange, error);
    if (exchange->decision.obligations.lease.max_s == 0 || left_s < 1)
        return refuse(exchange, error);
    for (size_t i = 0; i < exchange->mint_count; i++)
        if (exchange->mints[i].ttl_s > left_s)
            return refuse(exchange, error);
    return true;
}

bool life_allows_renewal(const struct exchange *exchange, const struct policy_decision *decision)
{
    int64_t max_s = decision->obligations.lease.max_s;

    return !exchange->request.renewal ||
           (max_s > 0 && life_opened_s(exchange) + max_s >= exchange->expires_s);
}

bool life_may_renew(const struct exchange *exchange)
{
    int64_t longest_s = exchange->mint_count > 0 ? 0 : bare_life_s(exchange);

    for (size_t i = 0; i < exchange->mint_count; i++)
        if (exchange->mints[i].ttl_s > longest_s)
            longest_s = exchange->mints[i].ttl_s;
    return exchange->decision.obligations.lease.max_s > 0 &&
           exchange->now_s + longest_s < life_end_s(exchange, life_opened_s(exchange));
}
