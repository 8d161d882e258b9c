#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"

struct error;
struct upstream;

/** Where a job's identity token may come from. */
struct id_token_options {
    const char *file;          /* --token-file, or NULL */
    const char *audience;      /* what a token that we ask for is to be for */
    struct upstream *upstream; /* for the platform's endpoint */
};

/**
 * Get the job's identity token: the file where one is named, else GitHub Actions' endpoint where
 * the job may ask it, else STAGEPASS_ID_TOKEN.
 *
 * Errors: ERROR_USAGE (none of them; the cause says what to do), ERROR_IO, ERROR_LIMIT,
 * ERROR_SYNTAX (no token), ERROR_UNREACHABLE Source: reference of CI issuers 1.2
 */
bool id_token_get(const struct id_token_options *options, struct arena *arena, struct str *token,
                  struct error *error) MUST_USE;

/** Read what GitHub's endpoint answers: {"value": "<JWT>"}; other members are ignored. */
bool id_token_read_answer(struct str body, struct arena *arena, struct str *token,
                          struct error *error) MUST_USE;

/** Whether it looks like a compact JWS, so that it may stand in a form or header; nothing more. */
bool id_token_check(struct str token, struct error *error) MUST_USE;
