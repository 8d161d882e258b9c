/*
 * What a policy costs: loading it, loading it again with one file changed, its memory, and a
 * decision, with 10, 1,000 and 100,000 pipelines of four stages.
 *
 * Decisions take jobs of random pipelines, so that a large policy is met with a cold cache, as
 * tokens of a large organisation would. A broker has read a token's claims right before it decides:
 * rows with `claims=read` copy them first, beside the clock. With `claims=cold` nobody has looked
 * at them for long, so that looking them up takes most of the time with few pipelines. The three
 * sizes are measured in turns, block by block, so that what else the machine does meets all of
 * them; ratios of one run are what counts, and `p10_ns` where the machine is busy. Of loads the CPU
 * time of all threads is told besides, which a busy machine changes less. Memory is what is
 * resident.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "config/config.h"
#include "config/jobs.h"
#include "policy/policy.h"

#define NOW_S INT64_C(1763805600)
#define STAGES 4
#define JOBS 4096 /* jobs of random pipelines, prepared */
#define BLOCK 2000
#define BLOCKS 50
#define RUNS (BLOCK * BLOCKS)
#define FILES_A_FOLDER 1000

/* The last one is as many files as a folder may have: the sets and what `reload` changes are two.
 */
static size_t sizes[] = { 10, 1000, POLICY_FILES_MAX - 1 };

static const char broker_yaml[] =
    "issuer: https://broker.acme.example\n"
    "listen: { address: 127.0.0.1 }\n"
    "store: store\n"
    "policy: { directory: policies }\n"
    "issuers:\n"
    "  github: { profile: github, audience: https://broker.acme.example,\n"
    "            only: { repository_owner_id: \"918273\" } }\n"
    "targets:\n"
    "  prod-aws: { type: aws, region: eu-central-1, environment: production,\n"
    "              accounts: [\"111122223333\"] }\n"
    "  fleet: { type: ssh, key: ssh-ca, environment: production }\n"
    "  lab: { type: ssh, key: ssh-lab, environment: staging }\n";

static const char sets_yaml[] = "sets:\n"
                                "  deploy-workflows: [1c9b2e8f7a6d5c4b3a291807f6e5d4c3b2a19080,\n"
                                "    77a1d0f02b27e2ad1ad3b84ae1e4f5dd05a0a3a1]\n";

static const char pipeline_yaml[] =
    "pipeline: acme/service-%zu\n"
    "owner: team-%zu@acme.example\n"
    "identity: { issuer: github, repository_id: \"%zu\" }\n"
    "unless: { ci.fork: true }\n"
    "stages:\n"
    "  build:\n"
    "    kind: build\n"
    "    when: { event_name: [push, pull_request] }\n"
    "    unless: { environment: { exists: true } }\n"
    "    grants:\n"
    "      artifacts: { jwt: { audience: \"https://artifacts.acme.example\" }, ttl: 10m }\n"
    "  preview:\n"
    "    kind: deploy\n"
    "    environment: staging\n"
    "    when: { ref: { like: \"refs/pull/{pr}/merge\" }, environment: preview }\n"
    "    grants:\n"
    "      host: { ssh: { target: lab, principals: [\"pr-${pr}\"] }, ttl: 5m }\n"
    "  deploy-prod:\n"
    "    kind: deploy\n"
    "    environment: production\n"
    "    when:\n"
    "      ref: refs/heads/main\n"
    "      environment: production\n"
    "      job_workflow_sha: { in: deploy-workflows }\n"
    "      runner_environment: github-hosted\n"
    "    unless: { actor: \"dependabot[bot]\" }\n"
    "    grants:\n"
    "      site:\n"
    "        aws:\n"
    "          target: prod-aws\n"
    "          role: arn:aws:iam::111122223333:role/service-%zu\n"
    "          allow: [ { actions: [\"s3:PutObject\"], resources: "
    "[\"arn:aws:s3:::service-%zu/*\"] } ]\n"
    "        ttl: 15m\n"
    "  repair:\n"
    "    kind: maintenance\n"
    "    environment: production\n"
    "    when: { ref: refs/heads/main, event_name: workflow_dispatch }\n"
    "    grants:\n"
    "      host: { ssh: { target: fleet, principals: [service-%zu] }, ttl: 5m }\n";

