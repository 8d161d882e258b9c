#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"
#include "base/str.h"

/** Members of an entry that receivers are told beside its text. */
enum stream_member {
    MEMBER_TYPE,
    MEMBER_TIME,
    MEMBER_BROKER,
    MEMBER_DECISION,
    MEMBER_LEASE,
    MEMBER_STAGE,
    MEMBER_PIPELINE,
    MEMBER_TENANT,
    MEMBER_OWNER,
    MEMBER_ENVIRONMENT,
    MEMBER_ISSUER,
    MEMBER_SUBJECT,
    MEMBER_REASON,
    MEMBER_CODE,
    STREAM_MEMBER_COUNT
};

const char *stream_member_name(enum stream_member member);

/**
 * Find an entry's own members, not those of what it holds, that are texts. They are given as they
 * stand between the quotes, escapes and all; what is not there is empty.
 *
 * For entries that were checked when they were written: it looks at no more than it must, since
 * each stream does this to each entry. False where the text is no object.
 *
 * Owns: `members` borrow from `entry`
 */
bool stream_members_find(struct str entry, struct str members[STREAM_MEMBER_COUNT]) MUST_USE;
