#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

struct error;
struct ledger;
struct person;

/**
 * Who read what: one `admin.read` entry a person, kind and hour.
 *
 * A reading is only noted here, in bounded memory; housekeeping writes it, so that no reader waits
 * for the ledger. What finds no room is one entry that says how many.
 *
 * Threads: shared
 * Source:  security-rules.md 7.4
 */
struct readings;

/** People and kinds noted at once. */
#define READINGS_TRACKED_MAX 1024

enum reading {
    READING_ENTRIES, /* single entries, with who a person is */
    READING_OWN,     /* entries of pipelines that the reader owns */
    READING_BUNDLES,
    READING_SEARCH, /* of entries, with who a person is */
    READING_INVENTORY,
    READING_POLICY, /* the one in force, or what one had */
};

struct readings *readings_new(void) MUST_USE;
void readings_free(struct readings *readings);

/** Note a reading at `now_s`; it is written by the next readings_flush(). */
void readings_note(struct readings *readings, const struct person *person, enum reading kind,
                   int64_t now_s);

/**
 * Write what was noted. What cannot be written stays for the next time.
 *
 * Errors: those of ledger_append_now()
 */
bool readings_flush(struct readings *readings, struct ledger *ledger, struct error *error) MUST_USE;
