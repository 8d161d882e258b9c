#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/time_text.h"
#include "exchange/ender.h"
#include "exchange/exchange.h"
#include "exchange/handles.h"
#include "exchange/lease_end.h"
#include "exchange/rules.h"
#include "exchange/sweeper.h"
#include "ledger/help.h"
#include "targets/target.h"
#include "tests/test.h"

#define DECISION "01J00000000000000000000000"
#define ARENA_MAX ((size_t)4 * 1024 * 1024)
#define PATIENCE_S 20
#define CALLS_MAX 4096
#define LIFE_S 600

/* ---- a kind of target that does what it is told ---- */

enum mode {
    MODE_GOOD,
    MODE_FAILS,
    MODE_HANGS, /* until it is let go */
};

struct fake {
    enum mode mode;
    struct waker waiting[CALLS_MAX];
    size_t waiting_count;
};

struct call {
    char lease[ID_LEN + 1];
    char grant[32];
    char id[32];
    char secret[32]; /* of the handle; empty: there was none */
    char attempt[ID_LEN + 1];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct call calls[CALLS_MAX]; /* guarded by lock, as what follows */
static size_t call_count;
static size_t ended_count;
static size_t revoked_count;
static size_t not_revoked_count;
static size_t failed_count;
static size_t orphan_count;
static char last_cause[256];
static struct fake fakes[5];

static void copy(char *out, size_t size, const char *text)
{
    (void)snprintf(out, size, "%s", text ? text : "");
}

static void note_call(const struct revocation *revocation)
{
    struct call *call = &calls[call_count++ % CALLS_MAX];

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

/* What exists there: names of a lease and an id each. */
static struct exists {
    char lease[ID_LEN + 1];
    char id[16];
} existing[64]; /* guarded by lock, as what follows */
static size_t existing_count;
static size_t sweep_count;

static enum progress fake_sweep(struct sweep *sweep, struct error *error)
{
    const struct fake *fake = sweep->target->settings;
    bool is_good;

    (void)pthread_mutex_lock(&lock);
    is_good = fake->mode != MODE_FAILS;
    sweep_count++;
    sweep->found = arena_alloc_array(sweep->arena, COUNT(existing), sizeof(*sweep->found));
    for (size_t i = 0; is_good && i < existing_count; i++)
        sweep->found[sweep->found_count++] = (struct sweep_found){
            .lease = arena_copy(sweep->arena, str_from(existing[i].lease)),
            .record = json_pack("{s:s}", "id", existing[i].id),
        };
    sweep->is_complete = true;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&lock);
    if (is_good)
        return PROGRESS_DONE;
    (void)error_set(error, ERROR_MINT, "the target is down");
    return PROGRESS_FAILED;
}

static const struct target_kind fake_kind = {
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
static struct target targets[] = {
    { .name = { "db", 2 }, .kind = &fake_kind, .settings = &fakes[0] },
    { .name = { "other", 5 }, .kind = &fake_kind, .settings = &fakes[1] },
    { .name = { "passing", 7 }, .kind = &passing_kind, .settings = &fakes[2] },
    { .name = { "swept", 5 }, .kind = &swept_kind, .settings = &fakes[3] },
    { .name = { "listed", 6 }, .kind = &listed_kind, .settings = &fakes[4] },
};

/* ---- who is told ---- */

static void count(size_t *what, const struct error *why)
{
    (void)pthread_mutex_lock(&lock);
    (*what)++;
    if (why)
        copy(last_cause, sizeof(last_cause), why->cause);
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
    count(&ended_count, NULL);
}

static void on_revoked(const struct store_lease *lease, size_t done, size_t pending, void *context)
{
    (void)lease;
    (void)done;
    (void)pending;
    (void)context;
    count(&revoked_count, NULL);
}

static void on_not_revoked(const struct store_lease *lease, struct str grant, struct str target,
                           const struct error *why, void *context)
{
    (void)lease;
    (void)grant;
    (void)target;
    (void)context;
    count(&not_revoked_count, why);
}

static void on_failed(const struct store_lease *lease, const struct error *why, void *context)
{
    (void)lease;
    (void)context;
    count(&failed_count, why);
}

static void on_not_swept(struct str target, const struct error *why, void *context)
{
    (void)target;
    (void)context;
    count(&failed_count, why);
}

static void on_orphan(struct str target, struct str id, struct str lease, bool is_removed,
                      void *context)
{
    (void)target;
    (void)id;
    (void)lease;
    (void)is_removed;
    (void)context;
    count(&orphan_count, NULL);
}

/* Wait until so many were counted; the clock goes on meanwhile where `step_s` is not 0. */
static void wait_for(struct ender *ender, const size_t *what, size_t wanted, int64_t step_s)
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

static int64_t ahead_s;

bool __real_ledger_claim_due(struct ledger *ledger, int64_t again_s, struct store_claims *claims,
                             struct error *error);
bool __wrap_ledger_claim_due(struct ledger *ledger, int64_t again_s, struct store_claims *claims,
                             struct error *error);

bool __wrap_ledger_claim_due(struct ledger *ledger, int64_t again_s, struct store_claims *claims,
                             struct error *error)
{
    bool is_claimed = __real_ledger_claim_due(ledger, again_s, claims, error);

    claims->ahead_s = ahead_s;
    return is_claimed;
}

/* ---- a broker without the rest ---- */

struct world {
    struct place place;
    struct ledger *ledger;
    struct arena *arena;
    struct rules rules;
    struct exchange_service service;
    struct ender *ender;
};

static void release_nothing(void *owner)
{
    (void)owner;
}

static void set_mode(size_t target, enum mode mode)
{
    (void)pthread_mutex_lock(&lock);
    fakes[target].mode = mode;
    (void)pthread_mutex_unlock(&lock);
}

static void let_go(size_t target)
{
    struct waker wakers[CALLS_MAX];
    size_t waiting;

    (void)pthread_mutex_lock(&lock);
    fakes[target].mode = MODE_GOOD;
    waiting = fakes[target].waiting_count;
    memcpy(wakers, fakes[target].waiting, waiting * sizeof(wakers[0]));
    fakes[target].waiting_count = 0;
    (void)pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < waiting; i++)
        wakers[i].wake(wakers[i].context);
}

static void start_ender(struct world *world)
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

static void start(struct world *world)
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

static void stop(struct world *world)
{
    ender_stop(world->ender);
    world->ender = NULL;
    rules_table_free(world->service.rules);
    ledger_close(world->ledger);
}

static int make(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    call_count = ended_count = revoked_count = not_revoked_count = failed_count = 0;
    orphan_count = existing_count = sweep_count = 0;
    ahead_s = 0;
    targets[3].removes_orphans = false;
    memset(fakes, 0, sizeof(fakes));
    last_cause[0] = '\0';
    place_make(&world->place);
    world->arena = arena_new(ARENA_MAX);
    start(world);
    *state = world;
    return 0;
}

static int clean(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < COUNT(fakes); i++)
        let_go(i);
    stop(world);
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

/* A credential of a target, whose `id` is GRANT-id and whose handle's secret GRANT-secret. */
static void add_credential(struct world *world, json_t *entry, json_t *part, unsigned number,
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

static json_t *new_entry(enum entry_type type, unsigned number)
{
    json_t *entry =
        type == ENTRY_CREDENTIAL_ISSUED ? entry_issued(number) : entry_of_lease(type, number);

    if (!json_object_get(entry, "credentials"))
        assert_true(json_put(entry, "credentials", json_array()));
    assert_true(json_put(entry, "lease_expires", time_json(clock_wall_s() + LIFE_S)));
    return entry;
}

static uint64_t append_with(struct world *world, json_t *take_entry, json_t *take_part)
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

/* An entry of a lease with one credential, of a grant that is named like its target; and some
 * kinds. */
static uint64_t append_lease(struct world *world, enum entry_type type, unsigned number,
                             const char *target)
{
    json_t *entry = new_entry(type, number);
    json_t *part = json_object();

    add_credential(world, entry, part, number, target, target,
                   strcmp(target, "passing") == 0 || strcmp(target, "listed") == 0 ? target
                                                                                   : "fake");
    return append_with(world, entry, part);
}

static struct store_lease look_up(struct world *world, unsigned number)
{
    struct store_lease lease = { 0 };
    struct error error = { 0 };
    char id[ID_LEN + 1];

    id_of(number, id);
    if (!ledger_lease_by_id(world->ledger, str_from(id), &lease, &error))
        fail_msg("lease %u: %s", number, error.cause);
    return lease;
}

static void release(struct world *world, unsigned number)
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

static json_t *entry_at(struct world *world, uint64_t index)
{
    struct error error = { 0 };
    json_t *entry = NULL;
    struct str text;

    assert_true(ledger_entry(world->ledger, index, world->arena, &text, &error));
    assert_true(entry_parse(text, &entry, &error));
    assert_true(json_keep(world->arena, entry, &error));
    return entry;
}

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static size_t list_len(const json_t *entry, const char *name)
{
    return json_array_size(json_object_get(entry, name));
}

/* ---- what it is about ---- */

static void what_a_released_lease_owes_is_ended(void **state)
{
    struct world *world = *state;
    json_t *entry;

    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "db");
    release(world, 1);
    wait_for(world->ender, &revoked_count, 1, 0);
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
    assert_int_equal(call_count, 1);
    assert_string_equal(calls[0].id, "db-id");
    assert_string_equal(calls[0].secret, "db-secret");
    entry = entry_at(world, look_up(world, 1).latest_index);
    assert_string_equal(text_of(entry, "type"), "credential.revoked");
    assert_int_equal(list_len(entry, "credentials"), 1);
    assert_null(json_object_get(entry, "pending"));
    entry = json_array_get(json_object_get(entry, "credentials"), 0);
    assert_string_equal(text_of(entry, "id"), "db-id");
    assert_string_equal(text_of(entry, "ended"), "revoked");
    assert_null(json_object_get(entry, "secret"));
}

static void a_lease_that_lives_owes_nothing_yet(void **state)
{
    struct world *world = *state;

    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "db");
    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 2, "db");
    release(world, 2);
    wait_for(world->ender, &revoked_count, 1, 0);
    assert_int_equal(call_count, 1);
    assert_int_equal(look_up(world, 1).state, LEASE_ISSUED);
}

