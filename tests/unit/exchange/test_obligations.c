#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "exchange/exchange_internal.h"
#include "tests/test.h"

/* ---- guards ---- */

#define CI "{\"repository_id\":\"4242\",\"run\":\"99\",\"attempt\":\"2\",\"commit\":\"c0ffee\"}"

/* An exchange whose stage was decided. */
struct asking {
    struct arena *arena;
    struct issuer_options issuer;
    struct policy_stage stage;
    struct exchange exchange;
};

static struct asking *ask(const char *ci, const char *instance)
{
    struct arena *arena = arena_new((size_t)64 * 1024);
    struct asking *asking = arena_alloc(arena, sizeof(*asking));
    struct error error = { 0 };
    json_t *facts = NULL;

    assert_non_null(asking);
    assert_true(json_parse_object(str_from(ci), JSON_LIMITS_REQUEST, &facts, &error));
    assert_true(json_keep(arena, facts, &error));
    asking->arena = arena;
    asking->issuer.name = STR("github");
    asking->stage.id = STR("p:deploy");
    asking->stage.pipeline = STR("p");
    asking->exchange.arena = arena;
    asking->exchange.token.issuer = &asking->issuer;
    asking->exchange.token.ci = facts;
    asking->exchange.decision.stage = &asking->stage;
    asking->exchange.decision.instance = str_from(instance);
    return asking;
}

/* The key under which the fold counts a lease of a stage with the same facts. */
static void folded_key(const struct asking *asking, const char *stage, const char *instance,
                       enum store_lease_key kind, uint8_t key[STORE_KEY_LEN])
{
    static const char text[] =
        "{\"type\":\"lease.requested\",\"time\":\"2026-11-22T10:00:00.000Z\",\"broker\":\"a\","
        "\"decision\":\"01JD0000000000000000000001\",\"lease\":\"01JD0000000000000000000002\","
        "\"lease_expires\":\"2026-11-22T10:15:00Z\",\"issuer\":\"github\",\"token\":{\"exp\":1,"
        "\"mark\":\"0000000000000000000000000000000000000000000000000000000000000000\"}}";
    struct store_change changes[STORE_ENTRY_CHANGES_MAX];
    JSON_OWNED json_t *entry = NULL;
    struct error error = { 0 };
    size_t count = 0;

    assert_true(json_parse_object(STR(text), JSON_LIMITS_REQUEST, &entry, &error));
    assert_true(json_put(entry, "stage", json_string(stage)));
    assert_true(json_put(entry, "ci", json_incref(json_iterable(asking->exchange.token.ci))));
    if (instance[0] != '\0')
        assert_true(json_put(entry, "instance", json_string(instance)));
    assert_true(entry_fold_json(entry, changes, &count, &error));
    assert_int_equal(count, 2);
    assert_int_equal(changes[1].kind, STORE_PUT_LEASE);
    memcpy(key, changes[1].lease.keys[kind], STORE_KEY_LEN);
}

static void assert_key(const struct asking *asking, size_t guard, const char *stage,
                       const char *instance)
{
    const struct store_guard *found = &asking->exchange.append.guards[guard];
    uint8_t key[STORE_KEY_LEN];

    folded_key(asking, stage, instance, found->key_kind, key);
    assert_memory_equal(found->key, key, STORE_KEY_LEN);
    assert_memory_not_equal(found->key, (uint8_t[STORE_KEY_LEN]){ 0 }, STORE_KEY_LEN);
}

static void what_asks_for_nothing_has_no_guards(void **state)
{
    struct asking *asking = ask(CI, "");

    (void)state;
    exchange_guard_obligations(&asking->exchange);
    assert_int_equal(asking->exchange.append.guard_count, 0);
    assert_int_equal(exchange_kept_until_s(&asking->exchange), 0);
    arena_free(asking->arena);
}

static void limits_are_guards_under_the_keys_of_the_fold(void **state)
{
    static const char *const instances[] = { "", "pr-17" };

    (void)state;
    for (size_t i = 0; i < COUNT(instances); i++) {
        struct asking *asking = ask(CI, instances[i]);
        const struct store_guard *guards = asking->exchange.append.guards;
        int64_t now_s = clock_wall_s();

        asking->exchange.decision.obligations.limits =
            (struct policy_limits){ .per_job = 1, .concurrent = 2, .per_hour = 1000000 };
        exchange_guard_obligations(&asking->exchange);
        assert_int_equal(asking->exchange.append.guard_count, 3);
        assert_int_equal(guards[0].kind, STORE_GUARD_FEWER_OPENED);
        assert_int_equal(guards[0].key_kind, STORE_KEY_JOB);
        assert_int_equal(guards[0].count, 1);
        assert_in_range(guards[0].since_s, now_s - POLICY_PER_JOB_S, now_s - POLICY_PER_JOB_S + 5);
        assert_int_equal(guards[1].kind, STORE_GUARD_FEWER_OPENED);
        assert_int_equal(guards[1].key_kind, STORE_KEY_STAGE);
        assert_int_equal(guards[1].count, 1000000);
        assert_in_range(guards[1].since_s, now_s - 3600, now_s - 3600 + 5);
        assert_int_equal(guards[2].kind, STORE_GUARD_FEWER_LIVE);
        assert_int_equal(guards[2].key_kind, STORE_KEY_STAGE);
        assert_int_equal(guards[2].count, 2);
        for (size_t k = 0; k < 3; k++)
            assert_key(asking, k, "p:deploy", instances[i]);
        arena_free(asking->arena);
    }
}

