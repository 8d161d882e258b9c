#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"

/**
 * Whether two http or https URLs name one resource, without query and fragment: scheme and host
 * whatever their case, default ports left out, no difference between an unreserved character and
 * its escape, dot segments resolved. What is no such URL, or has a malformed escape, is none.
 *
 * Source: RFC 3986 6.2.2, 6.2.3
 */
bool dpop_targets_are_equal(struct str a, struct str b, struct arena *arena) MUST_USE;
