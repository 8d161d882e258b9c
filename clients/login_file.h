#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

/**
 * Where a person's ID token is kept between commands, a file a broker: mode 0600 in
 * `$XDG_STATE_HOME/stagepass` (else `~/.local/state/stagepass`), a folder of mode 0700.
 *
 * Source: XDG Base Directory Specification
 */

/** Keep the token of a broker's people, instead of the one before. Errors: ERROR_IO, ERROR_MEMORY
 */
bool login_file_write(struct str broker_url, struct str id_token, struct arena *arena,
                      struct error *error) MUST_USE;

/**
 * The token that was kept for a broker.
 *
 * Errors: ERROR_REFUSED (nobody logged in), ERROR_IO (others may read it: it is not used),
 *         ERROR_MEMORY
 */
bool login_file_read(struct str broker_url, struct arena *arena, struct str *id_token,
                     struct error *error) MUST_USE;
