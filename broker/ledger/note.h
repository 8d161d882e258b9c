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

/** A verifier key of a signed note: `NAME+KEYID+BASE64(type || key)`. Source: C2SP signed-note. */
struct note_verifier {
    struct str name; /* borrows from what was parsed */
    uint32_t key_id;
    uint8_t public_key[32]; /* Ed25519, type 0x01 */
};

bool note_verifier_parse(struct str text, struct note_verifier *verifier, struct error *error)
    MUST_USE;
/** Append the text form of an Ed25519 log key. */
bool note_verifier_write(struct str name, struct key *key, struct buf *out, struct error *error)
    MUST_USE;

/** A checkpoint: origin, size, root. Source: C2SP tlog-checkpoint. */
struct checkpoint {
    struct str origin; /* borrows from the note */
    uint64_t size;
    struct merkle_hash root;
};

/** Append a checkpoint as a signed note. */
bool checkpoint_sign(const struct checkpoint *checkpoint, struct key *key, struct buf *out,
                     struct error *error) MUST_USE;

/**
 * Verify a note and read its checkpoint.
 *
 * Unknown signatures are ignored (up to 100 lines); a known one that does not verify, or none
 * known, refuses the note.
 *
 * Errors: ERROR_SYNTAX, ERROR_INVALID, ERROR_LIMIT (16 KiB)
 */
bool checkpoint_verify(struct str note, const struct note_verifier *verifier,
                       struct checkpoint *checkpoint, struct error *error) MUST_USE;

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
bool tlog_proof_verify(struct str text, struct str entry, const struct note_verifier *verifier,
                       struct checkpoint *checkpoint, struct error *error) MUST_USE;
