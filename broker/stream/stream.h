#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/metrics.h"
#include "base/network.h"
#include "base/str.h"
#include "upstream/upstream.h"

struct error;
struct ledger;

/** Where a stream of entries goes. */
enum stream_kind {
    STREAM_FILE,
    STREAM_SYSLOG,
    STREAM_WEBHOOK,
    STREAM_OTLP,
};

/** How a syslog receiver is reached. */
enum stream_transport {
    STREAM_UNIX, /* a datagram socket, or else a stream socket, of this host */
    STREAM_TCP,  /* loopback only */
    STREAM_TLS,
};

#define STREAMS_MAX METRIC_STREAMS_MAX
#define STREAM_BATCH_ENTRIES_MAX 1000
#define STREAM_BATCH_BYTES_MIN ((size_t)128 * 1024) /* any one entry fits, in any form */
#define STREAM_BATCH_BYTES_MAX ((size_t)1024 * 1024)
#define STREAM_ONLY_MAX 32

/** One stream as it is configured; what is pointed to must live as long as the streams. */
struct stream_options {
    const char *name; /* [a-z0-9-]{1,40} */
    enum stream_kind kind;
    const struct str *only; /* types of entries, "lease.*" for all of a kind; none: every type */
    size_t only_count;
    bool with_private; /* what is kept beside an entry and can be erased: who a person is */
    bool is_from_now;  /* a stream that never ran begins at the log's end, not its beginning */
    size_t batch_entries;
    size_t batch_bytes; /* of what is sent at once; of a file and syslog: of entries */

    /* a file */
    const char *path;
    unsigned mode;

    /* syslog */
    enum stream_transport transport;
    const char *host; /* or the socket's path */
    const char *port;
    unsigned facility;

    /* webhook and OTLP */
    const char *url;
    unsigned timeout_ms;
    const char *secret_file;  /* of a webhook */
    const char *headers_file; /* NULL: none */
    bool is_array;            /* a webhook's body: a JSON array instead of lines */

    struct upstream_peer peer; /* of all that go over the network */
};

/** What streams work with. */
struct streams_environment {
    struct ledger *ledger;
    struct upstream *upstream;
    const char *folder; /* of cursors; made where it is missing */
    struct str origin;  /* of the ledger */

    /* told on a stream's thread: that it fails from now on (stopped: for good), or goes on again */
    void (*failed)(const char *stream, bool is_stopped, const struct error *why, void *context);
    void (*recovered)(const char *stream, void *context);
    void *context;
};

/**
 * Streams of entries to others: each has a thread, a reader and a durable cursor of its own.
 *
 * At least once and in order: the cursor follows what a receiver has acknowledged (syslog, which
 * acknowledges nothing: what its socket took and did not lose within two seconds), and is written
 * at most once a second, so that a crash or a failure repeats some entries and loses none. Nobody
 * waits for a stream; a receiver that is away is asked again with back-off, for ever.
 *
 * Threads: shared
 * Source:  design.md 3.5; RFC 5424, 6587, 5425; Standard Webhooks; OTLP 1 (logs over HTTP, JSON)
 */
struct streams;

/**
 * Start them all. What is wrong with one at run time (a cursor of another ledger, a receiver that
 * does not answer) is told by `failed` and streams_degraded(), and stops nothing else.
 *
 * Errors: ERROR_IO (the cursors' folder, a thread), ERROR_MEMORY
 */
bool streams_start(const struct stream_options *options, size_t count,
                   const struct streams_environment *environment, struct streams **streams,
                   struct error *error) MUST_USE;

/**
 * Have them end, without waiting for receivers, keep the cursors, free. Ledger and upstream thread
 * must still be there.
 */
void streams_stop(struct streams *streams);

OWNED_POINTER(streams_stop, struct streams)

/** Whether one has stopped, or has failed for a while; and since when. */
bool streams_degraded(const struct streams *streams, int64_t *since_s);
