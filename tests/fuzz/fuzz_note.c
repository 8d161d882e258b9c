#include <assert.h>
#include <stdint.h>

#include "base/error.h"
#include "ledger/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A refusal has a code; a note that is taken is of the verifier's own log. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct str key = {
        "broker.example.com/audit+8f7e862c+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c", 78
    };
    static const struct str witness_key = {
        "witness.example.net/w1+0abc1f19+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU", 76
    };
    struct str text = { (const char *)data, size };
    struct note_verifier verifier = { .type = NOTE_KEY_LOG };
    const struct note_trust trust = { .logs = &verifier, .log_count = 1 };
    struct note_verifier other = { .type = NOTE_KEY_LOG };
    struct checkpoint checkpoint = { 0 };
    struct note_verifier witness = { .type = NOTE_KEY_WITNESS };
    struct error error = { 0 };
    struct str line = { 0 };
    int64_t time_s = 0;

    assert(note_verifier_parse(key, &verifier, &error));
    assert(note_witness_parse(witness_key, &witness, &error));
    if (!note_verifier_parse(text, &other, &error))
        assert(error.code != ERROR_NONE);
    error = (struct error){ 0 };
    if (checkpoint_check(text, &trust, &checkpoint, NULL, &error))
        assert(str_eq(checkpoint.origin, verifier.name));
    else
        assert(error.code != ERROR_NONE);
    error = (struct error){ 0 };
    /* What a witness answers: one line of it at most, and none that it did not sign. */
    if (note_cosignature_find(text, STR("a\n1\n"), &witness, &line, &time_s, &error))
        assert(line.len > 0 && str_find(line, '\n') == line.len && time_s >= 0);
    else
        assert(error.code != ERROR_NONE);
    return 0;
}
