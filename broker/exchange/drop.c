/*
 * What was minted, and of which the ledger could not take the outcome: it is ended at once, from
 * what is in memory. Nothing is recorded of that, since nothing can be. Where it fails the lease,
 * which stays requested, becomes unknown in time, and is looked after then.
 */
#include <stddef.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/metrics.h"
#include "exchange/ender_internal.h"
#include "exchange/exchange.h"
#include "exchange/rules.h"

#define DROP_MAX ((size_t)1024 * 1024)

/* One credential. In its arena. */
struct drop {
    struct step step; /* the first member */
    struct arena *arena;
    struct rules *rules;
    struct str target; /* its name; empty: the kind takes none */
    const struct target_kind *kind;
    struct store_lease lease; /* of which only the id is known */
    struct revocation revocation;
    bool has_begun;
};

static void end_drop(struct drop *drop)
{
    struct ender *ender = drop->step.ender;

    rules_put(ender_service(ender)->rules, drop->rules);
    arena_free(drop->arena);
    ender_forget_drop(ender);
}

static void tell(const struct drop *drop, const struct error *why)
{
    const struct ender_listener *listener = ender_listener_of(drop->step.ender);

    listener->not_revoked(&drop->lease, drop->revocation.grant, drop->target, why,
                          listener->context);
}

static void go_on(struct step *step)
{
    struct drop *drop = (struct drop *)step;
    struct error error = { 0 };
    enum progress progress = PROGRESS_FAILED;

    if (drop->target.len > 0 && !drop->revocation.target)
        (void)error_set(&error, ERROR_MINT, "its target is not configured any more");
    else
        progress = drop->kind->revoke(&drop->revocation, &error);
    if (progress == PROGRESS_WAIT)
        return;
    metric_add_revocations(drop->kind->grant.name, progress == PROGRESS_DONE, 1);
    if (progress == PROGRESS_FAILED)
        tell(drop, &error);
    end_drop(drop);
}

/* Of its own: the exchange, on another thread, ends meanwhile. */
static bool copy_json(const json_t *from, struct arena *arena, const json_t **to)
{
    struct error ignored = { 0 };
    json_t *made = json_deep_copy(from);

    *to = made;
    return !from || json_keep(arena, made, &ignored);
}

/* As an entry has it: the mint's own, and by which attempt it was made. */
static bool copy_record(const struct mint *mint, struct arena *arena, const json_t **record)
{
    struct error ignored = { 0 };
    json_t *made;

    if (mint->attempt.len == 0)
        return copy_json(mint->record, arena, record);
    made = mint->record ? json_deep_copy(mint->record) : json_object();
    *record = made;
    return json_keep(arena, made, &ignored) &&
           json_put(made, "attempt", json_from_str(mint->attempt));
}

static void copy_id(const struct mint *mint, struct drop *drop)
{
    for (size_t i = 0; i < mint->lease.len && i < ID_LEN; i++)
        drop->lease.id[i] = mint->lease.data[i];
}

static struct drop *new_drop(struct ender *ender, const struct mint *mint, struct arena *arena)
{
    struct drop *drop = arena_alloc(arena, sizeof(*drop));

    if (!drop)
        return NULL;
    drop->step = (struct step){ .ender = ender, .go_on = go_on };
    drop->arena = arena;
    drop->target = mint->target ? arena_copy(arena, mint->target->name) : STR("");
    copy_id(mint, drop);
    drop->revocation = (struct revocation){
        .tools = &ender_service(ender)->tools,
        .stage = arena_copy(arena, mint->stage),
        .lease = { drop->lease.id, ID_LEN },
        .grant = arena_copy(arena, mint->grant),
        .expires_s = mint->expires_s,
        .now_s = clock_wall_s(),
        .arena = arena,
        .waker = step_waker(&drop->step),
    };
    return drop->target.data && drop->revocation.stage.data && drop->revocation.grant.data &&
                   copy_record(mint, arena, &drop->revocation.record) &&
                   copy_json(mint->handle, arena, &drop->revocation.handle)
               ? drop
               : NULL;
}

void ender_drop(struct ender *ender, const struct target_kind *kind, const struct mint *mint)
{
    struct arena *arena;
    struct drop *drop;

    if (!ender || target_revocation(kind, mint) == POLICY_REVOKED_BY_EXPIRY ||
        (!mint->credential && !mint->may_exist))
        return;
    arena = arena_new(DROP_MAX);
    drop = arena ? new_drop(ender, mint, arena) : NULL;
    if (!drop) {
        arena_free(arena);
        return; /* without memory it becomes unknown in time */
    }
    drop->kind = kind;
    drop->rules = rules_get(ender_service(ender)->rules);
    if (drop->target.len > 0)
        drop->revocation.target = rules_target(drop->rules, drop->target);
    ender_note_drop(ender, &drop->step);
}
