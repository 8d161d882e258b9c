/*
 * What the ledger costs: entries of an issuance, each with its mark and lease under a guard,
 * appended durably by group commit, beside a bare loop of one pwrite and one fdatasync of as many
 * bytes.
 *
 * Both are measured in turns on the same disk, block by block, so that what else the machine and
 * the disk do meets both alike; the ratio is of each pair, its median is told. Twice as many
 * entries are under way as a batch has: one half waits while the other is synced.
 *
 * The bare loop is the least that a disk asks for, and no log could be it: it writes over the same
 * 64 MiB, whose pages stay in memory, where a log's are new each time; and nobody zeroes or
 * publishes beside it, as the ledger does on the same disk.
 *
 * A rate counts until entries are durable, the processor's time until they are published, so that
 * no block pays for another's. Of that time the block with the least is told, which what else runs
 * on the machine disturbs least. What the bench itself takes to make an entry is not the ledger's:
 * it is measured where it happens, of every eighth entry, since alone it would find all its memory
 * in the processor's caches and take a third of that.
 *
 * An exchange encodes what it has just put together. So that this is no other way here, what does
 * not differ from entry to entry is shared by all that are under way.
 */

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/id.h"
#include "base/json.h"
#include "base/time_text.h"
#include "config/jobs.h"
#include "keys/keys.h"
#include "ledger/audit.h"
#include "ledger/entry.h"
#include "ledger/ledger.h"
#include "store/segment.h"

#define BLOCKS 9
#define TIMED_EACH 8
#define TIMER_ROUNDS 20000
#define BLOCK_NS (INT64_C(700) * 1000 * 1000)
#define IN_FLIGHT_MAX 128
#define BARE_LEN ((uint64_t)64 * 1024 * 1024) /* as a segment has */
#define FRAME_OVERHEAD 8                      /* the lengths of an entry and its private part */
#define FRAME_HEAD 40

/* Of a deployment by a GitHub workflow, with what each exchange changes left out. */
static const char entry_text[] =
    "{\"broker\":\"a\",\"ci\":{\"attempt\":\"1\",\"commit\":"
    "\"9f2c1d7be0a84c55a1d3f0e6b7c8d9e0f1a2b3c4\","
    "\"environment\":\"production\",\"ref\":\"refs/heads/main\",\"repository\":\"acme/payments\","
    "\"repository_id\":\"4242\",\"run\":\"16462539911\",\"workflow\":\"Deploy\"},"
    "\"claims\":{\"aud\":\"https://"
    "broker.acme.example\",\"environment\":\"production\",\"event_name\":\"push\","
    "\"exp\":1763805900,\"iat\":1763805600,\"iss\":\"https://token.actions.githubusercontent.com\","
    "\"job_workflow_ref\":\"acme/workflows/.github/workflows/deploy.yml@refs/heads/main\","
    "\"job_workflow_sha\":\"1c9b2e8f7a6d5c4b3a291807f6e5d4c3b2a19080\","
    "\"jti\":\"2b5b8a54-6f0e-4d7e-9d2c-0c9a2b1f5e77\",\"nbf\":1763805300,\"ref\":\"refs/heads/"
    "main\","
    "\"ref_protected\":\"true\",\"ref_type\":\"branch\",\"repository\":\"acme/payments\","
    "\"repository_id\":\"4242\",\"repository_owner\":\"acme\",\"repository_owner_id\":\"918273\","
    "\"repository_visibility\":\"private\",\"run_attempt\":\"1\",\"run_id\":\"16462539911\","
    "\"run_number\":\"1187\",\"runner_environment\":\"github-hosted\","
    "\"sha\":\"9f2c1d7be0a84c55a1d3f0e6b7c8d9e0f1a2b3c4\","
    "\"sub\":\"repo:acme/payments:environment:production\",\"workflow\":\"Deploy\","
    "\"workflow_sha\":\"9f2c1d7be0a84c55a1d3f0e6b7c8d9e0f1a2b3c4\"},"
    "\"credentials\":[{\"expires_at\":\"2026-11-22T10:15:00Z\",\"grant\":\"site\",\"id\":"
    "\"ASIAEXAMPLEEXAMPLE12\","
    "\"session\":\"acme-payments-8123-01JD\",\"target\":\"prod-aws\",\"ttl_s\":900,\"type\":"
    "\"aws\"}],"
    "\"decision\":\"01JD0000000000000000000000\",\"environment\":\"production\",\"facts\":{},"
    "\"handle\":\"sha256:0000000000000000000000000000000000000000000000000000000000000000\","
    "\"issuer\":\"github\",\"kind\":\"deploy\",\"lease\":\"01JD0000000000000000000000\","
    "\"lease_expires\":\"2096-11-22T10:15:00Z\",\"owner\":\"payments@acme.example\","
    "\"pipeline\":\"acme/payments\","
    "\"policy\":\"sha256:1111111111111111111111111111111111111111111111111111111111111111\","
    "\"request\":{\"reason\":\"\",\"scope\":[],\"ttl_s\":900},"
    "\"rule\":\"sha256:2222222222222222222222222222222222222222222222222222222222222222\","
    "\"stage\":\"acme/payments:deploy-prod\",\"subject\":\"repo:acme/"
    "payments:environment:production\","
    "\"tenant\":\"payments\",\"time\":\"0000-00-00T00:00:00.000Z\",\"token\":{\"exp\":4003805900,"
    "\"iat\":1763805600,\"kid\":\"38826b17\","
    "\"mark\":\"0000000000000000000000000000000000000000000000000000000000000000\"},"
    "\"type\":\"credential.issued\"}";

