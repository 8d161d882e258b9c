#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"
#include "targets/aws_internal.h"
#include "targets/remote_call.h"

struct error;

/** What is asked of STS: a role, by a token of ours or by the target's own keys. */
struct aws_question {
    const struct aws_settings *settings;
    const struct aws_grant *grant;
    const struct aws_request *request;
    struct str token; /* of AWS_STS_WEB_IDENTITY */
    struct arena *arena;
};

/**
 * Make the request. Where keys ask they are read from their file now, and sign it.
 *
 * Errors: ERROR_MINT (no keys, or ones that cannot have it for so long), ERROR_LIMIT, ERROR_MEMORY
 * Owns:   the form is the caller's, and the request's body; its other texts live in the arena
 */
bool aws_sts_ask(const struct aws_question *question, struct buf *form,
                 struct remote_request *request, struct error *error) MUST_USE;

/** That STS said no, with what that means; false. The words are AWS's: for the log alone. */
bool aws_sts_refused(const struct aws_answer *answer, enum aws_sts_action action, int status,
                     struct error *error);
