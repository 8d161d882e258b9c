#include "exchange/histories.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/time_text.h"
#include "exchange/exchange_internal.h"
#include "tests/test.h"

#define STAGES 7
#define LEASES_MAX 12000
#define LIFE_S 600
#define HOUR_S INT64_C(3600)
#define DAY_S (24 * HOUR_S)
#define NO_GUARD (-1)

/* What tells one job from another; 0: its issuer cannot say. */
struct job {
    unsigned stage;
    unsigned instance; /* of stages that have some */
    unsigned repository;
    unsigned run;
    unsigned attempt;
    unsigned number;
    unsigned commit;
};

struct lease {
    struct job job;
    char id[ID_LEN + 1];
    enum store_lease_state state;
    enum store_outcome outcome;
    int64_t opened_s;
    int64_t expires_s;
    uint32_t version;
};

struct world {
    const struct history *history;
    struct ledger *ledgers[HISTORY_LEDGERS];
    struct lease leases[LEASES_MAX];
    size_t lease_count;
    uint64_t random;
    unsigned operation;
    unsigned allowed;
    unsigned denied[STORE_GUARD_APPROVAL + 1];
};

static const struct policy_after after_build[] = {
    { .stage = STR_INIT("build"), .within_s = 7 * DAY_S },
};
static const struct policy_after after_commit[] = {
    { .stage = STR_INIT("build"),
      .is_of_commit = true,
      .issued_is_enough = true,
      .within_s = 2 * DAY_S },
    { .stage = STR_INIT("scan"), .within_s = 1800 },
};
static const struct policy_after after_image[] = {
    { .stage = STR_INIT("image"), .instance_has_holes = true, .within_s = DAY_S },
};

/* In the order of struct job's `stage`. */
static const struct {
    const char *name;
    bool has_instances;
    struct policy_obligations obligations;
} stages[STAGES] = {
    { "build", false, { .kept_s = 7 * DAY_S } },
    { "scan", false, { .limits = { .concurrent = 2, .per_hour = 4 }, .kept_s = 3600 } },
    { "deploy", false, { .after = after_build, .after_count = 1 } },
    { "promote",
      false,
      { .after = after_commit,
        .after_count = 2,
        .limits = { .per_job = 1 },
        .kept_s = 5 * DAY_S } },
    { "image", true, { .limits = { .concurrent = 1 }, .kept_s = DAY_S } },
    { "preview", true, { .after = after_image, .after_count = 1, .limits = { .concurrent = 2 } } },
    { "job", false, { .limits = { .per_job = 2, .per_hour = 6 }, .kept_s = 5 * DAY_S } },
};

/* ---- chance ---- */

static unsigned chance(struct world *world, unsigned below)
{
    world->random = world->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(world->random >> 33) % below;
}

static struct job random_job(struct world *world)
{
    struct job job = {
        .stage = chance(world, STAGES),
        .repository = 1 + chance(world, 2),
        .run = chance(world, 20) == 0 ? 0 : 1 + chance(world, 3),
        .attempt = chance(world, 20) == 0 ? 0 : 1 + chance(world, 3),
        .number = chance(world, 20) == 0 ? 0 : 1 + chance(world, 2),
        .commit = chance(world, 20) == 0 ? 0 : 1 + chance(world, 3),
    };

    if (stages[job.stage].has_instances)
        job.instance = 1 + chance(world, 2);
    return job;
}

/* ---- the model ---- */

static bool lives(const struct lease *lease, int64_t now_s)
{
    return (lease->state == LEASE_REQUESTED || lease->state == LEASE_ISSUED ||
            lease->state == LEASE_UNKNOWN) &&
           lease->expires_s > now_s;
}

static bool is_of_stage(const struct lease *lease, const struct job *job, unsigned stage)
{
    return lease->job.stage == stage &&
           (!stages[stage].has_instances || lease->job.instance == job->instance);
}

static bool is_of_run(const struct lease *lease, const struct job *job)
{
    return lease->job.run == job->run && lease->job.repository == job->repository;
}

static bool is_of_job(const struct lease *lease, const struct job *job)
{
    return is_of_run(lease, job) && lease->job.attempt == job->attempt &&
           lease->job.number == job->number;
}