/* What became of a job's claims before a decision on them. */
enum claims_state {
    CLAIMS_READ, /* right before it */
    CLAIMS_COLD, /* long ago */
    CLAIMS_STATES,
};

static const char *const state_names[] = { [CLAIMS_READ] = "read", [CLAIMS_COLD] = "cold" };

/* A policy of one size, and jobs of its pipelines. */
struct subject {
    char folder[1024];
    size_t pipelines;
    struct policy *policy;
    json_t *claims[JOBS];
    json_t *ci[JOBS];
    int64_t *spent_ns[CLAIMS_STATES]; /* RUNS each */
};

static _Noreturn void give_up(const char *what, const struct error *error)
{
    (void)fprintf(stderr, "bench_policy: %s: %s\n", what, error == NULL ? "" : error->cause);
    exit(1);
}

/* ---- files ---- */

static void make_folder(const char *path)
{
    struct error error = { 0 };

    if (!file_make_folder(path, 0700, &error))
        give_up(path, &error);
}

static void write_file(const char *folder, const char *name, const char *text)
{
    struct error error = { 0 };
    char path[2048];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "we");
    if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0) {
        (void)error_set_errno(&error, "%s", path);
        give_up("writing", &error);
    }
}

static void write_pipeline(const struct subject *subject, size_t id, const char *comment)
{
    char folder[1536];
    char text[4096];
    char name[64];
    int len;

    (void)snprintf(folder, sizeof(folder), "%s/%zu", subject->folder, id / FILES_A_FOLDER);
    if (id % FILES_A_FOLDER == 0)
        make_folder(folder);
    (void)snprintf(name, sizeof(name), "service-%zu.yaml", id);
    len = snprintf(text, sizeof(text), pipeline_yaml, id, id % 50, id, id, id, id);
    (void)snprintf(text + len, sizeof(text) - (size_t)len, "%s", comment);
    write_file(folder, name, text);
}

static void write_policy(const struct subject *subject)
{
    make_folder(subject->folder);
    write_file(subject->folder, "sets.yaml", sets_yaml);
    for (size_t id = 0; id < subject->pipelines; id++)
        write_pipeline(subject, id, "");
}

/* ---- loading ---- */

static size_t memory_used(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    size_t pages = 0;

    if (file == NULL || fscanf(file, "%*u %zu", &pages) != 1)
        give_up("/proc/self/statm", NULL);
    (void)fclose(file); /* it was read only */
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static struct policy *load(const struct subject *subject, const struct policy_world *world,
                           const struct policy *previous)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)16 * 1024 * 1024);
    struct diagnostics diagnostics;
    const struct policy_load_options options = { .folder = subject->folder,
                                                 .world = world,
                                                 .diagnostics = &diagnostics,
                                                 .now_s = NOW_S,
                                                 .previous = previous,
                                                 .run_jobs = jobs_run };
    struct policy *policy = NULL;
    struct error error = { 0 };

    diagnostics_init(&diagnostics, arena);
    if (!policy_load(&options, &policy, &error)) {
        OWNED(buf_release) struct buf said = { 0 };

        buf_init(&said, (size_t)1024 * 1024);
        diagnostics_write(&diagnostics, &said);
        (void)fprintf(stderr, STR_FMT, STR_ARG(buf_str(&said)));
        give_up("loading", &error);
    }
    return policy;
}

static void measure_load(struct subject *subject, const struct policy_world *world)
{
    size_t before = memory_used();
    int64_t start_ns = clock_monotonic_ns();
    clock_t start = clock();
    struct policy *reloaded;
    clock_t loaded;
    int64_t loaded_ns;
    int64_t reloaded_ns;
    size_t bytes;

    subject->policy = load(subject, world, NULL);
    loaded_ns = clock_monotonic_ns() - start_ns;
    loaded = clock() - start;
    bytes = memory_used() - before;
    write_pipeline(subject, subject->pipelines / 2 + 1, "# changed\n");
    start_ns = clock_monotonic_ns();
    reloaded = load(subject, world, subject->policy);
    reloaded_ns = clock_monotonic_ns() - start_ns;
    printf("load pipelines=%zu stages=%zu ms=%" PRId64 " cpu_ms=%.0f cpu_us_per_file=%.1f "
           "bytes_per_stage=%.0f reload_ms=%" PRId64 " reload_parsed=%zu\n",
           subject->pipelines, policy_stage_count(subject->policy), loaded_ns / 1000000,
           (double)loaded / (CLOCKS_PER_SEC / 1000),
           (double)loaded / (CLOCKS_PER_SEC / 1000000) / (double)subject->pipelines,
           (double)bytes / (double)policy_stage_count(subject->policy), reloaded_ns / 1000000,
           policy_parsed_count(reloaded));
    policy_unref(reloaded);
}

