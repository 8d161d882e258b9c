#include <inttypes.h>

#include "base/base64.h"
#include "base/error.h"
#include "ledger/note.h"
#include "ledger/note_internal.h"

/* Source: C2SP tlog-proof */
#define PROOF_FIRST_LINE "c2sp.org/tlog-proof@v1"

void tlog_proof_write(const struct tlog_proof *proof, struct buf *out)
{
    buf_printf(out, PROOF_FIRST_LINE "\nindex %" PRIu64 "\n", proof->index);
    for (size_t i = 0; i < proof->hash_count; i++) {
        buf_add_base64(out, (struct str){ (const char *)proof->hashes[i].bytes, MERKLE_HASH_LEN });
        buf_add_text(out, "\n");
    }
    buf_add_text(out, "\n");
    buf_add(out, proof->note);
}

static bool refuse_proof(struct error *error, const char *what)
{
    return error_set(error, ERROR_SYNTAX, "proof: %s", what);
}

static bool parse_proof_hashes(struct str *rest, struct tlog_proof *proof, struct error *error)
{
    struct str line = { 0 };

    for (;;) {
        if (!str_cut(*rest, '\n', &line, rest))
            return refuse_proof(error, "there is no checkpoint");
        if (line.len == 0)
            return true;
        if (proof->hash_count == MERKLE_PROOF_MAX)
            return error_set(error, ERROR_LIMIT, "proof: more than %d hashes", MERKLE_PROOF_MAX);
        if (!note_parse_hash(line, &proof->hashes[proof->hash_count]))
            return refuse_proof(error, "a hash is malformed");
        proof->hash_count++;
    }
}

bool tlog_proof_parse(struct str text, struct tlog_proof *proof, struct error *error)
{
    struct tlog_proof read = { 0 };
    struct str line = { 0 };
    struct str rest = text;

    if (text.len > 2 * NOTE_BYTES_MAX)
        return error_set(error, ERROR_LIMIT, "proof: more than %zu bytes", 2 * NOTE_BYTES_MAX);
    if (!str_cut(rest, '\n', &line, &rest) || !str_eq(line, STR(PROOF_FIRST_LINE)))
        return refuse_proof(error, "expected \"" PROOF_FIRST_LINE "\"");
    if (!str_cut(rest, '\n', &line, &rest))
        return refuse_proof(error, "there is no index");
    /* `extra` is not covered by any signature: nothing of it is used. */
    if (str_starts_with(line, STR("extra ")) && !str_cut(rest, '\n', &line, &rest))
        return refuse_proof(error, "there is no index");
    if (!str_starts_with(line, STR("index ")) ||
        !note_parse_u64(str_slice(line, 6, line.len), &read.index))
        return refuse_proof(error, "the index is malformed");
    if (!parse_proof_hashes(&rest, &read, error))
        return false;
    read.note = rest;
    *proof = read;
    return true;
}

bool tlog_proof_check(struct str text, struct str entry, const struct note_trust *trust,
                      struct checkpoint *checkpoint, struct note_cosigned *cosigned,
                      struct error *error)
{
    struct merkle_hash leaf = merkle_leaf(entry);
    struct checkpoint read = { 0 };
    struct tlog_proof proof = { 0 };

    if (!tlog_proof_parse(text, &proof, error) ||
        !checkpoint_check(proof.note, trust, &read, cosigned, error))
        return false;
    if (!merkle_check_inclusion(proof.index, read.size, &leaf, proof.hashes, proof.hash_count,
                                &read.root))
        return error_set(error, ERROR_INVALID,
                         "proof: the log does not hold this entry at %" PRIu64, proof.index);
    *checkpoint = read;
    return true;
}