static int64_t count_live(const struct world *world, const struct job *job, int64_t now_s)
{
    int64_t count = 0;

    for (size_t i = 0; i < world->lease_count; i++)
        count += is_of_stage(&world->leases[i], job, job->stage) && lives(&world->leases[i], now_s);
    return count;
}

static int64_t count_opened(const struct world *world, const struct job *job, int64_t since_s,
                            bool by_job)
{
    int64_t count = 0;

    for (size_t i = 0; i < world->lease_count; i++) {
        const struct lease *lease = &world->leases[i];

        count += is_of_stage(lease, job, job->stage) && lease->state != LEASE_FAILED &&
                 lease->opened_s >= since_s && (!by_job || is_of_job(lease, job));
    }
    return count;
}

static unsigned stage_of(struct str name)
{
    unsigned stage = 0;

    while (!str_eq(str_from(stages[stage].name), name))
        stage++;
    return stage;
}

static bool came_before(const struct world *world, const struct job *job,
                        const struct policy_after *after, int64_t now_s)
{
    const struct lease *latest = NULL;
    unsigned stage = stage_of(after->stage);

    if ((after->is_of_commit ? job->commit : job->run) == 0)
        return false;
    for (size_t i = 0; i < world->lease_count; i++) {
        const struct lease *lease = &world->leases[i];

        if (!is_of_stage(lease, job, stage))
            continue;
        if (after->is_of_commit
                ? lease->job.commit == job->commit && lease->job.repository == job->repository
                : is_of_run(lease, job) &&
                      (job->attempt == 0 || lease->job.attempt <= job->attempt))
            latest = lease;
    }
    if (latest == NULL || latest->opened_s < now_s - after->within_s)
        return false;
    if (!after->issued_is_enough)
        return latest->state == LEASE_RELEASED && latest->outcome == OUTCOME_SUCCESS;
    return latest->state == LEASE_ISSUED || latest->state == LEASE_RELEASED ||
           latest->state == LEASE_EXPIRED;
}

/* The guard that refuses a job, or NO_GUARD. */
static int expect(const struct world *world, const struct job *job, int64_t now_s)
{
    const struct policy_obligations *all = &stages[job->stage].obligations;
    const struct policy_limits *limits = &all->limits;

    for (size_t i = 0; i < all->after_count; i++)
        if (!came_before(world, job, &all->after[i], now_s))
            return STORE_GUARD_LATEST;
    if (limits->per_job > 0 &&
        (job->run == 0 || count_opened(world, job, now_s - 5 * DAY_S, true) >= limits->per_job))
        return STORE_GUARD_FEWER_OPENED;
    if (limits->per_hour > 0 && count_opened(world, job, now_s - HOUR_S, false) >= limits->per_hour)
        return STORE_GUARD_FEWER_OPENED;
    if (limits->concurrent > 0 && count_live(world, job, now_s) >= limits->concurrent)
        return STORE_GUARD_FEWER_LIVE;
    return NO_GUARD;
}

/* ---- what is tried ---- */

static void put_number(json_t *object, const char *name, unsigned number)
{
    char text[16];

    (void)snprintf(text, sizeof(text), "%u", number);
    if (number > 0)
        assert_true(json_put(object, name, json_string(text)));
}

static json_t *facts_of(const struct job *job)
{
    json_t *ci = json_object();

    put_number(ci, "repository_id", job->repository);
    put_number(ci, "run", job->run);
    put_number(ci, "attempt", job->attempt);
    put_number(ci, "job", job->number);
    put_number(ci, "commit", job->commit);
    return ci;
}

static struct str instance_of(const struct job *job)
{
    static const char *const names[] = { "", "pr-1", "pr-2" };

    return str_from(names[job->instance]);
}

static json_t *time_json(int64_t wall_s)
{
    char text[TIME_TEXT_S_LEN + 1];

    time_text_s(wall_s, text);
    return json_string(text);
}

