#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/macros.h"

struct proof_example;

/**
 * Write an example of a proof on one line, as a person would say it: `github {ref: refs/heads/x,
 * repository_id: "4242"}, ci {fork: false}, from 10.0.0.1, at 2026-11-22T10:00:00Z`.
 */
void proof_example_write(const struct proof_example *example, struct buf *out);

/**
 * The same as JSON, a new object: `issuer`, `claims`, and where they matter `ci`, `actor`,
 * `address`, `proof`, `at`. NULL without memory.
 */
json_t *proof_example_json(const struct proof_example *example) MUST_USE;
