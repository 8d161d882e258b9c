#include "exchange/sweeper.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/metrics.h"
#include "exchange/ender_internal.h"
#include "exchange/exchange.h"
#include "exchange/rules.h"

#define NAME_LEN_MAX 40
#define LOOK_MAX ((size_t)16 * 1024 * 1024)

/* The first look is not at once: a start has more to do. */
#define FIRST_S 30

/* A target that can be looked through. Stays once it was seen: targets are few. */
struct beat {
    struct beat *next;
    char name[NAME_LEN_MAX + 1];
    int64_t due_ms; /* by the monotonic clock */
    size_t orphans; /* that the last whole look found */
    bool is_under_way;
};

struct sweeper {
    struct ender *ender;
    struct beat *beats;
    size_t busy_count;
};

/* One look at one target. In its arena. */
struct look {
    struct step step; /* the first member */
    struct sweeper *sweeper;
    struct beat *beat;
    struct arena *arena;
    struct rules *rules;
    const struct target *target;
    struct sweep sweep;
    size_t at;                /* of what was found, the one under way */
    struct store_lease lease; /* what it is of, as it was judged; version 0: nobody knows it */
    size_t orphans;
    size_t handled;
    struct revocation revocation;
    struct lane_place place;
    struct ledger_append append;
};

static void judge_next(struct look *look);

/* ---- the end of a look ---- */

static void measure(const struct sweeper *sweeper)
{
    int64_t total = 0;

    for (const struct beat *beat = sweeper->beats; beat; beat = beat->next)
        total += (int64_t)beat->orphans;
    metric_set(METRIC_ORPHANS, total);
}

static void release_found(struct look *look)
{
    for (size_t i = 0; i < look->sweep.found_count; i++) {
        json_decref(look->sweep.found[i].record);
        json_decref(look->sweep.found[i].handle);
    }
}

static void end_look(struct look *look, bool is_whole)
{
    struct sweeper *sweeper = look->sweeper;
    struct arena *arena = look->arena;

    look->beat->is_under_way = false;
    look->beat->due_ms = clock_monotonic_ms() + SWEEP_EVERY_S * INT64_C(1000);
    if (is_whole)
        look->beat->orphans = look->orphans;
    measure(sweeper);
    release_found(look);
    rules_put(ender_service(sweeper->ender)->rules, look->rules);
    sweeper->busy_count--;
    arena_free(arena);
}

static void tell_failed(const struct look *look, const struct error *why)
{
    const struct ender_listener *listener = ender_listener_of(look->sweeper->ender);

    listener->not_swept(look->target->name, why, listener->context);
}

static void fail(struct look *look, const struct error *why)
{
    tell_failed(look, why);
    end_look(look, false);
}

/* ---- whose it is ---- */

static const struct sweep_found *found_of(const struct look *look)
{
    return &look->sweep.found[look->at];
}

static bool is_young(int64_t since_s, int64_t now_s)
{
    return now_s - since_s < SWEEP_GRACE_S;
}

/* The lease that it is of; version 0: nobody knows it. Errors: ERROR_LEDGER */
static bool read_lease(struct look *look, struct error *error)
{
    struct str id = found_of(look)->lease;

    look->lease = (struct store_lease){ 0 };
    if (!id_is_valid(id) ||
        ledger_lease_by_id(ender_service(look->sweeper->ender)->ledger, id, &look->lease, error))
        return true;
    look->lease = (struct store_lease){ 0 };
    if (error->code != ERROR_NOT_FOUND)
        return false;
    *error = (struct error){ 0 };
    return true;
}

/* An orphan is of no lease, or of one that is over and owes nothing; neither since just now. */
static bool is_orphan(struct look *look)
{
    struct str id = found_of(look)->lease;
    const struct store_lease *lease = &look->lease;
    struct error ignored = { 0 }; /* the next look tries again */
    int64_t now_s = clock_wall_s();

    if (!read_lease(look, &ignored))
        return false;
    if (lease->version == 0)
        return !id_is_valid(id) || !is_young(id_time_s(id), now_s);
    if (store_lease_owes(lease, now_s) || lease->state == LEASE_REQUESTED)
        return false;
    return !is_young(lease->state == LEASE_ISSUED ? lease->expires_s : lease->ended_s, now_s);
}

