/*
 * What credentials of each kind cost at a running broker: beside the bare signatures where it
 * signs, beside the target where it asks one, and while a target hangs.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bare_sign.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "clients/ssh_key.h"
#include "clients/tls_key.h"
#include "load.h"

#define MEMORY_MAX ((size_t)2 * 1024 * 1024 * 1024)
#define DETAILS_MAX ((size_t)16 * 1024)
#define WARM_UP_SHARE 20 /* the first 1/20 is not counted */
#define OPEN_CONNECTIONS 1024

static const char usage[] =
    "usage: bench_targets closed PORT PID STAGE TOKENS CONNECTIONS PROOF SIGNATURES\n"
    "       bench_targets open   PORT PID STAGE TOKENS RATE\n"
    "       bench_targets hold   PORT PID STAGE TOKENS\n"
    "       bench_targets bare   PORT RATE COUNT\n"
    "\n"
    "closed  exchange each token of the file TOKENS (one a line), one after the other on each of\n"
    "        CONNECTIONS, beside the bare SIGNATURES of an exchange (\"ES256 Ed25519\") on all\n"
    "        cores, before and after. PROOF is what comes with each for the grant of that name:\n"
    "        ssh, x509, or none\n"
    "open    exchange RATE tokens a second; latency counts from the time at which each was due\n"
    "hold    exchange all tokens at once, and wait for whatever is answered\n"
    "bare    ask a slow_target itself, as open does\n";

struct bench {
    struct arena *arena;
    struct load_options options;
    struct str stage;
    struct str *requests;
    size_t count;
};

/* ---- what is sent ---- */

/* Keys of the job that asks. */
struct proof {
    const char *name;
    struct ssh_key ssh;
    struct str public_key;
    struct str csr;
};

static bool init_proof(struct proof *proof, const char *name, struct arena *arena)
{
    OWNED(tls_key_release) struct tls_key key = { 0 };
    struct error error = { 0 };

    proof->name = name;
    if (!ssh_key_init(&proof->ssh, &error) || !tls_key_init(&key, &error) ||
        !tls_key_request(&key, arena, &proof->csr, &error))
        return false;
    proof->public_key = ssh_key_line(&proof->ssh, arena);
    return proof->public_key.data != NULL;
}

static bool put_proof(const struct proof *proof, struct str token, json_t *detail,
                      struct arena *arena)
{
    uint8_t digest[SHA256_LEN];
    struct error error = { 0 };
    struct str signature;

    if (strcmp(proof->name, "x509") == 0)
        return json_put(detail, "csr", json_from_str(proof->csr));
    sha256(token, digest);
    return ssh_key_sign(&proof->ssh, "stagepass",
                        (struct str){ (const char *)digest, sizeof(digest) }, arena, &signature,
                        &error) &&
           json_put(detail, "public_key", json_from_str(proof->public_key)) &&
           json_put(detail, "proof", json_from_str(signature));
}

/* `[{"type": "stagepass_grant", "grant": ..., ...}]`; empty where nothing is shown. */
static bool write_details(const struct proof *proof, struct str token, struct arena *arena,
                          struct str *details)
{
    OWNED(buf_release) struct buf text = { 0 };
    JSON_OWNED json_t *list = json_array();
    json_t *detail = json_object();

    *details = STR("");
    if (strcmp(proof->name, "none") == 0) {
        json_decref(detail);
        return true;
    }
    if (json_array_append_new(list, detail) != 0 ||
        !json_put(detail, "type", json_string("stagepass_grant")) ||
        !json_put(detail, "grant", json_string(proof->name)) ||
        !put_proof(proof, token, detail, arena))
        return false;
    buf_init(&text, DETAILS_MAX);
    buf_add_json(&text, list);
    *details = arena_copy(arena, buf_str(&text));
    return buf_is_ok(&text) && details->data;
}

