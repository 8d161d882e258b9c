#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"
#include "stream/sink.h"

struct buf;
struct error;

#define HTTP_POST_HEADERS_MAX 4             /* of the form */
#define HTTP_POST_FILE_HEADERS_MAX 4        /* of a headers_file */
#define HTTP_POST_ANSWER_MAX ((size_t)4096) /* of an answer's body, which is kept */

/** One POST of a form's body, and what came of it. */
struct http_post {
    const struct stream_options *options;
    struct upstream *upstream;
    const atomic_bool *is_ending;               /* it is not waited for any longer then */
    const char *headers[HTTP_POST_HEADERS_MAX]; /* ends with NULL or when full */
    struct str body;

    char answer[HTTP_POST_ANSWER_MAX]; /* the beginning of a 2xx answer's body */
    size_t answer_len;
    int status; /* 0: none came */
};

/**
 * Send it, with the lines of the stream's headers_file, and wait. True for a 2xx.
 *
 * Errors: ERROR_UNREACHABLE (another status, no answer: the cause says which); ERROR_STOPPING (it
 *         may arrive all the same: so the upstream thread must outlive the stream); those of
 *         secret_read_file(); ERROR_CONFIG (headers_file is not lines of "Name: value")
 */
bool http_post_send(struct http_post *post, struct delivery *delivery, struct error *error)
    MUST_USE;

/**
 * What a form puts into one body.
 *
 * `write_item` appends one entry; `separator` stands between two, `head` and `tail` around all.
 */
struct http_form {
    struct str head;
    struct str separator;
    struct str tail;
    void (*write_item)(const struct stream_item *item, struct buf *out);
};

/**
 * Write as many of the items as `max_bytes` has room for; how many, at least one, or 0 where not
 * even that could be written.
 */
size_t http_form_write(const struct http_form *form, const struct stream_item *items, size_t count,
                       size_t max_bytes, struct buf *out) MUST_USE;