static void a_target_that_is_down_is_tried_until_it_is_done(void **state)
{
    struct world *world = *state;
    uint64_t size;

    set_mode(0, MODE_FAILS);
    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "db");
    release(world, 1);
    size = ledger_size(world->ledger);
    wait_for(world->ender, &not_revoked_count, 4, 60);
    assert_string_equal(last_cause, "the target is down");
    assert_int_equal(ledger_size(world->ledger), size); /* failures fill no ledger */
    assert_int_equal(look_up(world, 1).debt, DEBT_OWED);
    set_mode(0, MODE_GOOD);
    wait_for(world->ender, &revoked_count, 1, 60);
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
}

static void it_is_tried_again_after_a_restart(void **state)
{
    struct world *world = *state;

    set_mode(0, MODE_FAILS);
    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "db");
    release(world, 1);
    wait_for(world->ender, &not_revoked_count, 1, 0);
    stop(world);
    set_mode(0, MODE_GOOD);
    start(world);
    wait_for(world->ender, &revoked_count, 1, 0);
    assert_string_equal(calls[call_count - 1].secret, "db-secret");
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
}

static void what_is_pending_is_named_and_only_that_is_tried(void **state)
{
    struct world *world = *state;
    json_t *entry = new_entry(ENTRY_CREDENTIAL_ISSUED, 1);
    json_t *part = json_object();
    const json_t *item;

    add_credential(world, entry, part, 1, "good", "other", "fake");
    add_credential(world, entry, part, 1, "bad", "db", "fake");
    (void)append_with(world, entry, part);
    set_mode(0, MODE_FAILS);
    release(world, 1);
    wait_for(world->ender, &revoked_count, 1, 0);
    entry = entry_at(world, look_up(world, 1).latest_index);
    assert_int_equal(list_len(entry, "credentials"), 1);
    assert_int_equal(list_len(entry, "pending"), 1);
    item = json_array_get(json_object_get(entry, "pending"), 0);
    assert_string_equal(text_of(item, "grant"), "bad");
    assert_string_equal(text_of(item, "target"), "db");
    assert_int_equal(look_up(world, 1).debt, DEBT_OWED);
    set_mode(0, MODE_GOOD);
    call_count = 0;
    wait_for(world->ender, &revoked_count, 2, 60);
    for (size_t i = 0; i < call_count; i++)
        assert_string_equal(calls[i].grant, "bad");
    entry = entry_at(world, look_up(world, 1).latest_index);
    assert_null(json_object_get(entry, "pending"));
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
}

