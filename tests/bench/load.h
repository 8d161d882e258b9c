#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"

/**
 * Requests over keep-alive connections: one thread, one epoll, plain HTTP on loopback, so that the
 * generator costs little beside what it measures.
 *
 * In a closed loop each connection sends its next request when the answer to the last one is there.
 * In an open loop a request is sent when its time has come, and its latency counts from that
 * time: what has to wait for a connection, or for us, has waited.
 *
 * Threads: confined
 */
struct load;

#define LOAD_CONNECTIONS_MAX 4096
#define LOAD_STATUS_MAX 600

struct load_options {
    uint16_t port;
    size_t connections_max; /* closed loop: so many there are */
    int64_t interval_ns;    /* between two requests; 0: a closed loop */
    pid_t pid;              /* whose memory is looked at meanwhile; 0: nobody's */
    /* Gets a line of each answer: when it came (ms since 1970), its latency in us. NULL: none */
    FILE *samples;
};

/** What came of a run. All-zero is none yet. */
struct load_result {
    size_t count;                     /* of answers */
    int64_t *latencies_ns;            /* sorted */
    size_t statuses[LOAD_STATUS_MAX]; /* how many answers had it; 0: the connection was closed */
    int64_t elapsed_ns;
    int64_t resident_kib; /* the most that was seen */
};

/** NULL: no memory, or too many connections. */
struct load *load_new(const struct load_options *options);
void load_free(struct load *load);

OWNED_POINTER(load_free, struct load)

/**
 * Send requests and wait for the answers. Connections stay for the next run. Of answers other than
 * 200 the first is written to the standard error.
 *
 * Returns false if nothing came for a minute, or a connection could not be made.
 */
bool load_run(struct load *load, const struct str *requests, size_t count,
              struct load_result *result) MUST_USE;
void load_result_release(struct load_result *result);

OWNED_VALUE(load_result_release, struct load_result)

/** The latency that `percent` of the answers did not exceed, in milliseconds. */
double load_percentile_ms(const struct load_result *result, double percent);

/** A request without a body, with `header` ("Name: value") unless it is empty; "" without memory.
 */
struct str load_write_plain(struct arena *arena, const char *method, struct str path,
                            struct str header);

/** A whole POST of a form, "" without memory. */
struct str load_write_post(struct arena *arena, const char *path, struct str type, struct str body);

/** A token exchange, with `details` as its authorization_details unless they are empty. */
struct str load_write_exchange(struct arena *arena, struct str stage, struct str token,
                               struct str details);

/** How many lines that are not empty a text has, and the next one; false at its end. */
size_t load_count_lines(struct str text);
bool load_next_line(struct str *text, struct str *line);

/** CPU time of a process in microseconds and its memory, from /proc; 0 where it cannot be read. */
int64_t load_cpu_us(pid_t pid);
int64_t load_resident_kib(pid_t pid);
