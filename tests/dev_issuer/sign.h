#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/macros.h"
#include "keys/keys.h"

struct error;
struct options;

/** The header's `typ` of GitHub's tokens. */
#define SIGN_TYP "JWT"

/**
 * Open the issuer's keys, which are in `FOLDER/keys`; they are made where they are missing.
 *
 * Processes may share the folder, and keys of both algorithms may be in it: all are published.
 *
 * Errors: as keys_open()
 */
bool sign_open_keys(const struct options *options, int64_t now_s, struct keys **keys,
                    struct error *error) MUST_USE;

/**
 * The command `token`: sign `options->count` tokens on all cores and write them, one a line.
 *
 * Each has a `jti` of its own unless a change sets or unsets it.
 *
 * Errors: as claims_build(), keys_open() and keys_sign_jwt(); ERROR_IO
 */
bool sign_run(const struct options *options, int64_t now_s, FILE *out, struct error *error)
    MUST_USE;
