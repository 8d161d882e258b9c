/* What a lease that has ended owes: what is asked of whom, and what is recorded of it. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "ender_world.h"

static void a_target_that_is_down_is_tried_until_it_is_done(void **state)
{
    struct world *world = *state;
    uint64_t size;

    set_mode(TARGET_DB, MODE_FAILS);
    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "db");
    release(world, 1);
    size = ledger_size(world->ledger);
    wait_for(world->ender, &seen.not_revoked_count, 4, 60);
    assert_string_equal(seen.last_cause, "the target is down");
    assert_int_equal(ledger_size(world->ledger), size); /* failures fill no ledger */
    assert_int_equal(look_up(world, 1).debt, DEBT_OWED);
    set_mode(TARGET_DB, MODE_GOOD);
    wait_for(world->ender, &seen.revoked_count, 1, 60);
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
}

static void what_is_pending_is_named_and_only_that_is_tried(void **state)
{
    struct world *world = *state;
    json_t *entry = new_entry(ENTRY_CREDENTIAL_ISSUED, 1);
    json_t *part = json_object();
    const json_t *item;

    add_credential(world, entry, part, 1, "good", "other", "fake");
    add_credential(world, entry, part, 1, "bad", "db", "fake");
    (void)append_with(world, entry, part);
    set_mode(TARGET_DB, MODE_FAILS);
    release(world, 1);
    wait_for(world->ender, &seen.revoked_count, 1, 0);
    entry = entry_at(world, look_up(world, 1).latest_index);
    assert_int_equal(list_len(entry, "credentials"), 1);
    assert_int_equal(list_len(entry, "pending"), 1);
    item = json_array_get(json_object_get(entry, "pending"), 0);
    assert_string_equal(text_of(item, "grant"), "bad");
    assert_string_equal(text_of(item, "target"), "db");
    assert_int_equal(look_up(world, 1).debt, DEBT_OWED);
    set_mode(TARGET_DB, MODE_GOOD);
    seen.call_count = 0;
    wait_for(world->ender, &seen.revoked_count, 2, 60);
    for (size_t i = 0; i < seen.call_count; i++)
        assert_string_equal(seen.calls[i].grant, "bad");
    entry = entry_at(world, look_up(world, 1).latest_index);
    assert_null(json_object_get(entry, "pending"));
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
}

static void what_is_gone_by_itself_is_not_asked_for(void **state)
{
    struct world *world = *state;
    json_t *entry;

    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "passing");
    clock_test_advance(LIFE_S + 1);
    ender_nudge(world->ender);
    wait_for(world->ender, &seen.revoked_count, 1, 0);
    assert_int_equal(seen.call_count, 0);
    assert_int_equal(seen.ended_count, 0); /* nothing is left to do: no entry of its expiry */
    entry = entry_at(world, look_up(world, 1).latest_index);
    entry = json_array_get(json_object_get(entry, "credentials"), 0);
    assert_string_equal(text_of(entry, "ended"), "expired");
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
}

/* By the store's clock it lives still. */
static void by_a_clock_that_is_ahead_nothing_is_gone(void **state)
{
    struct world *world = *state;
    json_t *entry;

    seen.ahead_s = LIFE_S + 1;
    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "passing");
    clock_test_advance(seen.ahead_s);
    ender_nudge(world->ender);
    wait_for(world->ender, &seen.revoked_count, 1, 0);
    assert_int_equal(seen.call_count, 1);
    entry = entry_at(world, look_up(world, 1).latest_index);
    entry = json_array_get(json_object_get(entry, "credentials"), 0);
    assert_string_equal(text_of(entry, "ended"), "revoked");
}

static void it_is_asked_for_before_that(void **state)
{
    struct world *world = *state;

    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "passing");
    release(world, 1);
    wait_for(world->ender, &seen.revoked_count, 1, 0);
    assert_int_equal(seen.call_count, 1);
}

/* Leases 1 to `count` have expired; one more expires after them, which takes two entries. */
static void expect_no_more_entries(struct world *world, unsigned count, size_t revoked)
{
    int64_t oldest_s = 0;
    uint64_t size;

    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, count + 1, "db");
    size = ledger_size(world->ledger);
    clock_test_advance(LIFE_S + 1);
    ender_nudge(world->ender);
    wait_for(world->ender, &seen.revoked_count, revoked + 1, 0);
    assert_int_equal(ledger_size(world->ledger), size + 2);
    assert_int_equal(ledger_owed_count(world->ledger, &oldest_s), 0);
    assert_int_equal(ledger_live_lease_count(world->ledger), 0);
}