/* One entry under way, again and again. */
struct slot {
    struct ledger_append append;
    struct arena *arena;
    json_t *entry;
    json_t *token; /* the entry's */
    struct stand *stand;
    size_t bytes; /* of the entry */
};

/* Where it is measured. */
struct stand {
    struct ledger *ledger;
    struct slot slots[IN_FLIGHT_MAX];
    pthread_mutex_t lock;
    pthread_cond_t some_done;
    struct slot *done[IN_FLIGHT_MAX]; /* a ring: those that are durable and not yet taken */
    size_t done_end;                  /* guarded by lock, as is all of the ring */
    size_t taken_end;                 /* guarded by lock */
    uint64_t number;                  /* of marks and leases: none comes twice */
    double making_us;                 /* what making took, of `timed` entries */
    uint64_t timed;
    double timer_us; /* what asking for the time takes, of that */
    int bare;
    uint64_t bare_used;
    char *zeros;
};

struct figures {
    double rate; /* entries a second */
    double cpu_us;
    double system_us; /* of that, in the kernel */
    double making_us; /* of all that, to make an entry */
    uint64_t entries;
};

static _Noreturn void give_up(const char *what, const struct error *error)
{
    (void)fprintf(stderr, "bench_ledger: %s: %s\n", what, error != NULL ? error->cause : "");
    abort();
}

static double us_of(struct timeval time)
{
    return (double)time.tv_sec * 1e6 + (double)time.tv_usec;
}

static double cpu_now_us(double *system_us)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) != 0)
        abort();
    *system_us = us_of(usage.ru_stime);
    return us_of(usage.ru_utime) + *system_us;
}

/* What was taken since, a piece. */
static void count_cpu(struct figures *figures, double start_us, double start_system_us)
{
    double system_us = 0;

    figures->cpu_us = (cpu_now_us(&system_us) - start_us) / (double)figures->entries;
    figures->system_us = (system_us - start_system_us) / (double)figures->entries;
}

/* ---- ours ---- */

/* Wakes as the broker does: a thread that has nothing to do, once for all that follows. */
static void tell_done(void *context)
{
    struct slot *slot = context;
    struct stand *stand = slot->stand;

    if (!slot->append.is_committed)
        give_up("append", &slot->append.error);
    (void)pthread_mutex_lock(&stand->lock);
    if (stand->done_end == stand->taken_end)
        (void)pthread_cond_signal(&stand->some_done);
    stand->done[stand->done_end++ % IN_FLIGHT_MAX] = slot;
    (void)pthread_mutex_unlock(&stand->lock);
}

static void write_hex(const uint8_t mark[SHA256_LEN], char hex[2 * SHA256_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < SHA256_LEN; i++) {
        hex[2 * i] = digits[mark[i] >> 4];
        hex[2 * i + 1] = digits[mark[i] & 15];
    }
    hex[2 * SHA256_LEN] = '\0';
}

