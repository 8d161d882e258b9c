#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/str.h"

struct profile;

/** How a platform writes `aud`. */
enum platform_audience {
    PLATFORM_AUDIENCE_ASKED, /* what the job asks for, or the default */
    PLATFORM_AUDIENCE_ARRAY, /* the same as an array of one */
    PLATFORM_AUDIENCE_ADDED, /* an array: the default, and what the job asks for */
    PLATFORM_AUDIENCE_FIXED, /* the default, whatever is asked */
};

/**
 * What a platform fills in besides a profile's claims.
 *
 * Source: reference of CI issuers 0
 */
struct platform {
    const char *profile;
    int64_t not_before_s; /* how much earlier than `iat`; PLATFORM_NO_NOT_BEFORE: there is none */
    int64_t lifetime_s;
    enum platform_audience audience;
    const char *audience_prefix; /* of the default */
    const char *audience_claim;  /* whose value follows it; NULL: nothing does */
};

#define PLATFORM_NO_NOT_BEFORE ((int64_t)-1)

/** The row of a profile; each has one. */
const struct platform *platform_find(const struct profile *profile);

/** `aud` of a token with these claims; `asked` may be empty. NULL without memory. */
json_t *platform_audience_of(const struct platform *platform, struct str asked,
                             const json_t *claims);

/** Whether its tokens have a `jti`. */
bool platform_has_jti(const struct profile *profile);
