#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"
#include "claims.h"
#include "keys/keys.h"

struct error;

/** The most `--set`, `--json` and `--unset` together. */
#define OPTIONS_CHANGES_MAX ((size_t)64)
/** The most tokens that one call signs. */
#define OPTIONS_COUNT_MAX ((int64_t)10 * 1000 * 1000)
/** The longest life of a token, seconds: a day, to have expiry tried by whoever reads it. */
#define OPTIONS_LIFETIME_MAX_S ((int64_t)24 * 3600)

/** The commands, as bits: an option says whose it is. */
enum options_command {
    OPTIONS_SERVE = 1 << 0,
    OPTIONS_TOKEN = 1 << 1,
};

/** What the command line says, with the defaults for the rest. Borrows `argv`. */
struct options {
    const char *folder;
    enum key_algorithm algorithm;
    struct str url; /* empty: `serve` takes its own address */
    const struct profile *profile;

    /* serve */
    struct str address;
    uint16_t port;
    const char *certificate_file;
    const char *key_file;

    /* token */
    struct str audience;
    const char *claims_file;
    int64_t lifetime_s;
    int64_t count;
    struct claims_change changes[OPTIONS_CHANGES_MAX];
    size_t change_count;
};

/**
 * Read the options of a command; `arguments` are those behind its name, ended by NULL.
 *
 * Errors: ERROR_USAGE, with the nearest option's name where one is unknown
 */
bool options_read(enum options_command command, char *const *arguments, struct options *options,
                  struct error *error) MUST_USE;
