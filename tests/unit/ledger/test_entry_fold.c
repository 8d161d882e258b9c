/* What entries do to marks, leases and approvals. */
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "entry_sample.h"
#include "ledger/entry.h"
#include "ledger/entry_internal.h"
#include "ledger/help.h"
#include "ledger/lease_key.h"
#include "tests/test.h"

static size_t fold(const char *text, struct store_change changes[STORE_ENTRY_CHANGES_MAX])
{
    struct error error = { 0 };
    size_t count = 0;

    if (!entry_fold(str_from(text), 0, changes, &count, &error))
        fail_msg("%s", error.cause);
    return count;
}

static void an_issued_credential_sets_its_mark_and_opens_a_lease(void **state)
{
    struct store_change changes[STORE_ENTRY_CHANGES_MAX];
    uint8_t mark[32];

    (void)state;
    assert_true(hex_decode(STR(MARK), mark));
    assert_int_equal(fold(ISSUED, changes), 2);
    assert_int_equal(changes[0].kind, STORE_SET_MARK);
    assert_memory_equal(changes[0].mark, mark, sizeof(mark));
    assert_int_equal(changes[0].expires_s, 1763805900 + ENTRY_MARK_KEPT_S);
    assert_int_equal(changes[1].kind, STORE_PUT_LEASE);
    assert_string_equal(changes[1].lease.id, ID);
    assert_memory_equal(changes[1].lease.handle, mark, STORE_HANDLE_LEN);
    assert_int_equal(changes[1].lease.state, LEASE_ISSUED);
    assert_int_equal(changes[1].lease.expires_s, 1795342500);
}

static void a_bound_token_marks_its_holder_and_its_proof(void **state)
{
    static const char token[] =
        "{\"mark\":\"" MARK "\",\"exp\":1763805900,\"holder\":\"00112233445566778899aabb\","
        "\"proof\":{\"mark\":\"" MARK "\",\"exp\":1763805700}}";
    static const uint8_t holder[] = { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55,
                                      0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb };
    JSON_OWNED json_t *entry = parse(ISSUED);
    struct store_change changes[STORE_ENTRY_CHANGES_MAX];
    struct error error = { 0 };
    size_t count = 0;

    (void)state;
    assert_true(json_put(entry, "token", json_loads(token, 0, NULL)));
    assert_true(entry_check(entry, &error));
    assert_true(entry_fold_json(entry, changes, &count, &error));
    assert_int_equal(count, 3);
    assert_memory_equal(changes[0].holder, holder, sizeof(holder));
    assert_string_equal(changes[0].lease.id, ID);
    assert_int_equal(changes[1].kind, STORE_SET_MARK);
    assert_int_equal(changes[1].expires_s, 1763805700 + ENTRY_MARK_KEPT_S);
    assert_int_equal(changes[2].kind, STORE_PUT_LEASE);
}

static void each_type_has_its_effect(void **state)
{
    static const struct {
        enum entry_type type;
        int mark; /* -1: none */
        int lease_state;
    } cases[] = {
        { ENTRY_EXCHANGE_DENIED, -1, 0 },
        { ENTRY_LEASE_REQUESTED, STORE_SET_MARK, LEASE_REQUESTED },
        { ENTRY_CREDENTIAL_ISSUED, STORE_SET_MARK, LEASE_ISSUED },
        { ENTRY_CREDENTIAL_FAILED, STORE_FREE_MARK, LEASE_FAILED },
        { ENTRY_CREDENTIAL_UNKNOWN, -1, LEASE_UNKNOWN },
        { ENTRY_LEASE_RELEASED, -1, LEASE_RELEASED },
        { ENTRY_LEASE_REVOKED, -1, LEASE_REVOKED },
        { ENTRY_LEASE_EXPIRED, -1, LEASE_EXPIRED },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        JSON_OWNED json_t *entry = entry_of_lease(cases[i].type, 1);
        struct store_change changes[STORE_ENTRY_CHANGES_MAX];
        struct error error = { 0 };
        size_t count = 0;
        size_t at = 0;

        assert_true(entry_fold_json(entry, changes, &count, &error));
        if (cases[i].mark >= 0)
            assert_int_equal(changes[at++].kind, cases[i].mark);
        if (cases[i].lease_state != 0)
            assert_int_equal(changes[at++].lease.state, cases[i].lease_state);
        assert_int_equal(count, at);
    }
}

