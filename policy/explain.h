#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/diagnostic.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/str.h"
#include "policy/policy.h"

/*
 * A decision as a tree of conditions, got against expected. The verdict is policy_decide()'s own;
 * the tree only says how it came about. Values of the job's claims stand in it: it is for the job's
 * owner, never for a caller of the broker.
 */

#define EXPLAIN_SUBJECTS_MAX 5                  /* stages that came nearest */
#define EXPLAIN_IDENTITIES_MAX 3                /* pipelines whose identity came nearest */
#define EXPLAIN_GOT_MAX ((size_t)200)           /* characters of a value; more is cut */
#define EXPLAIN_EXPECTED_VALUES_MAX ((size_t)8) /* values of a list; then their number */

enum explain_outcome {
    EXPLAIN_FAILS,
    EXPLAIN_HOLDS,
    EXPLAIN_UNKNOWN, /* nobody can say: refused in `when`, counts as held in `unless` */
};

/** One condition as it came out. */
struct explain_leaf {
    struct str name;     /* as a denial names it: "ref", "proof" */
    struct str expected; /* in the language's words: "like refs/tags/v*" */
    struct str got;      /* the value; empty where there is none to show */
    struct str why;      /* why there is none, or why it cannot be told; may be empty */
    const json_t *value; /* `got` as it stands in the facts; NULL where it is no JSON */
    enum explain_outcome outcome;
    bool is_good;       /* it lets the job through: it holds, or in `unless` surely fails */
    bool is_named;      /* the stage is closed because of it, among others */
    struct position at; /* line 0: nowhere in a file */
};

/** Conditions that count together. */
struct explain_map {
    struct explain_leaf *leaves;
    size_t count;
    bool is_good; /* it lets the job through */
};

/** A part of what a stage asks for. */
struct explain_clause {
    const char *title; /* "identity", "when of the pipeline", "unless" ... */
    struct str name;   /* of the guardrail that it is of; else empty */
    struct explain_map *maps;
    size_t count;
    bool is_unless;  /* each of its maps refuses, where it holds or may hold */
    bool is_warning; /* a guardrail that only warns */
    bool is_words;   /* of what the stage asks besides conditions: `proof` ... */
    bool is_good;    /* it lets the job through */
};

/** A stage, or a pipeline of which only the identity was looked at. */
struct explain_subject {
    const struct policy_stage *stage; /* NULL: only the identity */
    struct str pipeline;
    struct str owner;
    struct position at;
    struct explain_clause *clauses;
    size_t clause_count;
    bool is_open;             /* its identity fits, and all that it asks for holds */
    const struct str *failed; /* names of what does not, sorted */
    size_t failed_count;
};

struct explanation {
    bool is_allowed;
    enum error_code code; /* ERROR_NONE, or why not: those of policy_decide() */
    bool is_missing;      /* no pipeline that fits has a stage of the name that was asked for */
    const struct policy_decision *decision;
    /**
     * The stage that was decided on. Where none was clear those that fit; where none fits those
     * that came nearest, nearest first; where no identity does, the nearest identities, with their
     * stage where the request names one.
     */
    struct explain_subject *subjects;
    size_t subject_count;
};

/**
 * Decide as policy_decide() does, and explain.
 *
 * Errors: ERROR_MEMORY; a denial is none: see `explanation->code`
 * Owns:   lives in `arena`; borrows from `policy` and `facts`
 * Threads: any; pure
 */
bool explain_decision(const struct policy *policy, const struct policy_facts *facts,
                      const struct policy_request *request, int64_t now_s, struct arena *arena,
                      struct explanation *explanation, struct error *error) MUST_USE;
