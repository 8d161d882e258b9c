/*
 * A lease's credentials are ended at their targets, those of different targets at the same time,
 * and what came of it is one entry. Where nothing came of it there is none: a target that is down
 * must not fill the ledger.
 */
#include <stddef.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/metrics.h"
#include "base/token_status.h"
#include "exchange/ender_internal.h"
#include "exchange/exchange_internal.h"
#include "exchange/rules.h"

/* Of credentials that were ended so much is listed; the entry says how many there were. */
#define LISTED_MAX ((size_t)7 * 1024)
#define NEXT_ENTRY_S 1

#define FAILURE_AGAIN_S 5

/* ---- one credential ---- */

static void conclude(struct settling *settling);

static void errand_over(struct errand *errand)
{
    struct settling *settling = errand->settling;

    settling->open--;
    if (settling->open == 0)
        conclude(settling);
}

struct errand *errand_of(struct lane_place *place)
{
    return (struct errand *)((char *)place - offsetof(struct errand, place));
}

void errand_put_off(struct errand *errand, int64_t again_s)
{
    errand->is_put_off = true;
    errand->again_s = again_s;
    errand_over(errand);
}

static const struct target_kind *kind_of(const struct errand *errand)
{
    const struct target *target = errand->revocation.target;

    return target ? target->kind : target_kind_find(errand->owed->type);
}

/* It begins from the queue: not within who leaves the lane. */
void lane_go_on(struct lane_place *place)
{
    struct waker waker = step_waker(&errand_of(place)->step);

    waker.wake(waker.context);
}

static void leave_lane(struct errand *errand)
{
    struct lane_place *next = lanes_leave(&errand->place, errand->is_done, clock_monotonic_ms());

    if (next)
        lane_go_on(next);
}

static void ask_target(struct step *step)
{
    struct errand *errand = (struct errand *)step;
    enum progress progress;

    if (!errand->has_begun && ender_is_stopping(step->ender)) {
        leave_lane(errand);
        errand_put_off(errand, 0);
        return;
    }
    errand->has_begun = true;
    progress = kind_of(errand)->revoke(&errand->revocation, &errand->error);
    if (progress == PROGRESS_WAIT)
        return;
    errand->is_done = progress == PROGRESS_DONE;
    metric_add_revocations(kind_of(errand)->grant.name, errand->is_done, 1);
    leave_lane(errand);
    errand_over(errand);
}

/* Whether there is somebody to ask, and something to ask with. */
static bool can_ask(struct errand *errand)
{
    const struct owed *owed = errand->owed;
    struct settling *settling = errand->settling;
    const struct target_kind *kind;

    errand->revocation.target =
        owed->target.len > 0 ? rules_target(settling->rules, owed->target) : NULL;
    kind = kind_of(errand);
    if (owed->is_sealed)
        return error_set(&errand->error, ERROR_CRYPTO, "what it takes to end it does not open");
    if (owed->target.len > 0 && !errand->revocation.target)
        return error_set(&errand->error, ERROR_MINT, "its target is not configured any more");
    if (!kind || !kind->revoke || !str_eq(str_from(kind->grant.name), owed->type))
        return error_set(&errand->error, ERROR_MINT, "its target is of another kind now");
    return true;
}

/*
 * Nothing of some kinds is left at the target once they have expired. What is released or revoked
 * in its last second may have expired when this looks, and is put into no list: whoever checks a
 * list checks before that when it ends.
 */
static bool is_gone(const struct settling *settling, const struct owed *owed, int64_t now_s)
{
    const struct target *target =
        owed->target.len > 0 ? rules_target(settling->rules, owed->target) : NULL;
    const struct target_kind *kind = target ? target->kind : target_kind_find(owed->type);

    return kind && kind->is_gone_by_expiry && owed->expires_s > 0 && owed->expires_s <= now_s;
}

static void begin_errand(struct errand *errand)
{
    struct lanes *lanes = ender_lanes(errand->step.ender);
    bool is_askable = can_ask(errand);
    int64_t again_s = 0;

    if (is_gone(errand->settling, errand->owed, errand->revocation.now_s)) {
        errand->is_done = true;
        errand->is_expired = true;
        errand->error = (struct error){ 0 };
        errand_over(errand);
        return;
    }
    if (!is_askable) {
        errand_over(errand);
        return;
    }
    switch (
        lanes_enter(lanes, errand->owed->target, clock_monotonic_ms(), &errand->place, &again_s)) {
    case LANE_ENTERED:
        ask_target(&errand->step);
        return;
    case LANE_WAITS:
        return;
    case LANE_CLOSED:
        errand_put_off(errand, again_s);
    }
}

/* ---- what came of it ---- */

/* Whether its status is a bit of a list: of a token of ours, once it was made. */
static bool has_status(const struct errand *errand)
{
    const struct target_kind *kind = kind_of(errand);

    return kind && kind->sign && json_object_get(errand->owed->record, "id");
}

/*
 * A certificate or a token of ours is taken back by the entry itself: lists follow from it
 * (ledger/revoked.h), so that it must stand in one.
 */
