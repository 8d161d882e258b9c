#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "upstream/transfer_internal.h"

/** Connections to one host at most, so that one that hangs never takes them all. */
#define HOST_CONNECTIONS_MAX ((size_t)64)
/** Requests to one host at most: those that have a connection, and those that wait for one. */
#define HOST_REQUESTS_MAX ((size_t)2000)

/**
 * A host that somebody asks something of: who has a connection, and who waits for one.
 *
 * Of two threads: callers count their requests in and out, under the upstream's lock; the upstream
 * thread alone knows what runs and what waits.
 */
struct upstream_host {
    struct upstream_host *next;    /* guarded by the lock */
    size_t request_count;          /* guarded by the lock: of those that are not answered yet */
    size_t running_count;          /* the thread's own */
    struct transfer *waiting;      /* the thread's own; oldest first */
    struct transfer *waiting_last; /* the thread's own */
    size_t name_len;
    char name[]; /* "host[:port]" */
};

/** The host of that name among `hosts`, or a new one; NULL without memory. */
struct upstream_host *upstream_host_take(struct upstream_host **hosts, struct str name);

/** Free it and take it out, unless somebody asks it something. */
void upstream_host_drop(struct upstream_host **hosts, struct upstream_host *host);

/** Have a transfer wait for a connection to its host; it is the last one. */
void upstream_host_wait(struct transfer *transfer);

/** A transfer waits no more. */
void upstream_host_unwait(struct transfer *transfer);
