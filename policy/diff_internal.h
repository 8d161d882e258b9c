#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/macros.h"
#include "policy/diff.h"
#include "policy/policy_internal.h"

/** Changes as they are found. Threads: confined */
struct diff_changes {
    struct arena *arena;
    struct policy_change *list;
    size_t count;
    size_t capacity;
    bool is_out_of_memory;
};

/** Add one; NULL (and marked) without memory. */
struct policy_change *diff_add(struct diff_changes *changes, enum policy_way way,
                               const char *subject, const char *format, ...) PRINTF_LIKE(4, 5);

/** Say of one that was added that nobody can tell, so that it counts as wider. NULL: nothing. */
void diff_undecided(struct policy_change *change);

/** Compare grants of the same names, and add those that one side has only. */
void diff_grants(const struct policy_stage *before, const struct policy_stage *after,
                 struct diff_changes *changes);

/** Compare what stages ask for besides conditions, and what is noted of them. */
void diff_obligations(const struct policy_stage *before, const struct policy_stage *after,
                      struct diff_changes *changes);

/** Compare guardrails and exceptions. */
void diff_guardrails(const struct policy *before, const struct policy *after,
                     struct diff_changes *changes);
