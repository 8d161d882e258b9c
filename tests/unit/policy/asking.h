#pragma once

#include "base/error.h"
#include "policy/policy.h"

/** One question to a policy, with all that it takes. */
struct asking {
    const char *issuer;  /* NULL: github */
    const char *claims;  /* JSON */
    const char *ci;      /* JSON; NULL: as the issuer fills it */
    const char *stage;   /* NULL: none named */
    const char *address; /* NULL: unknown */
    const char *actor;   /* JSON, as struct policy_facts has it; NULL: nobody */
    unsigned proofs;     /* enum policy_proof bits */
    bool passes_freezes;
    const char *grants[4]; /* none: all */
    const char *audience;
    int64_t ttl_s;
    bool is_renewal;
    const char *at; /* "2026-11-22T10:00:00Z"; NULL: that */
};

/** Its answer; lives until the next question. */
struct answer {
    bool is_allowed;
    struct error error;
    struct policy_decision decision;
};

/** Decide. */
struct answer *ask(const struct policy *policy, const struct asking *asking);

/** The failed names of an answer, joined with ','. */
const char *failed_names(const struct answer *answer);

/** Free what the last answer held. */
void ask_release(void);