static void stages_before_are_guards_under_their_own_keys(void **state)
{
    static const struct policy_after after[] = {
        { .stage = STR_INIT("build"), .within_s = 3600 },
        { .stage = STR_INIT("test"),
          .instance = STR_INIT("all"),
          .is_of_commit = true,
          .issued_is_enough = true,
          .within_s = 60 },
    };
    struct asking *asking = ask(CI, "pr-17");
    const struct store_guard *guards = asking->exchange.append.guards;
    int64_t now_s = clock_wall_s();

    (void)state;
    asking->exchange.decision.obligations.after = after;
    asking->exchange.decision.obligations.after_count = 2;
    exchange_guard_obligations(&asking->exchange);
    assert_int_equal(asking->exchange.append.guard_count, 2);
    assert_int_equal(guards[0].kind, STORE_GUARD_LATEST);
    assert_int_equal(guards[0].key_kind, STORE_KEY_RUN);
    assert_int_equal(guards[0].attempt, 2);
    assert_true(guards[0].must_succeed);
    assert_in_range(guards[0].since_s, now_s - 3600, now_s - 3595);
    assert_key(asking, 0, "p:build", "");
    assert_int_equal(guards[1].kind, STORE_GUARD_LATEST);
    assert_int_equal(guards[1].key_kind, STORE_KEY_COMMIT);
    assert_int_equal(guards[1].attempt, 0);
    assert_false(guards[1].must_succeed);
    assert_in_range(guards[1].since_s, now_s - 60, now_s - 55);
    assert_key(asking, 1, "p:test", "all");
    arena_free(asking->arena);
}

static void without_run_or_commit_the_guards_fail(void **state)
{
    static const uint8_t none[STORE_KEY_LEN] = { 0 };
    static const struct policy_after after[] = {
        { .stage = STR_INIT("build"), .within_s = 3600 },
        { .stage = STR_INIT("test"), .is_of_commit = true, .within_s = 60 },
    };
    struct asking *asking = ask("{\"repository_id\":\"4242\",\"run\":null}", "");
    const struct store_guard *guards = asking->exchange.append.guards;

    (void)state;
    asking->exchange.decision.obligations =
        (struct policy_obligations){ .after = after, .after_count = 2, .limits = { .per_job = 9 } };
    exchange_guard_obligations(&asking->exchange);
    assert_int_equal(asking->exchange.append.guard_count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_memory_equal(guards[i].key, none, STORE_KEY_LEN);
    arena_free(asking->arena);
}

static void each_guard_is_told_by_its_word(void **state)
{
    static const struct {
        enum store_guard_kind kind;
        enum policy_full full;
        enum error_code code;
        const char *word;
    } cases[] = {
        { STORE_GUARD_LATEST, POLICY_FULL_WAIT, ERROR_CONDITION, "after" },
        { STORE_GUARD_FEWER_OPENED, POLICY_FULL_WAIT, ERROR_CONDITION, "limits" },
        { STORE_GUARD_FEWER_LIVE, POLICY_FULL_REFUSE, ERROR_CONDITION, "limits" },
        { STORE_GUARD_FEWER_LIVE, POLICY_FULL_WAIT, ERROR_FULL, "limits" },
        { STORE_GUARD_MARK_USABLE, POLICY_FULL_WAIT, ERROR_TOKEN_USED, NULL },
        { STORE_GUARD_MARK_ABSENT, POLICY_FULL_WAIT, ERROR_DPOP, NULL },
        { STORE_GUARD_LEASE, POLICY_FULL_WAIT, ERROR_CONDITION, NULL },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct store_guard guard = { .kind = cases[i].kind };
        struct asking *asking = ask(CI, "");
        struct policy_decision *decision = &asking->exchange.decision;
        struct error error = { 0 };

        decision->obligations.limits.full = cases[i].full;
        assert_false(exchange_tell_guard(&asking->exchange, &guard, &error));
        assert_int_equal(error.code, cases[i].code);
        assert_int_equal(decision->failed_count, cases[i].word ? 1 : 0);
        if (cases[i].word)
            assert_true(str_eq(decision->failed[0], str_from(cases[i].word)));
        arena_free(asking->arena);
    }
}

static void a_lease_is_remembered_a_little_longer_than_asked(void **state)
{
    struct asking *asking = ask(CI, "");

    (void)state;
    asking->exchange.now_s = 1000;
    asking->exchange.decision.obligations.kept_s = 3600;
    assert_int_equal(exchange_kept_until_s(&asking->exchange), 1000 + 3600 + 60);
    arena_free(asking->arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_asks_for_nothing_has_no_guards),
        cmocka_unit_test(limits_are_guards_under_the_keys_of_the_fold),
        cmocka_unit_test(stages_before_are_guards_under_their_own_keys),
        cmocka_unit_test(without_run_or_commit_the_guards_fail),
        cmocka_unit_test(each_guard_is_told_by_its_word),
        cmocka_unit_test(a_lease_is_remembered_a_little_longer_than_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
