/*
 * What leases cost in a store's memory: rows, heartbeats, guards, what expires and what is claimed.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "store/snapshot.h"
#include "store/state.h"

#define NOW_S INT64_C(1763805600)
#define RUNS 200000
#define DUE 100000
#define STAGES 200
#define CLAIM 1000

static void digest_of(const char *kind, uint64_t number, uint8_t *out, size_t len)
{
    uint8_t digest[SHA256_LEN];
    char text[48];

    (void)snprintf(text, sizeof(text), "%s %" PRIu64, kind, number);
    sha256(str_from(text), digest);
    memcpy(out, digest, len);
}

static void id_of(uint64_t number, char id[ID_LEN + 1])
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint8_t random[SHA256_LEN];

    digest_of("id", number, random, sizeof(random));
    for (size_t i = 0; i < ID_LEN; i++)
        id[i] = digits[i == 0 ? 0 : random[i] & 31];
    id[ID_LEN] = '\0';
}

/* As jobs open them: two a run, four a commit, some stages. The first DUE end a second later. */
static struct store_change change_of(uint64_t number)
{
    struct store_change change = { .kind = STORE_PUT_LEASE };
    struct store_lease *lease = &change.lease;

    *lease = (struct store_lease){
        .state = LEASE_ISSUED,
        .debt = DEBT_OWED,
        .attempt = 1,
        .heartbeat_s = 30,
        .expires_s = number < DUE ? NOW_S + 1 : NOW_S + 900 + (int64_t)(number % 2700),
        .has_credentials = true,
    };
    id_of(number, lease->id);
    digest_of("handle", number, lease->handle, sizeof(lease->handle));
    digest_of("stage", number % STAGES, lease->keys[STORE_KEY_STAGE], STORE_KEY_LEN);
    digest_of("job", number, lease->keys[STORE_KEY_JOB], STORE_KEY_LEN);
    digest_of("run", number / 2, lease->keys[STORE_KEY_RUN], STORE_KEY_LEN);
    digest_of("commit", number / 4, lease->keys[STORE_KEY_COMMIT], STORE_KEY_LEN);
    return change;
}

