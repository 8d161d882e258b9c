#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "clients/answer.h"
#include "clients/log_trust.h"
#include "clients/receipt.h"
#include "keys/keys.h"
#include "tests/test.h"

/* One thread here. NOLINTBEGIN(concurrency-mt-unsafe,cert-env33-c) */

#define LEASE "01ARYZ6S41TSV4RRFFQ69G5FAV"
#define ENTRY "{\"lease\":\"" LEASE "\",\"type\":\"credential.issued\"}"
#define ORIGIN "broker.test/log"

static struct arena *arena;
static struct keys *keys;
static struct key *log_key;
static struct str verifier_text;
static char folder[64];

static bool make_keys(struct error *error)
{
    struct keys_options options = { .directory = folder,
                                    .issuer_algorithm = KEY_ES256,
                                    .rotate_every_s = 2592000 };
    struct buf text;

    if (!keys_open(&options, 1795342500, &keys, error) ||
        !keys_named(keys, STR("ledger"), KEY_ED25519, &log_key, error))
        return false;
    buf_init(&text, 256);
    if (!note_verifier_write(STR(ORIGIN), log_key, &text, error))
        return false;
    verifier_text = arena_copy(arena, buf_str(&text));
    buf_release(&text);
    return verifier_text.data != NULL;
}

static int make(void **state)
{
    struct error error = { 0 };

    (void)state;
    arena = arena_new((size_t)8 * 1024 * 1024);
    (void)snprintf(folder, sizeof(folder), "/tmp/stagepass-test-XXXXXX");
    return arena && mkdtemp(folder) && make_keys(&error) ? 0 : -1;
}

static int clean(void **state)
{
    char command[128];

    (void)state;
    keys_close(keys);
    arena_free(arena);
    (void)snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

static struct answer answer_for(const char *entry)
{
    struct merkle_hash leaf = merkle_leaf(str_from(entry));
    struct answer answer = { .lease = STR(LEASE), .ledger_index = 0 };

    memcpy(answer.leaf_hash, leaf.bytes, SHA256_LEN);
    return answer;
}

/* A receipt of a log with one entry, as the broker writes it; `index` and `root` may be wrong. */
static struct str receipt_of(const char *entry, uint64_t index, const struct merkle_hash *root)
{
    struct checkpoint checkpoint = { .origin = STR(ORIGIN), .size = 1, .root = *root };
    struct tlog_proof proof = { .index = index };
    JSON_OWNED json_t *json = json_object();
    struct error error = { 0 };
    struct buf note;
    struct buf text;
    struct str body;

    buf_init(&note, 4096);
    buf_init(&text, 4096);
    assert_true(checkpoint_sign(&checkpoint, &log_key, 1, &note, &error));
    proof.note = buf_str(&note);
    tlog_proof_write(&proof, &text);
    assert_true(json_put(json, "entry", json_string(entry)));
    assert_true(json_put(json, "proof", json_from_str(buf_str(&text))));
    body = json_text(arena, json);
    buf_release(&note);
    buf_release(&text);
    return body;
}

static struct str good_receipt(void)
{
    struct merkle_hash root = merkle_leaf(STR(ENTRY));

    return receipt_of(ENTRY, 0, &root);
}

static struct log_trust verifier(void)
{
    struct log_trust parsed = { 0 };
    struct error error = { 0 };

    assert_true(log_trust_add_keys(&parsed, verifier_text.data, arena, &error));
    return parsed;
}

static void a_good_receipt_is_believed_with_and_without_a_key(void **state)
{
    struct log_trust key = verifier();
    struct answer answer = answer_for(ENTRY);
    struct error error = { 0 };
    struct receipt receipt;

    (void)state;
    assert_true(receipt_read(good_receipt(), &answer, &key, arena, &receipt, &error));
    assert_true(receipt.is_signature_checked);
    assert_int_equal(receipt.checkpoint.size, 1);
    assert_true(receipt_read(good_receipt(), &answer, NULL, arena, &receipt, &error));
    assert_false(receipt.is_signature_checked);
    assert_int_equal(receipt.checkpoint.size, 1);
    assert_memory_equal(receipt.checkpoint.root.bytes, answer.leaf_hash, SHA256_LEN);
}

/* Both ways of checking refuse it. */
static void assert_refused(struct str body, const struct answer *answer, enum error_code code)
{
    struct log_trust key = verifier();

    for (int i = 0; i < 2; i++) {
        struct error error = { 0 };
        struct receipt receipt;

        assert_false(receipt_read(body, answer, i == 0 ? NULL : &key, arena, &receipt, &error));
        assert_int_equal(error.code, code);
    }
}

static void a_receipt_for_something_else_is_refused(void **state)
{
    static const char other[] = "{\"lease\":\"01ARYZ6S41TSV4RRFFQ69G5FAW\"}";
    struct merkle_hash root = merkle_leaf(STR(ENTRY));
    struct merkle_hash other_root = merkle_leaf(str_from(other));
    struct answer answer = answer_for(ENTRY);
    struct answer other_answer = answer_for(other);

    (void)state;
    assert_refused(receipt_of(other, 0, &other_root), &answer, ERROR_INVALID);
    assert_refused(receipt_of(other, 0, &other_root), &other_answer, ERROR_INVALID);
    assert_refused(receipt_of(ENTRY, 1, &root), &answer, ERROR_INVALID);
    assert_refused(receipt_of(ENTRY, 0, &other_root), &answer, ERROR_INVALID);
    answer.ledger_index = 7;
    assert_refused(receipt_of(ENTRY, 7, &root), &answer, ERROR_INVALID);
}

static void what_is_no_receipt_is_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "[]",
        "{}",
        "{\"entry\":{},\"proof\":\"\"}",
        "{\"entry\":\"\",\"proof\":7}",
        "{\"entry\":\"a\",\"entry\":\"b\",\"proof\":\"\"}",
    };
    struct answer answer = answer_for(ENTRY);

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_refused(str_from(cases[i]), &answer, ERROR_SYNTAX);
}

