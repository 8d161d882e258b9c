#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/help.h"
#include "store/lease_chains.h"
#include "store/leases.h"
#include "tests/test.h"

static struct store_lease change_of(unsigned number, enum store_lease_state state,
                                    int64_t expires_s)
{
    struct store_lease change = { .state = state, .expires_s = expires_s };

    lease_id_of(number, change.id);
    if (state == LEASE_ISSUED)
        handle_of(number, change.handle);
    return change;
}

static bool apply(struct leases *leases, unsigned number, enum store_lease_state state,
                  int64_t expires_s, uint64_t index)
{
    struct store_lease change = change_of(number, state, expires_s);

    return leases_apply(leases, &change, index, 1000);
}

static struct store_lease find(const struct leases *leases, unsigned number)
{
    char id[ID_LEN + 1];

    lease_id_of(number, id);
    return leases_by_id(leases, id);
}

static struct store_lease find_handle(const struct leases *leases, unsigned number)
{
    uint8_t handle[STORE_HANDLE_LEN];

    handle_of(number, handle);
    return leases_by_handle(leases, handle);
}

static struct leases *new_leases(void)
{
    struct leases *leases = calloc(1, sizeof(*leases));

    assert_non_null(leases);
    return leases;
}

static void free_leases(struct leases *leases)
{
    leases_release(leases);
    free(leases);
}

static void a_change_keeps_what_it_does_not_name(void **state)
{
    struct leases *leases = new_leases();
    struct store_lease row;

    (void)state;
    assert_true(apply(leases, 1, LEASE_REQUESTED, 5000, 10));
    assert_int_equal(find_handle(leases, 1).version, 0);
    assert_true(apply(leases, 1, LEASE_ISSUED, 6000, 11));
    assert_true(apply(leases, 1, LEASE_RELEASED, 0, 15));
    row = find_handle(leases, 1);
    assert_string_equal(row.id, find(leases, 1).id);
    assert_int_equal(row.state, LEASE_RELEASED);
    assert_int_equal(row.version, 3);
    assert_int_equal(row.expires_s, 6000);
    assert_int_equal(row.opened_index, 10);
    assert_int_equal(row.latest_index, 15);
    assert_int_equal(leases->live_count, 0);
    free_leases(leases);
}

static void only_what_is_new_is_timed(void **state)
{
    struct store_lease change = change_of(1, LEASE_ISSUED, 500000);
    struct store_lease lease = { 0 };

    (void)state;
    change.renewal = 1;
    lease_change(&lease, &change, 1, 1000);
    assert_int_equal(lease.opened_s, 1000);
    assert_int_equal(lease.renewed_s, 1000);
    lease_change(&lease, &change, 2, 2000);
    assert_int_equal(lease.opened_s, 1000);
    assert_int_equal(lease.renewed_s, 1000);
    change.renewal = 2;
    change.state = LEASE_REVOKED;
    lease_change(&lease, &change, 3, 3000);
    assert_int_equal(lease.renewed_s, 3000);
    assert_int_equal(lease.ended_s, 3000);
    change.state = LEASE_EXPIRED;
    lease_change(&lease, &change, 4, 4000);
    assert_int_equal(lease.ended_s, 3000);
    change.state = LEASE_ISSUED;
    lease_change(&lease, &change, 5, 5000);
    assert_int_equal(lease.ended_s, 0);
    assert_int_equal(lease.version, 5);
}

static void a_change_seen_before_counts_once(void **state)
{
    struct leases *leases = new_leases();

    (void)state;
    assert_true(apply(leases, 1, LEASE_ISSUED, 5000, 10));
    assert_true(apply(leases, 1, LEASE_RELEASED, 0, 12));
    assert_true(apply(leases, 1, LEASE_ISSUED, 5000, 10));
    assert_true(apply(leases, 1, LEASE_RELEASED, 0, 12));
    assert_int_equal(find(leases, 1).version, 2);
    assert_int_equal(find(leases, 1).state, LEASE_RELEASED);
    free_leases(leases);
}

static void a_change_of_a_lease_that_is_not_kept_does_nothing(void **state)
{
    struct leases *leases = new_leases();

    (void)state;
    assert_true(apply(leases, 1, LEASE_REVOKED, 0, 10));
    assert_int_equal(find(leases, 1).version, 0);
    assert_int_equal(leases->count, 0);
    free_leases(leases);
}

static void no_handle_finds_nothing(void **state)
{
    struct leases *leases = new_leases();
    const uint8_t none[32] = { 0 };

    (void)state;
    assert_true(apply(leases, 1, LEASE_REQUESTED, 5000, 10));
    assert_int_equal(leases_by_handle(leases, none).version, 0);
    free_leases(leases);
}