static void a_target_that_hangs_holds_up_no_other(void **state)
{
    struct world *world = *state;
    const unsigned hanging = 100;

    set_mode(0, MODE_HANGS);
    for (unsigned i = 1; i <= hanging; i++) {
        (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, i, "db");
        release(world, i);
    }
    wait_for(world->ender, &call_count, 4, 0);
    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, hanging + 1, "other");
    release(world, hanging + 1);
    wait_for(world->ender, &revoked_count, 1, 0);
    assert_int_equal(look_up(world, hanging + 1).debt, DEBT_NONE);
    assert_int_equal(look_up(world, 1).debt, DEBT_OWED);
    assert_int_equal(call_count, 5); /* four at a time, and that one */
    let_go(0);
    wait_for(world->ender, &revoked_count, hanging + 1, 5);
    for (unsigned i = 1; i <= hanging; i++)
        assert_int_equal(look_up(world, i).debt, DEBT_NONE);
}

static void silence_ends_a_lease(void **state)
{
    struct world *world = *state;
    json_t *entry = new_entry(ENTRY_CREDENTIAL_ISSUED, 1);
    json_t *part = json_object();

    assert_true(json_put(entry, "heartbeat_s", json_integer(60)));
    add_credential(world, entry, part, 1, "db", "db", "fake");
    (void)append_with(world, entry, part);
    clock_test_advance(2 * 60);
    ender_nudge(world->ender);
    wait_for(world->ender, &ended_count, 1, 20);
    wait_for(world->ender, &revoked_count, 1, 0);
    assert_int_equal(look_up(world, 1).state, LEASE_REVOKED);
    entry = entry_at(world, look_up(world, 1).latest_index - 1);
    assert_string_equal(text_of(entry, "type"), "lease.revoked");
    assert_string_equal(text_of(entry, "reason"), "silence");
    assert_string_equal(text_of(entry, "stage"), "acme/payments:deploy-prod");
}

static void what_an_expired_lease_owes_is_ended(void **state)
{
    struct world *world = *state;

    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "db");
    clock_test_advance(LIFE_S + 1);
    ender_nudge(world->ender);
    wait_for(world->ender, &revoked_count, 1, 0);
    assert_int_equal(look_up(world, 1).state, LEASE_EXPIRED);
    assert_int_equal(call_count, 1);
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
}

