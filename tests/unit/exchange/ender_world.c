#include "ender_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/time_text.h"
#include "end_now.h"
#include "exchange/handles.h"

#define ARENA_MAX ((size_t)4 * 1024 * 1024)
#define PATIENCE_S 20

/* ---- a kind of target that does what it is told ---- */

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
struct seen seen;

static void copy(char *out, size_t size, const char *text)
{
    (void)snprintf(out, size, "%s", text ? text : "");
}

static void note_call(const struct revocation *revocation)
{
    struct call *call = &seen.calls[seen.call_count++ % CALLS_MAX];

    (void)snprintf(call->lease, sizeof(call->lease), STR_FMT, STR_ARG(revocation->lease));
    (void)snprintf(call->grant, sizeof(call->grant), STR_FMT, STR_ARG(revocation->grant));
    copy(call->id, sizeof(call->id), json_string_value(json_object_get(revocation->record, "id")));
    copy(call->secret, sizeof(call->secret),
         json_string_value(json_object_get(revocation->handle, "secret")));
    copy(call->attempt, sizeof(call->attempt),
         json_string_value(json_object_get(revocation->record, "attempt")));
}

static enum progress fake_revoke(struct revocation *revocation, struct error *error)
{
    struct fake *fake = revocation->target->settings;
    enum progress progress = PROGRESS_DONE;

    (void)pthread_mutex_lock(&lock);
    if (!revocation->state)
        note_call(revocation);
    if (fake->mode == MODE_HANGS && !revocation->state) {
        fake->waiting[fake->waiting_count++] = revocation->waker;
        progress = PROGRESS_WAIT;
    } else if (fake->mode == MODE_FAILS)
        progress = PROGRESS_FAILED;
    revocation->state = fake;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&lock);
    if (progress == PROGRESS_FAILED)
        (void)error_set(error, ERROR_MINT, "the target is down");
    return progress;
}

static enum progress fake_sweep(struct sweep *sweep, struct error *error)
{
    const struct fake *fake = sweep->target->settings;
    bool is_good;

    (void)pthread_mutex_lock(&lock);
    is_good = fake->mode != MODE_FAILS;
    seen.sweep_count++;
    sweep->found = arena_alloc_array(sweep->arena, COUNT(seen.existing), sizeof(*sweep->found));
    for (size_t i = 0; is_good && i < seen.existing_count; i++)
        sweep->found[sweep->found_count++] = (struct sweep_found){
            .lease = arena_copy(sweep->arena, str_from(seen.existing[i].lease)),
            .record = json_pack("{s:s}", "id", seen.existing[i].id),
        };
    sweep->is_complete = true;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&lock);
    if (is_good)
        return PROGRESS_DONE;
    (void)error_set(error, ERROR_MINT, "the target is down");
    return PROGRESS_FAILED;
}

const struct target_kind fake_kind = {
    .grant = { .name = "fake", .revocation = POLICY_REVOKED_NOW },
    .revoke = fake_revoke,
};
static const struct target_kind swept_kind = {
    .grant = { .name = "swept", .revocation = POLICY_REVOKED_NOW },
    .revoke = fake_revoke,
    .sweep = fake_sweep,
};
static const struct target_kind passing_kind = {
    .grant = { .name = "passing", .revocation = POLICY_REVOKED_NOW },
    .revoke = fake_revoke,
    .is_gone_by_expiry = true,
};

static const struct target_kind listed_kind = {
    .grant = { .name = "listed", .revocation = POLICY_REVOKED_BY_LIST },
    .revoke = fake_revoke,
    .is_gone_by_expiry = true,
};

/* "swept" is looked through where a test says so. */
struct target targets[TARGET_COUNT] = {
    { .name = { "db", 2 }, .kind = &fake_kind, .settings = &seen.fakes[TARGET_DB] },
    { .name = { "other", 5 }, .kind = &fake_kind, .settings = &seen.fakes[TARGET_OTHER] },
    { .name = { "passing", 7 }, .kind = &passing_kind, .settings = &seen.fakes[TARGET_PASSING] },
    { .name = { "swept", 5 }, .kind = &swept_kind, .settings = &seen.fakes[TARGET_SWEPT] },
    { .name = { "listed", 6 }, .kind = &listed_kind, .settings = &seen.fakes[TARGET_LISTED] },
};

/* ---- who is told ---- */

static void count(size_t *what, const struct error *why)
{
    (void)pthread_mutex_lock(&lock);
    (*what)++;
    if (why)
        copy(seen.last_cause, sizeof(seen.last_cause), why->cause);
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&lock);
}

