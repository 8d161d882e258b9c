#pragma once

#include "policy/prove.h"

/** How many terms one question of a test has. */
#define PROVING_TERMS_MAX 8

/**
 * Ask whether some request meets all terms: full names of stages, with `!` in front where it is not
 * let in. At most PROVING_TERMS_MAX, ended by NULL.
 *
 * An example is fed to the evaluation of stages, which must agree; it lives until the next
 * question.
 */
enum proof_answer ask_prover(const struct policy *policy, const char *const *names,
                             struct proof_example *example);

/** The same of terms. */
enum proof_answer ask_prover_terms(const struct proof_term *terms, size_t count,
                                   struct proof_example *example);

/** What is known of an example's request, in `arena`. */
struct policy_facts facts_of_example(const struct proof_example *example, struct arena *arena);

/** Whether a request meets a term, by evaluation alone. */
bool meets_term(const struct proof_term *term, const struct policy_facts *facts, int64_t time_s);

/** A policy's text, to be shown where an example turns out to be none; NULL: none. */
void ask_prover_about(const char *text);

/** Print terms, and a request that says something else than their proof. */
void print_contradiction(const struct proof_term *terms, size_t count,
                         const struct policy_facts *facts);

/** Free what the last question held. */
void ask_prover_release(void);