/* The right entry with a proof whose text is spoiled: no case may be believed without a key. */
static void a_spoiled_checkpoint_is_refused_without_a_key_too(void **state)
{
    static const char *const notes[] = {
        "",
        ORIGIN,
        ORIGIN "\n",
        ORIGIN "\n1",
        ORIGIN "\n-1\nAAAA\n",
        ORIGIN "\n01\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        ORIGIN "\n1\nAAAA\n",
        ORIGIN "\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        ORIGIN "\n99999999999999999999\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
    };
    struct answer answer = answer_for(ENTRY);

    (void)state;
    for (size_t i = 0; i < COUNT(notes); i++) {
        struct str proof = arena_printf(arena, "c2sp.org/tlog-proof@v1\nindex 0\n\n%s", notes[i]);
        JSON_OWNED json_t *json = json_object();
        struct error error = { 0 };
        struct receipt receipt;

        assert_true(json_put(json, "entry", json_string(ENTRY)));
        assert_true(json_put(json, "proof", json_from_str(proof)));
        assert_false(receipt_read(json_text(arena, json), &answer, NULL, arena, &receipt, &error));
    }
}

static void another_logs_key_does_not_verify(void **state)
{
    struct log_trust key = verifier();
    struct answer answer = answer_for(ENTRY);
    struct error error = { 0 };
    struct receipt receipt;

    (void)state;
    key.logs[0].public_key[0] ^= 1;
    assert_false(receipt_read(good_receipt(), &answer, &key, arena, &receipt, &error));
    assert_int_equal(error.code, ERROR_INVALID);
}

static void a_key_is_itself_or_in_a_file(void **state)
{
    struct str path = arena_printf(arena, "%s/verifier", folder);
    struct str line = arena_printf(arena, STR_FMT "\n", STR_ARG(verifier_text));
    struct log_trust key = { 0 };
    struct error error = { 0 };

    (void)state;
    assert_true(log_trust_add_keys(&key, verifier_text.data, arena, &error));
    assert_true(file_replace(path.data, line, 0644, &error));
    assert_true(log_trust_add_keys(&key, path.data, arena, &error));
    assert_true(str_eq(key.logs[0].name, STR(ORIGIN)));
    assert_false(log_trust_add_keys(&key, "/nowhere/verifier", arena, &error));
    assert_int_equal(error.code, ERROR_IO);
    error = (struct error){ 0 };
    assert_false(log_trust_add_keys(&key, ORIGIN "+00000000+AAAA", arena, &error));
    assert_non_null(strstr(error.cause, "verifier key"));
}

/* NOLINTEND(concurrency-mt-unsafe,cert-env33-c) */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_receipt_is_believed_with_and_without_a_key),
        cmocka_unit_test(a_receipt_for_something_else_is_refused),
        cmocka_unit_test(what_is_no_receipt_is_refused),
        cmocka_unit_test(a_spoiled_checkpoint_is_refused_without_a_key_too),
        cmocka_unit_test(another_logs_key_does_not_verify),
        cmocka_unit_test(a_key_is_itself_or_in_a_file),
    };

    return cmocka_run_group_tests(tests, make, clean);
}