static bool prepare(struct bench *bench, const char *file, const char *proof_name)
{
    struct proof proof = { 0 };
    struct error error = { 0 };
    struct str tokens;
    struct str token;
    bool is_good;

    if (!file_read(bench->arena, file, MEMORY_MAX / 4, &tokens, &error)) {
        (void)fprintf(stderr, "bench_targets: %s\n", error.cause);
        return false;
    }
    bench->requests =
        arena_alloc_array(bench->arena, load_count_lines(tokens), sizeof(*bench->requests));
    is_good = bench->requests && init_proof(&proof, proof_name, bench->arena);
    while (is_good && load_next_line(&tokens, &token)) {
        struct str details;
        struct str *request = &bench->requests[bench->count++];

        is_good = write_details(&proof, token, bench->arena, &details);
        if (is_good)
            *request = load_write_exchange(bench->arena, bench->stage, token, details);
        is_good = is_good && request->len > 0;
    }
    ssh_key_release(&proof.ssh);
    return is_good;
}

/* ---- the runs ---- */

static void print_latency(const struct load_result *result)
{
    (void)printf("requests=%zu failed=%zu rate_per_s=%.0f p50_ms=%.2f p99_ms=%.2f max_ms=%.2f",
                 result->count, result->count - result->statuses[200],
                 (double)result->count * 1e9 / (double)result->elapsed_ns,
                 load_percentile_ms(result, 50), load_percentile_ms(result, 99),
                 load_percentile_ms(result, 100));
}

/* Warm up, then measure. */
static bool run(const struct bench *bench, struct load_result *result, int64_t *used_us)
{
    OWNED(load_free) struct load *load = load_new(&bench->options);
    size_t warm_up = bench->count / WARM_UP_SHARE;
    int64_t started_us;

    if (!load || !load_run(load, bench->requests, warm_up, result))
        return false;
    started_us = load_cpu_us(bench->options.pid);
    if (!load_run(load, bench->requests + warm_up, bench->count - warm_up, result))
        return false;
    *used_us = load_cpu_us(bench->options.pid) - started_us;
    return result->count > 0;
}

/* The better of two, since others' work only ever makes it worse. */
static bool measure_bare(struct str algorithms, struct bare_sign *best)
{
    struct bare_sign measured = { 0 };

    if (!bare_sign_measure(algorithms, &measured))
        return false;
    if (best->rate_per_s == 0 || measured.rate_per_s > best->rate_per_s)
        best->rate_per_s = measured.rate_per_s;
    if (best->cpu_us == 0 || measured.cpu_us < best->cpu_us)
        best->cpu_us = measured.cpu_us;
    return true;
}

static bool run_closed(struct bench *bench, char **arguments)
{
    OWNED(load_result_release) struct load_result result = { 0 };
    struct str algorithms = str_from(arguments[6]);
    struct bare_sign bare = { 0 };
    int64_t connections = 0;
    int64_t used_us = 0;
    double cpu_us;
    double rate;

    if (!str_to_int64(str_from(arguments[4]), &connections) || connections < 1 ||
        !prepare(bench, arguments[3], arguments[5]) || !measure_bare(algorithms, &bare))
        return false;
    bench->options.connections_max = (size_t)connections;
    if (!run(bench, &result, &used_us) || !measure_bare(algorithms, &bare))
        return false;
    cpu_us = (double)used_us / (double)result.count;
    rate = (double)result.count * 1e9 / (double)result.elapsed_ns;
    print_latency(&result);
    (void)printf(" cpu_us=%.1f bare_per_s=%.0f bare_us=%.1f rate_of_bare=%.2f cpu_of_bare=%.2f\n",
                 cpu_us, bare.rate_per_s, bare.cpu_us, rate / bare.rate_per_s,
                 cpu_us / bare.cpu_us);
    return result.count == result.statuses[200];
}

static bool set_rate(struct bench *bench, const char *text)
{
    int64_t rate = 0;

    if (!str_to_int64(str_from(text), &rate) || rate < 1 || rate > 1000000)
        return false;
    bench->options.interval_ns = 1000000000 / rate;
    bench->options.connections_max = OPEN_CONNECTIONS;
    return true;
}

