#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"
#include "ledger/merkle.h"

struct error;
struct key;

/** A note at most, with all its signatures. */
#define NOTE_BYTES_MAX ((size_t)16 * 1024)
/** Keys of one log that are believed at once, and witnesses. */
#define NOTE_LOGS_MAX 4
#define NOTE_WITNESSES_MAX 16

/** What a key signs, both with Ed25519; its number in the key's text form. */
enum note_key_type {
    NOTE_KEY_LOG = 0x01,     /* the note's text */
    NOTE_KEY_WITNESS = 0x04, /* a time and the note's text: a cosignature */
};

/** A verifier key of a signed note: `NAME+KEYID+BASE64(type || key)`. Source: C2SP signed-note. */
struct note_verifier {
    enum note_key_type type;
    struct str name; /* borrows from what was parsed */
    uint32_t key_id;
    uint8_t public_key[32];
};

bool note_verifier_parse(struct str text, struct note_verifier *verifier, struct error *error)
    MUST_USE;
/** The same of a witness. */
bool note_witness_parse(struct str text, struct note_verifier *verifier, struct error *error)
    MUST_USE;
/**
 * Add the keys of a text, one a line, to a list; empty lines do not count, one that is in it
 * already is not added twice.
 *
 * Errors: ERROR_SYNTAX (the cause has the line), ERROR_LIMIT (more than `max`)
 * Owns:   names borrow from `text`
 */
bool note_keys_parse(struct str text, enum note_key_type type, struct note_verifier *list,
                     size_t max, size_t *count, struct error *error) MUST_USE;
/** Append the text form of an Ed25519 log key. */
bool note_verifier_write(struct str name, struct key *key, struct buf *out, struct error *error)
    MUST_USE;

/** A checkpoint: origin, size, root. Source: C2SP tlog-checkpoint. */
struct checkpoint {
    struct str origin; /* borrows from the note */
    uint64_t size;
    struct merkle_hash root;
};

/** Append a checkpoint as a note that all of the keys sign. */
bool checkpoint_sign(const struct checkpoint *checkpoint, struct key *const *keys, size_t key_count,
                     struct buf *out, struct error *error) MUST_USE;

/** Who is believed: any of a log's keys, and of the witnesses as many as `quorum` says. */
struct note_trust {
    const struct note_verifier *logs; /* of one name */
    size_t log_count;                 /* at least 1 */
    const struct note_verifier *witnesses;
    size_t witness_count; /* at most NOTE_WITNESSES_MAX */
    size_t quorum;
};

/** Which of a trust's witnesses have cosigned, and when. */
struct note_cosigned {
    size_t count;
    bool has[NOTE_WITNESSES_MAX];
    int64_t times_s[NOTE_WITNESSES_MAX];
};

/**
 * Verify a note and read its checkpoint; `cosigned` may be NULL.
 *
 * Unknown signatures are ignored (up to 100 lines); a known one that does not verify, or none of
 * the log's, or fewer cosignatures than the quorum, refuses the note.
 *
 * Errors: ERROR_SYNTAX, ERROR_INVALID, ERROR_LIMIT (NOTE_BYTES_MAX), ERROR_CONFIG (whom to believe)
 * Source: C2SP tlog-checkpoint, tlog-cosignature
 */
bool checkpoint_check(struct str note, const struct note_trust *trust,
                      struct checkpoint *checkpoint, struct note_cosigned *cosigned,
                      struct error *error) MUST_USE;

/** The text of a note, which its signatures are of; empty where it is none. */
struct str note_text(struct str note);

/**
 * Find a witness's line among signature lines (others are passed over) and verify it over `text`.
 *
 * Owns:   `*line` borrows from `lines`, without its newline
 * Errors: ERROR_SYNTAX, ERROR_INVALID (it is not there, or does not verify), ERROR_MEMORY
 * Source: C2SP tlog-witness, "add-checkpoint"
 */
bool note_cosignature_find(struct str lines, struct str text, const struct note_verifier *witness,
                           struct str *line, int64_t *time_s, struct error *error) MUST_USE;

/** A `.tlog-proof`: index, inclusion proof and the checkpoint's note. Source: C2SP tlog-proof. */
struct tlog_proof {
    uint64_t index;
    struct merkle_hash hashes[MERKLE_PROOF_MAX];
    size_t hash_count;
    struct str note; /* borrows from the text */
};

void tlog_proof_write(const struct tlog_proof *proof, struct buf *out);
bool tlog_proof_parse(struct str text, struct tlog_proof *proof, struct error *error) MUST_USE;

/** The whole check of a receipt: note, inclusion of `entry`. Gives the checkpoint it stands on. */
bool tlog_proof_check(struct str text, struct str entry, const struct note_trust *trust,
                      struct checkpoint *checkpoint, struct note_cosigned *cosigned,
                      struct error *error) MUST_USE;
