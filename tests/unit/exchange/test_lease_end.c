#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "end_now.h"
#include "ledger/help.h"
#include "tests/test.h"

#define DECISION "01J00000000000000000000000"
#define ARENA_MAX ((size_t)1024 * 1024)
#define ENDERS 40

struct world {
    struct place place;
    struct ledger *ledger;
    struct arena *arena;
};

static int make(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    place_make(&world->place);
    world->ledger = place_open(&world->place);
    world->arena = arena_new(ARENA_MAX);
    assert_non_null(world->arena);
    *state = world;
    return 0;
}

static int clean(void **state)
{
    struct world *world = *state;

    arena_free(world->arena);
    ledger_close(world->ledger);
    place_remove(&world->place);
    free(world);
    return 0;
}

static struct store_lease look_up(struct world *world, unsigned number)
{
    return lease_of(world->ledger, number);
}

static struct store_lease open_lease(struct world *world, unsigned number)
{
    json_t *entry = entry_issued(number);

    assert_true(json_put(entry, "owner", json_string("payments@acme.example")));
    assert_true(json_put(entry, "claims", json_object()));
    (void)append_one(world->ledger, entry);
    return look_up(world, number);
}

static struct lease_end end_of(struct world *world, struct store_lease lease, enum entry_type type)
{
    return (struct lease_end){
        .ledger = world->ledger,
        .lease = lease,
        .ending = { .type = type, .decision = DECISION },
        .arena = world->arena,
    };
}

static json_t *read_entry(struct world *world, uint64_t index)
{
    struct error error = { 0 };
    json_t *entry = NULL;
    struct str text;

    assert_true(ledger_entry(world->ledger, index, world->arena, &text, &error));
    assert_true(entry_parse(text, &entry, &error));
    return entry;
}

static void expect_text(const json_t *entry, const char *name, const char *expected)
{
    assert_string_equal(json_string_value(json_object_get(entry, name)), expected);
}

static void a_release_takes_over_what_opened_the_lease(void **state)
{
    struct world *world = *state;
    struct lease_end end = end_of(world, open_lease(world, 1), ENTRY_LEASE_RELEASED);
    struct error error = { 0 };
    JSON_OWNED json_t *entry = NULL;

    end.ending.outcome = "success";
    assert_true(lease_end_now(&end, &error));
    assert_true(end.is_recorded);
    assert_int_equal(look_up(world, 1).state, LEASE_RELEASED);
    entry = read_entry(world, end.append.first_index);
    expect_text(entry, "type", "lease.released");
    expect_text(entry, "outcome", "success");
    expect_text(entry, "stage", "acme/payments:deploy-prod");
    expect_text(entry, "owner", "payments@acme.example");
    expect_text(entry, "decision", DECISION);
    assert_null(json_object_get(entry, "claims"));
    assert_null(json_object_get(entry, "handle"));
    assert_null(json_object_get(entry, "reason"));
}

static void who_revokes_and_why_stand_in_the_entry(void **state)
{
    struct world *world = *state;
    struct lease_end end = end_of(world, open_lease(world, 1), ENTRY_LEASE_REVOKED);
    JSON_OWNED json_t *actor = json_pack("{s:s}", "issuer", "people");
    JSON_OWNED json_t *part =
        json_pack("{s:{s:s,s:s}}", "actor.subject", "salt", "c2FsdA", "value", "alice");
    struct str text;
    struct str kept;
    struct error error = { 0 };
    JSON_OWNED json_t *entry = NULL;

    end.ending.reason = "operator";
    end.ending.block = DECISION;
    end.ending.actor = actor;
    end.ending.private_part = part;
    assert_true(lease_end_now(&end, &error));
    assert_true(end.is_recorded);
    entry = read_entry(world, end.append.first_index);
    expect_text(entry, "reason", "operator");
    expect_text(entry, "block", DECISION);
    assert_true(json_equal(json_object_get(entry, "actor"), actor));
    assert_true(ledger_entry_with_private(world->ledger, end.append.first_index, world->arena,
                                          &text, &kept, &error));
    assert_true(str_contains(kept, STR("alice")));
}

static void what_ended_already_ends_no_more(void **state)
{
    struct world *world = *state;
    struct store_lease lease = open_lease(world, 1);
    struct lease_end first = end_of(world, lease, ENTRY_LEASE_RELEASED);
    struct lease_end stale = end_of(world, lease, ENTRY_LEASE_REVOKED);
    struct lease_end late = { 0 };
    struct error error = { 0 };
    uint64_t size;

    stale.ending.reason = "operator";
    assert_true(lease_end_now(&first, &error));
    size = ledger_size(world->ledger);
    assert_true(lease_end_now(&stale, &error));
    assert_false(stale.is_recorded);
    late = end_of(world, look_up(world, 1), ENTRY_LEASE_RELEASED);
    assert_true(lease_end_now(&late, &error));
    assert_false(late.is_recorded);
    assert_int_equal(ledger_size(world->ledger), size);
}

/* Its credential was revoked by itself: the lease is another version, and as live as before. */
static void a_lease_that_moved_on_is_ended_as_it_is_now(void **state)
{
    struct world *world = *state;
    struct lease_end end = end_of(world, open_lease(world, 1), ENTRY_LEASE_RELEASED);
    struct error error = { 0 };

    (void)append_one(world->ledger, entry_of_lease(ENTRY_CREDENTIAL_REVOKED, 1));
    assert_int_equal(look_up(world, 1).version, 2);
    assert_true(lease_end_now(&end, &error));
    assert_true(end.is_recorded);
    assert_int_equal(end.tries, 2);
    assert_int_equal(look_up(world, 1).state, LEASE_RELEASED);
}

