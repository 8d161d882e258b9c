/* What exists at a target and no lease owns. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "ender_world.h"
#include "exchange/sweeper.h"

static void let_exist(const char *lease, const char *id)
{
    struct exists *exists;

    (void)pthread_mutex_lock(&lock);
    exists = &seen.existing[seen.existing_count++];
    (void)snprintf(exists->lease, sizeof(exists->lease), "%s", lease);
    (void)snprintf(exists->id, sizeof(exists->id), "%s", id);
    (void)pthread_mutex_unlock(&lock);
}

/* Two whole looks from now on: what the first one finds is recorded by the end of it. */
static void await_looks(struct world *world)
{
    size_t looks;

    (void)pthread_mutex_lock(&lock);
    looks = seen.sweep_count;
    (void)pthread_mutex_unlock(&lock);
    wait_for(world->ender, &seen.sweep_count, looks + 3, 60);
}

static json_t *last_of_type(struct world *world, const char *type)
{
    for (uint64_t i = ledger_size(world->ledger); i > 0; i--) {
        json_t *entry = entry_at(world, i - 1);

        if (strcmp(text_of(entry, "type"), type) == 0)
            return entry;
    }
    return NULL;
}

static void what_no_lease_owns_is_recorded_once(void **state)
{
    struct world *world = *state;
    json_t *entry;

    let_exist("01000000000000000000000009", "lost");
    wait_for(world->ender, &seen.orphan_count, 1, 60);
    await_looks(world);
    assert_int_equal(seen.orphan_count, 1);
    assert_int_equal(seen.call_count, 0); /* only told */
    entry = last_of_type(world, "orphan.found");
    assert_string_equal(text_of(entry, "target"), "swept");
    assert_string_equal(text_of(entry, "lease"), "01000000000000000000000009");
    entry = json_array_get(json_object_get(entry, "credentials"), 0);
    assert_string_equal(text_of(entry, "id"), "lost");
}

static void it_is_not_recorded_again_by_who_starts_later(void **state)
{
    struct world *world = *state;

    let_exist("01000000000000000000000009", "lost");
    wait_for(world->ender, &seen.orphan_count, 1, 60);
    world_stop(world);
    world_start(world);
    await_looks(world);
    assert_int_equal(seen.orphan_count, 1);
}

static void what_leases_own_is_left(void **state)
{
    struct world *world = *state;
    char id[ID_LEN + 1];

    set_mode(TARGET_DB, MODE_FAILS);
    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 1, "db");
    (void)append_lease(world, ENTRY_CREDENTIAL_ISSUED, 2, "db");
    release(world, 2);
    id_of(1, id);
    let_exist(id, "lives");
    id_of(2, id);
    let_exist(id, "is owed");
    wait_for(world->ender, &seen.sweep_count, 1,
             31); /* the first look; both leases are as they were */
    wait_for(world->ender, &seen.not_revoked_count, 1, 0);
    assert_int_equal(seen.orphan_count, 0);
}

static void what_was_made_a_moment_ago_is_left(void **state)
{
    struct world *world = *state;
    struct error error = { 0 };
    char id[ID_LEN + 1];

    assert_true(id_new(clock_wall_ms(), id, &error));
    let_exist(id, "new");
    wait_for(world->ender, &seen.sweep_count, 1, 31);
    assert_int_equal(seen.orphan_count, 0);
    wait_for(world->ender, &seen.orphan_count, 1, 300); /* now it is old */
}

static void orphans_are_ended_where_that_is_configured(void **state)
{
    struct world *world = *state;
    json_t *entry;

    targets[TARGET_SWEPT].removes_orphans = true;
    let_exist("01000000000000000000000009", "lost");
    wait_for(world->ender, &seen.call_count, 1, 60);
    (void)pthread_mutex_lock(&lock);
    seen.existing_count = 0;
    (void)pthread_mutex_unlock(&lock);
    await_looks(world);
    assert_string_equal(seen.calls[0].id, "lost");
    entry = last_of_type(world, "credential.revoked");
    assert_string_equal(text_of(entry, "lease"), "01000000000000000000000009");
    entry = json_array_get(json_object_get(entry, "credentials"), 0);
    assert_string_equal(text_of(entry, "ended"), "revoked");
}

static bool has_waiting(enum which_target target, size_t wanted)
{
    bool has;

    (void)pthread_mutex_lock(&lock);
    has = seen.fakes[target].waiting_count == wanted;
    (void)pthread_mutex_unlock(&lock);
    return has;
}

