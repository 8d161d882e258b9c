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

static struct str write_request(struct arena *arena, struct str what, struct str line)
{
    if (str_eq(what, STR("--get")))
        return load_write_plain(arena, "GET", line, STR(""));
    if (str_eq(what, STR("--heartbeat")))
        return load_write_plain(
            arena, "POST", STR("/api/v1/leases/self/heartbeat"),
            arena_printf(arena, "Authorization: Bearer " STR_FMT, STR_ARG(line)));
    return load_write_exchange(arena, what, line, STR(""));
}

static bool prepare(struct bench *bench, struct str what, struct str lines, struct arena *arena)
{
    struct str line;

    bench->requests = arena_alloc_array(arena, load_count_lines(lines), sizeof(*bench->requests));
    while (bench->requests && load_next_line(&lines, &line)) {
        struct str request = write_request(arena, what, line);

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

static bool read_options(int argc, char **argv, struct load_options *options)
{
    int64_t port = 0;
    int64_t pid = 0;
    int64_t connections = 0;
    int64_t rate_per_s = 0;

    if ((argc != 6 && argc != 8) || !str_to_int64(str_from(argv[1]), &port) ||
        !str_to_int64(str_from(argv[2]), &pid) || !str_to_int64(str_from(argv[4]), &connections) ||
        (argc == 8 && !str_to_int64(str_from(argv[6]), &rate_per_s)))
        return false;
    *options = (struct load_options){
        .port = (uint16_t)port,
        .pid = (pid_t)pid,
        .connections_max = (size_t)connections,
        .interval_ns = rate_per_s > 0 ? INT64_C(1000000000) / rate_per_s : 0,
        .samples = argc == 8 ? fopen(argv[7], "we") : NULL,
    };
    return argc == 6 || options->samples;
}

int main(int argc, char **argv)
{
    OWNED(arena_free) struct arena *arena = arena_new(MEMORY_MAX);
    struct bench bench = { 0 };
    struct error error = { 0 };
    struct str lines;

    if (!arena || !read_options(argc, argv, &bench.options)) {
        (void)fprintf(
            stderr,
            "usage: bench_exchange PORT PID STAGE CONNECTIONS TOKENS [RATE SAMPLES]\n"
            "TOKENS: a file with one unused token a line. STAGE may be --heartbeat: then it has\n"
            "handles of leases; or --get: then it has paths.\n"
            "RATE: so many a second, 0 as many as are answered. SAMPLES: a file that gets a line\n"
            "of each answer: when it came in milliseconds since 1970, and its latency in us.\n");
        return 2;
    }
    if (!file_read(arena, argv[5], MEMORY_MAX / 4, &lines, &error)) {
        (void)fprintf(stderr, "bench_exchange: %s\n", error.cause);
        return 1;
    }
    if (!prepare(&bench, str_from(argv[3]), lines, arena) || !run(&bench) ||
        (bench.options.samples && fclose(bench.options.samples) != 0)) {
        (void)fprintf(stderr, "bench_exchange: it did not end well\n");
        return 1;
    }
    return 0;
}