#define NAMED "\"lease\":\"" ID "\","
#define REVOCABLE "\"credentials\":[{\"grant\":\"site\"},{\"grant\":\"db\",\"revoke\":\"now\"}],"
#define PLAIN "\"credentials\":[{\"grant\":\"site\"}],"
#define ENDS(word, seconds)                                                                        \
    "{\"expires_at\":\"2030-01-01T00:10:" seconds "Z\",\"grant\":\"a\",\"revoke\":\"" word "\"}"
#define GOES(word, lapses, seconds)                                                                \
    "{\"expires_at\":\"2030-01-01T00:10:" seconds "Z\",\"grant\":\"a\",\"lapses\":" lapses         \
    ",\"revoke\":\"" word "\"}"
#define RENEWED(credentials)                                                                       \
    "{\"credentials\":[" credentials "],\"lease\":\"" ID                                           \
    "\",\"lease_expires\":\"2030-01-01T00:10:00Z\",\"type\":\"lease.renewed\"}"

static void a_lease_owes_what_can_be_ended_until_nothing_is_pending(void **state)
{
    static const struct {
        const char *text;
        enum store_debt debt;
        bool has_credentials;
    } cases[] = {
        { "{" NAMED "\"type\":\"lease.released\"}", DEBT_STAYS, false },
        { "{" NAMED REVOCABLE "\"type\":\"credential.failed\"}", DEBT_OWED, true },
        { "{" NAMED PLAIN "\"type\":\"credential.failed\"}", DEBT_NONE, true },
        { "{" NAMED "\"type\":\"credential.failed\"}", DEBT_NONE, false },
        { "{" NAMED REVOCABLE "\"type\":\"credential.unknown\"}", DEBT_OWED, true },
        { "{" NAMED REVOCABLE "\"reason\":\"lease_ended\",\"type\":\"credential.unknown\"}",
          DEBT_OWED, true },
        { "{" NAMED PLAIN "\"reason\":\"lease_ended\",\"type\":\"credential.unknown\"}", DEBT_NONE,
          true },
        { "{" NAMED REVOCABLE "\"type\":\"lease.renewed\"}", DEBT_OWED, true },
        { "{" NAMED PLAIN "\"type\":\"lease.renewed\"}", DEBT_STAYS, true },
        { "{" NAMED REVOCABLE "\"type\":\"renewal.requested\"}", DEBT_OWED, true },
        { "{" NAMED PLAIN "\"type\":\"renewal.requested\"}", DEBT_STAYS, true },
        { "{" NAMED REVOCABLE "\"type\":\"renewal.failed\"}", DEBT_OWED, true },
        { "{" NAMED "\"credentials\":[],\"type\":\"renewal.failed\"}", DEBT_STAYS, false },
        { "{" NAMED REVOCABLE "\"type\":\"credential.revoked\"}", DEBT_NONE, false },
        { "{" NAMED "\"pending\":[],\"type\":\"credential.revoked\"}", DEBT_NONE, false },
        { "{" NAMED "\"pending\":[\"db\"],\"type\":\"credential.revoked\"}", DEBT_STAYS, false },
        { RENEWED(ENDS("list", "00")), DEBT_LAPSES, true },
        { RENEWED(ENDS("name", "00") "," ENDS("list", "00") ",{\"grant\":\"b\"}"), DEBT_LAPSES,
          true },
        { RENEWED(ENDS("list", "00") "," ENDS("now", "00")), DEBT_OWED, true },
        { RENEWED(ENDS("list", "00") "," GOES("now", "true", "00")), DEBT_LAPSES, true },
        { RENEWED(GOES("now", "false", "00")), DEBT_OWED, true },
        { RENEWED(GOES("now", "\"true\"", "00")), DEBT_OWED, true },
        { RENEWED(GOES("other", "true", "00")), DEBT_OWED, true },
        { RENEWED(GOES("now", "true", "01")), DEBT_OWED, true },                 /* outlives it */
        { RENEWED(ENDS("list", "00") "," ENDS("list", "01")), DEBT_OWED, true }, /* outlives it */
        { RENEWED("{\"grant\":\"a\",\"revoke\":\"list\"}"), DEBT_OWED, true },
        { RENEWED("{\"expires_at\":\"soon\",\"revoke\":\"list\"}"), DEBT_OWED, true },
        { RENEWED("{\"expires_at\":\"2030-01-01T00:10:00Z\",\"revoke\":1}"), DEBT_OWED, true },
        { "{\"credentials\":[" ENDS("list", "00") "]," NAMED "\"type\":\"credential.unknown\"}",
          DEBT_OWED, true }, /* who knows when the lease ends? */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct store_change changes[STORE_ENTRY_CHANGES_MAX];

        assert_int_equal(fold(cases[i].text, changes), 1);
        assert_int_equal(changes[0].kind, STORE_PUT_LEASE);
        assert_int_equal(changes[0].lease.debt, cases[i].debt);
        assert_int_equal(changes[0].lease.has_credentials, cases[i].has_credentials);
    }
}

