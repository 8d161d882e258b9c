/*
 * What verifying a token costs: envelope, signature, claims and facts of a GitHub token of 1.2 KB,
 * beside the bare EVP call on a kept context in the same run, on one thread and on two.
 *
 * Both are measured in turns, block by block, so that what else the machine does meets both alike.
 * How two threads scale is told by the best block of each: a block that somebody else's process cut
 * short says nothing about ours.
 */

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/rsa.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "identity/identity.h"
#include "identity/profile.h"
#include "keys/ecdsa.h"
#include "keys/jwk.h"
#include "keys/keys.h"

#define NOW_S INT64_C(1763805600)
#define ISSUER "https://token.actions.githubusercontent.com"
#define AUDIENCE "https://broker.acme.example"
#define LEEWAY_S 30
#define BLOCK 1000
#define BLOCKS 20
#define MEMORY_RUNS 200000
#define THREADS_MAX 2

/* As GitHub's are, with every claim that a deployment's reusable workflow gives. */
static const char claims_text[] =
    "{\"actor\":\"amara-acme\",\"actor_id\":\"7001\",\"aud\":\"" AUDIENCE "\",\"base_ref\":\"\","
    "\"check_run_id\":\"46571239911\",\"environment\":\"production\","
    "\"environment_node_id\":\"EN_kwDOA2pnQc8AAAABGv\",\"event_name\":\"push\","
    "\"exp\":1763805900,\"head_ref\":\"\",\"iat\":1763805600,\"iss\":\"" ISSUER "\","
    "\"job_workflow_ref\":\"acme/workflows/.github/workflows/deploy.yml@refs/heads/main\","
    "\"job_workflow_sha\":\"1c9b2e8f7a6d5c4b3a291807f6e5d4c3b2a19080\","
    "\"jti\":\"2b5b8a54-6f0e-4d7e-9d2c-0c9a2b1f5e77\",\"nbf\":1763805300,"
    "\"ref\":\"refs/heads/main\",\"ref_protected\":\"true\",\"ref_type\":\"branch\","
    "\"repository\":\"acme/payments\",\"repository_id\":\"4242\",\"repository_owner\":\"acme\","
    "\"repository_owner_id\":\"918273\",\"repository_visibility\":\"private\","
    "\"issuer_scope\":\"repository\",\"enterprise\":\"acme-holding\",\"enterprise_id\":\"30417\","
    "\"run_attempt\":\"1\",\"run_id\":\"16462539911\",\"run_number\":\"1187\","
    "\"runner_environment\":\"github-hosted\","
    "\"sha\":\"9f2c1d7be0a84c55a1d3f0e6b7c8d9e0f1a2b3c4\","
    "\"sub\":\"repo:acme/payments:environment:production:job_workflow_ref:"
    "acme/workflows/.github/workflows/deploy.yml@refs/heads/main\",\"workflow\":\"Deploy\","
    "\"workflow_ref\":\"acme/payments/.github/workflows/deploy.yml@refs/heads/main\","
    "\"workflow_sha\":\"9f2c1d7be0a84c55a1d3f0e6b7c8d9e0f1a2b3c4\"}";

struct subject {
    const char *name;
    enum key_algorithm algorithm;
    struct identity *identity;
    char *token;
    /* for the bare call */
    EVP_PKEY *pkey;
    struct str signing_input;
    uint8_t signature[512];
    size_t signature_len;
};

struct worker {
    const struct subject *subject;
    EVP_PKEY_CTX *context; /* NULL: verify with ours */
    int64_t *spent_ns;
    size_t runs;
};

static _Noreturn void give_up(const char *what, const struct error *error)
{
    (void)fprintf(stderr, "bench_identity: %s: %s\n", what, error != NULL ? error->cause : "");
    abort();
}

/* The two things that are measured. */

static void verify_ours(const struct worker *worker)
{
    const struct identity_input input = { .token = str_from(worker->subject->token),
                                          .now_s = NOW_S };
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct verified_token verified = { 0 };
    struct error error = { 0 };
    void *state = NULL;

    if (arena == NULL ||
        identity_verify(worker->subject->identity, &input, arena, (struct waker){ 0 }, &state,
                        &verified, &error) != PROGRESS_DONE)
        give_up(worker->subject->name, &error);
}

static void verify_bare(const struct worker *worker)
{
    const struct subject *subject = worker->subject;
    uint8_t digest[SHA256_LEN];

    sha256(subject->signing_input, digest);
    if (EVP_PKEY_verify(worker->context, subject->signature, subject->signature_len, digest,
                        sizeof(digest)) != 1)
        give_up(subject->name, NULL);
}

