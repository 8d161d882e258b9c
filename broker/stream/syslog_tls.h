#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"
#include "base/str.h"
#include "stream/stream.h"

struct error;

/**
 * TLS over a socket that does not block: 1.2 or later, AEAD and ECDHE, the peer's certificate must
 * hold for the host.
 *
 * Threads: confined
 */
struct syslog_tls;

/* So often what the other side says is read at a look: one that never stops holds nobody up. */
#define SYSLOG_READS_MAX 128

enum tls_step {
    TLS_DONE,
    TLS_WANTS_READ,
    TLS_WANTS_WRITE,
    TLS_FAILED, /* the error says why */
};

/** Errors: ERROR_CONFIG (a file that is none), ERROR_MEMORY, ERROR_CRYPTO */
bool syslog_tls_new(const struct stream_options *options, int socket, struct syslog_tls **tls,
                    struct error *error) MUST_USE;

/** Say goodbye, without waiting, and free; the socket stays. */
void syslog_tls_free(struct syslog_tls *tls);

/** Errors: ERROR_UNREACHABLE */
enum tls_step syslog_tls_handshake(struct syslog_tls *tls, struct error *error) MUST_USE;

/** Write some; `*count` is how much. Errors: ERROR_UNREACHABLE */
enum tls_step syslog_tls_write(struct syslog_tls *tls, struct str bytes, size_t *count,
                               struct error *error) MUST_USE;

/** Whether the other side has not closed it. */
bool syslog_tls_is_alive(struct syslog_tls *tls);
