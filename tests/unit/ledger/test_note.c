#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/error.h"
#include "ledger/help.h"
#include "ledger/note.h"
#include "tests/test.h"

#define DASH "\xe2\x80\x94"
#define ROOT_7 "kTlgHMHKirKnoMLBNMBIRfKxulSag9bIRc/NpDnMWF0="
#define TEXT_7 ORIGIN "\n7\n" ROOT_7 "\n"
#define LOG_SIGNATURE                                                                              \
    "j36GLAfR7l9dv85QvIIPmx7zy3QOI+53uOhwHjpmtlIM13MBVm+r6d2gzks35iIcUNmTi5LKoI3Sf0IjkxcLHqkc5A0="
#define LOG_LINE DASH " " ORIGIN " " LOG_SIGNATURE "\n"
#define WITNESS_LINE                                                                               \
    DASH                                                                                           \
        " witness.example.net/w1 "                                                                 \
        "CrwfGQAAAABpVbkAIwe8LOWjv9eqWniJIFUa3NqoJMCxyRqWlslPTf69kCA4h5ksKCyHYlgG5OV/XAXWtu0YVEKM" \
        "V/ww7vKD5jO6Dg==\n"
#define NOTE_7 TEXT_7 "\n" LOG_LINE
#define PROOF_HASHES                                                                               \
    "GUu1otW9EOXRqm/V1CmAs1bK8dpiPNmYfEv6L4F3Htc=\n"                                               \
    "DP2ldv9LKeozw6/a7tG9Y362VLKKBDAvyrX9fbB4Acw=\n"                                               \
    "JWueiCXl03CkrgBdCQHqKRl34pJ/XPjj5yZg3QlRnts=\n"
#define PROOF_5 "c2sp.org/tlog-proof@v1\nindex 5\n" PROOF_HASHES "\n" NOTE_7 WITNESS_LINE

static struct place place;

static int make(void **state)
{
    (void)state;
    place_make(&place);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    place_remove(&place);
    return 0;
}

static struct note_verifier vector_verifier(void)
{
    struct note_verifier verifier = { 0 };
    struct error error = { 0 };

    assert_true(note_verifier_parse(STR(VECTOR_VERIFIER), &verifier, &error));
    return verifier;
}

static void the_vectors_verifier_key_is_read(void **state)
{
    struct note_verifier verifier = vector_verifier();
    uint8_t expected[32];

    (void)state;
    assert_true(str_eq(verifier.name, STR(ORIGIN)));
    assert_int_equal(verifier.key_id, 0x8f7e862c);
    assert_true(hex_decode(STR("8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"),
                           expected));
    assert_memory_equal(verifier.public_key, expected, sizeof(expected));
}

static void our_key_is_written_as_in_the_vector(void **state)
{
    OWNED(buf_release) struct buf text = { 0 };
    struct error error = { 0 };

    (void)state;
    buf_init(&text, 1024);
    assert_true(note_verifier_write(STR(ORIGIN), place.key, &text, &error));
    assert_true(str_eq(buf_str(&text), STR(VECTOR_VERIFIER)));
}