/* A lease that is over, and owes nothing. */
static void end_without_debt(struct world *world, unsigned number)
{
    (void)append_with(world, new_entry(ENTRY_CREDENTIAL_ISSUED, number), json_object());
    release(world, number);
    clock_test_advance(SWEEP_GRACE_S + 1);
    assert_int_equal(look_up(world, number).debt, DEBT_NONE);
}

/* What came of its mint is recorded while the orphan is removed: that is owed still. */
static void a_lease_that_comes_to_owe_meanwhile_owes_on(void **state)
{
    struct world *world = *state;
    char id[ID_LEN + 1];

    end_without_debt(world, 1);
    id_of(1, id);
    targets[TARGET_SWEPT].removes_orphans = true;
    set_mode(TARGET_DB, MODE_FAILS);
    set_mode(TARGET_SWEPT, MODE_HANGS);
    let_exist(id, "lost");
    wait_for(world->ender, &seen.call_count, 1, 60);
    assert_true(has_waiting(TARGET_SWEPT, 1));
    (void)append_lease(world, ENTRY_CREDENTIAL_UNKNOWN, 1, "db");
    wait_for(world->ender, &seen.not_revoked_count, 1, 0);
    (void)pthread_mutex_lock(&lock);
    seen.existing_count = 0;
    (void)pthread_mutex_unlock(&lock);
    let_go(TARGET_SWEPT);
    await_looks(world);
    assert_int_equal(look_up(world, 1).debt, DEBT_OWED);
    assert_null(last_of_type(world, "credential.revoked"));
    set_mode(TARGET_DB, MODE_GOOD);
    wait_for(world->ender, &seen.revoked_count, 1, 60);
    assert_int_equal(look_up(world, 1).debt, DEBT_NONE);
}

/* It changes, but owes nothing: that the orphan is gone is told of it as it is then. */
static void what_was_removed_is_told_of_a_lease_that_moved_on(void **state)
{
    struct world *world = *state;
    const json_t *entry;
    char id[ID_LEN + 1];

    end_without_debt(world, 1);
    id_of(1, id);
    targets[TARGET_SWEPT].removes_orphans = true;
    set_mode(TARGET_SWEPT, MODE_HANGS);
    let_exist(id, "lost");
    wait_for(world->ender, &seen.call_count, 1, 60);
    (void)append_with(world, new_entry(ENTRY_CREDENTIAL_UNKNOWN, 1), json_object());
    (void)pthread_mutex_lock(&lock);
    seen.existing_count = 0;
    (void)pthread_mutex_unlock(&lock);
    let_go(TARGET_SWEPT);
    await_looks(world);
    entry = last_of_type(world, "credential.revoked");
    assert_non_null(entry);
    assert_string_equal(text_of(entry, "lease"), id);
    assert_int_equal(seen.failed_count, 0);
}

static void a_target_that_cannot_be_looked_through_is_told(void **state)
{
    struct world *world = *state;

    set_mode(TARGET_SWEPT, MODE_FAILS);
    let_exist("01000000000000000000000009", "lost");
    wait_for(world->ender, &seen.failed_count, 2, 60);
    assert_string_equal(seen.last_cause, "the target is down");
    assert_int_equal(seen.orphan_count, 0);
    set_mode(TARGET_SWEPT, MODE_GOOD);
    wait_for(world->ender, &seen.orphan_count, 1, 60);
}

static void only_some_orphans_are_recorded_at_a_time(void **state)
{
    struct world *world = *state;
    char id[16];

    for (unsigned i = 0; i < 60; i++) {
        (void)snprintf(id, sizeof(id), "lost-%u", i);
        let_exist("01000000000000000000000009", id);
    }
    wait_for(world->ender, &seen.orphan_count, SWEEP_ORPHANS_MAX, 31);
    assert_int_equal(seen.orphan_count, SWEEP_ORPHANS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENDER(what_no_lease_owns_is_recorded_once),
        WITH_ENDER(it_is_not_recorded_again_by_who_starts_later),
        WITH_ENDER(what_leases_own_is_left),
        WITH_ENDER(what_was_made_a_moment_ago_is_left),
        WITH_ENDER(orphans_are_ended_where_that_is_configured),
        WITH_ENDER(a_lease_that_comes_to_owe_meanwhile_owes_on),
        WITH_ENDER(what_was_removed_is_told_of_a_lease_that_moved_on),
        WITH_ENDER(a_target_that_cannot_be_looked_through_is_told),
        WITH_ENDER(only_some_orphans_are_recorded_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