static void what_is_gone_by_itself_is_not_asked_for(void **state)
{
    struct world *world = *state;
    json_t *entry;

    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "passing");
    clock_test_advance(LIFE_S + 1);
    ender_nudge(world->ender);
    wait_for(world->ender, &revoked_count, 1, 0);
    assert_int_equal(call_count, 0);
    assert_int_equal(ended_count, 0); /* nothing is left to do: no entry of its expiry */
    entry = entry_at(world, look_up(world, 1).latest_index);
    entry = json_array_get(json_object_get(entry, "credentials"), 0);
    assert_string_equal(text_of(entry, "ended"), "expired");
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
}

/* By the store's clock it lives still. */
static void by_a_clock_that_is_ahead_nothing_is_gone(void **state)
{
    struct world *world = *state;
    json_t *entry;

    ahead_s = LIFE_S + 1;
    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "passing");
    clock_test_advance(ahead_s);
    ender_nudge(world->ender);
    wait_for(world->ender, &revoked_count, 1, 0);
    assert_int_equal(call_count, 1);
    entry = entry_at(world, look_up(world, 1).latest_index);
    entry = json_array_get(json_object_get(entry, "credentials"), 0);
    assert_string_equal(text_of(entry, "ended"), "revoked");
}

static void it_is_asked_for_before_that(void **state)
{
    struct world *world = *state;

    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "passing");
    release(world, 1);
    wait_for(world->ender, &revoked_count, 1, 0);
    assert_int_equal(call_count, 1);
}

/* Leases 1 to `count` have expired; one more expires after them, which takes two entries. */
static void expect_no_more_entries(struct world *world, unsigned count, size_t revoked)
{
    int64_t oldest_s = 0;
    uint64_t size;

    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, count + 1, "db");
    size = ledger_size(world->ledger);
    clock_test_advance(LIFE_S + 1);
    ender_nudge(world->ender);
    wait_for(world->ender, &revoked_count, revoked + 1, 0);
    assert_int_equal(ledger_size(world->ledger), size + 2);
    assert_int_equal(ledger_owed_count(world->ledger, &oldest_s), 0);
    assert_int_equal(ledger_live_lease_count(world->ledger), 0);
}

static void what_lapses_takes_no_entry(void **state)
{
    struct world *world = *state;
    const unsigned count = 100;

    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 1; i <= count; i++)
            (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, round * 200 + i, "listed");
        if (round == 1)
            stop(world);
        clock_test_advance(LIFE_S + 1);
        if (round == 1)
            start(world);
        expect_no_more_entries(world, round * 200 + count, round);
        for (unsigned i = 1; i <= count; i++)
            assert_int_equal(look_up(world, round * 200 + i).version, 1);
    }
    assert_int_equal(call_count, 2); /* of "db" */
    assert_int_equal(ended_count, 2);
}

static void what_is_released_before_it_lapses_does(void **state)
{
    struct world *world = *state;
    json_t *entry;

    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "listed");
    release(world, 1);
    wait_for(world->ender, &revoked_count, 1, 0);
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
    entry = entry_at(world, look_up(world, 1).latest_index);
    entry = json_array_get(json_object_get(entry, "credentials"), 0);
    assert_string_equal(text_of(entry, "ended"), "revoked");
}

static void what_could_not_be_ended_before_it_lapsed_is_over(void **state)
{
    struct world *world = *state;
    int64_t oldest_s = 0;

    set_mode(4, MODE_FAILS);
    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "listed");
    release(world, 1);
    wait_for(world->ender, &not_revoked_count, 1, 0);
    assert_int_equal(ledger_owed_count(world->ledger, &oldest_s), 1);
    clock_test_advance(LIFE_S + 1);
    expect_no_more_entries(world, 1, 0);
    assert_int_equal(look_up(world, 1).version, 2);
}

static void a_lease_that_was_left_becomes_unknown(void **state)
{
    struct world *world = *state;
    json_t *entry = new_entry(ENTRY_LEASE_REQUESTED, 1);

    assert_int_equal(json_array_append_new(json_object_get(entry, "credentials"),
                                           json_pack("{s:s,s:s,s:s,s:s}", "grant", "db", "type",
                                                     "fake", "target", "db", "revoke", "now")),
                     0);
    (void)append_with(world, entry, json_object());
    clock_test_advance(LEASE_REQUESTED_MAX_S + 1);
    ender_nudge(world->ender);
    wait_for(world->ender, &revoked_count, 1, 0);
    assert_int_equal(look_up(world, 1).state, LEASE_UNKNOWN);
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
    assert_string_equal(calls[0].id, "");
    assert_string_equal(calls[0].secret, "");
}

static void what_was_made_before_a_failure_is_ended_at_once(void **state)
{
    struct world *world = *state;

    (void)append_with(world, new_entry(ENTRY_LEASE_REQUESTED, 1), json_object());
    (void)append_lease(world, ENTRY_CREDENTIAL_FAILED, 1, "db");
    ender_nudge(world->ender);
    wait_for(world->ender, &revoked_count, 1, 0);
    assert_string_equal(calls[0].secret, "db-secret");
    assert_int_equal(look_up(world, 1).state, LEASE_FAILED);
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
}