static void malformed_verifier_keys_are_refused(void **state)
{
    static const struct {
        const char *name;
        const char *text;
    } cases[] = {
        { "nothing", "" },
        { "no parts", ORIGIN },
        { "no key", ORIGIN "+8f7e862c" },
        { "no name", "+8f7e862c+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c" },
        { "a space in the name", "a b+8f7e862c+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c" },
        { "another name", "other+8f7e862c+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c" },
        { "another id", ORIGIN "+8f7e862d+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c" },
        { "an id in upper case", ORIGIN "+8F7E862C+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c" },
        { "a short id", ORIGIN "+8f7e862+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c" },
        { "a changed key", ORIGIN "+8f7e862c+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29d" },
        { "a cut key", ORIGIN "+8f7e862c+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D2==" },
        { "another type",
          "witness.example.net/w1+0abc1f19+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU" },
        { "not base64", ORIGIN "+8f7e862c+!YqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c" },
        { "text behind it", VECTOR_VERIFIER "\n" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct note_verifier verifier = { 0 };
        struct error error = { 0 };

        if (note_verifier_parse(str_from(cases[i].text), &verifier, &error))
            fail_msg("%s was taken", cases[i].name);
        assert_int_equal(error.code, ERROR_SYNTAX);
    }
}

static struct checkpoint vector_checkpoint(void)
{
    struct checkpoint checkpoint = { .origin = STR(ORIGIN), .size = 7 };
    uint8_t root[BASE64_DECODED_MAX(44)];
    size_t len = 0;

    assert_true(base64_decode(STR(ROOT_7), root, &len));
    memcpy(checkpoint.root.bytes, root, len);
    return checkpoint;
}

static void a_checkpoint_is_signed_as_in_the_vector(void **state)
{
    struct checkpoint checkpoint = vector_checkpoint();
    OWNED(buf_release) struct buf note = { 0 };
    struct error error = { 0 };

    (void)state;
    buf_init(&note, 4096);
    assert_true(checkpoint_sign(&checkpoint, &place.key, 1, &note, &error));
    assert_true(str_eq(buf_str(&note), STR(NOTE_7)));
}

static void an_origin_that_cannot_name_a_key_is_refused(void **state)
{
    static const char *const origins[] = { "", "a b", "a+b", "a\nb", "\xc2\xa0y", "\xff" };
    struct error error = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT(origins); i++) {
        struct checkpoint checkpoint = vector_checkpoint();
        OWNED(buf_release) struct buf note = { 0 };

        buf_init(&note, 4096);
        checkpoint.origin = str_from(origins[i]);
        error = (struct error){ 0 };
        assert_false(checkpoint_sign(&checkpoint, &place.key, 1, &note, &error));
        assert_int_equal(error.code, ERROR_CONFIG);
    }
}

/* With one key of the log and no witness. */
static bool checkpoint_verify(struct str note, const struct note_verifier *verifier,
                              struct checkpoint *checkpoint, struct error *error)
{
    const struct note_trust trust = { .logs = verifier, .log_count = 1 };

    return checkpoint_check(note, &trust, checkpoint, NULL, error);
}

static bool tlog_proof_verify(struct str text, struct str entry,
                              const struct note_verifier *verifier, struct checkpoint *checkpoint,
                              struct error *error)
{
    const struct note_trust trust = { .logs = verifier, .log_count = 1 };

    return tlog_proof_check(text, entry, &trust, checkpoint, NULL, error);
}

static void a_cosigned_checkpoint_verifies(void **state)
{
    struct note_verifier verifier = vector_verifier();
    struct checkpoint checkpoint = { 0 };
    struct checkpoint expected = vector_checkpoint();
    struct error error = { 0 };

    (void)state;
    assert_true(checkpoint_verify(STR(NOTE_7 WITNESS_LINE), &verifier, &checkpoint, &error));
    assert_true(str_eq(checkpoint.origin, STR(ORIGIN)));
    assert_int_equal(checkpoint.size, 7);
    assert_true(merkle_hash_eq(&checkpoint.root, &expected.root));
    assert_true(
        checkpoint_verify(STR(TEXT_7 "\n" WITNESS_LINE LOG_LINE), &verifier, &checkpoint, &error));
}

#define VECTOR_WITNESS                                                                             \
    "witness.example.net/w1+0abc1f19+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU"
#define OTHER_LINE DASH " other.example.net/w CrwfGQAAAABpVbkA\n"

/* The vector's log and witness. */
struct trusted {
    struct note_verifier log;
    struct note_verifier witness;
    struct note_trust trust;
};

static void trust_vector(struct trusted *trusted, size_t quorum)
{
    struct error error = { 0 };

    trusted->log = vector_verifier();
    assert_true(note_witness_parse(STR(VECTOR_WITNESS), &trusted->witness, &error));
    trusted->trust = (struct note_trust){ &trusted->log, 1, &trusted->witness, 1, quorum };
}

static void a_witness_has_a_key_of_its_own_type(void **state)
{
    struct note_verifier verifier = { 0 };
    struct error error = { 0 };

    (void)state;
    assert_true(note_witness_parse(STR(VECTOR_WITNESS), &verifier, &error));
    assert_int_equal(verifier.key_id, 0x0abc1f19);
    assert_int_equal(verifier.type, NOTE_KEY_WITNESS);
    assert_false(note_witness_parse(STR(VECTOR_VERIFIER), &verifier, &error));
    assert_int_equal(error.code, ERROR_SYNTAX);
}