static void *work(void *context)
{
    const struct worker *worker = context;

    for (size_t i = 0; i < worker->runs; i++) {
        int64_t start_ns = clock_monotonic_ns();

        if (worker->context != NULL)
            verify_bare(worker);
        else
            verify_ours(worker);
        worker->spent_ns[i] = clock_monotonic_ns() - start_ns;
    }
    return NULL;
}

/* What is measured on. */

static struct identity *identity_of(const char *jwks_file, unsigned algorithms)
{
    static struct issuer_options issuers[2]; /* they outlive the identities */
    static size_t count;
    struct issuer_options *issuer = &issuers[count++];
    const struct identity_options options = { .issuers = issuer,
                                              .issuer_count = 1,
                                              .leeway_s = LEEWAY_S };
    struct identity *identity = NULL;
    struct error error = { 0 };

    *issuer = (struct issuer_options){
        .name = STR("github"),
        .profile = profile_find(STR("github")),
        .url = STR(ISSUER),
        .audience = STR(AUDIENCE),
        .only = json_pack("{s:s}", "repository_owner_id", "918273"),
        .claims = profile_find(STR("github"))->claims,
        .jwks_file = strdup(jwks_file),
        .algorithms = algorithms,
    };
    if (!identity_new(&options, NULL, NULL, &identity, &error))
        give_up("an issuer", &error);
    return identity;
}

/* The parts of the token that the bare call takes. */
static void take_apart(struct subject *subject, const json_t *jwk)
{
    struct str token = str_from(subject->token);
    size_t input_len = (size_t)(strrchr(subject->token, '.') - subject->token);
    uint8_t raw[512];
    unsigned algorithms;
    struct error error = { 0 };
    size_t len;

    subject->signing_input = str_slice(token, 0, input_len);
    if (!base64url_decode(str_slice(token, input_len + 1, token.len), raw, &len))
        give_up("a signature", NULL);
    memcpy(subject->signature, raw, len);
    subject->signature_len = len;
    if (subject->algorithm == KEY_ES256 &&
        !ecdsa_raw_to_der(ECDSA_P256, raw, subject->signature, &subject->signature_len))
        give_up("a signature", NULL);
    if (!jwk_read(jwk, JOSE_ANY, &algorithms, &subject->pkey, &error))
        give_up("a key", &error);
}

static void subject_init(struct subject *subject, const char *folder)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    OWNED(keys_close) struct keys *keys = NULL;
    JSON_OWNED json_t *claims = json_loads(claims_text, 0, NULL);
    JSON_OWNED json_t *jwks_json = NULL;
    char keys_folder[200];
    char path[256];
    struct str token = { 0 };
    struct str jwks = { 0 };
    struct error error = { 0 };
    const struct keys_options options = { .directory = keys_folder,
                                          .issuer_algorithm = subject->algorithm,
                                          .rotate_every_s = 2 * KEYS_LEAD_S };

    (void)snprintf(keys_folder, sizeof(keys_folder), "%s/%s", folder, subject->name);
    (void)snprintf(path, sizeof(path), "%s/jwks.json", keys_folder);
    if (!keys_open(&options, NOW_S, &keys, &error) ||
        !keys_sign_jwt(keys, "JWT", claims, arena, &token, &error) ||
        !keys_jwks(keys, arena, &jwks, &error) ||
        !json_parse_object(jwks, JSON_LIMITS_JWKS, &jwks_json, &error))
        give_up(subject->name, &error);
    if (!file_replace(path, jwks, 0600, &error))
        give_up("a file", &error);
    subject->token = strndup(token.data, token.len);
    subject->identity = identity_of(path, jwk_algorithm(subject->algorithm));
    take_apart(subject, json_array_get(json_object_get(jwks_json, "keys"), 0));
}

static EVP_PKEY_CTX *kept_context(const struct subject *subject)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, subject->pkey, NULL);

    if (context == NULL || EVP_PKEY_verify_init(context) != 1 ||
        (subject->algorithm == KEY_RS256 &&
         EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) != 1) ||
        EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()) != 1)
        give_up("a context", NULL);
    return context;
}

/* Measuring. */

