#pragma once

#include "policy/policy.h"

/** How a grant's credential can be ended before its time, in a word for JSON: "now". */
const char *ending_word(const struct policy_grant *grant, const json_t *fields);

/** The same as the end of a sentence: "can be revoked at once". */
const char *ending_sentence(const struct policy_grant *grant, const json_t *fields);

/** What else must be known of its end, as a sentence without a full stop; NULL: nothing. */
const char *ending_note(const struct policy_grant *grant, const json_t *fields);