/* ---- an orphan ---- */

static void next(struct look *look)
{
    look->at++;
    judge_next(look);
}

static json_t *describe(const struct look *look, bool has_ended)
{
    json_t *item = json_deep_copy(found_of(look)->record);

    if (json_put(item, "type", json_string(look->target->kind->grant.name)) &&
        json_put(item, "target", json_from_str(look->target->name)) &&
        (!has_ended || json_put(item, "ended", json_string("revoked"))))
        return item;
    json_decref(item);
    return NULL;
}

static bool put_lease(const struct look *look, json_t *entry)
{
    struct str lease = found_of(look)->lease;

    return !id_is_valid(lease) || json_put(entry, "lease", json_from_str(lease));
}

/* By which it is recorded once, whoever of several brokers finds it. */
static bool put_mark(struct look *look, json_t *entry)
{
    struct store_guard *guard = &look->append.guards[0];
    OWNED(buf_release) struct buf text = { 0 };
    JSON_OWNED json_t *item = describe(look, false);
    json_t *token = json_object();

    buf_init(&text, STORE_ENTRY_MAX);
    buf_add_text(&text, "orphan ");
    buf_add_json(&text, item);
    if (!buf_is_ok(&text) || !json_put(entry, "token", token)) {
        json_decref(token);
        return false;
    }
    sha256(buf_str(&text), guard->mark);
    buf_clear(&text);
    buf_add_hex(&text, (struct str){ (const char *)guard->mark, sizeof(guard->mark) });
    return buf_is_ok(&text) && json_put(token, "mark", json_from_str(buf_str(&text))) &&
           json_put(token, "exp", json_integer(look->sweep.now_s + (int64_t)SWEEP_AGAIN_S));
}

static bool submit(struct look *look, json_t *entry, size_t guard_count, struct error *error)
{
    struct ledger_append *append = &look->append;

    append->entries[0] = entry;
    append->entry_count = 1;
    append->guard_count = guard_count;
    append->waker = step_waker(&look->step);
    return ledger_submit(ender_service(look->sweeper->ender)->ledger, append, look->arena, error);
}

static void record_removed(struct look *look);

/*
 * The lease moved on meanwhile. What it owes now the ender asks for, finds gone, and records; that
 * must not count as paid by what we did. Else it is recorded of the lease as it is now.
 */
static void record_again(struct look *look)
{
    struct error error = { 0 };

    if (!read_lease(look, &error))
        fail(look, &error);
    else if (store_lease_owes(&look->lease, clock_wall_s()))
        next(look);
    else
        record_removed(look);
}

static void go_on_removed(struct step *step)
{
    struct look *look = (struct look *)step;

    if (look->append.is_committed)
        next(look);
    else if (look->append.failed_guard < look->append.guard_count)
        record_again(look);
    else
        fail(look, &look->append.error);
}

/* Its lease, if there is one, must be as it was when nobody was owed it. */
static size_t guard_lease(struct look *look)
{
    struct store_guard *guard = &look->append.guards[0];

    if (look->lease.version == 0)
        return 0;
    *guard = (struct store_guard){
        .kind = STORE_GUARD_LEASE,
        .state = look->lease.state,
        .version = look->lease.version,
    };
    memcpy(guard->lease_id, look->lease.id, ID_LEN);
    return 1;
}

