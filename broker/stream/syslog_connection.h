#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "base/macros.h"
#include "base/str.h"
#include "stream/stream.h"

struct error;

/**
 * A connection to a syslog receiver: a socket of this host, TCP on loopback, or TLS.
 *
 * Everything has an end: connecting, writing and waiting give up after some seconds, and once
 * `is_ending` is set.
 *
 * Threads: confined
 * Source:  RFC 6587 3.4.1 (TCP), RFC 5425 (TLS)
 */
struct syslog_connection;

/**
 * Connect. TLS is 1.2 or later, with a certificate that holds for the host; addresses that are not
 * public only where the peer's networks contain them.
 *
 * Errors: ERROR_UNREACHABLE (the cause says why), ERROR_CONFIG (CA, certificate or key file),
 *         ERROR_MEMORY
 */
bool syslog_connect(const struct stream_options *options, const atomic_bool *is_ending,
                    struct syslog_connection **connection, struct error *error) MUST_USE;

void syslog_disconnect(struct syslog_connection *connection);

/** Whether messages are datagrams, one each, without framing. */
bool syslog_is_datagram(const struct syslog_connection *connection);

/** Write all, or one datagram. Errors: ERROR_UNREACHABLE */
bool syslog_write(struct syslog_connection *connection, struct str bytes, struct error *error)
    MUST_USE;

/**
 * Wait until the other side's kernel has all that was written; over a socket of this host, until
 * the other side has read it.
 *
 * Errors: ERROR_UNREACHABLE
 */
bool syslog_drain(struct syslog_connection *connection, struct error *error) MUST_USE;

/** Whether the other side has not closed it. What it says is read, and means nothing. */
bool syslog_is_alive(struct syslog_connection *connection);
