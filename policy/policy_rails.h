#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "policy/policy_internal.h"

/* Guardrails: what they say, how they are read, and what is held against them. */

struct policy_loader;

/* Limits of the language, each with a test at it and one past it. */
#define POLICY_GUARDRAILS_MAX 1000                    /* of a folder */
#define POLICY_EXCEPTIONS_MAX 1000                    /* of a folder */
#define POLICY_REACH_MAX 1000                         /* names of one list of `for` */
#define POLICY_PATTERNS_MAX 1000                      /* of one kind in a `forbid` */
#define POLICY_EXCEPTION_MAX_S ((int64_t)180 * 86400) /* how far ahead one may end */

/* ---- what they say ---- */

/** `for` of a guardrail: lists of which each that is not empty must have the stage's. */
struct policy_reach {
    unsigned kinds; /* bits of enum policy_stage_kind; 0: all */
    const struct str *environments;
    size_t environment_count;
    const struct str *tenants;
    size_t tenant_count;
    const struct str *targets; /* one of the stage's grants has it */
    size_t target_count;
};

enum policy_guardrail_kind {
    POLICY_GUARDRAIL_TTL,
    POLICY_GUARDRAIL_FORBID,
    POLICY_GUARDRAIL_SEPARATE,
    POLICY_GUARDRAIL_REQUIRE,
    POLICY_GUARDRAIL_FREEZE,
};

#define POLICY_STAGE_KINDS 6 /* how many there are */

struct policy_ttl_rule {
    int64_t max_s[POLICY_STAGE_KINDS]; /* 0: unbounded */
};

/** Names of a kind of grant that nobody may give. */
struct policy_forbidden {
    const struct policy_grant_kind *kind;
    const struct pattern *patterns;
    size_t count;
};

struct policy_forbid_rule {
    const struct policy_forbidden *kinds;
    size_t kind_count;
    /* `except`: not for stages of this reach that ask for so many approvals at least. */
    bool has_except;
    struct policy_reach except;
    int64_t except_approvals; /* 0: it does not ask */
};

/** No token fits a stage of `kinds` and one of `from`; and no stage is both. */
struct policy_separate_rule {
    unsigned kinds; /* bits; 0 with `principals` */
    struct policy_reach from;
    bool principals; /* no principal or account in two environments, nor of build and deploy */
};

/** What each such stage must ask for at least; `when` is joined to its conditions. */
struct policy_require_rule {
    struct policy_clause when; /* of facts, the address and actors: no issuer's claims */
    unsigned proofs;
    struct policy_networks from;
    struct policy_limits limits;
    int64_t approvals;      /* how many at least; 0: none */
    bool has_review;        /* a review date, and no later than */
    int64_t review_grace_s; /* so long after it */
    int64_t lease_max_s;    /* 0: unbounded */
};

struct policy_freeze_rule {
    int64_t from_s;
    int64_t to_s; /* exclusive */
};

struct policy_guardrail {
    enum policy_guardrail_kind kind;
    struct str name;
    struct position at;
    bool is_warning; /* `mode: warn` */
    struct policy_reach reach;
    uint8_t sha256[SHA256_LEN]; /* of what it says, and the sets that it uses */
    union {
        struct policy_ttl_rule ttl;
        struct policy_forbid_rule forbid;
        struct policy_separate_rule separate;
        struct policy_require_rule require;
        struct policy_freeze_rule freeze;
    };
};

/** A guardrail that binds a stage. */
struct policy_rail {
    const struct policy_guardrail *guardrail;
    int64_t exempt_until_s; /* an exception: it does not bind before; 0: none */
    bool is_broken;         /* shared principals, found at load: it denies when it binds again */
};

/** All of a stage's. Stages that are alike share one. */
struct policy_rails {
    struct policy_rail *list; /* constant once the policy is linked */
    size_t count;
    uint8_t sha256[SHA256_LEN]; /* of what they say */
};

/* ---- reading ---- */

/** Read a guardrails document into the unit at hand. Mistakes are reported. */
void policy_guardrails_read(struct policy_loader *loader, const json_t *root);

/** Read `for` or what has its members; its keys were checked. */
void policy_reach_read(struct policy_loader *loader, const json_t *map, struct policy_reach *reach);

/** Read one of `forbid`; its keys were checked. */
void policy_forbid_read(struct policy_loader *loader, const json_t *json,
                        struct policy_guardrail *guardrail);

/* ---- holding policies and decisions against them ---- */

/** The guardrails that bind a stage; NULL: none. */
const struct policy_rails *policy_rails_of(const struct policy_linked *linked,
                                           const struct policy_stage_rule *stage);

/** Whether `for` has a stage. */
bool policy_reach_has(const struct policy_reach *reach, const struct policy_stage *stage);

/** Whether a stage is one that must be kept apart, and whether it is one to keep apart from. */
bool policy_separate_keeps(const struct policy_guardrail *guardrail,
                           const struct policy_stage *stage);
bool policy_separate_is_from(const struct policy_guardrail *guardrail,
                             const struct policy_stage *stage);

/** Whether a stage is excepted from a rail. Where the time is not known, exceptions hold. */
bool policy_rail_is_exempt(const struct policy_rail *rail, int64_t now_s);

/**
 * What it is at load when a rail that binds does not hold. A warning where an exception has come to
 * its end: decisions deny, and the end of one exception is not the end of everybody's policy.
 */