/* Its lease stands beside the token, not as the entry's. */
static void a_token_that_was_revoked_alone_is_not_its_lease(void **state)
{
    struct store_change changes[STORE_ENTRY_CHANGES_MAX];

    (void)state;
    assert_int_equal(fold("{\"credentials\":[{\"id\":\"J1\",\"lease\":\"" ID
                          "\",\"type\":\"jwt\"}],\"type\":\"credential.revoked\"}",
                          changes),
                     0);
}

static void a_lease_that_has_ended_is_not_brought_back_by_what_comes_late(void **state)
{
    static const struct {
        const char *text;
        enum store_lease_state lease_state;
    } cases[] = {
        { "{" NAMED "\"type\":\"credential.unknown\"}", LEASE_UNKNOWN },
        { "{" NAMED "\"reason\":\"else\",\"type\":\"credential.unknown\"}", LEASE_UNKNOWN },
        { "{" NAMED "\"reason\":\"lease_ended\",\"type\":\"credential.unknown\"}", 0 },
        { "{" NAMED "\"reason\":\"lease_ended\",\"type\":\"lease.revoked\"}", LEASE_REVOKED },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct store_change changes[STORE_ENTRY_CHANGES_MAX];

        assert_int_equal(fold(cases[i].text, changes), 1);
        assert_int_equal(changes[0].lease.state, cases[i].lease_state);
    }
}

static void a_renewal_moves_a_lease_on_where_it_is(void **state)
{
    struct store_change changes[STORE_ENTRY_CHANGES_MAX];

    (void)state;
    assert_int_equal(fold("{" NAMED "\"renewal\":3,\"type\":\"lease.renewed\","
                          "\"lease_expires\":\"2026-11-22T10:15:00Z\"}",
                          changes),
                     1);
    assert_int_equal(changes[0].lease.state, 0);
    assert_int_equal(changes[0].lease.renewal, 3);
    assert_int_equal(changes[0].lease.expires_s, 1795342500);
}

/* What may be made, or came to nothing, leaves the lease as it was. */
static void a_renewal_that_is_under_way_changes_neither_number_nor_life(void **state)
{
    static const enum entry_type types[] = { ENTRY_RENEWAL_REQUESTED, ENTRY_RENEWAL_FAILED };

    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        const struct type_row *row = entry_type_row(types[i]);
        OWNED(buf_release) struct buf text = { 0 };
        struct store_change changes[STORE_ENTRY_CHANGES_MAX];

        buf_init(&text, 256);
        buf_printf(&text, "{" NAMED PLAIN "\"type\":\"%s\"}", row->name);
        assert_int_equal(fold(text.data, changes), 1);
        assert_int_equal(changes[0].lease.state, 0);
        assert_int_equal(changes[0].lease.renewal, 0);
        assert_int_equal(changes[0].lease.expires_s, 0);
        for (size_t k = 0; k < entry_member_count(); k++)
            if (strcmp(entry_member_name(k), "renewal") == 0 ||
                strcmp(entry_member_name(k), "lease_expires") == 0 ||
                strcmp(entry_member_name(k), "handle") == 0)
                assert_int_equal((row->mandatory | row->allowed) >> k & 1, 0);
    }
}

/* The token was used when the lease was opened; the proof is used now, by no lease's first entry.
 */
