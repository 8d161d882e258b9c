#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "http/http.h"

/**
 * A raw HTTP peer for the tests: it sends what it is given, byte for byte.
 *
 * Every wait has a deadline of some seconds, so that a broken server fails a test instead of
 * hanging it. Threads: any
 */

/** What came back. */
struct answer {
    int status; /* 0 where no answer came */
    char text[64 * 1024];
    size_t len;
    struct str head;
    struct str body;
};

/** A connection to a port of 127.0.0.1; -1 where nobody listens. */
int peer_connect(uint16_t port);

/** The two halves of it, for those who must not open a descriptor in between. */
int peer_socket(void);
bool peer_join(int fd, uint16_t port);
void peer_close(int fd);

/** Send; what the server does not take any more is dropped. */
void peer_send(int fd, struct str bytes);
void peer_send_text(int fd, const char *text);

/** Read one answer, framed by Content-Length. False where the connection ends before. */
bool peer_read(int fd, struct answer *answer);

/** Whether the server closes within `timeout_ms`; what it still sends is dropped. */
bool peer_is_closed(int fd, int timeout_ms);

/**
 * Take one more piece of an answer that was appended to `text` and `len`: true once it is whole,
 * and its parts are filled in.
 */
bool answer_is_whole(struct answer *answer);

/** Whether a header field line is in the answer's head, as written. */
bool answer_has(const struct answer *answer, const char *line);

/** A whole exchange on a connection of its own. */
void peer_ask(uint16_t port, const char *text, struct answer *answer);

/** Start a server on a free port of 127.0.0.1 with what else `options` says, or fail the test. */
struct http_server *peer_server(struct http_options options);