static void cosignatures_are_counted_with_their_times(void **state)
{
    struct checkpoint checkpoint = { 0 };
    struct note_cosigned cosigned = { 0 };
    struct error error = { 0 };
    struct trusted trusted;

    (void)state;
    trust_vector(&trusted, 1);
    assert_true(checkpoint_check(STR(NOTE_7 WITNESS_LINE OTHER_LINE), &trusted.trust, &checkpoint,
                                 &cosigned, &error));
    assert_int_equal(checkpoint.size, 7);
    assert_int_equal(cosigned.count, 1);
    assert_true(cosigned.has[0]);
    assert_int_equal(cosigned.times_s[0], 1767225600);
    /* Said twice it is one witness all the same. */
    trusted.trust.quorum = 2;
    assert_false(checkpoint_check(STR(NOTE_7 WITNESS_LINE WITNESS_LINE), &trusted.trust,
                                  &checkpoint, &cosigned, &error));
    assert_int_equal(error.code, ERROR_INVALID);
}

static void a_quorum_is_not_met_by_strangers(void **state)
{
    struct checkpoint checkpoint = { 0 };
    struct trusted trusted;

    (void)state;
    trust_vector(&trusted, 1);
    for (size_t quorum = 0; quorum < 2; quorum++) {
        struct error error = { 0 };

        trusted.trust.quorum = quorum;
        assert_int_equal(
            checkpoint_check(STR(NOTE_7 OTHER_LINE), &trusted.trust, &checkpoint, NULL, &error),
            quorum == 0);
    }
    trusted.trust.witness_count = NOTE_WITNESSES_MAX + 1;
    assert_false(
        checkpoint_check(STR(NOTE_7), &trusted.trust, &checkpoint, NULL, &(struct error){ 0 }));
    trusted.trust = (struct note_trust){ &trusted.log, 0, NULL, 0, 0 };
    assert_false(
        checkpoint_check(STR(NOTE_7), &trusted.trust, &checkpoint, NULL, &(struct error){ 0 }));
}

/* Not even where no quorum asks for it: who is known is believed, or is lied about. */
static void any_changed_byte_of_a_cosignature_is_noticed(void **state)
{
    static const char note[] = NOTE_7 WITNESS_LINE;
    static const size_t start = sizeof(NOTE_7) - 1 + sizeof(DASH " witness.example.net/w1 ") - 1;
    struct trusted trusted;
    char changed[sizeof(note)];

    (void)state;
    trust_vector(&trusted, 1);
    for (size_t at = start; at < sizeof(note) - 1; at++) {
        struct checkpoint checkpoint = { 0 };
        struct error error = { 0 };

        memcpy(changed, note, sizeof(note));
        changed[at] ^= 0x01;
        if (checkpoint_check((struct str){ changed, sizeof(note) - 1 }, &trusted.trust, &checkpoint,
                             NULL, &error))
            fail_msg("byte %zu does not count", at);
    }
}

static void any_of_a_logs_keys_verifies_its_notes(void **state)
{
    struct note_verifier logs[2];
    struct note_trust trust = { .logs = logs, .log_count = 2 };
    OWNED(buf_release) struct buf text = { 0 };
    OWNED(buf_release) struct buf note = { 0 };
    struct checkpoint checkpoint = vector_checkpoint();
    struct key *keys[2] = { place.key, NULL };
    struct error error = { 0 };

    (void)state;
    buf_init(&text, 1024);
    buf_init(&note, 4096);
    assert_true(keys_named(place.keys, STR("ledger-2"), KEY_ED25519, &keys[1], &error));
    assert_true(note_verifier_write(STR(ORIGIN), keys[1], &text, &error));
    logs[0] = vector_verifier();
    assert_true(note_verifier_parse(buf_str(&text), &logs[1], &error));
    assert_true(checkpoint_sign(&checkpoint, keys, 2, &note, &error));
    assert_true(checkpoint_check(buf_str(&note), &trust, &checkpoint, NULL, &error));
    assert_true(checkpoint_verify(buf_str(&note), &logs[0], &checkpoint, &error));
    assert_true(checkpoint_verify(buf_str(&note), &logs[1], &checkpoint, &error));
    assert_true(checkpoint_check(STR(NOTE_7), &trust, &checkpoint, NULL, &error));
    assert_false(checkpoint_verify(STR(NOTE_7), &logs[1], &checkpoint, &error));
    /* One good signature does not make up for a bad one of a known key. */
    note.data[note.len - 4] ^= 0x01;
    error = (struct error){ 0 };
    assert_false(checkpoint_check(buf_str(&note), &trust, &checkpoint, NULL, &error));
}

