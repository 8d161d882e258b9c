#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/metrics.h"
#include "exchange/exchange_internal.h"
#include "ledger/block.h"

/*
 * Blocks hold whatever the policy says. They are looked at once the stage is known, and again right
 * before an entry that opens or issues something; that entry is then appended under the guard that
 * no block came since. So none can slip in between, whichever broker took it.
 */

/* With so many blocks placed while one exchange tries to append, somebody else can try again. */
#define LOOKS_MAX 16

/* A fact as text; some platforms number their things. */
static bool is_fact(const struct exchange *exchange, const char *name, struct str wanted)
{
    const json_t *value = json_object_get(exchange->token.ci, name);
    char number[24];
    int len;

    if (!json_is_integer(value))
        return json_is_string(value) && str_eq(json_str(value), wanted);
    len = snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return str_eq((struct str){ number, (size_t)len }, wanted);
}

static const struct verified_token *actor_of(const struct exchange *exchange)
{
    return exchange->actor && exchange->actor->facts ? &exchange->actor->token : NULL;
}

static bool is_issuer(const struct verified_token *token, struct str wanted)
{
    return token && (str_eq(token->issuer->name, wanted) || str_eq(token->issuer->url, wanted));
}

static bool fits_issuer(const struct exchange *exchange, const struct block *block)
{
    return is_issuer(&exchange->token, block->value) || is_issuer(actor_of(exchange), block->value);
}

static bool fits_kid(const struct exchange *exchange, const struct block *block)
{
    const struct verified_token *actor = actor_of(exchange);

    return str_eq(exchange->token.kid, block->value) || (actor && str_eq(actor->kid, block->value));
}

static bool fits_repository_id(const struct exchange *exchange, const struct block *block)
{
    return is_fact(exchange, "repository_id", block->value);
}

static bool fits_pipeline(const struct exchange *exchange, const struct block *block)
{
    return str_eq(exchange->decision.stage->pipeline, block->value);
}

static bool fits_stage(const struct exchange *exchange, const struct block *block)
{
    return str_eq(exchange->decision.stage->id, block->value);
}

/* Who started the run, by name or id, or acts for it. */
static bool fits_actor(const struct exchange *exchange, const struct block *block)
{
    const struct verified_token *actor = actor_of(exchange);

    return is_fact(exchange, "actor", block->value) ||
           is_fact(exchange, "actor_id", block->value) ||
           (actor && str_eq(actor->subject, block->value));
}

static bool fits_commit(const struct exchange *exchange, const struct block *block)
{
    return is_fact(exchange, "commit", block->value);
}

static bool fits_workflow_commit(const struct exchange *exchange, const struct block *block)
{
    return is_fact(exchange, "workflow_commit", block->value);
}

static bool fits_key(const struct exchange *exchange, const struct block *block)
{
    const struct exchange_proof *proof = &exchange->request.proof;

    return (proof->dpop && str_eq(str_from(proof->dpop->thumbprint), block->value)) ||
           (proof->certificate && str_eq(str_from(proof->certificate), block->value));
}

static bool fits_address(const struct exchange *exchange, const struct block *block)
{
    return network_contains(&block->network, &exchange->request.address);
}

static bool fits_target(const struct exchange *exchange, const struct block *block)
{
    for (size_t i = 0; i < exchange->decision.grant_count; i++) {
        const struct policy_target *target = exchange->decision.grants[i].grant->target;

        if (target && str_eq(target->name, block->value))
            return true;
    }
    return false;
}

static bool (*const fits[BLOCK_KIND_COUNT])(const struct exchange *exchange,
                                            const struct block *block) = {
    [BLOCK_ISSUER] = fits_issuer,
    [BLOCK_KID] = fits_kid,
    [BLOCK_REPOSITORY_ID] = fits_repository_id,
    [BLOCK_PIPELINE] = fits_pipeline,
    [BLOCK_STAGE] = fits_stage,
    [BLOCK_ACTOR] = fits_actor,
    [BLOCK_COMMIT] = fits_commit,
    [BLOCK_WORKFLOW_COMMIT] = fits_workflow_commit,
    [BLOCK_KEY] = fits_key,
    [BLOCK_ADDRESS] = fits_address,
    [BLOCK_TARGET] = fits_target,
};

static bool refuse(struct exchange *exchange, const struct block *block, struct error *error)
{
    memcpy(exchange->block_id, block->id, sizeof(exchange->block_id));
    metric_add(METRIC_EXCHANGES_BLOCKED, 1);
    return error_set(error, ERROR_BLOCKED, "block %s", block->id);
}

bool exchange_check_blocks(struct exchange *exchange, struct error *error)
{
    OWNED(block_view_put) struct block_view *view = NULL;
    int64_t now_s = clock_wall_s();

    if (exchange->block_looks++ == LOOKS_MAX)
        return error_set(error, ERROR_LEDGER, "blocks change all the time");
    if (!ledger_blocks(exchange->service->ledger, false, &view, error))
        return error_wrap(error, "blocks");
    exchange->blocks_version = view->version;
    for (size_t i = 0; i < view->count; i++) {
        const struct block *block = &view->blocks[i];

        if (block->expires_s > now_s && fits[block->kind](exchange, block))
            return refuse(exchange, block, error);
    }
    return true;
}

enum progress blocks_enter(struct exchange *exchange, struct error *error)
{
    return exchange_check_blocks(exchange, error) ? PROGRESS_DONE : PROGRESS_FAILED;
}

void exchange_guard_blocks(struct exchange *exchange)
{
    struct ledger_append *append = &exchange->append;

    append->guards[append->guard_count++] = (struct store_guard){
        .kind = STORE_GUARD_BLOCKS,
        .blocks = exchange->blocks_version,
    };
}

bool exchange_was_overtaken(const struct exchange *exchange)
{
    const struct store_guard *guard = exchange_failed_guard(exchange);

    return guard && guard->kind == STORE_GUARD_BLOCKS;
}