/* ---- deciding ---- */

/* xorshift64*, a fixed seed: each run takes the same jobs. */
static uint64_t next_random(void)
{
    static uint64_t state = UINT64_C(0x9E3779B97F4A7C15);

    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(0x2545F4914F6CDD1D);
}

static void prepare_jobs(struct subject *subject, const struct policy_world *world)
{
    for (size_t i = 0; i < JOBS; i++) {
        char id[32];

        (void)snprintf(id, sizeof(id), "%zu", (size_t)(next_random() % subject->pipelines));
        subject->claims[i] =
            json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "repository_id", id,
                      "repository_owner_id", "918273", "ref", "refs/heads/main", "event_name",
                      "push", "sub", "repo:acme/service:environment:production", "environment",
                      "production", "job_workflow_sha", "1c9b2e8f7a6d5c4b3a291807f6e5d4c3b2a19080",
                      "runner_environment", "github-hosted", "actor", "amara-acme");
        subject->ci[i] = json_object();
        if (subject->claims[i] == NULL || subject->ci[i] == NULL ||
            !world->issuers[0].fill_ci(subject->claims[i], subject->ci[i]))
            give_up("claims", NULL);
    }
}

/* A job's claims as they are when a decision is made. */
static json_t *claims_of(json_t *prepared, enum claims_state state)
{
    json_t *claims = state == CLAIMS_READ ? json_deep_copy(prepared) : json_incref(prepared);

    if (claims == NULL)
        give_up("claims", NULL);
    return claims;
}

static int64_t decide_once(const struct subject *subject, enum claims_state state, size_t job,
                           struct arena *arena)
{
    static struct policy_decision decision;
    JSON_OWNED json_t *claims = claims_of(subject->claims[job], state);
    JSON_OWNED json_t *ci = claims_of(subject->ci[job], state);
    const struct policy_facts facts = { .issuer = STR("github"), .claims = claims, .ci = ci };
    const struct policy_request request = { .stage = STR("deploy-prod") };
    struct error error = { 0 };
    int64_t start_ns = clock_monotonic_ns();
    bool is_allowed =
        policy_decide(subject->policy, &facts, &request, NOW_S, arena, &decision, &error);
    int64_t spent_ns = clock_monotonic_ns() - start_ns;

    if (!is_allowed || decision.grant_count != 1)
        give_up("deciding", &error);
    return spent_ns;
}

static void decide_block(const struct subject *subject, enum claims_state state, size_t block)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)64 * 1024 * 1024);

    for (size_t i = 0; i < BLOCK; i++)
        subject->spent_ns[state][block * BLOCK + i] =
            decide_once(subject, state, (size_t)(next_random() % JOBS), arena);
}

