#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"
#include "ledger/audit.h"
#include "ledger/help.h"
#include "tests/test.h"

#define SEGMENT "store/segments/00000000000000000000.seg"

struct fixture {
    struct place place;
    struct arena *arena;
};

static int make(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    place_make(&fixture->place);
    fixture->arena = arena_new(ARENA_REQUEST_MAX);
    *state = fixture;
    return 0;
}

static int clean(void **state)
{
    struct fixture *fixture = *state;

    arena_free(fixture->arena);
    place_remove(&fixture->place);
    free(fixture);
    return 0;
}

/* With the caller's key, or with none, and against what somebody kept. */
static bool verify_against(const struct fixture *fixture, struct str key, struct against against,
                           struct audit_report *report, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct note_verifier verifier = { 0 };
    struct note_trust trust = { .logs = &verifier };
    struct audit_options options = {
        .folder = fixture->place.store,
        .trust = &trust,
        .against = against,
    };
    bool is_sound = false;

    if (key.len > 0)
        assert_true(note_verifier_parse(key, &verifier, error));
    trust.log_count = key.len > 0 ? 1 : 0;
    is_sound = audit_both_ways(&options, arena, report, error);
    report->origin = (struct str){ 0 };
    return is_sound;
}

static bool verify(const struct fixture *fixture, struct str key, struct audit_report *report,
                   struct error *error)
{
    return verify_against(fixture, key, (struct against){ 0 }, report, error);
}

static void expect_sound(const struct fixture *fixture, uint64_t count, uint64_t checkpoint_size)
{
    struct audit_report report;
    struct error error = { 0 };

    if (!verify(fixture, STR(VECTOR_VERIFIER), &report, &error))
        fail_msg("audit_verify: %s", error.cause);
    assert_int_equal(report.entry_count, count);
    assert_int_equal(report.checkpoint_size, checkpoint_size);
    assert_true(report.is_key_trusted);
}

static void expect_unsound(const struct fixture *fixture, const char *cause)
{
    struct audit_report report;
    struct error error = { 0 };

    if (verify(fixture, STR(VECTOR_VERIFIER), &report, &error))
        fail_msg("not noticed: %s", cause);
    assert_int_equal(error.code, ERROR_INVALID);
    if (strstr(error.cause, cause) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", cause, error.cause);
}

/* Entries in several runs, so that partial files of earlier checkpoints are there. */
static void make_log(const struct fixture *fixture, const unsigned *counts, size_t run_count)
{
    for (size_t i = 0; i < run_count; i++) {
        struct ledger *ledger = place_open(&fixture->place);

        append_many(ledger, counts[i]);
        ledger_close(ledger);
    }
}

static void sound_logs_of_many_sizes_verify(void **state)
{
    static const unsigned sizes[] = { 1, 2, 255, 256, 257, 512, 513, 700, 8 * 256 + 1 };
    struct fixture *fixture = *state;
    unsigned before = 0;

    for (size_t i = 0; i < COUNT(sizes); i++) {
        unsigned more = sizes[i] - before;

        make_log(fixture, &more, 1);
        before = sizes[i];
        expect_sound(fixture, sizes[i], sizes[i]);
    }
}

static void a_log_without_entries_is_sound(void **state)
{
    struct fixture *fixture = *state;
    unsigned none = 0;

    make_log(fixture, &none, 1);
    expect_sound(fixture, 0, 0);
}

static void a_log_verifies_while_it_is_written(void **state)
{
    struct fixture *fixture = *state;
    struct ledger *ledger = place_open(&fixture->place);
    struct audit_report report;
    struct error error = { 0 };

    for (unsigned round = 0; round < 4; round++) {
        append_many(ledger, 90);
        if (round % 2 == 0)
            wait_published(ledger, (uint64_t)round * 90 + 1);
        if (!verify(fixture, STR(VECTOR_VERIFIER), &report, &error))
            fail_msg("audit_verify: %s", error.cause);
        assert_true(report.entry_count >= (uint64_t)(round + 1) * 90);
    }
    ledger_close(ledger);
}

static void the_folders_own_key_is_not_trusted(void **state)
{
    struct fixture *fixture = *state;
    struct audit_report report;
    struct error error = { 0 };
    unsigned count = 3;

    make_log(fixture, &count, 1);
    assert_true(verify(fixture, (struct str){ 0 }, &report, &error));
    assert_false(report.is_key_trusted);
    run_shell("rm store/log/verifier", &fixture->place);
    assert_false(verify(fixture, (struct str){ 0 }, &report, &error));
    assert_int_equal(error.code, ERROR_CONFIG);
    error = (struct error){ 0 };
    run_shell("echo nonsense >store/log/verifier", &fixture->place);
    assert_false(verify(fixture, (struct str){ 0 }, &report, &error));
    assert_int_equal(error.code, ERROR_SYNTAX);
    error = (struct error){ 0 };
    run_shell("echo >store/log/verifier", &fixture->place);
    assert_false(verify(fixture, (struct str){ 0 }, &report, &error));
    assert_int_equal(error.code, ERROR_CONFIG);
}

/* One byte changed anywhere, and the audit must notice. */
static void expect_every_byte_counts(const struct fixture *fixture, const char *name, size_t len,
                                     size_t step)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s", place_path(&fixture->place, name));
    for (size_t at = 0; at < len; at += step) {
        struct audit_report report;
        struct error error = { 0 };

        file_flip(path, at);
        if (verify(fixture, STR(VECTOR_VERIFIER), &report, &error))
            fail_msg("byte %zu of %s does not count", at, name);
        assert_int_equal(error.code, ERROR_INVALID);
        file_flip(path, at);
    }
}