static void what_lapses_takes_no_entry(void **state)
{
    struct world *world = *state;
    const unsigned count = 100;

    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 1; i <= count; i++)
            (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, round * 200 + i, "listed");
        if (round == 1)
            world_stop(world);
        clock_test_advance(LIFE_S + 1);
        if (round == 1)
            world_start(world);
        expect_no_more_entries(world, round * 200 + count, round);
        for (unsigned i = 1; i <= count; i++)
            assert_int_equal(look_up(world, round * 200 + i).version, 1);
    }
    assert_int_equal(seen.call_count, 2); /* of "db" */
    assert_int_equal(seen.ended_count, 2);
}

static void what_is_released_before_it_lapses_does(void **state)
{
    struct world *world = *state;
    json_t *entry;

    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "listed");
    release(world, 1);
    wait_for(world->ender, &seen.revoked_count, 1, 0);
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
    entry = entry_at(world, look_up(world, 1).latest_index);
    entry = json_array_get(json_object_get(entry, "credentials"), 0);
    assert_string_equal(text_of(entry, "ended"), "revoked");
}

static void what_could_not_be_ended_before_it_lapsed_is_over(void **state)
{
    struct world *world = *state;
    int64_t oldest_s = 0;

    set_mode(TARGET_LISTED, MODE_FAILS);
    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "listed");
    release(world, 1);
    wait_for(world->ender, &seen.not_revoked_count, 1, 0);
    assert_int_equal(ledger_owed_count(world->ledger, &oldest_s), 1);
    clock_test_advance(LIFE_S + 1);
    expect_no_more_entries(world, 1, 0);
    assert_int_equal(look_up(world, 1).version, 2);
}

/* What was minted first, and what a renewal added. */
static void credentials_of_renewals_are_ended_too(void **state)
{
    struct world *world = *state;
    uint64_t first = append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "db");
    json_t *entry = new_entry(ENTRY_LEASE_RENEWED, 1);
    json_t *part = json_object();

    assert_true(json_put(entry, "renewal", json_integer(1)));
    assert_true(json_put(entry, "renews", json_integer((json_int_t)first)));
    (void)json_object_del(entry, "token");
    add_credential(world, entry, part, 1, "again", "other", "fake");
    (void)append_with(world, entry, part);
    release(world, 1);
    wait_for(world->ender, &seen.revoked_count, 1, 0);
    assert_int_equal(seen.call_count, 2);
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
}

#define CERTIFICATES 63
#define CERTIFICATES_AN_ENTRY 9

/* As many as are renewed in a while: with `ca`, by which lists find them. */
static void add_certificates(struct world *world, json_t *entry, json_t *part, unsigned first)
{
    for (unsigned i = 0; i < CERTIFICATES_AN_ENTRY; i++) {
        json_t *list = json_object_get(entry, "credentials");
        json_t *credential;
        char grant[16];

        (void)snprintf(grant, sizeof(grant), "g%02u", first + i);
        add_credential(world, entry, part, 1, grant, "db", "fake");
        credential = json_array_get(list, json_array_size(list) - 1);
        assert_true(
            json_put(credential, "ca", json_string("5f0c1e6fd5b6a7c8d9e0f1a2b3c4d5e6f7a8b9c0")));
        assert_true(json_put(credential, "fingerprint", json_string("0123456789abcdef")));
    }
}

static void note_listed(struct world *world, const json_t *entry, bool listed[CERTIFICATES])
{
    const json_t *list = json_object_get(entry, "credentials");

    (void)world;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *grant = text_of(json_array_get(list, i), "grant");
        size_t number = (size_t)(grant[1] - '0') * 10 + (size_t)(grant[2] - '0');

        assert_true(number < CERTIFICATES);
        assert_false(listed[number]); /* once */
        listed[number] = true;
        assert_non_null(text_of(json_array_get(list, i), "ca"));
        assert_non_null(text_of(json_array_get(list, i), "expires_at"));
        assert_null(text_of(json_array_get(list, i), "fingerprint"));
    }
}

