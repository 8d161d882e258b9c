#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"
#include "base/str.h"

struct answer;
struct arena;
struct error;

/** What git asks a credential helper, at the most. */
#define GIT_QUESTION_MAX ((size_t)64 * 1024)

/** The user that a token of a GitHub App is for. */
#define GIT_USER_OF_GITHUB "x-access-token"

/**
 * For which host git asks a credential helper; with a port where the URL has one. Anything but
 * https is refused: what we hand out goes over no other connection.
 *
 * Errors: ERROR_USAGE
 * Source: git-credential(1), "INPUT/OUTPUT FORMAT"
 */
bool git_format_read(struct str question, struct str *host, struct error *error) MUST_USE;

/**
 * The github or gitlab grant for that host, as a credential helper answers `get`.
 *
 * Errors: ERROR_USAGE (none is, or several are), ERROR_MEMORY
 */
bool git_format_write(const struct answer *answer, struct str host, struct arena *arena,
                      struct str *text, struct error *error) MUST_USE;