/* What differs from one exchange to the next. */
static void fill(struct slot *slot, uint64_t number)
{
    uint8_t mark[SHA256_LEN];
    char hex[2 * SHA256_LEN + 1];
    char handle[sizeof("sha256:") + 2 * SHA256_LEN];
    char id[ID_LEN + 1];

    sha256((struct str){ (const char *)&number, sizeof(number) }, mark);
    write_hex(mark, hex);
    memcpy(handle, "sha256:", sizeof("sha256:"));
    memcpy(handle + sizeof("sha256:") - 1, hex, sizeof(hex));
    (void)snprintf(id, sizeof(id), "01JD%022" PRIu64, number);
    slot->append.guards[0] = (struct store_guard){ .kind = STORE_GUARD_MARK_ABSENT };
    memcpy(slot->append.guards[0].mark, mark, sizeof(mark));
    if (!json_put(slot->token, "mark", json_string(hex)) ||
        !json_put(slot->entry, "handle", json_string(handle)) ||
        !json_put(slot->entry, "lease", json_string(id)) ||
        !json_put(slot->entry, "decision", json_string(id)))
        give_up("entry", NULL);
}

/* Of this thread. */
static double thread_now_us(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0)
        abort();
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* All that an exchange has before it appends. */
static void make(struct slot *slot)
{
    arena_free(slot->arena);
    slot->arena = arena_new(ARENA_REQUEST_MAX);
    slot->append = (struct ledger_append){
        .entries = { slot->entry }, .entry_count = 1, .guard_count = 1, .waker = { tell_done, slot }
    };
    fill(slot, slot->stand->number++);
}

static void make_timed(struct slot *slot)
{
    struct stand *stand = slot->stand;
    double start_us;

    if (stand->number % TIMED_EACH != 0) {
        make(slot);
        return;
    }
    start_us = thread_now_us();
    make(slot);
    stand->making_us += thread_now_us() - start_us - stand->timer_us;
    stand->timed++;
}

/* What asking twice takes beside what is between, at least. */
static void measure_timer(struct stand *stand)
{
    stand->timer_us = 1e9;
    for (size_t i = 0; i < TIMER_ROUNDS; i++) {
        double start_us = thread_now_us();
        double spent_us = thread_now_us() - start_us;

        stand->timer_us = spent_us < stand->timer_us ? spent_us : stand->timer_us;
    }
}

static void submit(struct slot *slot)
{
    struct error error = { 0 };

    make_timed(slot);
    if (slot->arena == NULL ||
        !ledger_submit(slot->stand->ledger, &slot->append, slot->arena, &error))
        give_up("submit", &error);
}

static struct slot *take_done(struct stand *stand)
{
    struct slot *slot = NULL;

    (void)pthread_mutex_lock(&stand->lock);
    while (stand->done_end == stand->taken_end)
        (void)pthread_cond_wait(&stand->some_done, &stand->lock);
    slot = stand->done[stand->taken_end++ % IN_FLIGHT_MAX];
    (void)pthread_mutex_unlock(&stand->lock);
    return slot;
}

static void wait_until_published(const struct stand *stand)
{
    const struct timespec while_ns = { .tv_nsec = 20000000 };

    while (ledger_published_size(stand->ledger) < ledger_size(stand->ledger))
        (void)nanosleep(&while_ns, NULL);
}

static struct figures run_ours(struct stand *stand, size_t batch)
{
    int64_t start_ns = clock_monotonic_ns();
    double start_system_us = 0;
    double start_us = cpu_now_us(&start_system_us);
    struct figures figures = { 0 };
    int64_t spent_ns;

    stand->making_us = 0;
    stand->timed = 0;
    for (size_t i = 0; i < 2 * batch; i++)
        submit(&stand->slots[i]);
    while (clock_monotonic_ns() - start_ns < BLOCK_NS) {
        submit(take_done(stand));
        figures.entries++;
    }
    for (size_t i = 0; i < 2 * batch; i++)
        (void)take_done(stand);
    figures.entries += 2 * batch;
    spent_ns = clock_monotonic_ns() - start_ns;
    wait_until_published(stand);
    figures.rate = (double)figures.entries * 1e9 / (double)spent_ns;
    count_cpu(&figures, start_us, start_system_us);
    figures.making_us = stand->timed == 0 ? 0 : stand->making_us / (double)stand->timed;
    return figures;
}

/* ---- the bare loop ---- */

static struct figures run_bare(struct stand *stand, size_t batch)
{
    size_t len = FRAME_HEAD + batch * (stand->slots[0].bytes + FRAME_OVERHEAD);
    int64_t start_ns = clock_monotonic_ns();
    double start_system_us = 0;
    double start_us = cpu_now_us(&start_system_us);
    struct figures figures = { 0 };
    int64_t spent_ns;

