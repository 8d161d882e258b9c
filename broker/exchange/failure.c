#include "base/json.h"
#include "exchange/ender.h"
#include "exchange/exchange_internal.h"
#include "exchange/tally.h"

/* Whether a mint may have left something at its target that nobody was told of. */
static bool has_unknown(const struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->mint_count; i++)
        if (exchange->mints[i].may_exist)
            return true;
    return exchange->has_ended; /* what was made is not released, and its mark stays */
}

static bool put_end(struct exchange *exchange, json_t **entry, struct error *error)
{
    struct ledger_append *append = &exchange->append;

    append->guard_count = 0;
    append->is_revocation = false;
    if (!exchange->replay || !exchange->replay->ends_lease)
        return true;
    if (!replay_record_end(exchange, entry, &append->guards[0], error))
        return false;
    append->guard_count = 1;
    append->is_revocation = true;
    append->entries[append->entry_count] = *entry;
    append->private_parts[append->entry_count] = NULL;
    append->entry_count++;
    return true;
}

/* A denial may be tried again, but is counted once. */
static bool is_single(struct exchange *exchange, struct str key, json_t *entry)
{
    if (!exchange->is_counted)
        exchange->is_single = tally_admit(exchange->service->denials, key, entry, exchange->now_s);
    exchange->is_counted = true;
    return exchange->is_single;
}

static enum progress submit_denial(struct exchange *exchange, struct error *error)
{
    struct ledger_append *append = &exchange->append;
    JSON_OWNED json_t *entry = NULL;
    JSON_OWNED json_t *private_part = NULL;
    JSON_OWNED json_t *end = NULL;
    struct str stage = { 0 };
    struct str key;

    if (exchange->decision.stage)
        stage = exchange->decision.stage->id;
    key = arena_printf(exchange->arena, STR_FMT "\n" STR_FMT "\n" STR_FMT "\n%s\n%s",
                       STR_ARG(exchange->token.issuer->name), STR_ARG(exchange->token.subject),
                       STR_ARG(stage), exchange->block_id,
                       exchange->request.renewal ? exchange->request.renewal->lease.id : "");
    if (!key.data || !record_denied(exchange, &exchange->failure, &entry, &private_part, error))
        return PROGRESS_FAILED;
    append->entry_count = 0;
    if (is_single(exchange, key, entry)) {
        append->entries[0] = entry;
        append->private_parts[0] = private_part;
        append->entry_count = 1;
    }
    if (!put_end(exchange, &end, error))
        return PROGRESS_FAILED;
    return append->entry_count == 0 ? PROGRESS_DONE : exchange_submit(exchange, error);
}

/*
 * How a lease that was requested came out. One that somebody ended meanwhile is no longer ours to
 * guard, but what was made for it is recorded all the same: to be ended where it can be, while the
 * lease stays as it ended.
 */
static enum progress submit_outcome(struct exchange *exchange, struct error *error)
{
    enum entry_type type =
        has_unknown(exchange) ? ENTRY_CREDENTIAL_UNKNOWN : ENTRY_CREDENTIAL_FAILED;

    if (exchange->request.renewal) {
        renewal_guard(exchange);
        return exchange_submit_lease(exchange, ENTRY_RENEWAL_FAILED, &exchange->failure, error);
    }
    exchange_guard_requested(exchange);
    if (exchange->has_ended)
        exchange->append.guard_count = 0;
    return exchange_submit_lease(exchange, type, &exchange->failure, error);
}

/*
 * Without a ledger there is nowhere to write it, without memory nothing to write it with. And who
 * is only told what to bring, or to wait, was refused nothing.
 */
static bool is_recordable(const struct exchange *exchange)
{
    enum error_code code = exchange->failure.code;

    return code != ERROR_LEDGER && code != ERROR_MEMORY && code != ERROR_FULL &&
           code != ERROR_APPROVAL_PENDING && !exchange->lacks_details;
}

/*
 * Queue what is to be recorded. Where even that cannot be written the answer is 503: what the
 * ledger does not know is not told as decided.
 */
static enum progress record(struct exchange *exchange)
{
    struct error recording = { 0 };
    enum progress progress = PROGRESS_DONE;

    if (is_recordable(exchange))
        progress = exchange->has_intent ? submit_outcome(exchange, &recording)
                                        : submit_denial(exchange, &recording);
    if (progress == PROGRESS_FAILED)
        exchange->failure = recording;
    return progress;
}

/* A lease moved on between our look at it and the append: whether to try again. */
static bool must_try_again(struct exchange *exchange)
{
    const struct ledger_append *append = &exchange->append;

    if (append->is_committed || append->failed_guard >= append->guard_count)
        return false;
    if (!exchange->has_intent) {
        replay_look(exchange);
        return true;
    }
    exchange->has_ended = true;
    return !exchange->request.renewal || renewal_look_again(exchange);
}

/* The ledger knows that something was asked for, and not what came of it: that is not kept. */
static void drop_minted(const struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->mint_count; i++)
        ender_drop(exchange->service->ender,
                   target_kind_of(exchange->decision.grants[i].grant->kind), &exchange->mints[i]);
}

enum progress exchange_record_failure(struct exchange *exchange, struct error *error)
{
    bool is_first = !exchange->is_submitted;
    enum progress progress = PROGRESS_DONE;

    exchange->is_submitted = false;
    if (is_first && exchange->failure.code == ERROR_TOKEN_USED)
        replay_look(exchange);
    if (is_first || must_try_again(exchange))
        progress = record(exchange);
    else if (!exchange->append.is_committed && !exchange_failed_guard(exchange))
        exchange->failure = exchange->append.error;
    if (progress == PROGRESS_WAIT)
        return progress;
    if (exchange->has_intent && !is_recordable(exchange))
        drop_minted(exchange);
    *error = exchange->failure;
    return PROGRESS_FAILED;
}