static bool must_stand(const struct errand *errand)
{
    return errand->is_done && !errand->is_expired &&
           (json_object_get(errand->owed->record, "ca") || has_status(errand));
}

static bool put_status(const struct errand *errand, json_t *item)
{
    struct token_status status = token_status_of(errand->owed->index, errand->owed->place);

    return !has_status(errand) || json_put(item, "status", token_status_record(&status));
}

/* What is told of one that was ended; of what is listed what lists need, and whose it was. */
static json_t *item_of(const struct errand *errand)
{
    static const char *const untold[] = { "fingerprint", "key_id", "ttl_s" };
    JSON_OWNED json_t *item = json_copy(json_iterable(errand->owed->record));

    if (!item)
        return NULL;
    (void)json_object_del(item, "revoke"); /* it is there */
    (void)json_object_del(item, "lapses");
    for (size_t i = 0; must_stand(errand) && i < COUNT(untold); i++)
        (void)json_object_del(item, untold[i]);
    return put_status(errand, item) &&
                   json_put(item, "ended", json_string(errand->is_expired ? "expired" : "revoked"))
               ? TAKE(item)
               : NULL;
}

/* Whether there is room for it, which is then taken. */
static bool take_room(const json_t *item, size_t *listed)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, LISTED_MAX);
    buf_add_json(&text, item);
    if (!item || !buf_is_ok(&text) || *listed + text.len > LISTED_MAX)
        return false;
    *listed += text.len;
    return true;
}

/* Those that there is no room for are left to the next entry. */
static void keep_to_room(struct settling *settling)
{
    size_t listed = 0;

    for (struct errand *errand = settling->errands; errand; errand = errand->next) {
        JSON_OWNED json_t *item = must_stand(errand) ? item_of(errand) : NULL;

        if (!must_stand(errand) || take_room(item, &listed))
            continue;
        errand->is_done = false;
        errand->is_put_off = true;
        errand->again_s = NEXT_ENTRY_S;
    }
}

static bool put_done(const struct errand *errand, json_t *list, size_t *listed)
{
    JSON_OWNED json_t *item = item_of(errand);

    if (!item)
        return false;
    return !take_room(item, listed) || json_array_append(list, item) == 0;
}

static bool put_all_done(const struct settling *settling, json_t *done)
{
    size_t listed = 0;

    for (const struct errand *errand = settling->errands; errand; errand = errand->next)
        if (must_stand(errand) && !put_done(errand, done, &listed))
            return false;
    for (const struct errand *errand = settling->errands; errand; errand = errand->next)
        if (errand->is_done && !must_stand(errand) && !put_done(errand, done, &listed))
            return false;
    return true;
}

static bool put_outcome(const struct settling *settling, json_t *entry)
{
    json_t *done = json_array();
    JSON_OWNED json_t *pending = json_array();

    if (!pending || !json_put(entry, "credentials", done) ||
        (settling->pending_count > 0 && !json_put(entry, "pending", json_incref(pending))) ||
        !put_all_done(settling, done))
        return false;
    for (const struct errand *errand = settling->errands; errand; errand = errand->next)
        if (!errand->is_done && !owed_put_pending(pending, errand->owed))
            return false;
    return json_array_size(done) == settling->done_count ||
           json_put(entry, "count", json_integer((json_int_t)settling->done_count));
}

static bool make_entry(struct settling *settling, json_t **entry, struct error *error)
{
    *entry =
        entry_new(ENTRY_CREDENTIAL_REVOKED, ledger_broker(ender_service(settling->ender)->ledger));
    if (!id_new(clock_wall_ms(), settling->decision, error))
        return false;
    if (!json_put(*entry, "decision", json_string(settling->decision)) ||
        !json_put(*entry, "lease", json_string(settling->lease.id)) ||
        !put_outcome(settling, *entry))
        return error_set(error, ERROR_MEMORY, "entry");
    return record_copy_opened(settling->owed.opened, *entry, error);
}

/* Under the guard that the lease is as it was: else somebody knows more of it. */
static bool submit(struct settling *settling, struct error *error)
{
    struct ledger_append *append = &settling->append;
    JSON_OWNED json_t *entry = NULL;

    if (!make_entry(settling, &entry, error))
        return false;
    append->entries[0] = entry;
    append->entry_count = 1;
    append->guards[0] = (struct store_guard){
        .kind = STORE_GUARD_LEASE,
        .state = settling->lease.state,
        .version = settling->lease.version,
    };
    memcpy(append->guards[0].lease_id, settling->lease.id, ID_LEN);
    append->guard_count = 1;
    append->is_revocation = true;
    append->waker = step_waker(&settling->step);
    settling->is_submitted =
        ledger_submit(ender_service(settling->ender)->ledger, append, settling->arena, error);
    return settling->is_submitted;
}

static int64_t back_off_s(const struct settling *settling)
{
    int64_t over_s = clock_wall_s() - settling->lease.ended_s;
    int64_t again_s = over_s / 2;

    if (again_s < 2)
        return 2;
    return again_s > ENDER_BACK_OFF_MAX_S ? ENDER_BACK_OFF_MAX_S : again_s;
}