static bool run_open(struct bench *bench, char **arguments)
{
    OWNED(load_result_release) struct load_result result = { 0 };
    int64_t used_us = 0;

    if (!set_rate(bench, arguments[4]) || !prepare(bench, arguments[3], "none") ||
        !run(bench, &result, &used_us))
        return false;
    print_latency(&result);
    (void)printf(" cpu_us=%.1f rss_mib=%.1f\n", (double)used_us / (double)result.count,
                 (double)result.resident_kib / 1024.0);
    return result.count == result.statuses[200];
}

static bool run_hold(struct bench *bench, char **arguments)
{
    OWNED(load_result_release) struct load_result result = { 0 };
    OWNED(load_free) struct load *load = NULL;

    if (!prepare(bench, arguments[3], "none"))
        return false;
    bench->options.connections_max = bench->count;
    load = load_new(&bench->options);
    if (!load || !load_run(load, bench->requests, bench->count, &result))
        return false;
    print_latency(&result);
    (void)printf(" rss_mib=%.1f statuses:", (double)result.resident_kib / 1024.0);
    for (size_t status = 0; status < LOAD_STATUS_MAX; status++)
        if (result.statuses[status] > 0)
            (void)printf(" %zu=%zu", status, result.statuses[status]);
    (void)printf("\n");
    return true;
}

static bool run_bare(struct bench *bench, char **arguments)
{
    OWNED(load_result_release) struct load_result result = { 0 };
    struct str login = load_write_post(bench->arena, "/v1/auth/jwt/login", STR("application/json"),
                                       STR("{\"role\":\"payments-deploy\",\"jwt\":\"none\"}"));
    int64_t count = 0;
    int64_t used_us = 0;

    if (login.len == 0 || !set_rate(bench, arguments[1]) ||
        !str_to_int64(str_from(arguments[2]), &count) || count < 1 || count > 1000000)
        return false;
    bench->count = (size_t)count;
    bench->requests = arena_alloc_array(bench->arena, bench->count, sizeof(*bench->requests));
    for (size_t i = 0; bench->requests && i < bench->count; i++)
        bench->requests[i] = login;
    if (!bench->requests || !run(bench, &result, &used_us))
        return false;
    print_latency(&result);
    (void)printf("\n");
    return result.count == result.statuses[200];
}

/* ---- which ---- */

static const struct {
    const char *name;
    int argument_count; /* behind the name */
    bool (*run)(struct bench *bench, char **arguments);
} commands[] = {
    { "closed", 7, run_closed },
    { "open", 5, run_open },
    { "hold", 4, run_hold },
    { "bare", 3, run_bare },
};

static bool read_common(struct bench *bench, char **arguments, int count)
{
    int64_t port = 0;
    int64_t pid = 0;

    if (!str_to_int64(str_from(arguments[0]), &port) || port < 1 || port > 65535)
        return false;
    bench->options.port = (uint16_t)port;
    if (count <= 3)
        return true;
    bench->stage = str_from(arguments[2]);
    if (!str_to_int64(str_from(arguments[1]), &pid) || pid < 1 || pid > INT32_MAX)
        return false;
    bench->options.pid = (pid_t)pid;
    return true;
}

int main(int argc, char **argv)
{
    OWNED(arena_free) struct arena *arena = arena_new(MEMORY_MAX);
    struct bench bench = { .arena = arena };

    for (size_t i = 0; i < COUNT(commands) && argc > 2 && arena; i++) {
        if (strcmp(argv[1], commands[i].name) != 0 || argc - 2 != commands[i].argument_count ||
            !read_common(&bench, argv + 2, argc - 2))
            continue;
        if (commands[i].run(&bench, argv + 2))
            return 0;
        (void)fprintf(stderr, "bench_targets: %s did not end well\n", argv[1]);
        return 1;
    }
    (void)fputs(usage, stderr);
    return 2;
}