/* What was minted first, and what a renewal added. */
static void credentials_of_renewals_are_ended_too(void **state)
{
    struct world *world = *state;
    uint64_t first = append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "db");
    json_t *entry = new_entry(ENTRY_LEASE_RENEWED, 1);
    json_t *part = json_object();

    assert_true(json_put(entry, "renewal", json_integer(1)));
    assert_true(json_put(entry, "renews", json_integer((json_int_t)first)));
    (void)json_object_del(entry, "token");
    add_credential(world, entry, part, 1, "again", "other", "fake");
    (void)append_with(world, entry, part);
    release(world, 1);
    wait_for(world->ender, &revoked_count, 1, 0);
    assert_int_equal(call_count, 2);
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
}

#define CERTIFICATES 63
#define CERTIFICATES_AN_ENTRY 9

/* As many as are renewed in a while: with `ca`, by which lists find them. */
static void add_certificates(struct world *world, json_t *entry, json_t *part, unsigned first)
{
    for (unsigned i = 0; i < CERTIFICATES_AN_ENTRY; i++) {
        json_t *list = json_object_get(entry, "credentials");
        json_t *credential;
        char grant[16];

        (void)snprintf(grant, sizeof(grant), "g%02u", first + i);
        add_credential(world, entry, part, 1, grant, "db", "fake");
        credential = json_array_get(list, json_array_size(list) - 1);
        assert_true(
            json_put(credential, "ca", json_string("5f0c1e6fd5b6a7c8d9e0f1a2b3c4d5e6f7a8b9c0")));
        assert_true(json_put(credential, "fingerprint", json_string("0123456789abcdef")));
    }
}

static void note_listed(struct world *world, const json_t *entry, bool listed[CERTIFICATES])
{
    const json_t *list = json_object_get(entry, "credentials");

    (void)world;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *grant = text_of(json_array_get(list, i), "grant");
        size_t number = (size_t)(grant[1] - '0') * 10 + (size_t)(grant[2] - '0');

        assert_true(number < CERTIFICATES);
        assert_false(listed[number]); /* once */
        listed[number] = true;
        assert_non_null(text_of(json_array_get(list, i), "ca"));
        assert_non_null(text_of(json_array_get(list, i), "expires_at"));
        assert_null(text_of(json_array_get(list, i), "fingerprint"));
    }
}

/* Lists of revoked certificates follow from entries: none of them may be left out of all. */
static void every_certificate_stands_in_an_entry(void **state)
{
    struct world *world = *state;
    bool listed[CERTIFICATES] = { false };
    uint64_t last = 0;
    uint64_t end;

    for (unsigned i = 0; i < CERTIFICATES; i += CERTIFICATES_AN_ENTRY) {
        json_t *entry = new_entry(i == 0 ? ENTRY_CREDENTIAL_ISSUED : ENTRY_LEASE_RENEWED, 1);
        json_t *part = json_object();

        if (i > 0) {
            assert_true(json_put(entry, "renewal", json_integer((json_int_t)i)));
            assert_true(json_put(entry, "renews", json_integer((json_int_t)last)));
            (void)json_object_del(entry, "token");
        }
        add_certificates(world, entry, part, i);
        last = append_with(world, entry, part);
    }
    release(world, 1);
    wait_for(world->ender, &revoked_count, 2, 2);
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
    end = ledger_size(world->ledger);
    for (uint64_t index = last + 1; index < end; index++)
        if (strcmp(text_of(entry_at(world, index), "type"), "credential.revoked") == 0)
            note_listed(world, entry_at(world, index), listed);
    for (size_t i = 0; i < CERTIFICATES; i++)
        if (!listed[i])
            fail_msg("certificate %zu stands in no entry", i);
}

static void a_target_that_is_gone_is_waited_for(void **state)
{
    struct world *world = *state;
    json_t *entry = new_entry(ENTRY_CREDENTIAL_ISSUED, 1);
    json_t *part = json_object();

    add_credential(world, entry, part, 1, "db", "no-more", "fake");
    (void)append_with(world, entry, part);
    release(world, 1);
    wait_for(world->ender, &not_revoked_count, 2, 60);
    assert_non_null(strstr(last_cause, "not configured"));
    assert_int_equal(look_up(world, 1).debt, DEBT_OWED);
    assert_int_equal(call_count, 0);
}

static void a_target_of_another_kind_is_not_asked(void **state)
{
    struct world *world = *state;
    json_t *entry = new_entry(ENTRY_CREDENTIAL_ISSUED, 1);
    json_t *part = json_object();

    add_credential(world, entry, part, 1, "db", "db", "postgres");
    (void)append_with(world, entry, part);
    release(world, 1);
    wait_for(world->ender, &not_revoked_count, 1, 0);
    assert_non_null(strstr(last_cause, "another kind"));
    assert_int_equal(call_count, 0);
}