/* Bytes of the first segment that are used: up to the last that is not zero. */
static size_t used_len(const struct fixture *fixture)
{
    struct arena *arena = arena_new((size_t)32 * 1024 * 1024);
    struct error error = { 0 };
    struct str bytes = { 0 };
    size_t len = 0;

    assert_true(file_read(arena, place_path(&fixture->place, SEGMENT), (size_t)16 * 1024 * 1024,
                          &bytes, &error));
    for (len = bytes.len; len > 0 && bytes.data[len - 1] == 0;)
        len--;
    arena_free(arena);
    return len;
}

static void append_with_private_part(const struct fixture *fixture)
{
    struct ledger *ledger = place_open(&fixture->place);
    JSON_OWNED json_t *entry = entry_issued(1);
    JSON_OWNED json_t *private_part = json_pack("{s:s}", "claims.actor", "octocat");
    struct ledger_append append = {
        .entries = { entry },
        .private_parts = { private_part },
        .entry_count = 1,
    };
    struct error error = { 0 };

    assert_true(ledger_append_now(ledger, &append, &error));
    ledger_close(ledger);
}

static void a_changed_byte_anywhere_is_noticed(void **state)
{
    static const unsigned counts[] = { 3, 2 };
    struct fixture *fixture = *state;
    size_t len = 0;

    make_log(fixture, counts, COUNT(counts));
    append_with_private_part(fixture);
    expect_sound(fixture, 6, 6);
    len = used_len(fixture);
    /* Without its zeros, which take most of the time to read. */
    assert_int_equal(truncate(place_path(&fixture->place, SEGMENT), (off_t)len + 64), 0);
    expect_every_byte_counts(fixture, SEGMENT, len, 1);
    expect_every_byte_counts(fixture, "store/log/checkpoint",
                             file_size(place_path(&fixture->place, "store/log/checkpoint")), 1);
    expect_every_byte_counts(fixture, "store/log/tile/0/000.p/3", (size_t)3 * 32, 1);
    expect_every_byte_counts(fixture, "store/log/tile/0/000.p/5", (size_t)5 * 32, 1);
    expect_every_byte_counts(fixture, "store/log/tile/0/000.p/6", (size_t)6 * 32, 1);
    expect_every_byte_counts(
        fixture, "store/log/tile/entries/000.p/6",
        file_size(place_path(&fixture->place, "store/log/tile/entries/000.p/6")), 1);
    expect_sound(fixture, 6, 6);
}