static void a_witnesss_line_is_found_among_others(void **state)
{
    static const struct {
        const char *name;
        const char *lines;
    } bad[] = {
        { "nothing", "" },
        { "no newline", DASH " witness.example.net/w1 CrwfGQAAAABpVbkA" },
        { "only others", OTHER_LINE },
        { "the log's", LOG_LINE },
        { "no line", "thank you\n" },
        { "a control character", "\t\n" WITNESS_LINE },
        { "a short one of its name", DASH " witness.example.net/w1 CrwfGQAAAABpVbkA\n" },
        { "a good one and rubbish", WITNESS_LINE "rubbish\n" },
    };
    struct trusted trusted;
    struct error error = { 0 };
    struct str line = { 0 };
    int64_t time_s = 0;

    (void)state;
    trust_vector(&trusted, 1);
    assert_true(str_eq(note_text(STR(NOTE_7 WITNESS_LINE)), STR(TEXT_7)));
    assert_int_equal(note_text(STR("nothing\n")).len, 0);
    assert_true(note_cosignature_find(STR(OTHER_LINE WITNESS_LINE OTHER_LINE), STR(TEXT_7),
                                      &trusted.witness, &line, &time_s, &error));
    assert_int_equal(line.len, sizeof(WITNESS_LINE) - 2);
    assert_int_equal(time_s, 1767225600);
    assert_false(note_cosignature_find(STR(WITNESS_LINE), STR("another\n7\n" ROOT_7 "\n"),
                                       &trusted.witness, &line, &time_s, &error));
    for (size_t i = 0; i < COUNT(bad); i++) {
        error = (struct error){ 0 };
        if (note_cosignature_find(str_from(bad[i].lines), STR(TEXT_7), &trusted.witness, &line,
                                  &time_s, &error))
            fail_msg("%s was taken", bad[i].name);
    }
}

static void malformed_and_foreign_notes_are_refused(void **state)
{
    static const struct {
        const char *name;
        const char *note;
        enum error_code code;
    } cases[] = {
        { "nothing", "", ERROR_SYNTAX },
        { "no signatures", TEXT_7 "\n", ERROR_SYNTAX },
        { "no empty line", TEXT_7 LOG_LINE, ERROR_SYNTAX },
        { "only signatures", "\n\n" LOG_LINE, ERROR_SYNTAX },
        { "no newline at the end", TEXT_7 "\n" DASH " " ORIGIN " " LOG_SIGNATURE, ERROR_SYNTAX },
        { "only a witness", TEXT_7 "\n" WITNESS_LINE, ERROR_INVALID },
        { "another size", ORIGIN "\n8\n" ROOT_7 "\n\n" LOG_LINE, ERROR_INVALID },
        { "another text before it", "x\n" NOTE_7, ERROR_INVALID },
        { "a hyphen for the dash", TEXT_7 "\n- " ORIGIN " " LOG_SIGNATURE "\n", ERROR_SYNTAX },
        { "two spaces", TEXT_7 "\n" DASH "  " ORIGIN " " LOG_SIGNATURE "\n", ERROR_SYNTAX },
        { "a blank behind it", TEXT_7 "\n" DASH " " ORIGIN " " LOG_SIGNATURE " \n", ERROR_SYNTAX },
        { "a signature of no bytes", TEXT_7 "\n" DASH " " ORIGIN " j36GLA==\n", ERROR_SYNTAX },
        { "a short signature", TEXT_7 "\n" DASH " " ORIGIN " j36GLAfR\n", ERROR_INVALID },
        { "a good and a bad one", NOTE_7 DASH " " ORIGIN " j36GLAfR\n", ERROR_INVALID },
        { "a line that is none", NOTE_7 "hello\n", ERROR_SYNTAX },
        { "a carriage return", ORIGIN "\r\n7\n" ROOT_7 "\n\n" LOG_LINE, ERROR_SYNTAX },
        { "not UTF-8", "\xff" NOTE_7, ERROR_SYNTAX },
        { "a NUL name", TEXT_7 "\n" DASH " \x01 " LOG_SIGNATURE "\n", ERROR_SYNTAX },
        { "a plus in a name", NOTE_7 DASH " a+b j36GLAfR\n", ERROR_SYNTAX },
        { "a Unicode space in a name", NOTE_7 DASH " a\xe2\x80\x83z j36GLAfR\n", ERROR_SYNTAX },
    };
    struct note_verifier verifier = vector_verifier();

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct checkpoint checkpoint = { 0 };
        struct error error = { 0 };

        if (checkpoint_verify(str_from(cases[i].note), &verifier, &checkpoint, &error))
            fail_msg("%s was taken", cases[i].name);
        if (error.code != cases[i].code)
            fail_msg("%s: code %d (%s)", cases[i].name, (int)error.code, error.cause);
    }
}

