#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/str.h"
#include "ledger/entry.h"

/** What an entry does to a mark, or to a block: none does both. */
enum mark_effect {
    MARK_STAYS,
    MARK_IS_SET,
    MARK_IS_FREED,
    MARK_IS_SET_ALONE,    /* where a token, but no lease, is named */
    MARK_IS_SET_BESIDE,   /* where a token is named; whatever lease is named too is not its */
    MARK_OF_PROOF_IS_SET, /* the token's stays */
    BLOCK_IS_PUT,
    BLOCK_IS_REMOVED,
};

/** What an entry does to the lease that it names. */
#define LEASE_STAYS 0       /* nothing */
#define LEASE_MOVES_ON (-1) /* it changes, but not its state */

/** What an entry does to the approval that it names. */
#define APPROVAL_STAYS 0
#define APPROVAL_IS_GRANTED_OR_WAITS (-1) /* as `left` says */
#define APPROVAL_IS_GIVEN_BACK (-2)       /* what used it came to nothing */

/** What there is to a type of entries. */
struct type_row {
    const char *name;
    uint64_t mandatory;
    uint64_t allowed; /* besides the mandatory ones */
    enum mark_effect mark;
    int lease;    /* an enum store_lease_state, or as above */
    int approval; /* an enum store_approval_state, or as above */
};

/** What entries may have, a bit each in a type's row: names and forms are in entry.c. */
enum member {
    MEMBER_TYPE,
    MEMBER_TIME,
    MEMBER_BROKER,
    MEMBER_ACTOR,
    MEMBER_ADDED,
    MEMBER_ADDRESS,
    MEMBER_APPROVAL,
    MEMBER_BLOCK,
    MEMBER_BLOCKED,
    MEMBER_BREAK_GLASS,
    MEMBER_CI,
    MEMBER_CLAIMS,
    MEMBER_CLAIMS_DROPPED,
    MEMBER_CODE,
    MEMBER_COUNT, /* the member "count"; how many there are is MEMBER_END */
    MEMBER_COUNTS,
    MEMBER_CREDENTIALS,
    MEMBER_DECISION,
    MEMBER_DETAIL,
    MEMBER_DIGEST,
    MEMBER_ENTRIES,
    MEMBER_ENVIRONMENT,
    MEMBER_EXCEPTIONS,
    MEMBER_FACTS,
    MEMBER_FAILED,
    MEMBER_FIRST,
    MEMBER_GRANTED_BEFORE,
    MEMBER_HANDLE,
    MEMBER_HEARTBEAT_S,
    MEMBER_INSTANCE,
    MEMBER_ISSUER,
    MEMBER_KEPT_UNTIL,
    MEMBER_KEYS,
    MEMBER_KIND,
    MEMBER_LEASE,
    MEMBER_LEASE_EXPIRES,
    MEMBER_LEFT,
    MEMBER_OUTCOME,
    MEMBER_OWNER,
    MEMBER_PENDING,
    MEMBER_PERSON,
    MEMBER_PIPELINE,
    MEMBER_POLICY,
    MEMBER_PREVIOUS,
    MEMBER_REASON,
    MEMBER_REMOVED,
    MEMBER_RENEWAL,
    MEMBER_RENEWS,
    MEMBER_REQUEST,
    MEMBER_REVIEW,
    MEMBER_RULE,
    MEMBER_SHADOW,
    MEMBER_SOURCE,
    MEMBER_STAGE,
    MEMBER_SUBJECT,
    MEMBER_TARGET,
    MEMBER_TENANT,
    MEMBER_TOKEN,
    MEMBER_UNTIL,
    MEMBER_WIDENED,
    MEMBER_END
};

/** An entry's members, found once for its check and its fold. */
struct entry_view {
    enum entry_type type;
    const struct type_row *row;
    const json_t *values[MEMBER_END]; /* borrowed; NULL: it has none */
    const char *foreign;              /* a name that is no member's, or NULL */
    bool is_checked;                  /* it is what entry_check() demands */
};

/**
 * Find them; `*view` is all zero before.
 *
 * Errors: ERROR_INVALID (no type that we know)
 * Owns:   `*view` borrows from the entry
 */
bool entry_view_read(const json_t *entry, struct entry_view *view, struct error *error) MUST_USE;

/** Whether a member that is there has its form. */
bool entry_view_fits(const struct entry_view *view, enum member member);

/** What entry_fold() says; all ways to fold come here. */
bool entry_fold_view(const struct entry_view *view, struct store_change *changes,
                     size_t *change_count, struct error *error) MUST_USE;

#define SHA256_HEX_LEN 64
#define SHA256_PREFIX "sha256:"

const struct type_row *entry_type_row(enum entry_type type);

/** A form of values, told by the text of plain JSON (json_walk()) instead of a value. */
typedef bool (*entry_text_form)(struct str value);

/** The members that entries may have: their number (at most 64), and one's name and form. */
size_t entry_member_count(void);
const char *entry_member_name(size_t member);
entry_text_form entry_member_form(size_t member);

/** Whether a type may have these members, a bit each, and lacks none. */
bool entry_type_takes(enum entry_type type, uint64_t members);

/** Whether a text is so many lower-case hexadecimal digits. */
bool entry_is_hex(struct str text, size_t len);

/* entry_text.c: the forms of entry.c's table */

bool entry_text_is_text(struct str value);
bool entry_text_is_object(struct str value);
bool entry_text_is_list(struct str value);
bool entry_text_is_count(struct str value);
bool entry_text_is_id(struct str value);
bool entry_text_is_time(struct str value);
bool entry_text_is_entry_time(struct str value);
bool entry_text_is_flag(struct str value);
bool entry_text_is_person(struct str value);
bool entry_text_is_sha256(struct str value);
bool entry_text_is_token(struct str value);

/**
 * Check a plain entry as entry_check() does, without building it, and give its time. Many times
 * faster, which is what an audit of millions needs.
 *
 * False says nothing: then the other way decides.
 *
 * Threads: any
 */
bool entry_text_check(struct str entry, struct str *time) MUST_USE;