static void on_ended(const struct store_lease *lease, enum entry_type type, const char *reason,
                     void *context)
{
    (void)lease;
    (void)type;
    (void)reason;
    (void)context;
    count(&seen.ended_count, NULL);
}

static void on_revoked(const struct store_lease *lease, size_t done, size_t pending, void *context)
{
    (void)lease;
    (void)done;
    (void)pending;
    (void)context;
    count(&seen.revoked_count, NULL);
}

static void on_not_revoked(const struct store_lease *lease, struct str grant, struct str target,
                           const struct error *why, void *context)
{
    (void)lease;
    (void)grant;
    (void)target;
    (void)context;
    count(&seen.not_revoked_count, why);
}

static void on_failed(const struct store_lease *lease, const struct error *why, void *context)
{
    (void)lease;
    (void)context;
    count(&seen.failed_count, why);
}

static void on_not_swept(struct str target, const struct error *why, void *context)
{
    (void)target;
    (void)context;
    count(&seen.failed_count, why);
}

static void on_orphan(struct str target, struct str id, struct str lease, bool is_removed,
                      void *context)
{
    (void)target;
    (void)id;
    (void)lease;
    (void)is_removed;
    (void)context;
    count(&seen.orphan_count, NULL);
}

void wait_for(struct ender *ender, const size_t *what, size_t wanted, int64_t step_s)
{
    int64_t end_ns = clock_monotonic_ns() + PATIENCE_S * INT64_C(1000000000);
    size_t got;

    (void)pthread_mutex_lock(&lock);
    while (*what < wanted && clock_monotonic_ns() < end_ns) {
        struct timespec until;

        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 50000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (step_s > 0) {
            clock_test_advance(step_s);
            (void)pthread_mutex_unlock(&lock);
            ender_nudge(ender);
            (void)pthread_mutex_lock(&lock);
        }
        if (*what < wanted)
            (void)pthread_cond_timedwait(&changed, &lock, &until);
    }
    got = *what;
    (void)pthread_mutex_unlock(&lock);
    if (got < wanted)
        fail_msg("waited for %zu, got %zu", wanted, got);
}

/* ---- a store whose clock is behind ours ---- */

bool __real_ledger_claim_due(struct ledger *ledger, int64_t again_s, struct store_claims *claims,
                             struct error *error);
bool __wrap_ledger_claim_due(struct ledger *ledger, int64_t again_s, struct store_claims *claims,
                             struct error *error);

bool __wrap_ledger_claim_due(struct ledger *ledger, int64_t again_s, struct store_claims *claims,
                             struct error *error)
{
    bool is_claimed = __real_ledger_claim_due(ledger, again_s, claims, error);

    claims->ahead_s = seen.ahead_s;
    return is_claimed;
}

/* ---- a broker without the rest ---- */

static void release_nothing(void *owner)
{
    (void)owner;
}

void set_mode(enum which_target target, enum mode mode)
{
    (void)pthread_mutex_lock(&lock);
    seen.fakes[target].mode = mode;
    (void)pthread_mutex_unlock(&lock);
}

void let_go(enum which_target target)
{
    struct waker wakers[CALLS_MAX];
    size_t waiting;

    (void)pthread_mutex_lock(&lock);
    seen.fakes[target].mode = MODE_GOOD;
    waiting = seen.fakes[target].waiting_count;
    memcpy(wakers, seen.fakes[target].waiting, waiting * sizeof(wakers[0]));
    seen.fakes[target].waiting_count = 0;
    (void)pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < waiting; i++)
        wakers[i].wake(wakers[i].context);
}

void start_ender(struct world *world)
{
    static const struct ender_listener listener = {
        .ended = on_ended,
        .revoked = on_revoked,
        .not_revoked = on_not_revoked,
        .failed = on_failed,
        .not_swept = on_not_swept,
        .orphan = on_orphan,
    };
    struct error error = { 0 };

    if (!ender_start(&world->service, &listener, &world->ender, &error))
        fail_msg("ender_start: %s", error.cause);
}

void world_start(struct world *world)
{
    struct rules *rules = calloc(1, sizeof(*rules));

    *rules = (struct rules){ .targets = targets,
                             .target_count = COUNT(targets),
                             .release = release_nothing };
    world->ledger = place_open(&world->place);
    world->service = (struct exchange_service){
        .rules = rules_table_new(rules),
        .ledger = world->ledger,
        .tools = { .keys = world->place.keys },
    };
    start_ender(world);
}