/* Sign a text that a checkpoint's writer would never write. */
static void expect_text_refused(const char *name, const char *text)
{
    OWNED(buf_release) struct buf note = { 0 };
    struct note_verifier verifier = vector_verifier();
    struct checkpoint checkpoint = { 0 };
    struct error error = { 0 };
    uint8_t field[4 + KEY_SIGNATURE_MAX] = { 0x8f, 0x7e, 0x86, 0x2c };
    size_t len = 0;

    buf_init(&note, 4096);
    assert_true(key_sign(place.key, str_from(text), field + 4, &len, &error));
    buf_add_text(&note, text);
    buf_add_text(&note, "\n" DASH " " ORIGIN " ");
    buf_add_base64(&note, (struct str){ (const char *)field, 4 + len });
    buf_add_text(&note, "\n");
    if (checkpoint_verify(buf_str(&note), &verifier, &checkpoint, &error))
        fail_msg("%s was taken", name);
}

static void signed_texts_that_are_no_checkpoints_are_refused(void **state)
{
    (void)state;
    expect_text_refused("one line", ORIGIN "\n");
    expect_text_refused("two lines", ORIGIN "\n7\n");
    expect_text_refused("a leading zero", ORIGIN "\n07\n" ROOT_7 "\n");
    expect_text_refused("a sign", ORIGIN "\n+7\n" ROOT_7 "\n");
    expect_text_refused("a size past 64 bits", ORIGIN "\n18446744073709551616\n" ROOT_7 "\n");
    expect_text_refused("no size", ORIGIN "\n\n" ROOT_7 "\n");
    expect_text_refused("a short root", ORIGIN "\n7\nkTlgHMHKirKnoMLBNMBIRfKxulSag9bIRc/NpDnM\n");
    expect_text_refused("another log's", "broker.example.com/other\n7\n" ROOT_7 "\n");
    expect_text_refused("no origin", "\n7\n" ROOT_7 "\n");
    expect_text_refused("an empty extension", ORIGIN "\n7\n" ROOT_7 "\n\nmore\n");
}

static void any_changed_byte_of_a_note_is_noticed(void **state)
{
    static const char note[] = NOTE_7;
    struct note_verifier verifier = vector_verifier();

    (void)state;
    for (size_t i = 0; i < sizeof(note) - 1; i++) {
        char changed[sizeof(note)];
        struct checkpoint checkpoint = { 0 };
        struct error error = { 0 };

        memcpy(changed, note, sizeof(note));
        changed[i] ^= 1;
        assert_false(checkpoint_verify((struct str){ changed, sizeof(note) - 1 }, &verifier,
                                       &checkpoint, &error));
    }
}

static struct str repeat_witness(size_t count, struct buf *note)
{
    buf_add_text(note, NOTE_7);
    for (size_t i = 0; i < count; i++)
        buf_add_text(note, DASH " w j36GLAfR\n");
    return buf_str(note);
}