static int compare(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

/* All runs of one kind on one thread, and the best blocks. */
struct series {
    const char *name;
    bool is_bare;
    int64_t spent_ns[BLOCK * BLOCKS];
    int64_t best_ns[THREADS_MAX + 1]; /* wall time of a block on so many threads */
};

/* Wall time of one block on each of `threads` threads. */
static int64_t run_block(const struct subject *subject, bool is_bare, size_t threads,
                         int64_t *spent_ns)
{
    static int64_t others_ns[THREADS_MAX][BLOCK];
    struct worker workers[THREADS_MAX];
    pthread_t ids[THREADS_MAX];
    int64_t start_ns;

    for (size_t i = 0; i < threads; i++)
        workers[i] = (struct worker){ subject, is_bare ? kept_context(subject) : NULL,
                                      i == 0 ? spent_ns : others_ns[i], BLOCK };
    start_ns = clock_monotonic_ns();
    for (size_t i = 1; i < threads; i++)
        if (pthread_create(&ids[i], NULL, work, &workers[i]) != 0)
            give_up("a thread", NULL);
    (void)work(&workers[0]);
    for (size_t i = 1; i < threads; i++)
        (void)pthread_join(ids[i], NULL);
    start_ns = clock_monotonic_ns() - start_ns;
    for (size_t i = 0; i < threads; i++)
        EVP_PKEY_CTX_free(workers[i].context);
    return start_ns;
}

static void run_blocks(const struct subject *subject, struct series *series, size_t block)
{
    static int64_t unused_ns[BLOCK];

    for (size_t threads = 1; threads <= THREADS_MAX; threads++) {
        int64_t *spent_ns = threads == 1 ? series->spent_ns + block * (size_t)BLOCK : unused_ns;
        int64_t wall_ns = run_block(subject, series->is_bare, threads, spent_ns);

        if (series->best_ns[threads] == 0 || wall_ns < series->best_ns[threads])
            series->best_ns[threads] = wall_ns;
    }
}

static void report(const struct subject *subject, struct series *series)
{
    const size_t runs = sizeof(series->spent_ns) / sizeof(series->spent_ns[0]);
    int64_t total_ns = 0;

    for (size_t i = 0; i < runs; i++)
        total_ns += series->spent_ns[i];
    qsort(series->spent_ns, runs, sizeof(series->spent_ns[0]), compare);
    printf("%s %s runs=%zu ns_per_op=%" PRId64 " p50_ns=%" PRId64 " p99_ns=%" PRId64
           " best_block_ns=%" PRId64 " two_threads=%.2fx\n",
           subject->name, series->name, runs, total_ns / (int64_t)runs, series->spent_ns[runs / 2],
           series->spent_ns[runs / 100 * 99], series->best_ns[1] / BLOCK,
           2.0 * (double)series->best_ns[1] / (double)series->best_ns[2]);
}

static void measure(const struct subject *subject)
{
    static struct series bare;
    static struct series ours;

    bare = (struct series){ .name = "bare EVP call", .is_bare = true };
    ours = (struct series){ .name = "verify and claims" };
    for (size_t block = 0; block < BLOCKS; block++) {
        run_blocks(subject, &bare, block);
        run_blocks(subject, &ours, block);
    }
    report(subject, &bare);
    report(subject, &ours);
    printf("%s above the bare call: p50_ns=%" PRId64 " best_block_ns=%" PRId64 "\n", subject->name,
           ours.spent_ns[BLOCK * BLOCKS / 2] - bare.spent_ns[BLOCK * BLOCKS / 2],
           (ours.best_ns[1] - bare.best_ns[1]) / BLOCK);
}

/* The second number of statm, in pages. */
static int64_t resident_kib(void)
{
    char text[128] = { 0 };
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    struct str first;
    struct str rest = { 0 };
    int64_t pages = 0;

    if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 ||
        !str_cut(str_from(text), ' ', &first, &rest) || !str_cut(rest, ' ', &first, &rest) ||
        !str_to_int64(first, &pages))
        give_up("/proc/self/statm", NULL);
    (void)close(fd); /* read-only, nothing to lose */
    return pages * sysconf(_SC_PAGESIZE) / 1024;
}

static void measure_memory(const struct subject *subject)
{
    static int64_t spent_ns[BLOCK];
    int64_t before_kib = resident_kib();

    for (size_t i = 0; i < MEMORY_RUNS; i += BLOCK)
        (void)run_block(subject, false, 1, spent_ns);
    printf("%s memory: runs=%d resident_kib=%" PRId64 " before, %" PRId64 " after\n", subject->name,
           MEMORY_RUNS, before_kib, resident_kib());
}

int main(int argc, char **argv)
{
    static struct subject subjects[] = { { .name = "RS256", .algorithm = KEY_RS256 },
                                         { .name = "ES256", .algorithm = KEY_ES256 } };

    if (argc != 2) {
        (void)fprintf(stderr, "usage: bench_identity FOLDER\n");
        return 2;
    }
    for (size_t i = 0; i < COUNT(subjects); i++) {
        subject_init(&subjects[i], argv[1]);
        printf("%s token_bytes=%zu claims_bytes=%zu\n", subjects[i].name, strlen(subjects[i].token),
               sizeof(claims_text) - 1);
        measure(&subjects[i]);
    }
    measure_memory(&subjects[0]);
    for (size_t i = 0; i < COUNT(subjects); i++) {
        identity_unref(subjects[i].identity);
        EVP_PKEY_free(subjects[i].pkey);
        free(subjects[i].token);
    }
    return 0;
}
