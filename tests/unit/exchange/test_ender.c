/* Leases end, by whoever, and what they owe is ended: once each, whatever else hangs. */
#include <pthread.h>

#include "base/clock.h"
#include "base/json.h"
#include "ender_world.h"

static void what_a_released_lease_owes_is_ended(void **state)
{
    struct world *world = *state;
    json_t *entry;

    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "db");
    release(world, 1);
    wait_for(world->ender, &seen.revoked_count, 1, 0);
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
    assert_int_equal(seen.call_count, 1);
    assert_string_equal(seen.calls[0].id, "db-id");
    assert_string_equal(seen.calls[0].secret, "db-secret");
    entry = entry_at(world, look_up(world, 1).latest_index);
    assert_string_equal(text_of(entry, "type"), "credential.revoked");
    assert_int_equal(list_len(entry, "credentials"), 1);
    assert_null(json_object_get(entry, "pending"));
    entry = json_array_get(json_object_get(entry, "credentials"), 0);
    assert_string_equal(text_of(entry, "id"), "db-id");
    assert_string_equal(text_of(entry, "ended"), "revoked");
    assert_null(json_object_get(entry, "secret"));
}

static void a_lease_that_lives_owes_nothing_yet(void **state)
{
    struct world *world = *state;

    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "db");
    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 2, "db");
    release(world, 2);
    wait_for(world->ender, &seen.revoked_count, 1, 0);
    assert_int_equal(seen.call_count, 1);
    assert_int_equal(look_up(world, 1).state, LEASE_ISSUED);
}

static void it_is_tried_again_after_a_restart(void **state)
{
    struct world *world = *state;

    set_mode(TARGET_DB, MODE_FAILS);
    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "db");
    release(world, 1);
    wait_for(world->ender, &seen.not_revoked_count, 1, 0);
    world_stop(world);
    set_mode(TARGET_DB, MODE_GOOD);
    world_start(world);
    wait_for(world->ender, &seen.revoked_count, 1, 0);
    assert_string_equal(seen.calls[seen.call_count - 1].secret, "db-secret");
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
}

static void a_target_that_hangs_holds_up_no_other(void **state)
{
    struct world *world = *state;
    const unsigned hanging = 100;

    set_mode(TARGET_DB, MODE_HANGS);
    for (unsigned i = 1; i <= hanging; i++) {
        (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, i, "db");
        release(world, i);
    }
    wait_for(world->ender, &seen.call_count, 4, 0);
    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, hanging + 1, "other");
    release(world, hanging + 1);
    wait_for(world->ender, &seen.revoked_count, 1, 0);
    assert_int_equal(look_up(world, hanging + 1).debt, DEBT_NONE);
    assert_int_equal(look_up(world, 1).debt, DEBT_OWED);
    assert_int_equal(seen.call_count, 5); /* four at a time, and that one */
    let_go(TARGET_DB);
    wait_for(world->ender, &seen.revoked_count, hanging + 1, 5);
    for (unsigned i = 1; i <= hanging; i++)
        assert_int_equal(look_up(world, i).debt, DEBT_NONE);
}

static void silence_ends_a_lease(void **state)
{
    struct world *world = *state;
    json_t *entry = new_entry(ENTRY_CREDENTIAL_ISSUED, 1);
    json_t *part = json_object();

    assert_true(json_put(entry, "heartbeat_s", json_integer(60)));
    add_credential(world, entry, part, 1, "db", "db", "fake");
    (void)append_with(world, entry, part);
    clock_test_advance(2 * 60);
    ender_nudge(world->ender);
    wait_for(world->ender, &seen.ended_count, 1, 20);
    wait_for(world->ender, &seen.revoked_count, 1, 0);
    assert_int_equal(look_up(world, 1).state, LEASE_REVOKED);
    entry = entry_at(world, look_up(world, 1).latest_index - 1);
    assert_string_equal(text_of(entry, "type"), "lease.revoked");
    assert_string_equal(text_of(entry, "reason"), "silence");
    assert_string_equal(text_of(entry, "stage"), "acme/payments:deploy-prod");
}