/* Where one only waits for its turn, sooner than where one failed. */
static int64_t again_in_s(const struct settling *settling)
{
    int64_t least_s = ENDER_BACK_OFF_MAX_S;

    for (const struct errand *errand = settling->errands; errand; errand = errand->next)
        if (errand->is_put_off && errand->again_s < least_s)
            least_s = errand->again_s;
    return least_s < back_off_s(settling) ? least_s : back_off_s(settling);
}

static void put_off(struct settling *settling)
{
    if (settling->pending_count > 0)
        ender_put_off(settling->ender, &settling->lease, again_in_s(settling));
}

static void tell_failed(struct settling *settling, const struct error *why)
{
    const struct ender_listener *listener = ender_listener_of(settling->ender);

    listener->failed(&settling->lease, why, listener->context);
    ender_put_off(settling->ender, &settling->lease, FAILURE_AGAIN_S);
}

static void tell_of_errands(struct settling *settling)
{
    const struct ender_listener *listener = ender_listener_of(settling->ender);

    for (const struct errand *errand = settling->errands; errand; errand = errand->next) {
        if (errand->is_done)
            settling->done_count++;
        else
            settling->pending_count++;
        if (!errand->is_done && !errand->is_put_off)
            listener->not_revoked(&settling->lease, errand->owed->grant, errand->owed->target,
                                  &errand->error, listener->context);
    }
}

static void conclude(struct settling *settling)
{
    struct error error = { 0 };

    keep_to_room(settling);
    tell_of_errands(settling);
    if (settling->done_count == 0 && settling->pending_count > 0) {
        put_off(settling);
        settling->done(settling);
        return;
    }
    if (submit(settling, &error))
        return;
    tell_failed(settling, &error);
    settling->done(settling);
}

/* Recorded; or the lease moved on meanwhile, and falls due as it is now. */
static void go_on(struct step *step)
{
    struct settling *settling = (struct settling *)((char *)step - offsetof(struct settling, step));
    const struct ender_listener *listener = ender_listener_of(settling->ender);
    const struct ledger_append *append = &settling->append;

    if (append->is_committed) {
        listener->revoked(&settling->lease, settling->done_count, settling->pending_count,
                          listener->context);
        put_off(settling);
    } else if (append->failed_guard >= append->guard_count)
        tell_failed(settling, &append->error);
    else
        ender_put_off(settling->ender, &settling->lease, 1);
    settling->done(settling);
}

/* ---- beginning ---- */

static struct errand *new_errand(struct settling *settling, const struct owed *owed, int64_t now_s)
{
    struct errand *errand = arena_alloc(settling->arena, sizeof(*errand));

    if (!errand)
        return NULL;
    errand->step = (struct step){ .ender = settling->ender, .go_on = ask_target };
    errand->settling = settling;
    errand->owed = owed;
    errand->revocation = (struct revocation){
        .tools = &ender_service(settling->ender)->tools,
        .stage = settling->owed.stage,
        .lease = { settling->lease.id, ID_LEN },
        .grant = owed->grant,
        .record = owed->record,
        .handle = owed->handle,
        .expires_s = owed->expires_s > 0 ? owed->expires_s : settling->lease.expires_s,
        .now_s = now_s,
        .arena = settling->arena,
        .waker = step_waker(&errand->step),
    };
    errand->next = settling->errands;
    settling->errands = errand;
    return errand;
}

static bool read_owed(struct settling *settling, struct error *error)
{
    const struct exchange_service *service = ender_service(settling->ender);

    return owed_read(service->ledger, service->tools.keys, &settling->lease, settling->arena,
                     &settling->owed, error);
}

int64_t settling_now_s(const struct settling *settling)
{
    return clock_wall_s() - settling->ahead_s;
}

bool settling_needs_nothing(struct settling *settling)
{
    struct error ignored = { 0 }; /* it is read again */
    int64_t now_s = settling_now_s(settling);

    if (!read_owed(settling, &ignored))
        return false;
    for (const struct owed *owed = settling->owed.first; owed; owed = owed->next)
        if (!is_gone(settling, owed, now_s))
            return false;
    return true;
}

static bool prepare(struct settling *settling, struct error *error)
{
    int64_t now_s = settling_now_s(settling);

    if (!read_owed(settling, error))
        return false;
    for (const struct owed *owed = settling->owed.first; owed; owed = owed->next)
        if (!new_errand(settling, owed, now_s))
            return error_set(error, ERROR_MEMORY, "errand");
    return true;
}

void settling_begin(struct settling *settling)
{
    struct error error = { 0 };
    struct errand *next;

    settling->step = (struct step){ .ender = settling->ender, .go_on = go_on };
    if (!prepare(settling, &error)) {
        tell_failed(settling, &error);
        settling->done(settling);
        return;
    }
    settling->open = settling->owed.count + 1; /* one more: it is not over while they begin */
    for (struct errand *errand = settling->errands; errand; errand = next) {
        next = errand->next;
        begin_errand(errand);
    }
    settling->open--;
    if (settling->open == 0)
        conclude(settling);
}