static void a_renewal_uses_its_proof_and_no_token(void **state)
{
    static const char *const types[] = { "renewal.requested", "lease.renewed" };

    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        OWNED(buf_release) struct buf text = { 0 };
        struct store_change changes[STORE_ENTRY_CHANGES_MAX];

        buf_init(&text, 1024);
        buf_printf(&text,
                   "{" NAMED PLAIN "\"token\":{\"mark\":\"" OTHER_MARK "\",\"exp\":1763805900,"
                   "\"proof\":{\"mark\":\"" MARK "\",\"exp\":1763805700}},\"type\":\"%s\"}",
                   types[i]);
        assert_int_equal(fold(text.data, changes), 2);
        assert_int_equal(changes[0].kind, STORE_SET_MARK);
        assert_int_equal(changes[0].expires_s, 1763805700 + ENTRY_MARK_KEPT_S);
        assert_int_equal(changes[0].mark[1], 0x11);
        assert_int_equal(changes[0].lease.id[0], '\0');
        assert_int_equal(changes[1].kind, STORE_PUT_LEASE);
    }
}

static void a_renewal_whose_proof_is_malformed_makes_no_sense(void **state)
{
    static const char *const proofs[] = { "{}", "7", "{\"mark\":\"ab\",\"exp\":1}" };

    (void)state;
    for (size_t i = 0; i < COUNT(proofs); i++) {
        OWNED(buf_release) struct buf text = { 0 };
        struct store_change changes[STORE_ENTRY_CHANGES_MAX];
        struct error error = { 0 };
        size_t count = 0;

        buf_init(&text, 1024);
        buf_printf(&text,
                   "{" NAMED PLAIN "\"token\":{\"mark\":\"" MARK
                   "\",\"exp\":1763805900,\"proof\":%s},\"type\":\"lease.renewed\"}",
                   proofs[i]);
        assert_false(entry_fold(buf_str(&text), 0, changes, &count, &error));
        assert_int_equal(error.code, ERROR_INVALID);
    }
}

static void how_a_lease_went_is_its_jobs_word(void **state)
{
    struct store_change changes[STORE_ENTRY_CHANGES_MAX];

    (void)state;
    assert_int_equal(
        fold("{" NAMED "\"outcome\":\"success\",\"type\":\"lease.released\"}", changes), 1);
    assert_int_equal(changes[0].lease.outcome, OUTCOME_SUCCESS);
    assert_int_equal(
        fold("{" NAMED "\"outcome\":\"failure\",\"type\":\"lease.released\"}", changes), 1);
    assert_int_equal(changes[0].lease.outcome, OUTCOME_FAILURE);
    assert_int_equal(
        fold("{" NAMED "\"outcome\":\"Success\",\"type\":\"lease.released\"}", changes), 1);
    assert_int_equal(changes[0].lease.outcome, OUTCOME_FAILURE);
    assert_int_equal(fold("{" NAMED "\"type\":\"lease.released\"}", changes), 1);
    assert_int_equal(changes[0].lease.outcome, OUTCOME_UNSAID);
}

#define APPROVAL_ID "01JD0000000000000000000009"

static void an_approval_is_asked_for_granted_used_and_given_back(void **state)
{
    struct store_change changes[STORE_ENTRY_CHANGES_MAX];
    const struct store_approval *approval = &changes[0].approval;

    (void)state;
    assert_int_equal(fold("{\"approval\":\"" APPROVAL_ID "\",\"digest\":\"" SHA
                          "\",\"handle\":\"" SHA "\",\"left\":2,\"token\":{\"mark\":\"" MARK
                          "\",\"exp\":1763805900},\"type\":\"approval.requested\","
                          "\"until\":\"2026-11-22T10:15:00Z\"}",
                          changes),
                     2);
    assert_int_equal(changes[0].kind, STORE_SET_MARK); /* a token asks once */
    assert_int_equal(changes[1].kind, STORE_PUT_APPROVAL);
    changes[0] = changes[1];
    assert_string_equal(approval->id, APPROVAL_ID);
    assert_int_equal(approval->state, APPROVAL_PENDING);
    assert_int_equal(approval->expires_s, 1795342500);
    assert_memory_equal(approval->digest, approval->code_sha256, 32);
    assert_int_equal(approval->digest[1], 0x11);
    assert_int_equal(fold("{\"approval\":\"" APPROVAL_ID "\",\"left\":1,"
                          "\"person\":\"0102030405060708090a0b0c\",\"type\":\"approval.granted\","
                          "\"until\":\"2026-11-22T10:15:00Z\"}",
                          changes),
                     1);
    assert_int_equal(approval->state, APPROVAL_PENDING);
    assert_int_equal(approval->people[0][11], 12);
    assert_int_equal(fold("{\"approval\":\"" APPROVAL_ID "\",\"break_glass\":true,\"left\":0,"
                          "\"type\":\"approval.granted\"}",
                          changes),
                     1);
    assert_int_equal(approval->state, APPROVAL_GRANTED);
    assert_true(approval->is_break_glass);
    assert_int_equal(
        fold("{\"approval\":\"" APPROVAL_ID "\",\"type\":\"approval.rejected\"}", changes), 1);
    assert_int_equal(approval->state, APPROVAL_REJECTED);
    assert_int_equal(
        fold("{\"approval\":\"" APPROVAL_ID "\"," NAMED "\"type\":\"credential.failed\"}", changes),
        2);
    assert_int_equal(approval->state, APPROVAL_GRANTED);
    assert_int_equal(approval->expires_s, 0);
    assert_int_equal(changes[1].kind, STORE_PUT_LEASE);
}