static void a_hundred_signatures_are_taken_and_no_more(void **state)
{
    struct note_verifier verifier = vector_verifier();
    OWNED(buf_release) struct buf enough = { 0 };
    OWNED(buf_release) struct buf more = { 0 };
    struct checkpoint checkpoint = { 0 };
    struct error error = { 0 };

    (void)state;
    buf_init(&enough, 65536);
    buf_init(&more, 65536);
    assert_true(checkpoint_verify(repeat_witness(99, &enough), &verifier, &checkpoint, &error));
    assert_false(checkpoint_verify(repeat_witness(100, &more), &verifier, &checkpoint, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
}

static void a_note_may_have_16_kib_and_no_more(void **state)
{
    enum {
        MAX = 16 * 1024
    };
    struct note_verifier verifier = vector_verifier();
    struct checkpoint checkpoint = { 0 };
    struct error error = { 0 };
    char *note = calloc(1, MAX + 1);
    size_t len = sizeof(NOTE_7) - 1;
    static const char line[] = DASH " ";

    (void)state;
    /* Signature lines of an unknown name that fill it up: name, a space, 8 digits, a newline. */
    memcpy(note, NOTE_7, len);
    while (len < MAX) {
        size_t left = (size_t)MAX - len;
        size_t name_len = left > 400 ? 200 : left - sizeof(line) + 1 - 10;

        if (left > 400 || name_len > 256)
            name_len = 180;
        memcpy(note + len, line, sizeof(line) - 1);
        len += sizeof(line) - 1;
        memset(note + len, 'w', name_len);
        len += name_len;
        memcpy(note + len, " j36GLAfR\n", 10);
        len += 10;
    }
    assert_int_equal(len, MAX);
    assert_true(checkpoint_verify((struct str){ note, MAX }, &verifier, &checkpoint, &error));
    assert_false(checkpoint_verify((struct str){ note, MAX + 1 }, &verifier, &checkpoint, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    free(note);
}

static void a_proof_file_is_read_and_written_as_in_the_vector(void **state)
{
    OWNED(buf_release) struct buf text = { 0 };
    struct tlog_proof proof;
    struct error error = { 0 };

    (void)state;
    assert_true(tlog_proof_parse(STR(PROOF_5), &proof, &error));
    assert_int_equal(proof.index, 5);
    assert_int_equal(proof.hash_count, 3);
    assert_true(str_eq(proof.note, STR(NOTE_7 WITNESS_LINE)));
    buf_init(&text, 4096);
    tlog_proof_write(&proof, &text);
    assert_true(str_eq(buf_str(&text), STR(PROOF_5)));
}

static void a_proof_file_proves_its_entry_only(void **state)
{
    struct note_verifier verifier = vector_verifier();
    struct checkpoint checkpoint = { 0 };
    struct error error = { 0 };

    (void)state;
    assert_true(tlog_proof_verify(STR(PROOF_5), STR("entry-5"), &verifier, &checkpoint, &error));
    assert_int_equal(checkpoint.size, 7);
    assert_false(tlog_proof_verify(STR(PROOF_5), STR("entry-4"), &verifier, &checkpoint, &error));
    assert_int_equal(error.code, ERROR_INVALID);
}

static void malformed_proof_files_are_refused(void **state)
{
    static const struct {
        const char *name;
        const char *text;
    } cases[] = {
        { "nothing", "" },
        { "another version", "c2sp.org/tlog-proof@v2\nindex 5\n\n" NOTE_7 },
        { "no index", "c2sp.org/tlog-proof@v1\n\n" NOTE_7 },
        { "a signed index", "c2sp.org/tlog-proof@v1\nindex +5\n" PROOF_HASHES "\n" NOTE_7 },
        { "a leading zero", "c2sp.org/tlog-proof@v1\nindex 05\n" PROOF_HASHES "\n" NOTE_7 },
        { "another index", "c2sp.org/tlog-proof@v1\nindex 4\n" PROOF_HASHES "\n" NOTE_7 },
        { "an index past the tree", "c2sp.org/tlog-proof@v1\nindex 7\n" PROOF_HASHES "\n" NOTE_7 },
        { "a short hash", "c2sp.org/tlog-proof@v1\nindex 5\nGUu1\n\n" NOTE_7 },
        { "no hashes", "c2sp.org/tlog-proof@v1\nindex 5\n\n" NOTE_7 },
        { "no note", "c2sp.org/tlog-proof@v1\nindex 5\n" PROOF_HASHES "\n" },
        { "an index twice", "c2sp.org/tlog-proof@v1\nindex 5\nindex 5\n" PROOF_HASHES "\n" NOTE_7 },
        { "a carriage return", "c2sp.org/tlog-proof@v1\r\nindex 5\n" PROOF_HASHES "\n" NOTE_7 },
    };
    struct note_verifier verifier = vector_verifier();

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct checkpoint checkpoint = { 0 };
        struct error error = { 0 };

        if (tlog_proof_verify(str_from(cases[i].text), STR("entry-5"), &verifier, &checkpoint,
                              &error))
            fail_msg("%s was taken", cases[i].name);
        assert_int_not_equal(error.code, ERROR_NONE);
    }
}

static void an_extra_line_is_passed_over(void **state)
{
    struct note_verifier verifier = vector_verifier();
    struct checkpoint checkpoint = { 0 };
    struct error error = { 0 };

    (void)state;
    assert_true(tlog_proof_verify(
        STR("c2sp.org/tlog-proof@v1\nextra aGVsbG8=\nindex 5\n" PROOF_HASHES "\n" NOTE_7),
        STR("entry-5"), &verifier, &checkpoint, &error));
}

static void a_proof_has_at_most_63_hashes(void **state)
{
    OWNED(buf_release) struct buf text = { 0 };
    struct tlog_proof proof;
    struct error error = { 0 };

    (void)state;
    buf_init(&text, 65536);
    buf_add_text(&text, "c2sp.org/tlog-proof@v1\nindex 5\n");
    for (size_t i = 0; i < MERKLE_PROOF_MAX; i++)
        buf_add_text(&text, ROOT_7 "\n");
    buf_add_text(&text, "\n" NOTE_7);
    assert_true(tlog_proof_parse(buf_str(&text), &proof, &error));
    buf_clear(&text);
    buf_add_text(&text, "c2sp.org/tlog-proof@v1\nindex 5\n");
    for (size_t i = 0; i < MERKLE_PROOF_MAX + 1; i++)
        buf_add_text(&text, ROOT_7 "\n");
    buf_add_text(&text, "\n" NOTE_7);
    assert_false(tlog_proof_parse(buf_str(&text), &proof, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_verifier_key_is_read),
        cmocka_unit_test(our_key_is_written_as_in_the_vector),
        cmocka_unit_test(malformed_verifier_keys_are_refused),
        cmocka_unit_test(a_checkpoint_is_signed_as_in_the_vector),
        cmocka_unit_test(an_origin_that_cannot_name_a_key_is_refused),
        cmocka_unit_test(a_cosigned_checkpoint_verifies),
        cmocka_unit_test(a_witness_has_a_key_of_its_own_type),
        cmocka_unit_test(cosignatures_are_counted_with_their_times),
        cmocka_unit_test(a_quorum_is_not_met_by_strangers),
        cmocka_unit_test(any_changed_byte_of_a_cosignature_is_noticed),
        cmocka_unit_test(any_of_a_logs_keys_verifies_its_notes),
        cmocka_unit_test(a_witnesss_line_is_found_among_others),
        cmocka_unit_test(malformed_and_foreign_notes_are_refused),
        cmocka_unit_test(signed_texts_that_are_no_checkpoints_are_refused),
        cmocka_unit_test(any_changed_byte_of_a_note_is_noticed),
        cmocka_unit_test(a_hundred_signatures_are_taken_and_no_more),
        cmocka_unit_test(a_note_may_have_16_kib_and_no_more),
        cmocka_unit_test(a_proof_file_is_read_and_written_as_in_the_vector),
        cmocka_unit_test(a_proof_file_proves_its_entry_only),
        cmocka_unit_test(malformed_proof_files_are_refused),
        cmocka_unit_test(an_extra_line_is_passed_over),
        cmocka_unit_test(a_proof_has_at_most_63_hashes),
    };

    return cmocka_run_group_tests(tests, make, clean);
}
