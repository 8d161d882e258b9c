#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

/** Keys that requests to AWS are signed with. */
struct aws_keys {
    struct str access_key_id;
    struct str secret_access_key;
    struct str session_token; /* empty: keys that do not expire have none */
};

/** A request of AWS's query protocol: a form, POSTed to the root of an endpoint. */
struct aws_signing {
    const struct aws_keys *keys;
    const char *region;
    const char *service; /* "iam" */
    struct str endpoint; /* its URL, without a path */
    struct str body;
    int64_t now_s;
};

#define AWS_SIGNED_HEADERS 4

/**
 * Sign a request: the header lines it is to be sent with, ended by NULL where there are fewer. Its
 * Host and body must be sent as they are here.
 *
 * Errors: ERROR_MEMORY
 * Owns:   the lines live in `arena`
 * Source: IAM user guide, "Create a signed AWS API request" (AWS4-HMAC-SHA256)
 */
bool aws_sign(const struct aws_signing *signing, struct arena *arena,
              const char *headers[AWS_SIGNED_HEADERS], struct error *error) MUST_USE;