void world_stop(struct world *world)
{
    ender_stop(world->ender);
    world->ender = NULL;
    rules_table_free(world->service.rules);
    ledger_close(world->ledger);
}

int world_make(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    memset(&seen, 0, sizeof(seen));
    targets[TARGET_SWEPT].removes_orphans = false;
    place_make(&world->place);
    world->arena = arena_new(ARENA_MAX);
    world_start(world);
    *state = world;
    return 0;
}

int world_clean(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < COUNT(seen.fakes); i++)
        let_go(i);
    world_stop(world);
    arena_free(world->arena);
    place_remove(&world->place);
    free(world);
    return 0;
}

/* ---- leases ---- */

static json_t *time_json(int64_t wall_s)
{
    char text[TIME_TEXT_S_LEN + 1];

    time_text_s(wall_s, text);
    return json_string(text);
}

/* NOLINTNEXTLINE(readability-function-size): a credential is so many words */
void add_credential(struct world *world, json_t *entry, json_t *part, unsigned number,
                    const char *grant, const char *target, const char *type)
{
    char lease[ID_LEN + 1];
    char id[64];
    char secret[64];
    struct error error = { 0 };
    JSON_OWNED json_t *handle = NULL;
    struct mint mint;

    id_of(number, lease);
    (void)snprintf(id, sizeof(id), "%s-id", grant);
    (void)snprintf(secret, sizeof(secret), "%s-secret", grant);
    handle = json_pack("{s:s}", "secret", secret);
    mint = (struct mint){ .lease = { lease, ID_LEN }, .grant = str_from(grant), .handle = handle };
    assert_true(handles_put(world->place.keys, &mint, part, &error));
    assert_int_equal(
        json_array_append_new(json_object_get(entry, "credentials"),
                              json_pack("{s:s,s:s,s:s,s:s,s:s,s:o}", "grant", grant, "type", type,
                                        "target", target, "id", id, "revoke",
                                        strcmp(type, "listed") == 0 ? "list" : "now", "expires_at",
                                        time_json(clock_wall_s() + LIFE_S))),
        0);
}

json_t *new_entry(enum entry_type type, unsigned number)
{
    json_t *entry =
        type == ENTRY_CREDENTIAL_ISSUED ? entry_issued(number) : entry_of_lease(type, number);

    if (!json_object_get(entry, "credentials"))
        assert_true(json_put(entry, "credentials", json_array()));
    assert_true(json_put(entry, "lease_expires", time_json(clock_wall_s() + LIFE_S)));
    return entry;
}

uint64_t append_with(struct world *world, json_t *take_entry, json_t *take_part)
{
    struct ledger_append append = { .entries = { take_entry },
                                    .private_parts = { take_part },
                                    .entry_count = 1 };
    struct error error = { 0 };

    if (!ledger_append_now(world->ledger, &append, &error))
        fail_msg("ledger_append_now: %s", error.cause);
    json_decref(take_entry);
    json_decref(take_part);
    return append.first_index;
}

uint64_t append_lease(struct world *world, enum entry_type type, unsigned number,
                      const char *target)
{
    json_t *entry = new_entry(type, number);
    json_t *part = json_object();

    add_credential(world, entry, part, number, target, target,
                   strcmp(target, "passing") == 0 || strcmp(target, "listed") == 0 ? target
                                                                                   : "fake");
    return append_with(world, entry, part);
}

struct store_lease look_up(struct world *world, unsigned number)
{
    return lease_of(world->ledger, number);
}

void release(struct world *world, unsigned number)
{
    struct lease_end end = {
        .ledger = world->ledger,
        .lease = look_up(world, number),
        .ending = { .type = ENTRY_LEASE_RELEASED, .decision = DECISION },
        .arena = world->arena,
    };
    struct error error = { 0 };

    assert_true(lease_end_now(&end, &error));
    assert_true(end.is_recorded);
    ender_nudge(world->ender);
}

json_t *entry_at(struct world *world, uint64_t index)
{
    struct error error = { 0 };
    json_t *entry = NULL;
    struct str text;

    assert_true(ledger_entry(world->ledger, index, world->arena, &text, &error));
    assert_true(entry_parse(text, &entry, &error));
    assert_true(json_keep(world->arena, entry, &error));
    return entry;
}

const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

size_t list_len(const json_t *entry, const char *name)
{
    return json_array_size(json_object_get(entry, name));
}
