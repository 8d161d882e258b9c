#pragma once

#include <stdbool.h>

#include "base/macros.h"

struct buf;
struct stream_item;

#define SYSLOG_HOST_MAX 256 /* with NUL */

/** What stands in every message of this process. */
struct syslog_origin {
    unsigned facility;          /* RFC 5424 6.2.1 */
    char host[SYSLOG_HOST_MAX]; /* printable ASCII without space; "-" where it is not known */
    int process;
};

/**
 * Append one message, without framing:
 * "<PRI>1 TIME HOST stagepass PID TYPE [origin software=... swVersion=...] {"index":...}".
 *
 * The time is the entry's. The text is JSON in UTF-8 without a byte order mark: MSG-ANY, since
 * receivers that parse JSON stumble over one.
 *
 * Source: RFC 5424 6, 7.2
 */
void syslog_write_message(const struct syslog_origin *origin, const struct stream_item *item,
                          struct buf *out);

/** The same with its length in front: octet counting. Source: RFC 6587 3.4.1, RFC 5425 4.3 */
void syslog_write_frame(const struct syslog_origin *origin, const struct stream_item *item,
                        struct buf *scratch, struct buf *out);
