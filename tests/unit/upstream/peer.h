#pragma once

#include <stdbool.h>
#include <stddef.h>

/**
 * An HTTP peer in a test: listens on a free port of 127.0.0.1 and lets the test say what goes over
 * the wire, well-formed or not. A thread a connection. Failures of its own abort.
 *
 * Threads: shared
 */
struct peer;

#define PEER_CONNECTIONS_MAX 128
#define PEER_REQUEST_MAX 16384
#define PEER_URL_MAX 128

/** Answers one request (head and body, NUL-terminated); whether the connection stays open. */
typedef bool (*peer_handler)(struct peer *peer, int fd, const char *request, void *context);

struct peer *peer_start(peer_handler handler, void *context);
/** Closes everything, wakes handlers out of peer_hang(), waits for them. */
void peer_stop(struct peer *peer);

/** "scheme://host:port" with this peer's port, and a path. */
const char *peer_url(const struct peer *peer, const char *scheme_and_host, const char *path,
                     char out[PEER_URL_MAX]);

unsigned peer_connection_count(struct peer *peer);
unsigned peer_request_count(struct peer *peer);

/** Send text as it is; errors are ignored: the other side may be gone. */
void peer_send(int fd, const char *text);
/** Send a whole answer. `headers` is "" or lines that end with CRLF. */
void peer_answer(int fd, int status, const char *headers, const char *body);
/** Do nothing until the peer is stopped or released. */
void peer_hang(struct peer *peer);
/** Let those that hang go on. */
void peer_release(struct peer *peer);
