#pragma once

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

#include "base/macros.h"
#include "clients/paint.h"
#include "policy/policy.h"

/** Print what a decision gives, and what must hold besides, for people. */
void granted_print(const struct policy_decision *decision, const struct paint *paint, FILE *file);

/** The same as members of a JSON object. False without memory. */
bool granted_put(json_t *json, const struct policy_decision *decision) MUST_USE;
