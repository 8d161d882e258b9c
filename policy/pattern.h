#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"
#include "policy/policy.h"

/** The longest text of a pattern, bytes. */
#define PATTERN_LEN_MAX 2048

/**
 * A pattern over names, in the matching of a kind of grant: what guardrails forbid, and what grants
 * give. It covers the whole name.
 *
 * With POLICY_MATCHING_GLOB `*` is any text without '/', ':' and '@', and `**` any text: where
 * conditions let in, and so `**` stops at '@', these refuse, and "all" has to be all. With
 * POLICY_MATCHING_GLOB_ANY_CASE the case of ASCII letters does not count besides.
 * With POLICY_MATCHING_AWS `*` is any text, `?` any one character, and the case of ASCII letters
 * does not count. In both `${name}` is [A-Za-z0-9._-]{1,64}. All else is itself.
 *
 * Threads: immutable
 */
struct pattern {
    struct str text; /* as written */
    enum policy_matching matching;
    const uint32_t *elements; /* see pattern.c */
    size_t count;
};

/**
 * Compile a pattern; `text` is copied.
 *
 * Where it is refused `*problem` is a sentence for people, or NULL where there was no memory.
 */
bool pattern_compile(struct str text, enum policy_matching matching, struct arena *arena,
                     struct pattern *pattern, const char **problem) MUST_USE;

/**
 * Whether there is a name that fits both; exact. Both are of one matching.
 *
 * At most length times length steps, where `${name}` counts as 64. Without memory, true: what is
 * forbidden counts as met.
 */
bool pattern_meets(const struct pattern *pattern, const struct pattern *other) MUST_USE;

/** How much work pattern_meets() is, in steps of a few nanoseconds. At least 1. */
size_t pattern_meeting_steps(const struct pattern *pattern, const struct pattern *other);

/**
 * Whether every name that fits `pattern` fits one of `others`; all are of one matching.
 *
 * True is exact. False may also mean that it took more than PATTERN_COVER_STATES_MAX steps to find
 * out, or that there was no memory: what is not known to be covered counts as not covered.
 */
#define PATTERN_COVER_STATES_MAX 16384
bool pattern_is_covered(const struct pattern *pattern, const struct pattern *others, size_t count)
    MUST_USE;
