#include <assert.h>
#include <stdint.h>

#include "base/error.h"
#include "ledger/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A refusal has a code; what is read, written and read again is the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = { (const char *)data, size };
    OWNED(buf_release) struct buf written = { 0 };
    struct tlog_proof proof = { 0 };
    struct tlog_proof again = { 0 };
    struct error error = { 0 };

    if (!tlog_proof_parse(text, &proof, &error)) {
        assert(error.code != ERROR_NONE);
        return 0;
    }
    buf_init(&written, (size_t)64 * 1024);
    tlog_proof_write(&proof, &written);
    assert(tlog_proof_parse(buf_str(&written), &again, &error));
    assert(again.index == proof.index && again.hash_count == proof.hash_count);
    assert(str_eq(again.note, proof.note));
    return 0;
}