static void a_handle_of_somebody_else_is_not_used(void **state)
{
    struct world *world = *state;
    json_t *entry = new_entry(ENTRY_CREDENTIAL_ISSUED, 1);
    json_t *part = json_object();
    JSON_OWNED json_t *other = json_pack("{s:[]}", "credentials");
    JSON_OWNED json_t *own = json_object();

    add_credential(world, other, part, 2, "db", "db", "fake");
    add_credential(world, entry, own, 1, "db", "db", "fake");
    (void)append_with(world, entry, part);
    release(world, 1);
    wait_for(world->ender, &not_revoked_count, 1, 0);
    assert_non_null(strstr(last_cause, "does not open"));
    assert_int_equal(call_count, 0);
}

static void *stop_ender(void *context)
{
    struct world *world = context;

    ender_stop(world->ender);
    return NULL;
}

static void it_stops_once_what_was_asked_is_answered(void **state)
{
    struct world *world = *state;
    pthread_t thread;

    set_mode(0, MODE_HANGS);
    for (unsigned i = 1; i <= 8; i++) {
        (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, i, "db");
        release(world, i);
    }
    wait_for(world->ender, &call_count, 4, 0);
    assert_int_equal(pthread_create(&thread, NULL, stop_ender, world), 0);
    let_go(0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    start_ender(world);
    wait_for(world->ender, &revoked_count, 8, 5);
    for (unsigned i = 1; i <= 8; i++)
        assert_int_equal(look_up(world, i).debt, DEBT_NONE);
}

static void many_leases_are_settled_once_each(void **state)
{
    struct world *world = *state;
    const unsigned many = 600;

    for (unsigned i = 1; i <= many; i++) {
        (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, i, i % 2 == 0 ? "db" : "other");
        release(world, i);
    }
    wait_for(world->ender, &revoked_count, many, 5);
    assert_int_equal(call_count, many);
    assert_int_equal(failed_count, 0);
}

/* ---- what the ledger was not told of ---- */

static struct mint mint_of(const struct target *target, json_t *record, json_t *handle)
{
    return (struct mint){
        .target = target,
        .stage = STR("acme/payments:deploy-prod"),
        .lease = STR(DECISION),
        .grant = STR("db"),
        .record = record,
        .handle = handle,
        .credential = record,
    };
}

static void what_could_not_be_recorded_is_ended_all_the_same(void **state)
{
    struct world *world = *state;
    JSON_OWNED json_t *record = json_pack("{s:s}", "id", "db-id");
    JSON_OWNED json_t *handle = json_pack("{s:s}", "secret", "db-secret");
    struct mint mint = mint_of(&targets[0], record, handle);
    uint64_t size = ledger_size(world->ledger);

    ender_drop(world->ender, &fake_kind, &mint);
    wait_for(world->ender, &call_count, 1, 0);
    assert_string_equal(calls[0].lease, DECISION);
    assert_string_equal(calls[0].id, "db-id");
    assert_string_equal(calls[0].secret, "db-secret");
    assert_int_equal(ledger_size(world->ledger), size);
}

/* Some kinds end what a renewal made by its attempt: without it they end what the lease still has.
 */
static void of_a_renewal_what_that_made_is_ended(void **state)
{
    static const char attempt[] = "01J00000000000000000000009";
    struct world *world = *state;
    JSON_OWNED json_t *record = json_pack("{s:s}", "id", "db-id");
    struct mint mint = mint_of(&targets[0], record, NULL);

    ender_drop(world->ender, &fake_kind, &mint);
    wait_for(world->ender, &call_count, 1, 0);
    assert_string_equal(calls[0].attempt, "");
    mint.attempt = str_from(attempt);
    ender_drop(world->ender, &fake_kind, &mint);
    wait_for(world->ender, &call_count, 2, 0);
    assert_string_equal(calls[1].attempt, attempt);
    mint.record = NULL; /* it was not heard of */
    mint.may_exist = true;
    ender_drop(world->ender, &fake_kind, &mint);
    wait_for(world->ender, &call_count, 3, 0);
    assert_string_equal(calls[2].attempt, attempt);
}

static void what_was_never_made_is_not(void **state)
{
    static const struct target_kind lasting = { .grant = { .name = "lasting" } };
    struct world *world = *state;
    JSON_OWNED json_t *record = json_pack("{s:s}", "id", "db-id");
    struct mint mint = mint_of(&targets[0], record, NULL);

    ender_drop(world->ender, &lasting, &mint); /* cannot be ended */
    ender_drop(NULL, &fake_kind, &mint);
    mint.credential = NULL;
    ender_drop(world->ender, &fake_kind, &mint);
    mint.may_exist = true;
    ender_drop(world->ender, &fake_kind, &mint);
    wait_for(world->ender, &call_count, 1, 0);
    ender_stop(world->ender);
    start_ender(world);
    assert_int_equal(call_count, 1);
}

static void what_is_not_ended_so_is_told(void **state)
{
    struct world *world = *state;
    JSON_OWNED json_t *record = json_pack("{s:s}", "id", "db-id");
    const struct target gone = { .name = STR("no-more"), .kind = &fake_kind };
    struct mint mint = mint_of(&targets[0], record, NULL);

    set_mode(0, MODE_FAILS);
    ender_drop(world->ender, &fake_kind, &mint);
    wait_for(world->ender, &not_revoked_count, 1, 0);
    assert_string_equal(last_cause, "the target is down");
    mint = mint_of(&gone, record, NULL);
    ender_drop(world->ender, &fake_kind, &mint);
    wait_for(world->ender, &not_revoked_count, 2, 0);
    assert_non_null(strstr(last_cause, "not configured"));
}

/* ---- what no lease owns ---- */

static void let_exist(const char *lease, const char *id)
{
    (void)pthread_mutex_lock(&lock);
    copy(existing[existing_count].lease, sizeof(existing[0].lease), lease);
    copy(existing[existing_count].id, sizeof(existing[0].id), id);
    existing_count++;
    (void)pthread_mutex_unlock(&lock);
}

/* Two whole looks from now on: what the first one finds is recorded by the end of it. */
static void await_looks(struct world *world)
{
    size_t looks;

    (void)pthread_mutex_lock(&lock);
    looks = sweep_count;
    (void)pthread_mutex_unlock(&lock);
    wait_for(world->ender, &sweep_count, looks + 3, 60);
}

static json_t *last_of_type(struct world *world, const char *type)
{
    for (uint64_t i = ledger_size(world->ledger); i > 0; i--) {
        json_t *entry = entry_at(world, i - 1);

        if (strcmp(text_of(entry, "type"), type) == 0)
            return entry;
    }
    return NULL;
}

static void what_no_lease_owns_is_recorded_once(void **state)
{
    struct world *world = *state;
    json_t *entry;

    let_exist("01000000000000000000000009", "lost");
    wait_for(world->ender, &orphan_count, 1, 60);
    await_looks(world);
    assert_int_equal(orphan_count, 1);
    assert_int_equal(call_count, 0); /* only told */
    entry = last_of_type(world, "orphan.found");
    assert_string_equal(text_of(entry, "target"), "swept");
    assert_string_equal(text_of(entry, "lease"), "01000000000000000000000009");
    entry = json_array_get(json_object_get(entry, "credentials"), 0);
    assert_string_equal(text_of(entry, "id"), "lost");
}

static void it_is_not_recorded_again_by_who_starts_later(void **state)
{
    struct world *world = *state;

    let_exist("01000000000000000000000009", "lost");
    wait_for(world->ender, &orphan_count, 1, 60);
    stop(world);
    start(world);
    await_looks(world);
    assert_int_equal(orphan_count, 1);
}

static void what_leases_own_is_left(void **state)
{
    struct world *world = *state;
    char id[ID_LEN + 1];

    set_mode(0, MODE_FAILS);
    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "db");
    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 2, "db");
    release(world, 2);
    id_of(1, id);
    let_exist(id, "lives");
    id_of(2, id);
    let_exist(id, "is owed");
    wait_for(world->ender, &sweep_count, 1, 31); /* the first look; both leases are as they were */
    wait_for(world->ender, &not_revoked_count, 1, 0);
    assert_int_equal(orphan_count, 0);
}