static size_t memory_used(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

static int compare(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

static void tell(const char *what, uint64_t live, int64_t *spent_ns, size_t runs)
{
    int64_t total_ns = 0;

    if (runs == 0)
        return;
    for (size_t i = 0; i < runs; i++)
        total_ns += spent_ns[i];
    qsort(spent_ns, runs, sizeof(*spent_ns), compare);
    printf("%s live=%" PRIu64 " runs=%zu ns_per_op=%" PRId64 " p50_ns=%" PRId64 " p99_ns=%" PRId64
           " max_ns=%" PRId64 "\n",
           what, live, runs, total_ns / (int64_t)runs, spent_ns[runs / 2],
           spent_ns[runs / 100 * 99], spent_ns[runs - 1]);
}

static void apply(struct state *state, const struct store_change *change, uint64_t index)
{
    if (!state_apply(state, &(struct pending_change){ change, index, NOW_S }, NOW_S))
        abort();
}

/* Each RUNS-th of all is measured, so that the table's growth is in it. */
static void open_all(struct state *state, uint64_t live, int64_t *spent_ns)
{
    size_t before = memory_used();
    uint64_t step = live > RUNS ? live / RUNS : 1;
    size_t runs = 0;

    for (uint64_t i = 0; i < live; i++) {
        struct store_change change = change_of(i);
        int64_t start_ns = clock_monotonic_ns();

        apply(state, &change, i + 1);
        if (i % step == 0 && runs < RUNS)
            spent_ns[runs++] = clock_monotonic_ns() - start_ns;
    }
    tell("open", live, spent_ns, runs);
    printf("rows live=%" PRIu64 " bytes_per_row=%zu bytes_per_lease=%.1f\n", live,
           sizeof(struct lease_row), (double)(memory_used() - before) / (double)live);
}

static void beat_some(struct state *state, uint64_t live, int64_t *spent_ns)
{
    for (size_t i = 0; i < RUNS; i++) {
        struct store_change change = change_of(i * 7919 % live);
        struct store_lease lease;
        int64_t start_ns = clock_monotonic_ns();

        if (!state_beat(state, change.lease.handle, NOW_S, &lease))
            abort();
        spent_ns[i] = clock_monotonic_ns() - start_ns;
    }
    tell("beat", live, spent_ns, RUNS);
}

/* What an exchange is held against: one a job, some at a time and an hour, after another stage. */
static void guard_some(struct state *state, uint64_t live, int64_t *spent_ns)
{
    struct pending pending = { 0 };
    const struct state_times times = { NOW_S, NOW_S };
    bool holds = true;

    if (!pending_init(&pending))
        abort();
    for (size_t i = 0; i < RUNS; i++) {
        struct store_change change = change_of(i * 7919 % live);
        struct store_guard guards[4] = {
            { .kind = STORE_GUARD_FEWER_OPENED, .key_kind = STORE_KEY_JOB, .count = 5 },
            { .kind = STORE_GUARD_FEWER_OPENED, .key_kind = STORE_KEY_STAGE, .count = 20 },
            { .kind = STORE_GUARD_FEWER_LIVE, .key_kind = STORE_KEY_STAGE, .count = 20 },
            { .kind = STORE_GUARD_LATEST, .key_kind = STORE_KEY_RUN, .attempt = 1 },
        };
        int64_t start_ns;

        for (size_t k = 0; k < COUNT(guards); k++)
            memcpy(guards[k].key, change.lease.keys[guards[k].key_kind], STORE_KEY_LEN);
        start_ns = clock_monotonic_ns();
        for (size_t k = 0; k < COUNT(guards); k++)
            holds = state_guard_holds(state, &pending, &guards[k], &times) && holds;
        spent_ns[i] = clock_monotonic_ns() - start_ns;
    }
    tell("guards", live, spent_ns, RUNS);
    pending_release(&pending);
}

/* DUE of them expire at once: they are counted out, then claimed. */
static void expire_some(struct state *state, uint64_t live)
{
    struct store_lease *leases = calloc(CLAIM, sizeof(*leases));
    size_t expected = live < DUE ? live : DUE;
    size_t claimed = 0;
    size_t count = 0;
    int64_t start_ns = clock_monotonic_ns();
    int64_t ended_ns;
    int64_t claimed_ns;

    while (!state_advance(state, NOW_S + 1, 1024))
        ;
    ended_ns = clock_monotonic_ns();
    do {
        count = state_claim_due(state, NOW_S + 1, 60, leases, CLAIM);
        claimed += count;
    } while (count > 0);
    claimed_ns = clock_monotonic_ns();
    if (leases == NULL || claimed != expected)
        abort();
    printf("expiry live=%" PRIu64 " expired=%zu ended_ms=%" PRId64 " claimed_ms=%" PRId64
           " claimed_per_s=%" PRId64 "\n",
           live, expected, (ended_ns - start_ns) / 1000000, (claimed_ns - ended_ns) / 1000000,
           (int64_t)claimed * 1000000000 / (claimed_ns - ended_ns));
    free(leases);
}

static void restart(struct state *state, uint64_t live)
{
    char path[] = "/tmp/stagepass-bench-XXXXXX";
    int folder = mkdtemp(path) == NULL ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct log_position position = { .size = live + 1, .time_ms = NOW_S * 1000 };
    struct state *other = state_new();
    struct error error = { 0 };
    int64_t start_ns = clock_monotonic_ns();
    int64_t written_ns;

    if (folder < 0 || other == NULL || !snapshot_write(folder, state, &position, &error))
        abort();
    written_ns = clock_monotonic_ns();
    if (!snapshot_read(folder, other, &position, &error))
        abort();
    state_begin(other, NOW_S);
    printf("restart live=%" PRIu64 " written_ms=%" PRId64 " read_ms=%" PRId64 "\n", live,
           (written_ns - start_ns) / 1000000, (clock_monotonic_ns() - written_ns) / 1000000);
    state_free(other);
    (void)unlinkat(folder, SNAPSHOT_NAME, 0);
    (void)close(folder);
    (void)rmdir(path);
}

static void measure(uint64_t live, int64_t *spent_ns)
{
    struct state *state = state_new();

    if (state == NULL)
        abort();
    (void)state_advance(state, NOW_S, SIZE_MAX);
    state_begin(state, NOW_S);
    open_all(state, live, spent_ns);
    beat_some(state, live, spent_ns);
    guard_some(state, live, spent_ns);
    restart(state, live);
    expire_some(state, live);
    state_free(state);
}

int main(void)
{
    static const uint64_t live[] = { 1000, 100000, 1000000 };
    int64_t *spent_ns = calloc(RUNS, sizeof(*spent_ns));

    if (spent_ns == NULL)
        return 1;
    for (size_t i = 0; i < COUNT(live); i++)
        measure(live[i], spent_ns);
    free(spent_ns);
    return 0;
}
