/* What the ledger was not told of is ended all the same. */
#include <string.h>

#include "base/json.h"
#include "ender_world.h"

static struct mint mint_of(const struct target *target, json_t *record, json_t *handle)
{
    return (struct mint){
        .target = target,
        .stage = STR("acme/payments:deploy-prod"),
        .lease = STR(DECISION),
        .grant = STR("db"),
        .record = record,
        .handle = handle,
        .credential = record,
    };
}

static void what_could_not_be_recorded_is_ended_all_the_same(void **state)
{
    struct world *world = *state;
    JSON_OWNED json_t *record = json_pack("{s:s}", "id", "db-id");
    JSON_OWNED json_t *handle = json_pack("{s:s}", "secret", "db-secret");
    struct mint mint = mint_of(&targets[TARGET_DB], record, handle);
    uint64_t size = ledger_size(world->ledger);

    ender_drop(world->ender, &fake_kind, &mint);
    wait_for(world->ender, &seen.call_count, 1, 0);
    assert_string_equal(seen.calls[0].lease, DECISION);
    assert_string_equal(seen.calls[0].id, "db-id");
    assert_string_equal(seen.calls[0].secret, "db-secret");
    assert_int_equal(ledger_size(world->ledger), size);
}

/* Some kinds end what a renewal made by its attempt: without it they end what the lease still has.
 */
static void of_a_renewal_what_that_made_is_ended(void **state)
{
    static const char attempt[] = "01J00000000000000000000009";
    struct world *world = *state;
    JSON_OWNED json_t *record = json_pack("{s:s}", "id", "db-id");
    struct mint mint = mint_of(&targets[TARGET_DB], record, NULL);

    ender_drop(world->ender, &fake_kind, &mint);
    wait_for(world->ender, &seen.call_count, 1, 0);
    assert_string_equal(seen.calls[0].attempt, "");
    mint.attempt = str_from(attempt);
    ender_drop(world->ender, &fake_kind, &mint);
    wait_for(world->ender, &seen.call_count, 2, 0);
    assert_string_equal(seen.calls[1].attempt, attempt);
    mint.record = NULL; /* it was not heard of */
    mint.may_exist = true;
    ender_drop(world->ender, &fake_kind, &mint);
    wait_for(world->ender, &seen.call_count, 3, 0);
    assert_string_equal(seen.calls[2].attempt, attempt);
}

static void what_was_never_made_is_not(void **state)
{
    static const struct target_kind lasting = { .grant = { .name = "lasting" } };
    struct world *world = *state;
    JSON_OWNED json_t *record = json_pack("{s:s}", "id", "db-id");
    struct mint mint = mint_of(&targets[TARGET_DB], record, NULL);

    ender_drop(world->ender, &lasting, &mint); /* cannot be ended */
    ender_drop(NULL, &fake_kind, &mint);
    mint.credential = NULL;
    ender_drop(world->ender, &fake_kind, &mint);
    mint.may_exist = true;
    ender_drop(world->ender, &fake_kind, &mint);
    wait_for(world->ender, &seen.call_count, 1, 0);
    ender_stop(world->ender);
    start_ender(world);
    assert_int_equal(seen.call_count, 1);
}

static void what_is_not_ended_so_is_told(void **state)
{
    struct world *world = *state;
    JSON_OWNED json_t *record = json_pack("{s:s}", "id", "db-id");
    const struct target gone = { .name = STR("no-more"), .kind = &fake_kind };
    struct mint mint = mint_of(&targets[TARGET_DB], record, NULL);

    set_mode(TARGET_DB, MODE_FAILS);
    ender_drop(world->ender, &fake_kind, &mint);
    wait_for(world->ender, &seen.not_revoked_count, 1, 0);
    assert_string_equal(seen.last_cause, "the target is down");
    mint = mint_of(&gone, record, NULL);
    ender_drop(world->ender, &fake_kind, &mint);
    wait_for(world->ender, &seen.not_revoked_count, 2, 0);
    assert_non_null(strstr(seen.last_cause, "not configured"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENDER(what_could_not_be_recorded_is_ended_all_the_same),
        WITH_ENDER(of_a_renewal_what_that_made_is_ended),
        WITH_ENDER(what_was_never_made_is_not),
        WITH_ENDER(what_is_not_ended_so_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
