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
 * that an issuer copies from a claim is that claim. A fact that it makes in another way stands for
 * itself: `is_of_facts` of the example says so.
 *
 * Threads: confined
 */
struct prover;

/** A prover whose memory is in `arena`. NULL without memory. */
struct prover *prover_new(struct arena *arena) MUST_USE;

/** One side of a question: what a stage lets in; `is_negated`: what it does not. */
struct proof_term {
    const struct policy_stage *stage; /* of a loaded policy; different terms may be of different
                                         policies */
    bool is_negated;
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
 * Whether some request meets all terms; the example is then of one.
 *
 * Errors: ERROR_MEMORY
 */
bool prove(struct prover *prover, const struct proof_term *terms, size_t count,
           enum proof_answer *answer, struct proof_example *example, struct error *error) MUST_USE;