static void a_changed_byte_of_a_full_tile_is_noticed(void **state)
{
    static const unsigned count = 600;
    struct fixture *fixture = *state;

    make_log(fixture, &count, 1);
    expect_every_byte_counts(fixture, "store/log/tile/0/000", (size_t)256 * 32, 509);
    expect_every_byte_counts(fixture, "store/log/tile/0/001", (size_t)256 * 32, 811);
    expect_every_byte_counts(fixture, "store/log/tile/0/002.p/88", (size_t)88 * 32, 211);
    expect_every_byte_counts(fixture, "store/log/tile/1/000.p/2", (size_t)2 * 32, 7);
    expect_every_byte_counts(fixture, "store/log/tile/entries/001",
                             file_size(place_path(&fixture->place, "store/log/tile/entries/001")),
                             2003);
}

static void missing_longer_and_shorter_tiles_are_noticed(void **state)
{
    static const struct {
        const char *damage;
        const char *repair;
    } cases[] = {
        { "mv store/log/tile/0/000 kept", "mv kept store/log/tile/0/000" },
        { "mv store/log/tile/0/001.p/44 kept", "mv kept store/log/tile/0/001.p/44" },
        { "mv store/log/tile/1 kept", "mv kept store/log/tile/1" },
        { "mv store/log/tile/entries kept", "mv kept store/log/tile/entries" },
        { "mv store/log/tile kept", "mv kept store/log/tile" },
        { "printf x >>store/log/tile/0/000", "truncate -s 8192 store/log/tile/0/000" },
        { "printf x >>store/log/tile/1/000.p/1", "truncate -s 32 store/log/tile/1/000.p/1" },
        { "truncate -s 8000 store/log/tile/0/000", "true" },
    };
    static const unsigned count = 300;
    struct fixture *fixture = *state;

    make_log(fixture, &count, 1);
    for (size_t i = 0; i < COUNT(cases); i++) {
        expect_sound(fixture, 300, 300);
        run_shell(cases[i].damage, &fixture->place);
        expect_unsound(fixture, "tile ");
        run_shell(cases[i].repair, &fixture->place);
    }
}

static void a_log_cut_behind_its_checkpoint_is_noticed(void **state)
{
    static const unsigned count = 5;
    struct fixture *fixture = *state;

    make_log(fixture, &count, 1);
    run_shell("truncate -s 400 " SEGMENT, &fixture->place);
    expect_unsound(fixture, "the log ends before its signed checkpoint");
}

/* Else whoever rewrote all entries would only have to remove the signature over the true ones. */
static void a_log_without_its_checkpoint_is_noticed(void **state)
{
    static const unsigned count = 5;
    struct fixture *fixture = *state;

    make_log(fixture, &count, 1);
    run_shell("rm store/log/checkpoint", &fixture->place);
    expect_unsound(fixture, "no signed checkpoint");
    run_shell("rm -r store/log", &fixture->place);
    expect_unsound(fixture, "no signed checkpoint");
}

static void another_brokers_log_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    static const unsigned count = 5;

    make_log(fixture, &count, 1);
    run_shell("mv store other", &fixture->place);
    make_log(fixture, &count, 1);
    run_shell("cp other/log/checkpoint store/log/checkpoint", &fixture->place);
    expect_unsound(fixture, "do not have the signed root");
}

static void a_store_that_is_not_there_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    struct audit_report report;
    struct error error = { 0 };

    assert_false(verify(fixture, STR(VECTOR_VERIFIER), &report, &error));
    assert_int_equal(error.code, ERROR_IO);
}

/* Append for ever, and tell of each entry that is durable. */
static _Noreturn void append_until_killed(const struct place *place, int told)
{
    struct ledger *ledger = place_open(place);

    for (;;) {
        uint64_t index = append_one(ledger, entry_started());

        if (write(told, &index, sizeof(index)) < 0)
            abort();
    }
}

/* The number of entries that were acknowledged before the kill. */
static uint64_t kill_in_the_middle(const struct place *place, uint64_t enough)
{
    int told[2];
    uint64_t index = 0;
    uint64_t count = 0;
    pid_t child = -1;

    assert_int_equal(pipe(told), 0);
    child = fork();
    if (child == 0) {
        (void)close(told[0]);
        append_until_killed(place, told[1]);
    }
    (void)close(told[1]);
    while (count < enough && read(told[0], &index, sizeof(index)) == sizeof(index))
        count = index + 1;
    (void)kill(child, SIGKILL);
    while (read(told[0], &index, sizeof(index)) == sizeof(index))
        count = index + 1;
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(told[0]);
    return count;
}