/* Lists of revoked certificates follow from entries: none of them may be left out of all. */
static void every_certificate_stands_in_an_entry(void **state)
{
    struct world *world = *state;
    bool listed[CERTIFICATES] = { false };
    uint64_t last = 0;
    uint64_t end;

    for (unsigned i = 0; i < CERTIFICATES; i += CERTIFICATES_AN_ENTRY) {
        json_t *entry = new_entry(i == 0 ? ENTRY_CREDENTIAL_ISSUED : ENTRY_LEASE_RENEWED, 1);
        json_t *part = json_object();

        if (i > 0) {
            assert_true(json_put(entry, "renewal", json_integer((json_int_t)i)));
            assert_true(json_put(entry, "renews", json_integer((json_int_t)last)));
            (void)json_object_del(entry, "token");
        }
        add_certificates(world, entry, part, i);
        last = append_with(world, entry, part);
    }
    release(world, 1);
    wait_for(world->ender, &seen.revoked_count, 2, 2);
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
    end = ledger_size(world->ledger);
    for (uint64_t index = last + 1; index < end; index++)
        if (strcmp(text_of(entry_at(world, index), "type"), "credential.revoked") == 0)
            note_listed(world, entry_at(world, index), listed);
    for (size_t i = 0; i < CERTIFICATES; i++)
        if (!listed[i])
            fail_msg("certificate %zu stands in no entry", i);
}

static void a_target_that_is_gone_is_waited_for(void **state)
{
    struct world *world = *state;
    json_t *entry = new_entry(ENTRY_CREDENTIAL_ISSUED, 1);
    json_t *part = json_object();

    add_credential(world, entry, part, 1, "db", "no-more", "fake");
    (void)append_with(world, entry, part);
    release(world, 1);
    wait_for(world->ender, &seen.not_revoked_count, 2, 60);
    assert_non_null(strstr(seen.last_cause, "not configured"));
    assert_int_equal(look_up(world, 1).debt, DEBT_OWED);
    assert_int_equal(seen.call_count, 0);
}

static void a_target_of_another_kind_is_not_asked(void **state)
{
    struct world *world = *state;
    json_t *entry = new_entry(ENTRY_CREDENTIAL_ISSUED, 1);
    json_t *part = json_object();

    add_credential(world, entry, part, 1, "db", "db", "postgres");
    (void)append_with(world, entry, part);
    release(world, 1);
    wait_for(world->ender, &seen.not_revoked_count, 1, 0);
    assert_non_null(strstr(seen.last_cause, "another kind"));
    assert_int_equal(seen.call_count, 0);
}

static void a_handle_of_somebody_else_is_not_used(void **state)
{
    struct world *world = *state;
    json_t *entry = new_entry(ENTRY_CREDENTIAL_ISSUED, 1);
    json_t *part = json_object();
    JSON_OWNED json_t *other = json_pack("{s:[]}", "credentials");
    JSON_OWNED json_t *own = json_object();

    add_credential(world, other, part, 2, "db", "db", "fake");
    add_credential(world, entry, own, 1, "db", "db", "fake");
    (void)append_with(world, entry, part);
    release(world, 1);
    wait_for(world->ender, &seen.not_revoked_count, 1, 0);
    assert_non_null(strstr(seen.last_cause, "does not open"));
    assert_int_equal(seen.call_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENDER(a_target_that_is_down_is_tried_until_it_is_done),
        WITH_ENDER(what_is_pending_is_named_and_only_that_is_tried),
        WITH_ENDER(what_is_gone_by_itself_is_not_asked_for),
        WITH_ENDER(by_a_clock_that_is_ahead_nothing_is_gone),
        WITH_ENDER(it_is_asked_for_before_that),
        WITH_ENDER(what_lapses_takes_no_entry),
        WITH_ENDER(what_is_released_before_it_lapses_does),
        WITH_ENDER(what_could_not_be_ended_before_it_lapsed_is_over),
        WITH_ENDER(credentials_of_renewals_are_ended_too),
        WITH_ENDER(every_certificate_stands_in_an_entry),
        WITH_ENDER(a_target_that_is_gone_is_waited_for),
        WITH_ENDER(a_target_of_another_kind_is_not_asked),
        WITH_ENDER(a_handle_of_somebody_else_is_not_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
