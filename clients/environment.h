#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"

struct answer;
struct error;

/** Variables that a lease adds at most. */
#define ENVIRONMENT_ADDED_MAX 64

/** A variable that a lease adds. Both texts are NUL-terminated besides; in the arena. */
struct environment_variable {
    struct str name;
    struct str value;
    bool is_secret;
};

/** What a lease adds to a command's environment. */
struct environment {
    struct arena *arena;
    struct environment_variable added[ENVIRONMENT_ADDED_MAX];
    size_t added_count;
};

/**
 * Add a variable. Each name once: two grants that want the same one are refused, for neither may
 * silently win.
 *
 * Errors: ERROR_INVALID (taken; NUL or a line end in the value), ERROR_LIMIT, ERROR_MEMORY
 */
bool environment_add(struct environment *environment, struct str name, struct str value,
                     bool is_secret, struct error *error) MUST_USE;

/**
 * Add what an answer gives but for what needs a file or a process: STAGEPASS_LEASE,
 * STAGEPASS_STAGE, STAGEPASS_ACCESS_TOKEN, STAGEPASS_TOKEN_TYPE; a jwt grant's
 * STAGEPASS_<GRANT>_TOKEN; the five AWS_* of an aws grant, where there is exactly one.
 *
 * Errors: as environment_add()
 */
bool environment_add_answer(struct environment *environment, const struct answer *answer,
                            struct error *error) MUST_USE;

/** How many credentials of the answer are AWS's. */
size_t environment_aws_count(const struct answer *answer);

/**
 * All aws credentials as an AWS credentials file, a profile a grant, in the arena. On failure
 * `data` is NULL.
 */
struct str environment_aws_profiles(const struct answer *answer, struct arena *arena);

/**
 * The whole environment of a command: what we have, with the added variables instead of those of
 * the same name, and without STAGEPASS_ID_TOKEN, which served its purpose. NULL without memory.
 */
char **environment_build(const struct environment *environment, char *const *inherited);