static void a_log_is_sound_after_kill_9(void **state)
{
    static const unsigned first = 1; /* so that a checkpoint is there whenever the kill comes */
    struct fixture *fixture = *state;
    uint64_t before = first;

    make_log(fixture, &first, 1);
    for (unsigned round = 0; round < 6; round++) {
        uint64_t count = kill_in_the_middle(&fixture->place, before + 100 + UINT64_C(371) * round);
        struct audit_report report;
        struct error error = { 0 };

        /* Sound as it lies there, and once the broker has taken it up again. */
        assert_true(count > before);
        if (!verify(fixture, STR(VECTOR_VERIFIER), &report, &error))
            fail_msg("audit_verify: %s", error.cause);
        assert_true(report.entry_count >= count);
        ledger_close(place_open(&fixture->place));
        expect_sound(fixture, report.entry_count, report.entry_count);
        before = report.entry_count;
    }
}

struct receipt_parts {
    struct str entry;
    struct str proof;
};

static struct receipt_parts get_receipt(const struct fixture *fixture, uint64_t index)
{
    struct ledger *ledger = place_open(&fixture->place);
    struct receipt_parts parts = { { 0 }, { 0 } };

    wait_receipt(ledger, index, fixture->arena, &parts.entry, &parts.proof);
    ledger_close(ledger);
    return parts;
}

static struct str receipt_json(const struct fixture *fixture, json_t *take_entry, struct str proof)
{
    JSON_OWNED json_t *receipt = json_object();

    assert_true(json_put(receipt, "entry", take_entry));
    assert_true(json_put(receipt, "proof", json_from_str(proof)));
    return json_text(fixture->arena, receipt);
}

static bool check_kept(const struct fixture *fixture, const struct str *texts, size_t count,
                       struct error *error)
{
    struct against_item items[AGAINST_MAX + 1] = { { 0 } };
    struct audit_report report;

    for (size_t i = 0; i < count; i++)
        items[i] = (struct against_item){ .name = "kept", .text = texts[i] };
    return verify_against(fixture, STR(VECTOR_VERIFIER), (struct against){ items, count, 0, 0 },
                          &report, error);
}

static bool check_receipt(const struct fixture *fixture, struct str receipt, struct error *error)
{
    return check_kept(fixture, &receipt, 1, error);
}

static void receipts_in_each_form_verify(void **state)
{
    static const unsigned count = 40;
    struct fixture *fixture = *state;
    struct receipt_parts parts;
    struct error error = { 0 };

    make_log(fixture, &count, 1);
    parts = get_receipt(fixture, 17);
    make_log(fixture, &count, 1);
    assert_true(check_receipt(fixture, parts.proof, &error));
    assert_true(check_receipt(
        fixture, receipt_json(fixture, json_from_str(parts.entry), parts.proof), &error));
    assert_true(check_receipt(
        fixture,
        receipt_json(fixture, json_loadb(parts.entry.data, parts.entry.len, 0, NULL), parts.proof),
        &error));
}