    while (clock_monotonic_ns() - start_ns < BLOCK_NS) {
        if (stand->bare_used + len > BARE_LEN)
            stand->bare_used = 0;
        if (pwrite(stand->bare, stand->zeros, len, (off_t)stand->bare_used) != (ssize_t)len ||
            fdatasync(stand->bare) != 0)
            give_up("bare loop", NULL);
        stand->bare_used += len;
        figures.entries += batch;
    }
    spent_ns = clock_monotonic_ns() - start_ns;
    figures.rate = (double)figures.entries * 1e9 / (double)spent_ns;
    count_cpu(&figures, start_us, start_system_us);
    return figures;
}

/* ---- what is measured on ---- */

static void open_bare(struct stand *stand, const char *folder)
{
    char path[4096];

    if (snprintf(path, sizeof(path), "%s/bare", folder) >= (int)sizeof(path))
        give_up("the folder's name is too long", NULL);
    stand->bare = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    stand->zeros = calloc(1, FRAME_HEAD + IN_FLIGHT_MAX * STORE_ENTRY_MAX);
    if (stand->bare < 0 || stand->zeros == NULL ||
        segment_write_zeros(stand->bare, 0, BARE_LEN) != 0 || fsync(stand->bare) != 0)
        give_up(path, NULL);
    memset(stand->zeros, 'x', FRAME_HEAD + IN_FLIGHT_MAX * STORE_ENTRY_MAX);
}

static struct keys *open_keys(const char *folder, struct key **key)
{
    struct keys_options options = { .issuer_algorithm = KEY_ES256, .rotate_every_s = 2592000 };
    struct keys *keys = NULL;
    struct error error = { 0 };
    char path[4096];

    if (snprintf(path, sizeof(path), "%s/keys", folder) >= (int)sizeof(path))
        give_up("the folder's name is too long", NULL);
    options.directory = path;
    if (!keys_open(&options, clock_wall_s(), &keys, &error) ||
        !keys_named(keys, STR("ledger"), KEY_ED25519, key, &error))
        give_up("keys", &error);
    return keys;
}

/* An entry of its own for each, of members that are the same ones but for its token. */
static void fill_slots(struct stand *stand)
{
    json_t *entry = json_loads(entry_text, 0, NULL);

    for (size_t i = 0; i < IN_FLIGHT_MAX; i++) {
        struct slot *slot = &stand->slots[i];

        slot->stand = stand;
        slot->bytes = sizeof(entry_text) - 1;
        slot->entry = json_copy(entry);
        slot->token = json_copy(json_object_get(entry, "token"));
        if (slot->token == NULL || !json_put(slot->entry, "token", slot->token))
            give_up("entry", NULL);
    }
    json_decref(entry);
}

static void open_stand(struct stand *stand, const char *folder, struct key *key)
{
    struct ledger_options options = {
        .origin = STR("bench.example/log"),
        .broker = STR("a"),
        .has_no_index = getenv("BENCH_INDEX") == NULL, /* bench_index measures it by itself */
    };
    struct error error = { 0 };
    char path[4096];

    if (snprintf(path, sizeof(path), "%s/store", folder) >= (int)sizeof(path))
        give_up("the folder's name is too long", NULL);
    options.store = path;
    options.key = key;
    if (pthread_mutex_init(&stand->lock, NULL) != 0 ||
        pthread_cond_init(&stand->some_done, NULL) != 0 ||
        !ledger_open(&options, &stand->ledger, &error))
        give_up("store", &error);
    fill_slots(stand);
    measure_timer(stand);
}

static void close_stand(struct stand *stand)
{
    ledger_close(stand->ledger);
    for (size_t i = 0; i < IN_FLIGHT_MAX; i++) {
        arena_free(stand->slots[i].arena);
        json_decref(stand->slots[i].entry);
    }
    (void)pthread_cond_destroy(&stand->some_done);
    (void)pthread_mutex_destroy(&stand->lock);
    (void)close(stand->bare);
    free(stand->zeros);
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;

    return (a > b) - (a < b);
}

static double median(double values[BLOCKS])
{
    qsort(values, BLOCKS, sizeof(*values), compare);
    return values[BLOCKS / 2];
}