/* An entry of a lease, as far as the fold reads it. */
static json_t *entry_of(const struct world *world, enum entry_type type, const struct lease *lease)
{
    json_t *entry = entry_new(type, STR("a"));
    json_t *token = json_object();
    char mark[2 * SHA256_LEN + 1];

    (void)snprintf(mark, sizeof(mark), "%032x%032x", world->operation, world->history->seed);
    assert_true(json_put(entry, "decision", json_string(lease->id)));
    assert_true(json_put(entry, "lease", json_string(lease->id)));
    if (type != ENTRY_LEASE_REQUESTED && type != ENTRY_CREDENTIAL_ISSUED) {
        json_decref(token);
        return entry;
    }
    assert_true(json_put(token, "mark", json_string(mark)));
    assert_true(json_put(token, "exp", json_integer(clock_wall_s() + LIFE_S)));
    assert_true(json_put(entry, "token", token));
    assert_true(json_put(entry, "policy",
                         json_string("sha256:00000000000000000000000000000000"
                                     "00000000000000000000000000000000")));
    assert_true(json_put(entry, "lease_expires", time_json(lease->expires_s)));
    return entry;
}

static void put_handle(const struct world *world, json_t *entry)
{
    char handle[2 * SHA256_LEN + 8];

    (void)snprintf(handle, sizeof(handle), "sha256:%032x%032x", world->operation,
                   world->history->seed);
    assert_true(json_put(entry, "handle", json_string(handle)));
    assert_true(json_put(entry, "credentials", json_array()));
}

/* The guard that refused an append, or NO_GUARD. */
static int submit(struct world *world, struct ledger_append *append)
{
    struct ledger *ledger = world->ledgers[chance(world, world->history->ledger_count)];
    struct error error = { 0 };

    if (ledger_append_now(ledger, append, &error))
        return NO_GUARD;
    if (append->failed_guard >= append->guard_count)
        fail_msg("seed %u, operation %u: %s", world->history->seed, world->operation, error.cause);
    return (int)append->guards[append->failed_guard].kind;
}

static struct exchange *exchange_of(const struct job *job, json_t *ci, struct arena *arena)
{
    struct exchange *exchange = arena_alloc(arena, sizeof(*exchange));
    struct issuer_options *issuer = arena_alloc(arena, sizeof(*issuer));
    struct policy_stage *stage = arena_alloc(arena, sizeof(*stage));
    struct policy_after *after = arena_alloc_array(arena, POLICY_AFTER_MAX, sizeof(*after));

    assert_non_null(exchange);
    issuer->name = STR("ci");
    stage->id = arena_printf(arena, "p:%s", stages[job->stage].name);
    stage->pipeline = STR("p");
    exchange->arena = arena;
    exchange->now_s = clock_wall_s();
    exchange->token.issuer = issuer;
    exchange->token.ci = ci;
    exchange->decision.stage = stage;
    exchange->decision.instance = instance_of(job);
    exchange->decision.obligations = stages[job->stage].obligations;
    for (size_t i = 0; i < exchange->decision.obligations.after_count; i++) {
        after[i] = exchange->decision.obligations.after[i];
        if (after[i].instance_has_holes)
            after[i].instance = instance_of(job);
    }
    exchange->decision.obligations.after = after;
    return exchange;
}

static void put_what_is_counted(const struct exchange *exchange, json_t *ci, json_t *entry)
{
    int64_t kept_until_s = exchange_kept_until_s(exchange);

    assert_true(json_put(entry, "stage", json_from_str(exchange->decision.stage->id)));
    assert_true(json_put(entry, "issuer", json_string("ci")));
    assert_true(json_put(entry, "ci", json_incref(ci)));
    if (exchange->decision.instance.len > 0)
        assert_true(json_put(entry, "instance", json_from_str(exchange->decision.instance)));
    if (kept_until_s > 0)
        assert_true(json_put(entry, "kept_until", time_json(kept_until_s)));
}

static int64_t opened_s(struct world *world, const char *id)
{
    struct store_lease row;
    struct error error = { 0 };

    if (!ledger_lease_by_id(world->ledgers[0], str_from(id), &row, &error))
        fail_msg("seed %u, operation %u: %s", world->history->seed, world->operation, error.cause);
    return row.opened_s;
}

