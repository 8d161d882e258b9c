#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/** What signing costs without a broker around it. */
struct bare_sign {
    double rate_per_s; /* on all cores together */
    double cpu_us;     /* of one */
};

/**
 * Sign for half a second on every core, with kept contexts and keys of their own. `algorithms` are
 * those of one round, in a row: "ES256 RS256 Ed25519".
 */
bool bare_sign_measure(struct str algorithms, struct bare_sign *measured);