/* Several at once, of several sizes, and checkpoints beside receipts. */
static void all_that_was_kept_is_looked_at(void **state)
{
    static const unsigned count = 40;
    struct fixture *fixture = *state;
    struct str kept[AGAINST_MAX + 1] = { { 0 } };
    struct error error = { 0 };

    for (unsigned i = 0; i < 4; i++) {
        struct receipt_parts parts;

        make_log(fixture, &count, 1);
        parts = get_receipt(fixture, (uint64_t)i * 40 + 3);
        kept[2 * i] = receipt_json(fixture, json_from_str(parts.entry), parts.proof);
        assert_true(file_read(fixture->arena, place_path(&fixture->place, "store/log/checkpoint"),
                              4096, &kept[2 * i + 1], &error));
    }
    assert_true(check_kept(fixture, kept, 8, &error));
    for (size_t i = 8; i <= AGAINST_MAX; i++)
        kept[i] = kept[0];
    assert_true(check_kept(fixture, kept, AGAINST_MAX, &error));
    assert_false(check_kept(fixture, kept, AGAINST_MAX + 1, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    /* Any one of them is enough to be noticed. */
    run_shell("mv store other", &fixture->place);
    make_log(fixture, &count, 1);
    for (size_t i = 0; i < 8; i++) {
        error = (struct error){ 0 };
        assert_false(check_kept(fixture, &kept[i], 1, &error));
        assert_int_equal(error.code, ERROR_INVALID);
    }
}

static void expect_receipt_refused(const struct fixture *fixture, struct str receipt,
                                   const char *cause)
{
    struct error error = { 0 };

    if (check_receipt(fixture, receipt, &error))
        fail_msg("taken, though: %s", cause);
    if (strstr(error.cause, cause) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", cause, error.cause);
}

static void receipts_that_do_not_fit_the_log_are_refused(void **state)
{
    static const unsigned count = 40;
    static const unsigned fewer = 20;
    struct fixture *fixture = *state;
    struct receipt_parts parts;
    struct receipt_parts other;

    make_log(fixture, &count, 1);
    parts = get_receipt(fixture, 17);
    other = get_receipt(fixture, 18);
    expect_receipt_refused(fixture, receipt_json(fixture, json_from_str(other.entry), parts.proof),
                           "not of its entry");
    expect_receipt_refused(fixture, STR("{\"proof\":\"x\"}"), "expected");
    expect_receipt_refused(fixture, STR("nonsense"), "not a signed note");
    expect_receipt_refused(fixture, STR(""), "not a signed note");
    run_shell("mv store other", &fixture->place);
    make_log(fixture, &fewer, 1);
    expect_receipt_refused(fixture, parts.proof, "does not hold this entry there");
    run_shell("rm -r store && mv other store && truncate -s 4000 " SEGMENT, &fixture->place);
    expect_receipt_refused(fixture, parts.proof, "ends before");
}

static void a_receipt_of_a_replaced_log_is_refused(void **state)
{
    static const unsigned count = 40;
    static const unsigned more = 41;
    struct fixture *fixture = *state;
    struct receipt_parts parts;

    make_log(fixture, &count, 1);
    parts = get_receipt(fixture, 0);
    run_shell("mv store other", &fixture->place);
    make_log(fixture, &more, 1);
    expect_receipt_refused(fixture, receipt_json(fixture, json_from_str(parts.entry), parts.proof),
                           "another entry");
}

static void a_receipt_may_have_128_kib_and_no_more(void **state)
{
    struct fixture *fixture = *state;
    static char text[128 * 1024 + 1];
    static const unsigned count = 1;

    make_log(fixture, &count, 1);
    memset(text, 'x', sizeof(text));
    expect_receipt_refused(fixture, (struct str){ text, sizeof(text) }, "kept: more than 131072");
    expect_receipt_refused(fixture, (struct str){ text, sizeof(text) - 1 }, "note: more than");
}

int main(void)
{
#define AUDIT_TEST(function) cmocka_unit_test_setup_teardown(function, make, clean)
    const struct CMUnitTest tests[] = {
        /* First, while the process has no threads yet that a fork would leave behind. */
        AUDIT_TEST(a_log_is_sound_after_kill_9),
        AUDIT_TEST(sound_logs_of_many_sizes_verify),
        AUDIT_TEST(a_log_without_entries_is_sound),
        AUDIT_TEST(a_log_verifies_while_it_is_written),
        AUDIT_TEST(the_folders_own_key_is_not_trusted),
        AUDIT_TEST(a_changed_byte_anywhere_is_noticed),
        AUDIT_TEST(a_changed_byte_of_a_full_tile_is_noticed),
        AUDIT_TEST(missing_longer_and_shorter_tiles_are_noticed),
        AUDIT_TEST(a_log_cut_behind_its_checkpoint_is_noticed),
        AUDIT_TEST(a_log_without_its_checkpoint_is_noticed),
        AUDIT_TEST(another_brokers_log_is_noticed),
        AUDIT_TEST(a_store_that_is_not_there_is_an_error),
        AUDIT_TEST(receipts_in_each_form_verify),
        AUDIT_TEST(all_that_was_kept_is_looked_at),
        AUDIT_TEST(receipts_that_do_not_fit_the_log_are_refused),
        AUDIT_TEST(a_receipt_of_a_replaced_log_is_refused),
        AUDIT_TEST(a_receipt_may_have_128_kib_and_no_more),
    };
#undef AUDIT_TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