/* That it is gone is recorded as of any credential. */
static void record_removed(struct look *look)
{
    JSON_OWNED json_t *entry = entry_new(
        ENTRY_CREDENTIAL_REVOKED, ledger_broker(ender_service(look->sweeper->ender)->ledger));
    char decision[ID_LEN + 1];
    struct error error = { 0 };
    json_t *list = json_array();

    look->append = (struct ledger_append){ .is_revocation = true };
    look->step.go_on = go_on_removed;
    if (!json_put(entry, "credentials", list) ||
        json_array_append_new(list, describe(look, true)) != 0 || !put_lease(look, entry) ||
        !json_put(entry, "target", json_from_str(look->target->name)))
        (void)error_set(&error, ERROR_MEMORY, "entry");
    else if (id_new(clock_wall_ms(), decision, &error) &&
             json_put(entry, "decision", json_string(decision)) &&
             submit(look, entry, guard_lease(look), &error))
        return;
    fail(look, &error);
}

static void leave_lane(struct look *look, bool is_good)
{
    struct lane_place *waiting = lanes_leave(&look->place, is_good, clock_monotonic_ms());

    if (waiting)
        lane_go_on(waiting);
}

static void go_on_removing(struct step *step)
{
    struct look *look = (struct look *)step;
    struct error error = { 0 };
    enum progress progress = look->target->kind->revoke(&look->revocation, &error);

    if (progress == PROGRESS_WAIT)
        return;
    metric_add_revocations(look->target->kind->grant.name, progress == PROGRESS_DONE, 1);
    leave_lane(look, progress == PROGRESS_DONE);
    if (progress == PROGRESS_DONE) {
        record_removed(look);
        return;
    }
    tell_failed(look, &error); /* the next look tries again; others are not held up by this one */
    next(look);
}

/*
 * Leases come first: where their lane is not free orphans wait for the next look. And what came of
 * a mint may have been recorded just now: then it is no orphan any more.
 */
static void remove_orphan(struct look *look)
{
    struct ender *ender = look->sweeper->ender;
    const struct sweep_found *found = found_of(look);
    int64_t again_s;

    if (ender_is_stopping(ender) || !look->target->kind->revoke || !is_orphan(look) ||
        !lanes_is_free(ender_lanes(ender), look->target->name, clock_monotonic_ms())) {
        next(look);
        return;
    }
    (void)lanes_enter(ender_lanes(ender), look->target->name, clock_monotonic_ms(), &look->place,
                      &again_s);
    look->step.go_on = go_on_removing;
    look->revocation = (struct revocation){
        .tools = &ender_service(ender)->tools,
        .target = look->target,
        .lease = found->lease,
        .record = found->record,
        .handle = found->handle,
        .now_s = look->sweep.now_s,
        .arena = look->arena,
        .waker = step_waker(&look->step),
    };
    go_on_removing(&look->step);
}

static void tell(struct look *look)
{
    const struct ender_listener *listener = ender_listener_of(look->sweeper->ender);
    struct str id = json_str(json_object_get(found_of(look)->record, "id"));

    listener->orphan(look->target->name, id, found_of(look)->lease, look->target->removes_orphans,
                     listener->context);
}

/* A guard that failed: it is on record already. */
static void go_on_recorded(struct step *step)
{
    struct look *look = (struct look *)step;

    if (!look->append.is_committed && look->append.failed_guard >= look->append.guard_count) {
        fail(look, &look->append.error);
        return;
    }
    if (look->append.is_committed)
        tell(look);
    if (look->target->removes_orphans)
        remove_orphan(look);
    else
        next(look);
}

static void record_orphan(struct look *look)
{
    JSON_OWNED json_t *entry =
        entry_new(ENTRY_ORPHAN_FOUND, ledger_broker(ender_service(look->sweeper->ender)->ledger));
    json_t *list = json_array();
    struct error error = { 0 };

    look->append = (struct ledger_append){ .guards = { { .kind = STORE_GUARD_MARK_ABSENT } } };
    look->step.go_on = go_on_recorded;
    if (!json_put(entry, "credentials", list) ||
        json_array_append_new(list, describe(look, false)) != 0 || !put_lease(look, entry) ||
        !json_put(entry, "target", json_from_str(look->target->name)) || !put_mark(look, entry))
        (void)error_set(&error, ERROR_MEMORY, "entry");
    else if (submit(look, entry, 1, &error))
        return;
    fail(look, &error);
}