static void a_lease_that_nobody_knows_ends_nothing(void **state)
{
    struct world *world = *state;
    struct store_lease lease = open_lease(world, 1);
    struct lease_end end = { 0 };
    struct error error = { 0 };

    id_of(2, lease.id);
    end = end_of(world, lease, ENTRY_LEASE_RELEASED);
    assert_true(lease_end_now(&end, &error));
    assert_false(end.is_recorded);
    assert_int_equal(error.code, ERROR_NONE);
}

static void an_entry_that_cannot_be_made_is_told(void **state)
{
    struct world *world = *state;
    struct lease_end end = end_of(world, open_lease(world, 1), ENTRY_LEASE_REVOKED);
    struct error error = { 0 };

    assert_false(lease_end_now(&end, &error)); /* without a reason */
    assert_int_equal(error.code, ERROR_LEDGER);
    assert_non_null(strstr(error.cause, "reason"));
    assert_int_equal(look_up(world, 1).state, LEASE_ISSUED);
}

static void what_is_due_depends_on_state_and_expiry(void **state)
{
    static const struct {
        enum entry_type type;
        enum store_lease_state state;
        bool before;
        bool after;
    } rows[] = {
        { ENTRY_LEASE_RELEASED, LEASE_ISSUED, true, false },
        { ENTRY_LEASE_RELEASED, LEASE_REQUESTED, false, false },
        { ENTRY_LEASE_RELEASED, LEASE_RELEASED, false, false },
        { ENTRY_LEASE_RELEASED, LEASE_UNKNOWN, false, false },
        { ENTRY_LEASE_REVOKED, LEASE_REQUESTED, true, false },
        { ENTRY_LEASE_REVOKED, LEASE_ISSUED, true, false },
        { ENTRY_LEASE_REVOKED, LEASE_UNKNOWN, true, false },
        { ENTRY_LEASE_REVOKED, LEASE_REVOKED, false, false },
        { ENTRY_LEASE_REVOKED, LEASE_FAILED, false, false },
        { ENTRY_LEASE_REVOKED, LEASE_EXPIRED, false, false },
        { ENTRY_LEASE_EXPIRED, LEASE_ISSUED, false, true },
        { ENTRY_LEASE_EXPIRED, LEASE_RELEASED, false, false },
        { ENTRY_LEASE_EXPIRED, LEASE_REQUESTED, false, false },
        { ENTRY_CREDENTIAL_UNKNOWN, LEASE_REQUESTED, false, true },
        { ENTRY_CREDENTIAL_UNKNOWN, LEASE_ISSUED, false, false },
        { ENTRY_CREDENTIAL_UNKNOWN, LEASE_UNKNOWN, false, false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct lease_ending ending = { .type = rows[i].type };
        struct store_lease lease = { .state = rows[i].state, .expires_s = 100 };

        assert_int_equal(lease_end_is_due(&ending, &lease, 99), rows[i].before);
        assert_int_equal(lease_end_is_due(&ending, &lease, 100), rows[i].after);
    }
}

/* ---- at the same time ---- */

struct racer {
    struct world *world;
    struct lease_end end;
    pthread_t thread;
    bool is_good;
};

static void *race(void *context)
{
    struct racer *racer = context;
    struct error error = { 0 };

    racer->is_good = lease_end_now(&racer->end, &error);
    return NULL;
}

static void of_forty_one_wins_and_there_is_one_entry(void **state)
{
    static struct racer racers[ENDERS];
    struct world *world = *state;
    struct store_lease lease = open_lease(world, 1);
    uint64_t size = ledger_size(world->ledger);
    size_t won = 0;

    for (size_t i = 0; i < ENDERS; i++) {
        racers[i] = (struct racer){ .world = world };
        racers[i].end =
            end_of(world, lease, i % 2 == 0 ? ENTRY_LEASE_RELEASED : ENTRY_LEASE_REVOKED);
        racers[i].end.ending.reason = i % 2 == 0 ? NULL : "operator";
        racers[i].end.arena = arena_new(ARENA_MAX);
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < ENDERS; i++) {
        assert_int_equal(pthread_join(racers[i].thread, NULL), 0);
        assert_true(racers[i].is_good);
        won += racers[i].end.is_recorded ? 1 : 0;
        arena_free(racers[i].end.arena);
    }
    assert_int_equal(won, 1);
    assert_int_equal(ledger_size(world->ledger), size + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_release_takes_over_what_opened_the_lease, make, clean),
        cmocka_unit_test_setup_teardown(who_revokes_and_why_stand_in_the_entry, make, clean),
        cmocka_unit_test_setup_teardown(what_ended_already_ends_no_more, make, clean),
        cmocka_unit_test_setup_teardown(a_lease_that_moved_on_is_ended_as_it_is_now, make, clean),
        cmocka_unit_test_setup_teardown(a_lease_that_nobody_knows_ends_nothing, make, clean),
        cmocka_unit_test_setup_teardown(an_entry_that_cannot_be_made_is_told, make, clean),
        cmocka_unit_test(what_is_due_depends_on_state_and_expiry),
        cmocka_unit_test_setup_teardown(of_forty_one_wins_and_there_is_one_entry, make, clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
