#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "policy/policy.h"

/** What of a policy is over, or due, at a date. */
enum policy_date_kind {
    POLICY_DATE_REVIEW,    /* a pipeline's `review_by` */
    POLICY_DATE_UNTIL,     /* a stage's `until` */
    POLICY_DATE_GRANT,     /* a grant's `until` */
    POLICY_DATE_EXCEPTION, /* of a guardrail: the stage is bound by it from then on */
    POLICY_DATE_KINDS
};

/** "review_by", "until", "grant_until", "exception" */
const char *policy_date_kind_name(enum policy_date_kind kind);

struct policy_date {
    enum policy_date_kind kind;
    struct str name; /* of the grant or the guardrail; empty: of neither */
    int64_t at_s;
};

#define POLICY_DATES_MAX 32

/**
 * The dates of a stage before `before_s`, in the order of their kinds; how many they are. What is
 * over by `now_s` is left out, but a review that is overdue is not over.
 *
 * Threads: any
 */
size_t policy_stage_dates(const struct policy *policy, const struct policy_stage *stage,
                          int64_t now_s, int64_t before_s,
                          struct policy_date dates[POLICY_DATES_MAX]);

/** The first date of each kind in a whole policy; 0 where there is none. */
void policy_first_dates(const struct policy *policy, int64_t now_s,
                        int64_t first_s[POLICY_DATE_KINDS]);