/* ---- what was found ---- */

static void judge_next(struct look *look)
{
    bool is_stopping = ender_is_stopping(look->sweeper->ender);

    for (; look->at < look->sweep.found_count && !is_stopping; look->at++) {
        if (!is_orphan(look))
            continue;
        look->orphans++;
        if (look->handled++ < SWEEP_ORPHANS_MAX) {
            record_orphan(look);
            return;
        }
    }
    end_look(look, !is_stopping);
}

static void go_on_looking(struct step *step)
{
    struct look *look = (struct look *)step;
    struct error error = { 0 };
    enum progress progress = look->target->kind->sweep(&look->sweep, &error);

    if (progress == PROGRESS_FAILED)
        fail(look, &error);
    else if (progress == PROGRESS_DONE)
        judge_next(look);
}

/* ---- beginning ---- */

static void begin_look(struct sweeper *sweeper, struct beat *beat, const struct target *target)
{
    struct arena *arena = arena_new(LOOK_MAX);
    struct look *look = arena ? arena_alloc(arena, sizeof(*look)) : NULL;

    beat->due_ms = clock_monotonic_ms() + SWEEP_EVERY_S * INT64_C(1000);
    if (!look) {
        arena_free(arena);
        return;
    }
    *look = (struct look){
        .step = { .ender = sweeper->ender, .go_on = go_on_looking },
        .sweeper = sweeper,
        .beat = beat,
        .arena = arena,
        .rules = rules_get(ender_service(sweeper->ender)->rules),
        .target = target,
    };
    look->target = rules_target(look->rules, target->name);
    look->sweep = (struct sweep){
        .tools = &ender_service(sweeper->ender)->tools,
        .target = look->target,
        .now_s = clock_wall_s(),
        .arena = arena,
        .waker = step_waker(&look->step),
    };
    beat->is_under_way = true;
    sweeper->busy_count++;
    if (look->target && look->target->kind->sweep)
        go_on_looking(&look->step);
    else
        end_look(look, false); /* another configuration came just now */
}

static struct beat *beat_of(struct sweeper *sweeper, struct str name)
{
    struct beat *beat = sweeper->beats;

    while (beat && !str_eq(str_from(beat->name), name))
        beat = beat->next;
    if (beat || name.len > NAME_LEN_MAX)
        return beat;
    beat = calloc(1, sizeof(*beat));
    if (!beat)
        return NULL;
    memcpy(beat->name, name.data, name.len);
    beat->due_ms = clock_monotonic_ms() + FIRST_S * INT64_C(1000);
    beat->next = sweeper->beats;
    sweeper->beats = beat;
    return beat;
}

void sweeper_tend(struct sweeper *sweeper)
{
    const struct exchange_service *service = ender_service(sweeper->ender);
    struct rules *rules = rules_get(service->rules);
    int64_t now_ms = clock_monotonic_ms();

    for (size_t i = 0; i < rules->target_count; i++) {
        const struct target *target = &rules->targets[i];
        struct beat *beat = target->kind->sweep ? beat_of(sweeper, target->name) : NULL;

        if (beat && !beat->is_under_way && beat->due_ms <= now_ms)
            begin_look(sweeper, beat, target);
    }
    rules_put(service->rules, rules);
}

bool sweeper_is_busy(const struct sweeper *sweeper)
{
    return sweeper->busy_count > 0;
}

struct sweeper *sweeper_new(struct ender *ender)
{
    struct sweeper *sweeper = calloc(1, sizeof(*sweeper));

    if (sweeper)
        sweeper->ender = ender;
    return sweeper;
}

void sweeper_free(struct sweeper *sweeper)
{
    struct beat *following;

    if (!sweeper)
        return;
    for (struct beat *beat = sweeper->beats; beat; beat = following) {
        following = beat->next;
        free(beat);
    }
    free(sweeper);
}
