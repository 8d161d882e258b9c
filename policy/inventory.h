#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/str.h"

struct arena;
struct error;
struct policy;
struct who_grant;
struct who_stage;

/**
 * An inventory: every machine identity, which is a stage, that may reach a target by policy or did
 * by the ledger, side by side.
 *
 * Source: design.md 3.1
 */

/** What a stage had of a grant, as a ledger has it. */
struct inventory_use {
    struct str stage;
    struct str target; /* empty: none, as of a token that the broker signs */
    struct str grant;  /* empty: the stage's own token, which is left out */
    struct str pipeline;
    struct str owner;
    struct str tenant;
    struct str environment;
    struct str kind; /* of the stage */
    struct str type; /* of the credential */
    int64_t count;   /* times issued */
    int64_t failed;
    int64_t first_s;
    int64_t last_s; /* 0: never */
};

/** What is asked; all-zero but for `at_s` is all of it. Texts that are empty do not count. */
struct inventory_question {
    const struct policy *policy; /* NULL: only what was done is known */
    const struct inventory_use *uses;
    size_t use_count;
    int64_t at_s; /* what is closed, over and overdue then */
    /** Rows that may reach a target but were not used since are `is_unused`. 0: none is. */
    int64_t unused_since_s;
    bool only_unused;

    struct str environment;
    struct str target;
    struct str owner;
    struct str tenant;
    struct str pipeline;
    struct str stage;
    /** NULL: all may be seen. */
    bool (*may_see)(struct str tenant, struct str owner, void *context);
    void *context;
};

enum inventory_may {
    INVENTORY_MAY_UNKNOWN, /* there is no policy to ask */
    INVENTORY_MAY,
    INVENTORY_MAY_CLOSED, /* not at that time: `closed` says why */
    INVENTORY_MAY_NOT,    /* no policy gives it (any more) */
};

#define INVENTORY_CLOSED_MAX 10

/** A stage, a target and a grant. Borrows from the policy and the uses. */
struct inventory_row {
    struct str stage;
    struct str target;
    struct str grant;
    struct str pipeline;
    struct str owner;
    struct str tenant;
    struct str environment;
    struct str kind;
    struct str type;

    enum inventory_may may;
    struct str closed[INVENTORY_CLOSED_MAX]; /* "until", "during", "review_by", guardrails' names */
    size_t closed_count;
    int64_t until_s;     /* the grant's, or the stage's if that is earlier; 0: none */
    int64_t review_by_s; /* 0: none */
    int64_t ttl_s;

    const struct inventory_use *use; /* NULL: never */
    bool is_unused;
    bool is_overdue; /* its review */
};

/**
 * Make it, in the order of stage, target and grant.
 *
 * Errors: ERROR_MEMORY
 * Owns:   `*rows` is in `arena`
 */
bool inventory_make(const struct inventory_question *question, struct arena *arena,
                    struct inventory_row **rows, size_t *count, struct error *error) MUST_USE;

/** Order of rows: < 0, 0 or > 0. */
int inventory_compare(const struct inventory_row *a, const struct inventory_row *b);

/** A row as JSON: what is not known is left out. A new reference; NULL without memory. */
json_t *inventory_json(const struct inventory_row *row) MUST_USE;
