#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/macros.h"
#include "clients/options.h"

struct arena;
struct error;
struct kept_policies;
struct ledger_source;
struct policy_source;

/** What is reviewed, and with what. */
struct review_options {
    struct policy_source *source; /* with the policy that is reviewed */
    struct ledger_source *ledger;
    struct kept_policies *policies;         /* that were in force before */
    const struct option_list *environments; /* none: all stages */
    const struct option_list *owners;       /* none: all */
    int64_t since_ms;                       /* uses before it do not count */
    int64_t now_s;
};

/**
 * Make an access review: for each owner the stages and grants that they answer for, how they were
 * used, and what to do with them.
 *
 * A grant that was not used in all that time is proposed to be removed, unless it was not there for
 * all of it; one that was always taken for less than it gives, or a condition that lets in more
 * than ever came, to be narrowed; all else to be kept. Besides: exceptions of guardrails with their
 * ends, who has which role, and how old the broker's own keys are, where that is known.
 *
 * Errors: as ledger_scan_run(); ERROR_MEMORY
 * Owns:   `*review` is the caller's
 */
bool review_make(const struct review_options *options, struct arena *arena, json_t **review,
                 struct error *error) MUST_USE;

/** Add exceptions, roles and secrets. */
bool review_add_surroundings(const struct review_options *options, struct arena *arena,
                             json_t *review, struct error *error) MUST_USE;

/** Write it. What it says is foreign text, and is none of the document's mark-up. */
void review_write_markdown(const json_t *review, struct buf *out);
void review_write_html(const json_t *review, struct buf *out);
void review_write_csv(const json_t *review, struct buf *out);
