#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/str.h"

struct error;

/**
 * What is asked of a ledger: which entries. The same for an index, a scan, the API and the client.
 *
 * Source: design.md 3.1, 3.5
 */

/** What entries can be found by. One row each in query.c: name, where it stands. */
enum ledger_field {
    LEDGER_FIELD_TYPE,
    LEDGER_FIELD_PIPELINE,
    LEDGER_FIELD_STAGE,
    LEDGER_FIELD_TENANT,
    LEDGER_FIELD_OWNER,
    LEDGER_FIELD_GRANT,
    LEDGER_FIELD_TARGET,
    LEDGER_FIELD_ENVIRONMENT,
    LEDGER_FIELD_ISSUER,
    LEDGER_FIELD_SUBJECT,
    LEDGER_FIELD_REPOSITORY,
    LEDGER_FIELD_RUN,
    LEDGER_FIELD_COMMIT,
    LEDGER_FIELD_ACTOR,
    LEDGER_FIELD_ADDRESS,
    LEDGER_FIELD_DECISION,
    LEDGER_FIELD_LEASE,
    LEDGER_FIELD_CREDENTIAL,
    LEDGER_FIELD_REASON,
    LEDGER_FIELD_POLICY,
    LEDGER_FIELD_KID,
    LEDGER_FIELD_PROOF_KEY,
    LEDGER_FIELD_COUNT
};

struct ledger_field_row {
    const char *name;  /* a word of a query: "proof-key" */
    const char *where; /* in an entry, for people: "ci.repository, ci.repository_id" */
    const char *help;  /* what a value of it is */
    bool is_personal;  /* a value may stand behind a digest */
};

const struct ledger_field_row *query_field(enum ledger_field field);
bool query_field_from(struct str name, enum ledger_field *field) MUST_USE;

#define QUERY_VALUES_MAX 16                      /* of one field */
#define QUERY_VALUE_MAX ((size_t)1024)           /* bytes; the longest text that a claim has */
#define QUERY_TEXT_MAX ((size_t)256)             /* bytes of free text */
#define QUERY_AGE_MAX_S (INT64_C(86400) * 36600) /* "90d" counts back from now, at most so far */

/** Any of these. */
struct query_values {
    struct str values[QUERY_VALUES_MAX];
    size_t count; /* 0: the field does not matter */
};

/** All that is set must hold. All-zero asks for every entry. Texts are borrowed. */
struct ledger_query {
    int64_t since_ms; /* entries of that time and later; 0: from the beginning */
    int64_t until_ms; /* entries before that time; 0: to the end */
    struct query_values fields[LEDGER_FIELD_COUNT];
    struct str text; /* within any text of the entry, ASCII letters without case; or empty */
};

/**
 * Add a word of a query: a field's name, "since", "until" or "text".
 *
 * `since` and `until` are RFC 3339 times, dates (their start, UTC), or durations ("90d": so long
 * before `now_ms`). An address may be a range ("10.0.0.0/8").
 *
 * Errors: ERROR_REQUEST (no such word; past a limit; a value that is empty, no UTF-8, or has
 *         control characters; no time; an abbreviated commit; a second `since`, `until` or `text`;
 *         a `since` that is not before `until`)
 * Owns:   the query borrows `value`
 */
bool query_add(struct ledger_query *query, struct str name, struct str value, int64_t now_ms,
               struct error *error) MUST_USE;

/** The same for a caller that names the word in its own way: the cause does not. */
bool query_add_value(struct ledger_query *query, struct str name, struct str value, int64_t now_ms,
                     struct error *error) MUST_USE;

/** A time as query_add() reads it. */
bool query_time(struct str text, int64_t now_ms, int64_t *wall_ms) MUST_USE;

/** Whether nothing is asked but, maybe, the time. */
bool query_is_open(const struct ledger_query *query);

/**
 * Whether an entry is one of those asked for.
 *
 * Personal values stand in an entry as salted digests: they are compared as its `private_part`
 * (NULL: none, or not for this reader) has them. One that was erased is not found by its value.
 */
bool query_matches(const struct ledger_query *query, const json_t *entry,
                   const json_t *private_part);

/**
 * Whether an entry whose text this is may be one of those: false is certain, and found out without
 * parsing. For whoever reads many.
 */
bool query_may_match(const struct ledger_query *query, struct str entry, struct str private_part);

/**
 * Tell every value that an entry can be found by; the same one may come twice. False where `visit`
 * is.
 */
bool query_each_value(const json_t *entry, const json_t *private_part,
                      bool (*visit)(enum ledger_field field, struct str value, void *context),
                      void *context);
