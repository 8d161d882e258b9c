/*
 * Sends pre-signed single-use tokens to a running broker over keep-alive connections and prints
 * what it costs: requests a second, latency, the broker's CPU time a request and its memory.
 */

#include <stdio.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "load.h"

#define MEMORY_MAX ((size_t)2 * 1024 * 1024 * 1024)
#define WARM_UP_SHARE 20 /* the first 1/20 is not counted */

struct bench {
    struct load_options options;
    struct str *requests;
    size_t count;
};

static bool prepare(struct bench *bench, struct str stage, struct str tokens, struct arena *arena)
{
    struct str token;

    bench->requests = arena_alloc_array(arena, load_count_lines(tokens), sizeof(*bench->requests));
    while (bench->requests && load_next_line(&tokens, &token)) {
        struct str request = load_write_exchange(arena, stage, token, STR(""));

        if (request.len == 0)
            return false;
        bench->requests[bench->count++] = request;
    }
    return bench->requests != NULL;
}

static void print_result(const struct bench *bench, const struct load_result *result,
                         int64_t used_us)
{
    (void)printf(
        "connections=%zu requests=%zu failed=%zu rate_per_s=%.0f p50_ms=%.2f p99_ms=%.2f "
        "cpu_us=%.1f rss_mib=%.1f\n",
        bench->options.connections_max, result->count, result->count - result->statuses[200],
        (double)result->count * 1e9 / (double)result->elapsed_ns, load_percentile_ms(result, 50),
        load_percentile_ms(result, 99), (double)used_us / (double)result->count,
        (double)load_resident_kib(bench->options.pid) / 1024.0);
}

static bool run(const struct bench *bench)
{
    OWNED(load_free) struct load *load = load_new(&bench->options);
    OWNED(load_result_release) struct load_result result = { 0 };
    size_t warm_up = bench->count / WARM_UP_SHARE;
    int64_t started_us;

    if (!load || !load_run(load, bench->requests, warm_up, &result))
        return false;
    started_us = load_cpu_us(bench->options.pid);
    if (!load_run(load, bench->requests + warm_up, bench->count - warm_up, &result))
        return false;
    print_result(bench, &result, load_cpu_us(bench->options.pid) - started_us);
    return result.count == result.statuses[200];
}

int main(int argc, char **argv)
{
    OWNED(arena_free) struct arena *arena = arena_new(MEMORY_MAX);
    struct bench bench = { 0 };
    struct error error = { 0 };
    int64_t port = 0;
    int64_t pid = 0;
    int64_t connections = 0;
    struct str tokens;

    if (argc != 6 || !arena || !str_to_int64(str_from(argv[1]), &port) ||
        !str_to_int64(str_from(argv[2]), &pid) || !str_to_int64(str_from(argv[4]), &connections)) {
        (void)fprintf(stderr, "usage: bench_exchange PORT PID STAGE CONNECTIONS TOKENS\n"
                              "TOKENS: a file with one unused token a line\n");
        return 2;
    }
    bench.options = (struct load_options){ .port = (uint16_t)port,
                                           .pid = (pid_t)pid,
                                           .connections_max = (size_t)connections };
    if (!file_read(arena, argv[5], MEMORY_MAX / 4, &tokens, &error)) {
        (void)fprintf(stderr, "bench_exchange: %s\n", error.cause);
        return 1;
    }
    if (!prepare(&bench, str_from(argv[3]), tokens, arena) || !run(&bench)) {
        (void)fprintf(stderr, "bench_exchange: it did not end well\n");
        return 1;
    }
    return 0;
}