/* A job asks for its stage's lease: at once, or by way of a target. */
static void ask(struct world *world)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)256 * 1024);
    struct job job = random_job(world);
    JSON_OWNED json_t *ci = facts_of(&job);
    struct exchange *exchange = exchange_of(&job, ci, arena);
    struct lease lease = { .job = job, .version = 1 };
    bool is_remote = chance(world, 3) == 0;
    int64_t before_s = clock_wall_s();
    int expected = expect(world, &job, before_s);
    JSON_OWNED json_t *entry = NULL;
    struct error error = { 0 };
    int got;

    assert_true(id_new(clock_wall_ms(), lease.id, &error));
    lease.expires_s = before_s + LIFE_S;
    lease.state = is_remote ? LEASE_REQUESTED : LEASE_ISSUED;
    entry = entry_of(world, is_remote ? ENTRY_LEASE_REQUESTED : ENTRY_CREDENTIAL_ISSUED, &lease);
    put_what_is_counted(exchange, ci, entry);
    if (!is_remote)
        put_handle(world, entry);
    exchange_guard_obligations(exchange);
    exchange->append.entries[0] = entry;
    exchange->append.entry_count = 1;
    got = submit(world, &exchange->append);
    /* A second that went by meanwhile may have changed it. */
    if (got != expected && got != expect(world, &job, clock_wall_s()))
        fail_msg("seed %u, operation %u: stage %s: guard %d, not %d", world->history->seed,
                 world->operation, stages[job.stage].name, got, expected);
    if (got != NO_GUARD) {
        world->denied[got]++;
        return;
    }
    world->allowed++;
    lease.opened_s = opened_s(world, lease.id);
    assert_in_range(lease.opened_s, before_s, clock_wall_s());
    assert_true(world->lease_count < LEASES_MAX);
    world->leases[world->lease_count++] = lease;
}

/* How leases go on: what is written, from which state to which. */
static const struct {
    enum entry_type type;
    enum store_lease_state from;
    enum store_lease_state to;
    enum store_outcome outcome;
    bool is_when_over; /* else while it lives */
} steps[] = {
    { ENTRY_CREDENTIAL_ISSUED, LEASE_REQUESTED, LEASE_ISSUED, OUTCOME_UNSAID, false },
    { ENTRY_CREDENTIAL_ISSUED, LEASE_REQUESTED, LEASE_ISSUED, OUTCOME_UNSAID, false },
    { ENTRY_CREDENTIAL_FAILED, LEASE_REQUESTED, LEASE_FAILED, OUTCOME_UNSAID, false },
    { ENTRY_CREDENTIAL_UNKNOWN, LEASE_REQUESTED, LEASE_UNKNOWN, OUTCOME_UNSAID, false },
    { ENTRY_LEASE_RELEASED, LEASE_ISSUED, LEASE_RELEASED, OUTCOME_SUCCESS, false },
    { ENTRY_LEASE_RELEASED, LEASE_ISSUED, LEASE_RELEASED, OUTCOME_SUCCESS, false },
    { ENTRY_LEASE_RELEASED, LEASE_ISSUED, LEASE_RELEASED, OUTCOME_FAILURE, false },
    { ENTRY_LEASE_RELEASED, LEASE_ISSUED, LEASE_RELEASED, OUTCOME_UNSAID, false },
    { ENTRY_LEASE_REVOKED, LEASE_ISSUED, LEASE_REVOKED, OUTCOME_UNSAID, false },
    { ENTRY_LEASE_REVOKED, LEASE_UNKNOWN, LEASE_REVOKED, OUTCOME_UNSAID, false },
    { ENTRY_LEASE_EXPIRED, LEASE_ISSUED, LEASE_EXPIRED, OUTCOME_UNSAID, true },
};

static const char *outcome_name(enum store_outcome outcome)
{
    return outcome == OUTCOME_SUCCESS ? "success" : "failure";
}