/* Whoever goes on with what was asked comes without the token: it is used by that, and stays so. */
static void a_token_that_asked_is_neither_used_nor_freed_again(void **state)
{
    static const char *const types[] = { "lease.requested", "credential.issued",
                                         "credential.failed" };

    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        OWNED(buf_release) struct buf text = { 0 };
        struct store_change changes[STORE_ENTRY_CHANGES_MAX];
        bool has_proof = i < 2;

        buf_init(&text, 1024);
        buf_printf(&text,
                   "{" NAMED PLAIN "\"approval\":\"" APPROVAL_ID
                   "\",\"token\":{\"asked\":true,\"mark\":\"" MARK
                   "\",\"exp\":1763805900,\"proof\":{\"mark\":\"" OTHER_MARK
                   "\",\"exp\":1763805700}},\"type\":\"%s\"}",
                   types[i]);
        assert_int_equal(fold(text.data, changes), has_proof ? 3 : 2);
        if (has_proof)
            assert_int_equal(changes[0].expires_s, 1763805700 + ENTRY_MARK_KEPT_S);
        assert_int_equal(changes[has_proof ? 1 : 0].kind, STORE_PUT_APPROVAL);
        assert_int_equal(changes[has_proof ? 1 : 0].approval.state,
                         has_proof ? APPROVAL_USED : APPROVAL_GRANTED);
    }
}

static void what_opens_a_lease_says_under_what_it_counts(void **state)
{
    JSON_OWNED json_t *entry = entry_of_lease(ENTRY_CREDENTIAL_ISSUED, 1);
    JSON_OWNED json_t *ci = json_pack("{s:s, s:s}", "run", "8123", "attempt", "2");
    struct store_change changes[STORE_ENTRY_CHANGES_MAX];
    static const uint8_t none[STORE_KEY_LEN];
    uint8_t key[STORE_KEY_LEN];
    struct lease_key_parts parts;
    struct error error = { 0 };
    size_t count = 0;

    (void)state;
    assert_true(json_put(entry, "ci", json_incref(ci)));
    assert_true(json_put(entry, "instance", json_string("17")));
    assert_true(json_put(entry, "heartbeat_s", json_integer(60)));
    assert_true(entry_fold_json(entry, changes, &count, &error));
    assert_int_equal(changes[1].lease.attempt, 2);
    assert_int_equal(changes[1].lease.heartbeat_s, 60);
    parts = (struct lease_key_parts){
        .stage = json_str(json_object_get(entry, "stage")),
        .instance = STR("17"),
        .issuer = json_str(json_object_get(entry, "issuer")),
        .ci = ci,
    };
    assert_true(lease_key(&parts, STORE_KEY_RUN, key));
    assert_memory_equal(changes[1].lease.keys[STORE_KEY_RUN], key, sizeof(key));
    assert_memory_equal(changes[1].lease.keys[STORE_KEY_COMMIT], none, sizeof(none));
    assert_memory_not_equal(changes[1].lease.keys[STORE_KEY_STAGE], none, sizeof(none));
}

