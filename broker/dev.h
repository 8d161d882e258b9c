#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/macros.h"

struct error;

/**
 * Make all that a first try needs under one folder, where it is not there yet: a certificate
 * authority and a certificate for localhost, broker.yaml, an example policy that trusts the
 * development issuer, a folder for store and keys; and print what to try.
 *
 * `*config` gets the path of broker.yaml, in the arena.
 *
 * Errors: ERROR_IO, ERROR_CRYPTO, ERROR_MEMORY
 */
bool dev_prepare(const char *folder, struct arena *arena, const char **config, struct error *error)
    MUST_USE;