static void what_was_made_a_moment_ago_is_left(void **state)
{
    struct world *world = *state;
    struct error error = { 0 };
    char id[ID_LEN + 1];

    assert_true(id_new(clock_wall_ms(), id, &error));
    let_exist(id, "new");
    wait_for(world->ender, &sweep_count, 1, 31);
    assert_int_equal(orphan_count, 0);
    wait_for(world->ender, &orphan_count, 1, 300); /* now it is old */
}

static void orphans_are_ended_where_that_is_configured(void **state)
{
    struct world *world = *state;
    json_t *entry;

    targets[3].removes_orphans = true;
    let_exist("01000000000000000000000009", "lost");
    wait_for(world->ender, &call_count, 1, 60);
    (void)pthread_mutex_lock(&lock);
    existing_count = 0;
    (void)pthread_mutex_unlock(&lock);
    await_looks(world);
    assert_string_equal(calls[0].id, "lost");
    entry = last_of_type(world, "credential.revoked");
    assert_string_equal(text_of(entry, "lease"), "01000000000000000000000009");
    entry = json_array_get(json_object_get(entry, "credentials"), 0);
    assert_string_equal(text_of(entry, "ended"), "revoked");
}

static bool has_waiting(size_t target, size_t wanted)
{
    bool has;

    (void)pthread_mutex_lock(&lock);
    has = fakes[target].waiting_count == wanted;
    (void)pthread_mutex_unlock(&lock);
    return has;
}

/* A lease that is over, and owes nothing. */
static void end_without_debt(struct world *world, unsigned number)
{
    (void)append_with(world, new_entry(ENTRY_CREDENTIAL_ISSUED, number), json_object());
    release(world, number);
    clock_test_advance(SWEEP_GRACE_S + 1);
    assert_int_equal(look_up(world, number).debt, DEBT_NONE);
}

