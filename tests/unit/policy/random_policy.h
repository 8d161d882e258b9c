#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "policy/prove.h"

/*
 * Random policies over the small world, and random requests that come near what they ask for. The
 * same seed gives the same.
 */

/** A source of numbers; `state` is not 0. */
struct chance {
    uint64_t state;
};

/** Below `limit`, which is at least 1. */
size_t chance_below(struct chance *chance, size_t limit);

/** Once in so many. */
bool chance_once_in(struct chance *chance, size_t times);

#define RANDOM_POLICY_MAX 16384

/** What a policy is about: tokens of one issuer or two. */
#define RANDOM_SETTINGS 7

/**
 * Write a pipeline of this name with the stages s0, s1 and s2, in a setting below RANDOM_SETTINGS.
 * It loads without errors.
 */
void random_policy(struct chance *chance, size_t setting, const char *name,
                   char out[RANDOM_POLICY_MAX]);

/** Write guardrails for pipelines a and b of random_policy(), in one file. */
void random_guardrails(struct chance *chance, char out[RANDOM_POLICY_MAX]);

/** A request, as what an example is. Its memory is in `arena`. */
void random_request(struct chance *chance, struct arena *arena, struct proof_example *request);

/** How many runs a random test makes: what the environment's STAGEPASS_TEST_ROUNDS says, or this.
 */
size_t random_rounds(size_t usual);