enum diagnostic_severity policy_rail_severity(const struct policy_rail *rail);

/** The rail of a guardrail among a stage's, or NULL. */
const struct policy_rail *policy_rail_find(const struct policy_rails *rails,
                                           const struct policy_guardrail *guardrail);

/** What a grant gives, ready to be compared with what is forbidden. */
struct policy_giving {
    struct policy_given given;
    struct pattern *names; /* one for each of `given.names`; none where it is everything */
};

/**
 * Find out what a grant gives with these fields. What it cannot say counts as everything.
 *
 * Errors: ERROR_MEMORY
 * Owns:   `giving` lives in `arena` and borrows from the fields
 */
bool policy_giving_read(const struct policy_grant *grant, const json_t *fields, struct arena *arena,
                        struct policy_giving *giving, struct error *error) MUST_USE;

/** What a `forbid` has against a kind of grants; NULL: nothing. */
const struct policy_forbidden *policy_forbidden_of(const struct policy_guardrail *guardrail,
                                                   const struct policy_grant_kind *kind);

/** Whether a `forbid` says itself that it is not for a stage. */
bool policy_forbid_excepts(const struct policy_guardrail *guardrail,
                           const struct policy_stage *stage);

/** The first pattern that a name of what is given meets; NULL: none. Everything meets the first. */
const struct pattern *policy_forbidden_meets(const struct policy_forbidden *forbidden,
                                             const struct policy_giving *giving, size_t name);

/** How much work it is to find out, in pattern_meeting_steps(). */
size_t policy_forbidden_steps(const struct policy_forbidden *forbidden,
                              const struct policy_giving *giving);

/** Whether any of what is given is forbidden. */
bool policy_forbidden_gives(const struct policy_forbidden *forbidden,
                            const struct policy_giving *giving);

enum policy_demand_outcome {
    POLICY_DEMAND_MET, /* or it is none of the rule's */
    POLICY_DEMAND_MISSING,
    POLICY_DEMAND_WEAK, /* the stage's word is there, but less strict */
};

/** A word of stages that `require` can demand. */
struct policy_demand {
    const char *word;
    enum policy_demand_outcome (*hold)(const struct policy_require_rule *rule,
                                       const struct policy_stage_rule *stage);
    void (*describe)(const struct policy_require_rule *rule, struct buf *out);
};

extern const struct policy_demand policy_demands[];
extern const size_t policy_demand_count;

/** Whether a stage meets all demands of a `require` but its conditions. */
bool policy_demands_hold(const struct policy_require_rule *rule,
                         const struct policy_stage_rule *stage);

/** Whether a stage's review is due for longer than the rule lets it be. */
bool policy_review_is_over(const struct policy_require_rule *rule, const struct policy_stage *stage,
                           int64_t now_s);

/** Where to point for a grant: to its name in the pipeline's file, or to the stage. */
struct position policy_grant_position(const struct policy_stage_rule *stage, size_t index);

/**
 * Gather the guardrails and exceptions of all units, and find out which bind which stage.
 *
 * Errors: ERROR_MEMORY
 */
bool policy_rails_build(struct policy *policy, const struct policy_load_options *options,
                        struct error *error) MUST_USE;

/** Work out the hash of what rails say. False without memory. */
bool policy_rails_hash(struct policy_rails *rails) MUST_USE;

/**
 * Let the exceptions excuse their stages. `is_partial`: files are missing that have mistakes.
 *
 * Errors: ERROR_MEMORY
 */
bool policy_exceptions_apply(struct policy *policy, const struct policy_load_options *options,
                             bool is_partial, struct error *error) MUST_USE;

/**
 * Hold all stages against their guardrails, as far as files can tell; all but `principals`.
 *
 * Errors: ERROR_MEMORY
 */
bool policy_rails_check(struct policy *policy, const struct policy_load_options *options,
                        struct error *error) MUST_USE;

/**
 * Hold what all stages give against each other, where a `separate` with `principals` binds them.
 *
 * Errors: ERROR_MEMORY
 */
bool policy_principals_check(struct policy *policy, const struct policy_load_options *options,
                             struct error *error) MUST_USE;

/**
 * Whether the guardrails of a stage let a request through that it fits, as far as they look at the
 * request and the time: freezes, reviews, what is required. Names of those that do not, and of the
 * conditions that they require, are added to `failures` (may be NULL). Those with `mode: warn` are
 * not looked at.
 */
bool policy_rails_hold(const struct policy_linked *linked, const struct policy_stage_rule *stage,
                       const struct policy_facts *facts, int64_t now_s,
                       struct policy_failures *failures);

/** A decision that is to be held against the guardrails of its stage. */
struct policy_judging {
    const struct policy_linked *linked; /* of its stage */
    const struct policy_facts *facts;
    int64_t now_s;
    const struct policy_linked *const *fitting; /* the pipelines whose identity fits */
    size_t fitting_count;
    struct arena *arena;
    struct policy_decision *decision; /* gets `warned` */
};

/**
 * Hold what a decision gives against the guardrails of its stage: lives, what is forbidden with
 * holes filled, and that the token fits no stage that this one is kept apart from. The names of
 * those that deny are in `failures`; those that only warn are in the decision.
 *
 * Errors: ERROR_MEMORY
 */
bool policy_rails_judge(const struct policy_judging *judging, struct policy_failures *failures,
                        struct error *error) MUST_USE;