/* What came of its mint is recorded while the orphan is removed: that is owed still. */
static void a_lease_that_comes_to_owe_meanwhile_owes_on(void **state)
{
    struct world *world = *state;
    char id[ID_LEN + 1];

    end_without_debt(world, 1);
    id_of(1, id);
    targets[3].removes_orphans = true;
    set_mode(0, MODE_FAILS);
    set_mode(3, MODE_HANGS);
    let_exist(id, "lost");
    wait_for(world->ender, &call_count, 1, 60);
    assert_true(has_waiting(3, 1));
    (void)append_lease(world, ENTRY_CREDENTIAL_UNKNOWN, 1, "db");
    wait_for(world->ender, &not_revoked_count, 1, 0);
    (void)pthread_mutex_lock(&lock);
    existing_count = 0;
    (void)pthread_mutex_unlock(&lock);
    let_go(3);
    await_looks(world);
    assert_int_equal(look_up(world, 1).debt, DEBT_OWED);
    assert_null(last_of_type(world, "credential.revoked"));
    set_mode(0, MODE_GOOD);
    wait_for(world->ender, &revoked_count, 1, 60);
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
}

/* It changes, but owes nothing: that the orphan is gone is told of it as it is then. */
static void what_was_removed_is_told_of_a_lease_that_moved_on(void **state)
{
    struct world *world = *state;
    const json_t *entry;
    char id[ID_LEN + 1];

    end_without_debt(world, 1);
    id_of(1, id);
    targets[3].removes_orphans = true;
    set_mode(3, MODE_HANGS);
    let_exist(id, "lost");
    wait_for(world->ender, &call_count, 1, 60);
    (void)append_with(world, new_entry(ENTRY_CREDENTIAL_UNKNOWN, 1), json_object());
    (void)pthread_mutex_lock(&lock);
    existing_count = 0;
    (void)pthread_mutex_unlock(&lock);
    let_go(3);
    await_looks(world);
    entry = last_of_type(world, "credential.revoked");
    assert_non_null(entry);
    assert_string_equal(text_of(entry, "lease"), id);
    assert_int_equal(failed_count, 0);
}

static void a_target_that_cannot_be_looked_through_is_told(void **state)
{
    struct world *world = *state;

    set_mode(3, MODE_FAILS);
    let_exist("01000000000000000000000009", "lost");
    wait_for(world->ender, &failed_count, 2, 60);
    assert_string_equal(last_cause, "the target is down");
    assert_int_equal(orphan_count, 0);
    set_mode(3, MODE_GOOD);
    wait_for(world->ender, &orphan_count, 1, 60);
}

static void only_some_orphans_are_recorded_at_a_time(void **state)
{
    struct world *world = *state;
    char id[16];

    for (unsigned i = 0; i < 60; i++) {
        (void)snprintf(id, sizeof(id), "lost-%u", i);
        let_exist("01000000000000000000000009", id);
    }
    wait_for(world->ender, &orphan_count, SWEEP_ORPHANS_MAX, 31);
    assert_int_equal(orphan_count, SWEEP_ORPHANS_MAX);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, make, clean)
    const struct CMUnitTest tests[] = {
        WITH(what_a_released_lease_owes_is_ended),
        WITH(a_lease_that_lives_owes_nothing_yet),
        WITH(a_target_that_is_down_is_tried_until_it_is_done),
        WITH(it_is_tried_again_after_a_restart),
        WITH(what_is_pending_is_named_and_only_that_is_tried),
        WITH(a_target_that_hangs_holds_up_no_other),
        WITH(silence_ends_a_lease),
        WITH(what_an_expired_lease_owes_is_ended),
        WITH(what_is_gone_by_itself_is_not_asked_for),
        WITH(by_a_clock_that_is_ahead_nothing_is_gone),
        WITH(it_is_asked_for_before_that),
        WITH(what_lapses_takes_no_entry),
        WITH(what_is_released_before_it_lapses_does),
        WITH(what_could_not_be_ended_before_it_lapsed_is_over),
        WITH(a_lease_that_was_left_becomes_unknown),
        WITH(what_was_made_before_a_failure_is_ended_at_once),
        WITH(credentials_of_renewals_are_ended_too),
        WITH(every_certificate_stands_in_an_entry),
        WITH(a_target_that_is_gone_is_waited_for),
        WITH(a_target_of_another_kind_is_not_asked),
        WITH(a_handle_of_somebody_else_is_not_used),
        WITH(it_stops_once_what_was_asked_is_answered),
        WITH(many_leases_are_settled_once_each),
        WITH(what_could_not_be_recorded_is_ended_all_the_same),
        WITH(of_a_renewal_what_that_made_is_ended),
        WITH(what_was_never_made_is_not),
        WITH(what_is_not_ended_so_is_told),
        WITH(what_no_lease_owns_is_recorded_once),
        WITH(it_is_not_recorded_again_by_who_starts_later),
        WITH(what_leases_own_is_left),
        WITH(what_was_made_a_moment_ago_is_left),
        WITH(orphans_are_ended_where_that_is_configured),
        WITH(a_lease_that_comes_to_owe_meanwhile_owes_on),
        WITH(what_was_removed_is_told_of_a_lease_that_moved_on),
        WITH(a_target_that_cannot_be_looked_through_is_told),
        WITH(only_some_orphans_are_recorded_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
