#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"
#include "targets/aws_internal.h"
#include "targets/remote_call.h"

struct error;

/**
 * Denials of sessions, as inline policies of their roles: one policy for one source identity, whose
 * name says until when it is needed. So two that deny at once, in one broker or in several, write
 * nothing of each other's, who asks twice writes the same again, and what is not needed any more is
 * seen by its name.
 */

/** What is asked of IAM about a role's inline policies. */
enum aws_iam_action {
    AWS_IAM_PUT,
    AWS_IAM_LIST,
    AWS_IAM_DELETE
};

struct aws_iam_request {
    enum aws_iam_action action;
    const struct aws_grant *role;
    struct str policy; /* its name; not of a list */
    struct str source; /* of a put: the source identity that is denied everything */
};

/** The name of a denial that is needed until then; `data` NULL: no memory. */
struct str aws_denial_name(struct str source, int64_t until_s, struct arena *arena);

/** Whether it is the name of a denial that nobody needs any more. */
bool aws_denial_is_over(struct str name, int64_t now_s);

/**
 * Ask IAM, with a session's keys; as remote_call_send().
 *
 * Errors: ERROR_MINT, ERROR_LIMIT, ERROR_MEMORY
 */
bool aws_iam_ask(const struct revocation *revocation, const struct aws_keys *keys,
                 const struct aws_iam_request *request, struct remote_call **call,
                 struct error *error) MUST_USE;

/** How IAM answered. */
enum aws_iam_outcome {
    AWS_IAM_DONE,
    AWS_IAM_FULL,
    AWS_IAM_UNKNOWN_THERE,
    AWS_IAM_FAILED
};

/** Read its answer; except where it is done `error` says why not (ERROR_MINT). */
enum aws_iam_outcome aws_iam_read(const struct remote_call *call, struct arena *arena,
                                  struct aws_answer *answer, struct error *error);