static void what_an_expired_lease_owes_is_ended(void **state)
{
    struct world *world = *state;

    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "db");
    clock_test_advance(LIFE_S + 1);
    ender_nudge(world->ender);
    wait_for(world->ender, &seen.revoked_count, 1, 0);
    assert_int_equal(look_up(world, 1).state, LEASE_EXPIRED);
    assert_int_equal(seen.call_count, 1);
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
}

static void a_lease_that_was_left_becomes_unknown(void **state)
{
    struct world *world = *state;
    json_t *entry = new_entry(ENTRY_LEASE_REQUESTED, 1);

    assert_int_equal(json_array_append_new(json_object_get(entry, "credentials"),
                                           json_pack("{s:s,s:s,s:s,s:s}", "grant", "db", "type",
                                                     "fake", "target", "db", "revoke", "now")),
                     0);
    (void)append_with(world, entry, json_object());
    clock_test_advance(LEASE_REQUESTED_MAX_S + 1);
    ender_nudge(world->ender);
    wait_for(world->ender, &seen.revoked_count, 1, 0);
    assert_int_equal(look_up(world, 1).state, LEASE_UNKNOWN);
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
    assert_string_equal(seen.calls[0].id, "");
    assert_string_equal(seen.calls[0].secret, "");
}

static void what_was_made_before_a_failure_is_ended_at_once(void **state)
{
    struct world *world = *state;

    (void)append_with(world, new_entry(ENTRY_LEASE_REQUESTED, 1), json_object());
    (void)append_lease(world, ENTRY_CREDENTIAL_FAILED, 1, "db");
    ender_nudge(world->ender);
    wait_for(world->ender, &seen.revoked_count, 1, 0);
    assert_string_equal(seen.calls[0].secret, "db-secret");
    assert_int_equal(look_up(world, 1).state, LEASE_FAILED);
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
}

static void *stop_ender(void *context)
{
    struct world *world = context;

    ender_stop(world->ender);
    return NULL;
}

static void it_stops_once_what_was_asked_is_answered(void **state)
{
    struct world *world = *state;
    pthread_t thread;

    set_mode(TARGET_DB, MODE_HANGS);
    for (unsigned i = 1; i <= 8; i++) {
        (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, i, "db");
        release(world, i);
    }
    wait_for(world->ender, &seen.call_count, 4, 0);
    assert_int_equal(pthread_create(&thread, NULL, stop_ender, world), 0);
    let_go(TARGET_DB);
    assert_int_equal(pthread_join(thread, NULL), 0);
    start_ender(world);
    wait_for(world->ender, &seen.revoked_count, 8, 5);
    for (unsigned i = 1; i <= 8; i++)
        assert_int_equal(look_up(world, i).debt, DEBT_NONE);
}

static void many_leases_are_settled_once_each(void **state)
{
    struct world *world = *state;
    const unsigned many = 600;

    for (unsigned i = 1; i <= many; i++) {
        (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, i, i % 2 == 0 ? "db" : "other");
        release(world, i);
    }
    wait_for(world->ender, &seen.revoked_count, many, 5);
    assert_int_equal(seen.call_count, many);
    assert_int_equal(seen.failed_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENDER(what_a_released_lease_owes_is_ended),
        WITH_ENDER(a_lease_that_lives_owes_nothing_yet),
        WITH_ENDER(it_is_tried_again_after_a_restart),
        WITH_ENDER(a_target_that_hangs_holds_up_no_other),
        WITH_ENDER(silence_ends_a_lease),
        WITH_ENDER(what_an_expired_lease_owes_is_ended),
        WITH_ENDER(a_lease_that_was_left_becomes_unknown),
        WITH_ENDER(what_was_made_before_a_failure_is_ended_at_once),
        WITH_ENDER(it_stops_once_what_was_asked_is_answered),
        WITH_ENDER(many_leases_are_settled_once_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
