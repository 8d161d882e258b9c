#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/network.h"
#include "base/str.h"
#include "policy/policy.h"

struct error;

/**
 * Proving things about stages: for every token and request that there can be, not for samples.
 *
 * A stage's conditions (identity, `when` and `unless` of pipeline and stage, guardrails, dangers,
 * `from`, `during`, `until`, `proof`) are a finite Boolean of globs, sets, intervals and networks.
 * So whether some request meets several of them is decided exactly, and shown by an example. A fact
 * that an issuer copies from a claim is that claim, and one that follows from a claim alone follows
 * from it. A fact that it makes in another way stands for itself: `is_of_facts` of the example says
 * so, where the issuer's own rules do not give these facts for the example's claims.
 *
 * Threads: confined
 */
struct prover;

/** A prover whose memory is in `arena`. NULL without memory. */
struct prover *prover_new(struct arena *arena) MUST_USE;

/** Times before `since_s` do not count; 0, as at first: those before 2026-01-01 do not. */
void prover_since(struct prover *prover, int64_t since_s);

/**
 * One side of a question: what a stage lets in; `is_negated`: what it does not.
 *
 * The rest asks about parts of a stage: as if of a clause's maps only one were written, or all but
 * one of an `unless`. Counted from 1; 0: as it is written.
 */
struct proof_term {
    const struct policy *policy;      /* different terms may be of different policies */
    const struct policy_stage *stage; /* of that policy */
    bool is_negated;
    size_t only_identity;
    size_t only_pipeline_when;
    size_t only_when;
    size_t without_pipeline_unless;
    size_t without_unless;
};

#define PROOF_TERMS_MAX 256

enum proof_answer {
    PROOF_NO,        /* no request does */
    PROOF_YES,       /* the example does */
    PROOF_UNDECIDED, /* more cases than are tried; fail closed: say so, and count it as the worse */
};

/** A request as an example: what decides, and nothing else. */
struct proof_example {
    struct str issuer;
    json_t *claims;   /* an object in the arena's keeping */
    json_t *ci;       /* facts that do not follow from the claims, else NULL */
    bool is_of_facts; /* such facts matter: whether an issuer's claims give them is not proven */
    json_t *actor;    /* as struct policy_facts has it; NULL: nobody */
    struct address address; /* len 0: any */
    unsigned proofs;        /* enum policy_proof bits */
    int64_t time_s;         /* 0: any */
};

/**
 * Whether some request meets all terms; the example (NULL: none is wanted) is then of one.
 *
 * `count` is 1 to PROOF_TERMS_MAX; more are undecided. A usual proof takes some microseconds, and
 * none more than a second or two: what is beyond is undecided, and so are more hard proofs than a
 * few by the same prover. The prover's memory is used again by the next proof, that of examples is
 * not.
 *
 * Errors: ERROR_MEMORY
 * Owns:   the example lives as long as the prover's arena and the policies
 */
bool prove(struct prover *prover, const struct proof_term *terms, size_t count,
           enum proof_answer *answer, struct proof_example *example, struct error *error) MUST_USE;