static void what_names_no_lease_changes_none(void **state)
{
    struct store_change changes[STORE_ENTRY_CHANGES_MAX];

    (void)state;
    assert_int_equal(fold("{\"type\":\"broker.started\"}", changes), 0);
    assert_int_equal(fold("{\"type\":\"credential.revoked\"}", changes), 0);
    assert_int_equal(fold("{\"token\":{\"exp\":1763805900,\"mark\":\"" MARK "\"},"
                          "\"type\":\"credential.revoked\"}",
                          changes),
                     1);
    assert_int_equal(changes[0].kind, STORE_SET_MARK);
    assert_int_equal(changes[0].expires_s, 1763805900 + ENTRY_MARK_KEPT_S);
    assert_int_equal(fold("{\"type\":\"credential.failed\",\"lease\":\"" ID "\"}", changes), 1);
    assert_int_equal(changes[0].lease.expires_s, 0);
}

static void entries_that_make_no_sense_stop_the_fold(void **state)
{
    static const char *const texts[] = {
        "",
        "x",
        "[]",
        "{}",
        "{\"type\":7}",
        "{\"type\":\"credential.stolen\"}",
        "{\"type\":\"credential.issued\",\"lease\":\"" ID "\"}",
        "{\"type\":\"lease.requested\",\"token\":{\"mark\":\"00\",\"exp\":1}}",
        "{\"type\":\"lease.released\",\"lease\":\"short\"}",
        "{\"type\":\"lease.released\",\"lease\":\"" ID "\",\"handle\":\"x\"}",
        "{\"type\":\"lease.released\",\"lease\":\"" ID "\",\"lease_expires\":\"x\"}",
        "{\"type\":\"broker.started\",\"type\":\"broker.started\"}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct store_change changes[STORE_ENTRY_CHANGES_MAX];
        struct error error = { 0 };
        size_t count = 0;

        if (entry_fold(str_from(texts[i]), 0, changes, &count, &error))
            fail_msg("\"%s\" was folded", texts[i]);
        assert_int_equal(error.code, ERROR_INVALID);
    }
}

/* The token of an observation sets no mark: it was only looked at. */
static void an_observation_changes_nothing(void **state)
{
    static const char text[] =
        HEAD("exchange.observed") ",\"decision\":\"01JD4ZK8QX2V7N5M3B6C9F1G0H\",\"outcome\":"
                                  "\"denied\",\"shadow\":{},\"token\":"
                                  "{\"exp\":1763805900,\"mark\":"
                                  "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd"
                                  "ef\"}}";
    struct store_change changes[STORE_ENTRY_CHANGES_MAX];
    struct error error = { 0 };
    size_t count = 1;

    (void)state;
    assert_true(entry_fold(STR(text), 0, changes, &count, &error));
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_issued_credential_sets_its_mark_and_opens_a_lease),
        cmocka_unit_test(a_bound_token_marks_its_holder_and_its_proof),
        cmocka_unit_test(each_type_has_its_effect),
        cmocka_unit_test(a_lease_owes_what_can_be_ended_until_nothing_is_pending),
        cmocka_unit_test(a_token_that_was_revoked_alone_is_not_its_lease),
        cmocka_unit_test(a_lease_that_has_ended_is_not_brought_back_by_what_comes_late),
        cmocka_unit_test(a_renewal_moves_a_lease_on_where_it_is),
        cmocka_unit_test(a_renewal_that_is_under_way_changes_neither_number_nor_life),
        cmocka_unit_test(a_renewal_uses_its_proof_and_no_token),
        cmocka_unit_test(a_renewal_whose_proof_is_malformed_makes_no_sense),
        cmocka_unit_test(how_a_lease_went_is_its_jobs_word),
        cmocka_unit_test(an_approval_is_asked_for_granted_used_and_given_back),
        cmocka_unit_test(a_token_that_asked_is_neither_used_nor_freed_again),
        cmocka_unit_test(what_opens_a_lease_says_under_what_it_counts),
        cmocka_unit_test(what_names_no_lease_changes_none),
        cmocka_unit_test(entries_that_make_no_sense_stop_the_fold),
        cmocka_unit_test(an_observation_changes_nothing),
    };

    return cmocka_run_group_tests(tests, arena_make, arena_clean);
}