static void measure(struct stand *stand, size_t batch)
{
    struct figures least = { 0 };
    struct figures least_bare = { 0 };
    double ours[BLOCKS];
    double bare[BLOCKS];
    double ratios[BLOCKS];

    (void)run_ours(stand, batch);
    (void)run_bare(stand, batch);
    for (size_t i = 0; i < BLOCKS; i++) {
        struct figures one = run_ours(stand, batch);
        struct figures other = run_bare(stand, batch);

        ours[i] = one.rate;
        bare[i] = other.rate;
        ratios[i] = one.rate / other.rate;
        if (i == 0 || one.cpu_us - one.making_us < least.cpu_us - least.making_us)
            least = one;
        if (i == 0 || other.cpu_us < least_bare.cpu_us)
            least_bare = other;
    }
    printf(
        "append batch=%zu entry_bytes=%zu entries_per_s=%.0f bare_per_s=%.0f ratio=%.2f "
        "ledger_cpu_us_per_entry=%.1f (%.1f, %.1f of it in the kernel, less %.1f to make one and "
        "%.1f of the bare loop, %.1f of it in the kernel)\n",
        batch, stand->slots[0].bytes, median(ours), median(bare), median(ratios),
        least.cpu_us - least.making_us - least_bare.cpu_us, least.cpu_us, least.system_us,
        least.making_us, least_bare.cpu_us, least_bare.system_us);
    (void)fflush(stdout);
}

/* ---- what an audit of it costs, on one core and on all ---- */

#define AUDITS 5

static struct audit_report audit(const struct audit_options *options, struct figures *figures)
{
    struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct audit_report report;
    struct error error = { 0 };
    int64_t start_ns = clock_monotonic_ns();
    double start_system_us = 0;
    double start_us = cpu_now_us(&start_system_us);

    if (arena == NULL || !audit_verify(options, arena, &report, &error))
        give_up("audit", &error);
    figures->rate = (double)report.entry_count * 1e9 / (double)(clock_monotonic_ns() - start_ns);
    figures->entries = report.entry_count;
    count_cpu(figures, start_us, start_system_us);
    arena_free(arena);
    return report;
}

/* From the page cache: the first one fills it. The rate a core is by the processor's time, so that
 * what else runs on the machine does not count. */
static void measure_audit_by(const struct audit_options *options, const char *by)
{
    struct audit_report report = { 0 };
    struct figures best = { .cpu_us = 1e9 };

    for (size_t i = 0; i < AUDITS; i++) {
        struct figures one;

        report = audit(options, &one);
        best.cpu_us = one.cpu_us < best.cpu_us ? one.cpu_us : best.cpu_us;
        best.rate = one.rate > best.rate ? one.rate : best.rate;
    }
    printf("verify by=%s entries=%" PRIu64 " entries_per_s_a_core=%.0f cpu_us_per_entry=%.2f "
           "wall_entries_per_s=%.0f\n",
           by, report.entry_count, 1e6 / best.cpu_us, best.cpu_us, best.rate);
}

static void measure_audit(const char *folder)
{
    const struct note_trust trust = { 0 };
    struct audit_options options = { .trust = &trust };
    char path[4096];

    if (snprintf(path, sizeof(path), "%s/store", folder) >= (int)sizeof(path))
        give_up("the folder's name is too long", NULL);
    options.folder = path;
    measure_audit_by(&options, "one_thread");
    options.run_jobs = jobs_run;
    measure_audit_by(&options, "all_cores");
}

int main(int argc, char **argv)
{
    static const size_t batches[] = { 1, 8, 64 };
    static struct stand stand;
    struct key *key = NULL;
    struct keys *keys;
    int64_t only = 0;

    if (argc == 3 && strcmp(argv[1], "--verify") == 0) {
        measure_audit(argv[2]);
        return 0;
    }
    if (argc < 2 || argc > 3 || argv[1][0] == '-' ||
        (argc == 3 && !str_to_int64(str_from(argv[2]), &only))) {
        (void)fputs("usage: bench_ledger EMPTY-FOLDER [BATCH]\n"
                    "       bench_ledger --verify FOLDER-OF-BEFORE\n",
                    stderr);
        return 2;
    }
    keys = open_keys(argv[1], &key);
    open_stand(&stand, argv[1], key);
    open_bare(&stand, argv[1]);
    for (size_t i = 0; i < COUNT(batches); i++)
        if (argc == 2 || only == (int64_t)batches[i])
            measure(&stand, batches[i]);
    close_stand(&stand);
    measure_audit(argv[1]);
    keys_close(keys);
    return 0;
}
