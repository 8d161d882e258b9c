#pragma once

#include <stdint.h>

#include "base/str.h"

/**
 * How long a Cache-Control value lets an answer live, in seconds: `max-age`, 0 for `no-store` and
 * `no-cache`, the least of them where there are several, -1 where it says nothing of it.
 *
 * Source: RFC 9111 5.2.2
 */
int64_t cache_control_max_age_s(struct str value);
