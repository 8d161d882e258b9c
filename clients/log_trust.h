#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/macros.h"
#include "clients/options.h"
#include "ledger/note.h"

struct error;

/** Whom a command believes about a log. All-zero is nobody. */
struct log_trust {
    struct note_verifier logs[NOTE_LOGS_MAX];
    struct note_verifier witnesses[NOTE_WITNESSES_MAX];
    size_t log_count;
    size_t witness_count;
    size_t quorum;
};

/** Options of commands that check checkpoints. All-zero is none given. */
struct log_trust_options {
    struct option_list keys;
    struct option_list witnesses;
    int64_t quorum;
};

/** Their rows, for OPTION_GROUP, whose offset is that of the struct. */
#define LOG_TRUST_OPTION_COUNT 3
extern const struct option_row log_trust_option_rows[LOG_TRUST_OPTION_COUNT];

/** A quorum that nobody gave, as `defaults` of a command have it: one, where there are witnesses.
 */
#define LOG_TRUST_NO_QUORUM (-1)

/**
 * Read verifier keys of a log: one itself, or the name of a file that holds one or several, a line
 * each. What has two '+' and does not start with '.' or '/' is a key.
 *
 * Errors: ERROR_SYNTAX, ERROR_IO, ERROR_LIMIT
 * Owns:   names are in the arena
 */
bool log_trust_add_keys(struct log_trust *trust, const char *text, struct arena *arena,
                        struct error *error) MUST_USE;

/** Read what the options say. Errors: the same, and ERROR_USAGE (more asked for than there are) */
bool log_trust_read(struct log_trust *trust, const struct log_trust_options *options,
                    struct arena *arena, struct error *error) MUST_USE;

/** As checks want it; borrows. */
struct note_trust log_trust_view(const struct log_trust *trust);
