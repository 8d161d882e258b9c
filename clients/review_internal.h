#pragma once

#include "clients/review.h"

struct policy;

/** A review on its way. Memory is the arena's. */
struct reviewing {
    const struct review_options *options;
    struct arena *arena;
    json_t *review;
    json_t *by_stage;            /* id to its object */
    const struct policy *before; /* in force when the time began; NULL: not known */
};

/** Add to a count that is there. */
void review_count_up(json_t *object, const char *name, json_int_t by);

/** Put proposals, and why, into what was counted. False without memory. */
bool review_judge(const struct reviewing *reviewing) MUST_USE;
