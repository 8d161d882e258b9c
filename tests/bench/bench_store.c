/*
 * What stores append: entries of 1,600 bytes, each with a mark under a guard and a lease, so many
 * under way in each of some stores. Of a database several stores share one log, as brokers do.
 */
#include <inttypes.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/time_text.h"
#include "store/store.h"

#define ENTRY_LEN 1600
#define STORES_MAX 4
#define IN_FLIGHT_MAX 1024
#define WARM_NS (INT64_C(500) * 1000 * 1000)
#define SPAN_NS (INT64_C(3000) * 1000 * 1000)
#define FAR_AWAY_S INT64_C(4102444800)
#define LATENCIES_MAX ((size_t)4 * 1024 * 1024)

/* One entry under way, again and again: the store's thread submits the next one. */
struct slot {
    struct store_proposal proposal;
    struct store *store;
    char bytes[ENTRY_LEN];
    int64_t start_ns;
};

static atomic_uint_fast64_t next_number;
static atomic_uint_fast64_t done_count;
static atomic_uint_fast64_t failed_count;
static atomic_bool is_measured;
static atomic_bool is_over;
static sem_t idle;
static int64_t *latencies_ns;
static atomic_uint_fast64_t latency_count;

static bool fold_nothing(struct str entry, uint64_t index, struct store_change *changes,
                         size_t *change_count, struct error *error)
{
    (void)entry;
    (void)index;
    (void)changes;
    (void)error;
    *change_count = 0;
    return true;
}

static void fill(struct slot *slot)
{
    uint64_t number = atomic_fetch_add(&next_number, 1);
    struct store_entry *entry = &slot->proposal.entries[0];
    char text[64];

    (void)snprintf(text, sizeof(text), "%d %" PRIu64, (int)getpid(), number);
    sha256(str_from(text), entry->changes[0].mark);
    memcpy(slot->proposal.guards[0].mark, entry->changes[0].mark, 32);
    memcpy(entry->changes[1].lease.handle, entry->changes[0].mark, STORE_HANDLE_LEN);
    (void)snprintf(entry->changes[1].lease.id, ID_LEN + 1, "%08d%018" PRIu64, (int)getpid(),
                   number);
}

static void submit(struct slot *slot)
{
    struct error error = { 0 };

    fill(slot);
    slot->start_ns = clock_monotonic_ns();
    if (!store_submit(slot->store, &slot->proposal, &error))
        (void)sem_post(&idle);
}

static void note(struct slot *slot)
{
    uint64_t at = 0;

    if (!atomic_load(&is_measured))
        return;
    if (!slot->proposal.is_committed) {
        atomic_fetch_add(&failed_count, 1);
        return;
    }
    atomic_fetch_add(&done_count, 1);
    at = atomic_fetch_add(&latency_count, 1);
    if (at < LATENCIES_MAX)
        latencies_ns[at] = clock_monotonic_ns() - slot->start_ns;
}

static void done(struct store_proposal *proposal, void *context)
{
    struct slot *slot = context;

    (void)proposal;
    note(slot);
    if (atomic_load(&is_over))
        (void)sem_post(&idle);
    else
        submit(slot);
}

static void init_slot(struct slot *slot, struct store *store)
{
    struct store_entry *entry = &slot->proposal.entries[0];

    memset(slot->bytes, 'x', sizeof(slot->bytes));
    slot->store = store;
    slot->proposal.entry_count = 1;
    slot->proposal.guard_count = 1;
    slot->proposal.guards[0].kind = STORE_GUARD_MARK_ABSENT;
    slot->proposal.done = done;
    slot->proposal.context = slot;
    entry->bytes = slot->bytes;
    entry->len = sizeof(slot->bytes);
    entry->change_count = 2;
    entry->changes[0].kind = STORE_SET_MARK;
    entry->changes[0].expires_s = FAR_AWAY_S;
    entry->changes[1].kind = STORE_PUT_LEASE;
    entry->changes[1].lease.state = LEASE_ISSUED;
    entry->changes[1].lease.expires_s = FAR_AWAY_S;
}

static int compare(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

static void report(const char *name, size_t store_count, size_t in_flight)
{
    size_t count = (size_t)atomic_load(&latency_count);
    size_t half = 0;
    size_t most = 0;

    if (count > LATENCIES_MAX)
        count = LATENCIES_MAX;
    half = count / 2;
    most = count * 99 / 100;
    qsort(latencies_ns, count, sizeof(*latencies_ns), compare);
    (void)printf(
        "%-12s %zu x %4zu under way: %7.0f entries/s, p50 %5.2f ms, p99 %6.2f ms, failed "
        "%" PRIu64 "\n",
        name, store_count, in_flight, (double)atomic_load(&done_count) * 1e9 / (double)SPAN_NS,
        count == 0 ? 0 : (double)latencies_ns[half] / 1e6,
        count == 0 ? 0 : (double)latencies_ns[most] / 1e6, (uint64_t)atomic_load(&failed_count));
}

static void sleep_ns(int64_t ns)
{
    (void)usleep((useconds_t)(ns / 1000));
}

static int measure(const char *location, const char *name, size_t store_count, size_t in_flight)
{
    const struct store_options options = { .location = location, .fold = { fold_nothing } };
    struct slot *slots = calloc(store_count * in_flight, sizeof(*slots));
    struct store *stores[STORES_MAX];
    struct error error = { 0 };

    latencies_ns = calloc(LATENCIES_MAX, sizeof(*latencies_ns));
    if (slots == NULL || latencies_ns == NULL || sem_init(&idle, 0, 0) != 0)
        return 1;
    for (size_t i = 0; i < store_count; i++) {
        if (!store_open(&options, &stores[i], &error)) {
            (void)fprintf(stderr, "bench_store: %s\n", error.cause);
            return 1;
        }
    }
    for (size_t i = 0; i < store_count * in_flight; i++) {
        init_slot(&slots[i], stores[i % store_count]);
        submit(&slots[i]);
    }
    sleep_ns(WARM_NS);
    atomic_store(&is_measured, true);
    sleep_ns(SPAN_NS);
    atomic_store(&is_measured, false);
    atomic_store(&is_over, true);
    for (size_t i = 0; i < store_count * in_flight; i++)
        (void)sem_wait(&idle);
    for (size_t i = 0; i < store_count; i++)
        store_close(stores[i]);
    report(name, store_count, in_flight);
    free(slots);
    free(latencies_ns);
    return 0;
}

int main(int argc, char **argv)
{
    int64_t store_count = 1;
    int64_t in_flight = 64;

    if (argc != 5 || !str_to_int64(str_from(argv[3]), &store_count) ||
        !str_to_int64(str_from(argv[4]), &in_flight) || store_count < 1 ||
        store_count > STORES_MAX || in_flight < 1 || in_flight > IN_FLIGHT_MAX) {
        (void)fprintf(stderr, "usage: bench_store LOCATION NAME STORES UNDER_WAY\n");
        return 2;
    }
    return measure(argv[1], argv[2], (size_t)store_count, (size_t)in_flight);
}