static void a_new_handle_replaces_the_old_one(void **state)
{
    struct leases *leases = new_leases();
    struct store_lease change = change_of(1, LEASE_ISSUED, 5000);

    (void)state;
    assert_true(leases_apply(leases, &change, 10, 1000));
    handle_of(2, change.handle);
    assert_true(leases_apply(leases, &change, 11, 1000));
    assert_int_equal(find_handle(leases, 1).version, 0);
    assert_int_not_equal(find_handle(leases, 2).version, 0);
    free_leases(leases);
}

static void rows_are_kept_for_an_hour_after_they_expire(void **state)
{
    struct leases *leases = new_leases();

    (void)state;
    assert_true(apply(leases, 1, LEASE_ISSUED, 5000, 10));
    assert_true(leases_advance(leases, 4999, SIZE_MAX));
    assert_int_equal(leases->live_count, 1);
    assert_true(leases_advance(leases, 5000, SIZE_MAX));
    assert_int_equal(leases->live_count, 0);
    assert_true(leases_advance(leases, 5000 + LEASE_KEPT_S - 1, SIZE_MAX));
    assert_int_not_equal(find(leases, 1).version, 0);
    assert_true(leases_advance(leases, 5000 + LEASE_KEPT_S, SIZE_MAX));
    assert_int_equal(find(leases, 1).version, 0);
    assert_int_equal(find_handle(leases, 1).version, 0);
    assert_int_equal(leases->count, 0);
    free_leases(leases);
}

static void many_leases_come_and_go(void **state)
{
    enum {
        MANY = 20000
    };
    struct leases *leases = new_leases();

    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < MANY; i++)
            assert_true(apply(leases, round * MANY + i, LEASE_ISSUED, i % 2 == 0 ? 100 : 10000,
                              round * MANY + i + 1));
        assert_true(leases_advance(leases, 100 + LEASE_KEPT_S, SIZE_MAX));
    }
    assert_int_equal(leases->count, 3 * MANY / 2);
    assert_int_equal(leases->live_count, 3 * MANY / 2);
    assert_true(leases->row_count <= 2 * MANY);
    for (unsigned i = 0; i < 3 * MANY; i++) {
        assert_int_equal(find(leases, i).version != 0, i % 2 == 1);
        assert_int_equal(find_handle(leases, i).version != 0, i % 2 == 1);
    }
    free_leases(leases);
}

static void ids_are_kept_as_they_are(void **state)
{
    static const char *const good[] = { "00000000000000000000000000", "7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
                                        "01HZY3V8QKXM4N5P6R7S8T9VWX",
                                        "0123456789ABCDEFGHJKMNPQRS" };
    static const char *const bad[] = { "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "01hzy3v8qkxm4n5p6r7s8t9vwx",
                                       "01HZY3V8QKXM4N5P6R7S8T9VWI", "01HZY3V8QKXM4N5P6R7S8T9VW",
                                       "" };
    struct leases *leases = new_leases();

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        struct store_lease change = { .state = LEASE_REQUESTED, .expires_s = 5000 };

        memcpy(change.id, good[i], ID_LEN);
        assert_true(leases_apply(leases, &change, i, 1000));
        assert_string_equal(leases_by_id(leases, good[i]).id, good[i]);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct store_lease change = { .state = LEASE_REQUESTED, .expires_s = 5000, .version = 1 };

        memcpy(change.id, bad[i], strlen(bad[i]));
        assert_true(leases_apply(leases, &change, 10 + i, 1000));
        assert_false(leases_restore(leases, &change));
        assert_int_equal(leases_find(leases, change.id), 0);
    }
    assert_int_equal(leases->count, COUNT(good));
    free_leases(leases);
}

static void numbers_are_held_within_their_limits(void **state)
{
    static const struct {
        int64_t number;
        uint64_t kept;
    } cases[] = { { 0, 0 },
                  { -1, 0 },
                  { INT64_MIN, 0 },
                  { 1763805600, 1763805600 },
                  { (int64_t)LEASE_NUMBER_MAX, LEASE_NUMBER_MAX },
                  { (int64_t)LEASE_NUMBER_MAX + 1, LEASE_NUMBER_MAX },
                  { INT64_MAX, LEASE_NUMBER_MAX } };
    uint8_t bytes[LEASE_NUMBER_LEN];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        lease_number_put(bytes, cases[i].number);
        assert_true(lease_number_get(bytes) == cases[i].kept);
    }
}

/* Against a model that keeps all leases in a row and looks at each. */
#define MODEL_LEASES 200
#define MODEL_KEYS 7

