#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"

struct arena;
struct error;

/** What is signed, and where. */
struct review_signing {
    const char *file;   /* the document */
    const char *broker; /* its URL */
    const char *ca_file;
    const char *note;   /* or NULL */
    const char *tenant; /* or NULL: for all of them */
};

/** What came of it. Texts are in the arena. */
struct review_signed {
    struct str sha256; /* of the document, hex */
    uint64_t index;    /* of the entry */
    struct str leaf_hash;
};

/** Bytes of a note, as the broker takes it. */
#define REVIEW_NOTE_MAX 256

#define REVIEW_FILE_MAX ((size_t)256 * 1024 * 1024)

/**
 * Sign a review: its hash and the name of who is logged in become an entry of the broker's ledger.
 *
 * Errors: ERROR_USAGE (no broker), ERROR_REFUSED (not logged in, or no auditor), ERROR_LATER,
 *         ERROR_UNREACHABLE, ERROR_IO, ERROR_LIMIT, ERROR_INVALID, ERROR_MEMORY
 */
bool review_sign(const struct review_signing *signing, struct arena *arena,
                 struct review_signed *result, struct error *error) MUST_USE;