static int compare(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

/* What reading the clock twice costs, which is in every figure. */
static int64_t clock_cost_ns(void)
{
    int64_t least_ns = INT64_MAX;

    for (size_t i = 0; i < 100000; i++) {
        int64_t start_ns = clock_monotonic_ns();
        int64_t spent_ns = clock_monotonic_ns() - start_ns;

        least_ns = spent_ns < least_ns ? spent_ns : least_ns;
    }
    return least_ns;
}

/* What a share of the decisions took at most. */
static int64_t percentile(const struct subject *subject, enum claims_state state, size_t percent,
                          int64_t clock_ns)
{
    return subject->spent_ns[state][RUNS / 100 * percent] - clock_ns;
}

static void report(struct subject *subject, enum claims_state state, int64_t clock_ns,
                   int64_t least_p50_ns)
{
    int64_t p50_ns;
    int64_t total_ns = 0;

    qsort(subject->spent_ns[state], RUNS, sizeof(subject->spent_ns[state][0]), compare);
    for (size_t i = 0; i < RUNS; i++)
        total_ns += subject->spent_ns[state][i] - clock_ns;
    p50_ns = percentile(subject, state, 50, clock_ns);
    printf("decide pipelines=%zu claims=%s runs=%d ns_per_op=%" PRId64 " p10_ns=%" PRId64
           " p50_ns=%" PRId64 " p99_ns=%" PRId64 " p50_ratio=%.2f\n",
           subject->pipelines, state_names[state], RUNS, total_ns / RUNS,
           percentile(subject, state, 10, clock_ns), p50_ns,
           percentile(subject, state, 99, clock_ns),
           least_p50_ns == 0 ? 1.0 : (double)p50_ns / (double)least_p50_ns);
}

static void measure_decisions(struct subject *subjects)
{
    int64_t clock_ns = clock_cost_ns();

    for (size_t block = 0; block < BLOCKS; block++)
        for (size_t i = 0; i < COUNT(sizes); i++)
            for (enum claims_state state = 0; state < CLAIMS_STATES; state++)
                decide_block(&subjects[i], state, block);
    for (enum claims_state state = 0; state < CLAIMS_STATES; state++) {
        int64_t least_p50_ns = 0;

        for (size_t i = 0; i < COUNT(sizes); i++) {
            report(&subjects[i], state, clock_ns, least_p50_ns);
            if (i == 0)
                least_p50_ns = percentile(&subjects[0], state, 50, clock_ns);
        }
    }
}

/* ---- all of it ---- */

static struct config *load_config(const char *folder)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
    struct diagnostics diagnostics;
    struct config *config = NULL;
    struct error error = { 0 };
    char path[1280];

    diagnostics_init(&diagnostics, arena);
    make_folder(folder);
    write_file(folder, "broker.yaml", broker_yaml);
    (void)snprintf(path, sizeof(path), "%s/broker.yaml", folder);
    if (!config_load(path, &diagnostics, &config, &error))
        give_up("broker.yaml", &error);
    return config;
}

static void release(struct subject *subject)
{
    policy_unref(subject->policy);
    for (size_t i = 0; i < JOBS; i++) {
        json_decref(subject->claims[i]);
        json_decref(subject->ci[i]);
    }
    for (size_t i = 0; i < CLAIMS_STATES; i++)
        free(subject->spent_ns[i]);
}

int main(int argc, char **argv)
{
    static struct subject subjects[COUNT(sizes)];
    struct config *config;
    int64_t largest = POLICY_FILES_MAX - 1;

    if (argc < 2 || argc > 3 || argv[1][0] == '-' || strlen(argv[1]) > 1000 ||
        (argc == 3 && !str_to_int64(str_from(argv[2]), &largest)) || largest < 10 ||
        largest >= POLICY_FILES_MAX) {
        (void)fprintf(stderr, "usage: bench_policy EMPTY-FOLDER [PIPELINES-OF-THE-LARGEST]\n");
        return 2;
    }
    sizes[COUNT(sizes) - 1] = (size_t)largest;
    config = load_config(argv[1]);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct subject *subject = &subjects[i];

        subject->pipelines = sizes[i];
        for (size_t k = 0; k < CLAIMS_STATES; k++) {
            subject->spent_ns[k] = calloc(RUNS, sizeof(subject->spent_ns[k][0]));
            if (subject->spent_ns[k] == NULL)
                give_up("memory", NULL);
        }
        (void)snprintf(subject->folder, sizeof(subject->folder), "%s/%zu", argv[1], sizes[i]);
        prepare_jobs(subject, &config->world); /* before loads leave holes for them in memory */
    }
    for (size_t i = 0; i < COUNT(sizes); i++) {
        write_policy(&subjects[i]);
        measure_load(&subjects[i], &config->world);
    }
    measure_decisions(subjects);
    for (size_t i = 0; i < COUNT(sizes); i++)
        release(&subjects[i]);
    config_unref(config);
    return 0;
}