struct model {
    struct leases *leases;
    struct store_lease rows[MODEL_LEASES]; /* version 0: there is none */
    int64_t due_s[MODEL_LEASES];
    int64_t now_s;
    uint64_t index;
};

static struct store_lease random_change(const struct model *model, unsigned number)
{
    struct store_lease change = { .state = (enum store_lease_state)(random() % 8),
                                  .debt = (enum store_debt)(random() % 4),
                                  .heartbeat_s = (uint16_t)(random() % 4 == 0 ? random() % 50 : 0),
                                  .expires_s =
                                      random() % 2 == 0 ? 0 : model->now_s + random() % 3000,
                                  .has_credentials = random() % 2 == 0 };

    if (random() % 8 == 0)
        change.kept_until_s = model->now_s + random() % 20000;
    lease_id_of(number, change.id);
    for (int kind = 0; kind < STORE_KEY_COUNT; kind++)
        if (random() % 3 == 0)
            key_of((enum store_lease_key)kind, number % MODEL_KEYS, change.keys[kind]);
    return change;
}

static void change_model(struct model *model, unsigned number)
{
    struct store_lease change = random_change(model, number);
    struct store_lease before = model->rows[number];
    struct store_lease *after = &model->rows[number];

    model->index++;
    lease_change(after, &change, model->index, model->now_s);
    assert_true(leases_apply(model->leases, &change, model->index, model->now_s));
    if (after->version == 0 || after->latest_index != model->index)
        return;
    if (before.version == 0 || before.opened_index != after->opened_index ||
        before.debt == DEBT_NONE || !lease_has_ended(&before) || after->debt == DEBT_NONE ||
        !lease_has_ended(after))
        model->due_s[number] = lease_due_s(after, model->now_s);
}

static bool owes_in_model(const struct model *model, const struct store_lease *lease)
{
    return lease->debt == DEBT_OWED ||
           (lease->debt == DEBT_LAPSES && lease->expires_s > model->now_s);
}

static void forget_in_model(struct model *model)
{
    for (size_t i = 0; i < MODEL_LEASES; i++)
        if (model->rows[i].version != 0 && lease_gone_s(&model->rows[i]) <= model->now_s)
            model->rows[i].version = 0;
}

static void expect_chain(const struct model *model, enum store_lease_key kind, unsigned number)
{
    uint8_t key[STORE_KEY_LEN];
    uint64_t last = UINT64_MAX;
    size_t live_count = 0;
    size_t count = 0;
    uint32_t row;

    key_of(kind, number, key);
    row = lease_chains_first(model->leases, kind, key);
    for (size_t i = 0; i < MODEL_LEASES; i++) {
        const struct store_lease *lease = &model->rows[i];

        if (lease->version == 0 || memcmp(lease->keys[kind], key, sizeof(key)) != 0)
            continue;
        live_count += lease_is_live(lease, model->now_s);
        count++;
    }
    assert_int_equal(lease_chains_live(model->leases, kind, key), live_count);
    for (; row != 0; row = leases_row(model->leases, row)->chains[kind].next, count--) {
        uint64_t opened = lease_number_get(leases_row(model->leases, row)->opened_index);

        assert_memory_equal(leases_row(model->leases, row)->keys[kind], key, sizeof(key));
        assert_true(opened < last);
        last = opened;
    }
    assert_int_equal(count, 0);
}

static void expect_counts(const struct model *model)
{
    size_t live_count = 0;
    size_t owed_count = 0;
    size_t count = 0;
    int64_t oldest_s = INT64_MAX;

    for (size_t i = 0; i < MODEL_LEASES; i++) {
        const struct store_lease *lease = &model->rows[i];
        int64_t ended_s = lease->ended_s != 0 ? lease->ended_s : lease->expires_s;

        if (lease->version == 0)
            continue;
        count++;
        live_count += lease_is_live(lease, model->now_s);
        if (!owes_in_model(model, lease) ||
            (!lease_has_ended(lease) && lease->expires_s > model->now_s))
            continue;
        owed_count++;
        oldest_s = ended_s < oldest_s ? ended_s : oldest_s;
    }
    assert_int_equal(model->leases->count, count);
    assert_int_equal(model->leases->live_count, live_count);
    assert_int_equal(model->leases->owed_count, owed_count);
    assert_true((owed_count == 0) == (leases_oldest_owed_s(model->leases) == 0));
}

