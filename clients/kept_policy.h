#pragma once

#include <stdbool.h>

#include "base/macros.h"
#include "base/str.h"

struct error;
struct explanation;
struct ledger_source;
struct operands;
struct policy_source;

#define KEPT_POLICY_PREFIX "sha256:"

/**
 * Load a policy that is kept, under the world that the source has, into `source->policy`. `hash` is
 * "sha256:HEX", as entries have it; `kept` is the folder of kept policies (NULL: there is none).
 * Dates of the policy may have passed: it is of another time.
 *
 * `source->folder` is then where its files were for that moment: see kept_policy_cut_paths().
 *
 * Errors: ERROR_USAGE (no hash), ERROR_NOT_FOUND (it is not kept), ERROR_CONFIG (it does not load
 *         with the issuers and targets of now; the cause has the first mistake), ERROR_INVALID,
 *         ERROR_IO, ERROR_MEMORY
 */
bool kept_policy_load(struct policy_source *source, const char *kept, struct str hash,
                      struct error *error) MUST_USE;

/** Whether the first of `operands` is a policy's hash. */
bool kept_policy_is_named(const struct operands *operands);

/**
 * Load the policy that the first of `operands` names: a folder, or the hash of one that is kept
 * with the ledger; without one, the policy of the configured folder. `ledger` may be NULL where no
 * hash is named.
 *
 * Errors: as kept_policy_load() and policy_source_load_folder()
 */
bool kept_policy_load_operand(struct policy_source *source, const struct ledger_source *ledger,
                              const struct operands *operands, struct error *error) MUST_USE;

/** Make the places of an explanation relative to the folder of the policy. */
void kept_policy_cut_paths(const struct policy_source *source, struct explanation *explanation);