static void write_step(struct world *world, struct lease *lease, size_t step)
{
    struct ledger_append append = { 0 };
    JSON_OWNED json_t *entry = NULL;
    JSON_OWNED json_t *ci = NULL;
    int got;

    entry = entry_of(world, steps[step].type, lease);
    if (steps[step].type == ENTRY_CREDENTIAL_ISSUED) {
        char stage[32];

        ci = facts_of(&lease->job);
        (void)snprintf(stage, sizeof(stage), "p:%s", stages[lease->job.stage].name);
        put_handle(world, entry);
        assert_true(json_put(entry, "stage", json_string(stage)));
        assert_true(json_put(entry, "issuer", json_string("ci")));
        assert_true(json_put(entry, "ci", json_incref(ci)));
        if (lease->job.instance > 0)
            assert_true(json_put(entry, "instance", json_from_str(instance_of(&lease->job))));
    }
    if (steps[step].type == ENTRY_LEASE_REVOKED)
        assert_true(json_put(entry, "reason", json_string("test")));
    if (steps[step].outcome != OUTCOME_UNSAID)
        assert_true(json_put(entry, "outcome", json_string(outcome_name(steps[step].outcome))));
    append.guards[0] = (struct store_guard){ .kind = STORE_GUARD_LEASE,
                                             .state = lease->state,
                                             .version = lease->version };
    memcpy(append.guards[0].lease_id, lease->id, sizeof(lease->id));
    append.guard_count = 1;
    append.entries[0] = entry;
    append.entry_count = 1;
    got = submit(world, &append);
    if (got != NO_GUARD)
        fail_msg("seed %u, operation %u: a lease is not in state %d at version %u",
                 world->history->seed, world->operation, (int)lease->state, lease->version);
    lease->state = steps[step].to;
    lease->version++;
    if (steps[step].outcome != OUTCOME_UNSAID)
        lease->outcome = steps[step].outcome;
}

/* One of the latest leases goes on, where it can. */
static void go_on(struct world *world)
{
    int64_t now_s = clock_wall_s();
    size_t step = chance(world, COUNT(steps));
    size_t newest = world->lease_count > 24 ? 24 : world->lease_count;

    for (size_t i = 0; i < newest; i++) {
        struct lease *lease = &world->leases[world->lease_count - 1 - i];

        if (lease->state != steps[step].from || chance(world, 3) == 0)
            continue;
        /* Within a minute of its end nobody can say. */
        if (steps[step].is_when_over ? lease->expires_s > now_s - 60
                                     : lease->expires_s < now_s + 60)
            continue;
        /* Rows of what is over are kept for an hour only. */
        if (lease->expires_s < now_s - HOUR_S + 60)
            continue;
        write_step(world, lease, step);
        return;
    }
}

static void move_clock(struct world *world)
{
    unsigned kind = chance(world, 100);

    if (kind == 0)
        clock_test_advance(DAY_S + chance(world, 2 * DAY_S));
    else
        clock_test_advance(chance(world, kind < 20 ? 4000 : 200));
}

static void open_all(struct world *world)
{
    for (unsigned i = 0; i < world->history->ledger_count; i++)
        world->ledgers[i] = world->history->open(i, world->history->context);
}

static void close_all(struct world *world)
{
    for (unsigned i = 0; i < world->history->ledger_count; i++)
        ledger_close(world->ledgers[i]);
}

static void operate(struct world *world)
{
    unsigned kind = chance(world, 1000);

    if (kind == 0) {
        close_all(world);
        open_all(world);
    } else if (kind < 520) {
        ask(world);
    } else if (kind < 850) {
        go_on(world);
    } else {
        move_clock(world);
    }
}

void history_run(const struct history *history)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    world->history = history;
    world->random = history->seed;
    open_all(world);
    for (world->operation = 0; world->operation < history->operations; world->operation++)
        operate(world);
    close_all(world);
    print_message("# seed %u: %u allowed; denied %u by after, %u as opened, %u as live\n",
                  history->seed, world->allowed, world->denied[STORE_GUARD_LATEST],
                  world->denied[STORE_GUARD_FEWER_OPENED], world->denied[STORE_GUARD_FEWER_LIVE]);
    /* A history in which nothing is refused, or nothing given, tells nothing. */
    assert_true(world->allowed > history->operations / 20);
    assert_true(world->denied[STORE_GUARD_LATEST] > history->operations / 100);
    assert_true(world->denied[STORE_GUARD_FEWER_OPENED] > history->operations / 200);
    assert_true(world->denied[STORE_GUARD_FEWER_LIVE] > history->operations / 200);
    free(world);
}