static void expect_claims(struct model *model)
{
    struct store_lease claimed[8];
    size_t budget = SIZE_MAX;
    size_t count = 0;

    do {
        count = leases_claim(model->leases, model->now_s, 30, claimed, COUNT(claimed), &budget);
        for (size_t i = 0; i < count; i++) {
            unsigned number = MODEL_LEASES;

            assert_int_equal(sscanf(claimed[i].id, "%u", &number), 1); /* NOLINT(cert-err34-c) */
            assert_true(model->due_s[number] <= model->now_s);
            assert_true(model->rows[number].expires_s > model->now_s ||
                        model->rows[number].state == LEASE_REQUESTED ||
                        owes_in_model(model, &model->rows[number]));
            model->due_s[number] = model->now_s + 30;
        }
    } while (count == COUNT(claimed));
    for (size_t i = 0; i < MODEL_LEASES; i++) {
        const struct store_lease *lease = &model->rows[i];

        if (lease->version == 0 || model->due_s[i] > model->now_s)
            continue;
        /* It expired with nothing to be done. */
        assert_true(lease->expires_s <= model->now_s && lease->state != LEASE_REQUESTED &&
                    !owes_in_model(model, lease));
        model->due_s[i] = LEASE_NEVER_DUE;
    }
}

/* What rows say, put into another table, makes the same of it. */
static void copy_leases(struct model *model)
{
    struct leases *copy = new_leases();
    struct store_lease *rows = calloc(LEASE_BLOCK, sizeof(*rows));
    size_t count = leases_read_block(model->leases, 0, rows);

    assert_non_null(rows);
    for (size_t i = 0; i < count; i++)
        assert_true(leases_restore(copy, &rows[i]));
    assert_true(leases_link(copy, model->now_s));
    leases_begin(copy, model->now_s);
    for (size_t i = 0; i < MODEL_LEASES; i++)
        model->due_s[i] = lease_due_s(&model->rows[i], model->now_s);
    free(rows);
    free_leases(model->leases);
    model->leases = copy;
}

static void leases_are_as_in_a_model(void **state)
{
    struct model model = { .leases = new_leases(), .now_s = 1763805600 };

    (void)state;
    srandom(11); /* NOLINT(cert-msc51-cpp) */
    assert_true(leases_advance(model.leases, model.now_s, SIZE_MAX));
    leases_begin(model.leases, model.now_s);
    for (unsigned i = 0; i < 20000; i++) {
        change_model(&model, (unsigned)random() % MODEL_LEASES);
        if (random() % 16 != 0)
            continue;
        model.now_s += random() % 600;
        forget_in_model(&model);
        assert_true(leases_advance(model.leases, model.now_s, SIZE_MAX));
        if (random() % 64 == 0)
            copy_leases(&model);
        expect_counts(&model);
        expect_claims(&model);
        for (int kind = 0; kind < STORE_KEY_COUNT; kind++)
            expect_chain(&model, (enum store_lease_key)kind, (unsigned)random() % MODEL_KEYS);
    }
    free_leases(model.leases);
}

static void a_clock_that_goes_back_brings_back_what_lives(void **state)
{
    struct leases *leases = new_leases();
    struct store_lease change = change_of(1, LEASE_ISSUED, 5000);
    struct store_lease claimed;
    size_t budget = SIZE_MAX;

    (void)state;
    change.debt = DEBT_OWED;
    assert_true(leases_advance(leases, 1000, SIZE_MAX));
    leases_begin(leases, 1000);
    assert_true(leases_apply(leases, &change, 10, 1000));
    assert_true(leases_advance(leases, 100000, SIZE_MAX));
    assert_int_equal(leases_claim(leases, 100000, 60, &claimed, 1, &budget), 1);
    assert_int_equal(leases->live_count, 0);
    assert_int_equal(leases->owed_count, 1);
    assert_true(leases_advance(leases, 2000, SIZE_MAX));
    assert_int_equal(leases->live_count, 1);
    assert_int_equal(leases->owed_count, 0);
    change.state = LEASE_RELEASED;
    assert_true(leases_apply(leases, &change, 11, 2000));
    assert_int_equal(leases_claim(leases, 2000, 60, &claimed, 1, &budget), 1);
    free_leases(leases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_keeps_what_it_does_not_name),
        cmocka_unit_test(only_what_is_new_is_timed),
        cmocka_unit_test(a_change_seen_before_counts_once),
        cmocka_unit_test(a_change_of_a_lease_that_is_not_kept_does_nothing),
        cmocka_unit_test(no_handle_finds_nothing),
        cmocka_unit_test(a_new_handle_replaces_the_old_one),
        cmocka_unit_test(rows_are_kept_for_an_hour_after_they_expire),
        cmocka_unit_test(many_leases_come_and_go),
        cmocka_unit_test(ids_are_kept_as_they_are),
        cmocka_unit_test(numbers_are_held_within_their_limits),
        cmocka_unit_test(leases_are_as_in_a_model),
        cmocka_unit_test(a_clock_that_goes_back_brings_back_what_lives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
