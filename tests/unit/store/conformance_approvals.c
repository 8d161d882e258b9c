/* Conformance: approvals, what they are found by, and the guard on them. */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/approvals.h"
#include "store/conformance.h"

static struct store_approval find(const struct store *store, unsigned number)
{
    struct store_approval approval = { 0 };
    char id[ID_LEN + 1];

    lease_id_of(number, id);
    return store_approval_by_id(store, str_from(id), &approval, &(struct error){ 0 })
               ? approval
               : (struct store_approval){ 0 };
}

/* Its number; 0 where there is none. */
static unsigned number_of(const struct store_approval *approval)
{
    unsigned number = 0;

    /* NOLINTNEXTLINE(cert-err34-c) */
    return approval->version != 0 && sscanf(approval->id, "%u", &number) == 1 ? number : 0;
}

static unsigned by_code(const struct store *store, unsigned code)
{
    struct store_approval approval = { 0 };
    struct error error = { 0 };
    uint8_t bytes[32];

    code_of(code, bytes);
    if (store_approval_by_code(store, bytes, &approval, &error))
        return number_of(&approval);
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    return 0;
}

/* Their numbers, a digit each. */
static unsigned of_digest(const struct store *store, unsigned digest, size_t max)
{
    struct store_approval approvals[4] = { 0 };
    unsigned numbers = 0;
    size_t count = 0;
    uint8_t bytes[32];

    approved_of(digest, bytes);
    assert_true(store_approvals_of(store, bytes, approvals, max, &count, &(struct error){ 0 }));
    for (size_t i = 0; i < count; i++)
        numbers = numbers * 10 + number_of(&approvals[i]);
    return numbers;
}

static unsigned by_digest(const struct store *store, unsigned digest)
{
    return of_digest(store, digest, 4);
}

static bool holds(struct store *store, unsigned number, enum store_approval_state state,
                  uint32_t version)
{
    struct store_guard guard = { .kind = STORE_GUARD_APPROVAL,
                                 .approval = state,
                                 .version = version };

    lease_id_of(number, guard.lease_id);
    return append_if(store, "nothing", &guard);
}

static void expect_same(const struct store_approval *approval, const struct store_approval *other)
{
    assert_string_equal(approval->id, other->id);
    assert_memory_equal(approval->code_sha256, other->code_sha256, 32);
    assert_memory_equal(approval->digest, other->digest, 32);
    assert_int_equal(approval->state, other->state);
    assert_int_equal(approval->version, other->version);
    assert_int_equal(approval->expires_s, other->expires_s);
    assert_int_equal(approval->opened_index, other->opened_index);
    assert_int_equal(approval->latest_index, other->latest_index);
    assert_int_equal(approval->person_count, other->person_count);
    assert_memory_equal(approval->people, other->people, sizeof(approval->people));
    assert_int_equal(approval->is_break_glass, other->is_break_glass);
}

static void append_story(struct store *store)
{
    assert_true(append_now(store, "approval 1 1 4102444000 code=1 digest=2"));
    assert_true(append_now(store, "approval 1 1 0 person=3"));
    assert_true(append_now(store, "approval 1 2 4102444800 person=4 glass=1"));
    assert_true(append_now(store, "approval 1 4 0"));
}

static void an_approval_keeps_what_its_entries_say(void **state)
{
    struct store *store = open_place(*state);
    struct store_approval approval;
    uint8_t bytes[32];
    uint8_t people[2][STORE_PERSON_LEN];

    append_story(store);
    approval = find(store, 1);
    assert_int_equal(approval.version, 4);
    assert_int_equal(approval.state, APPROVAL_USED);
    assert_int_equal(approval.expires_s, FAR_AWAY_S);
    assert_int_equal(approval.opened_index, 0);
    assert_int_equal(approval.latest_index, 3);
    assert_true(approval.is_break_glass);
    code_of(1, bytes);
    assert_memory_equal(approval.code_sha256, bytes, sizeof(bytes));
    approved_of(2, bytes);
    assert_memory_equal(approval.digest, bytes, sizeof(bytes));
    holder_of(3, people[0]);
    holder_of(4, people[1]);
    assert_int_equal(approval.person_count, 2);
    assert_memory_equal(approval.people, people, sizeof(people));
    store_close(store);
}

static void an_approval_is_the_same_after_a_restart_and_from_its_entries(void **state)
{
    struct store *store = open_place(*state);
    struct store_approval before;
    struct store_approval after;

    append_story(store);
    before = find(store, 1);
    store_close(store);
    store = open_place(*state);
    after = find(store, 1);
    expect_same(&after, &before);
    assert_int_equal(by_code(store, 1), 1);
    store_close(store);
    conformance->forget_rows(*state);
    store = open_place(*state);
    after = find(store, 1);
    expect_same(&after, &before);
    assert_int_equal(by_code(store, 1), 1);
    store_close(store);
}

static void a_person_counts_once_and_no_more_than_may_count(void **state)
{
    struct store *store = open_place(*state);

    assert_true(append_now(store, "approval 1 1 4102444800 person=1"));
    assert_true(append_now(store, "approval 1 1 0 person=1"));
    assert_int_equal(find(store, 1).person_count, 1);
    for (unsigned i = 2; i <= STORE_APPROVERS_MAX + 2; i++) {
        char command[64];

        (void)snprintf(command, sizeof(command), "approval 1 1 0 person=%u", i);
        assert_true(append_now(store, command));
    }
    assert_int_equal(find(store, 1).person_count, STORE_APPROVERS_MAX);
    store_close(store);
}

static void what_opens_no_approval_changes_none(void **state)
{
    struct store *store = open_place(*state);

    assert_true(append_now(store, "approval 1 2 0 person=1"));
    assert_true(append_now(store, "approval 1 0 4102444800"));
    assert_int_equal(find(store, 1).version, 0);
    assert_true(append_now(store, "approval 2 1 1000"));
    assert_true(append_now(store, "approval 2 2 0")); /* it expired before that */
    assert_int_not_equal(find(store, 2).version, 2);
    assert_int_equal(by_code(store, 1), 0);
    store_close(store);
}

static void an_approval_is_found_by_its_code_and_by_none(void **state)
{
    struct store *store = open_place(*state);
    struct store_approval approval;
    const uint8_t none[32] = { 0 };
    size_t count = 1;

    assert_true(append_now(store, "approval 1 1 4102444800 code=1"));
    assert_true(append_now(store, "approval 2 2 4102444800 digest=1"));
    assert_int_equal(by_code(store, 1), 1);
    assert_int_equal(by_code(store, 2), 0);
    assert_false(store_approval_by_code(store, none, &approval, &(struct error){ 0 }));
    assert_true(store_approvals_of(store, none, &approval, 1, &count, &(struct error){ 0 }));
    assert_int_equal(count, 0);
    assert_false(store_approval_by_id(store, STR("short"), &approval, &(struct error){ 0 }));
    store_close(store);
}

static void of_one_digest_what_serves_longest_comes_first(void **state)
{
    static const struct {
        const char *command;
        unsigned found;
    } cases[] = {
        { "approval 1 1 4102444000 digest=1", 0 },
        { "approval 2 2 4102444001 digest=1", 2 },
        { "approval 3 1 4102443999 digest=1", 2 },
        { "approval 3 2 0", 23 },
        { "approval 4 2 4102444000 digest=1", 243 },
        { "approval 5 2 1000 digest=1", 243 },
        { "approval 1 2 0", 2143 },
        { "approval 8 2 4102444700 digest=1", 8214 },
        { "approval 7 2 4102443998 digest=1", 8214 },
        { "approval 4 4 0", 8213 },
        { "approval 3 3 0", 8217 },
        { "approval 6 2 4102444800 digest=2", 8217 },
        { "approval 4 2 0", 8214 },
    };
    struct store *store = open_place(*state);

    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(append_now(store, cases[i].command));
        if (by_digest(store, 1) != cases[i].found)
            fail_msg("after %s: %u", cases[i].command, by_digest(store, 1));
    }
    assert_int_equal(of_digest(store, 1, 2), 82);
    store_close(store);
}

static void open_approvals_come_oldest_first(void **state)
{
    static const unsigned expected[] = { 3, 1, 4 };
    struct store *store = open_place(*state);
    struct store_approval approvals[8] = { 0 };
    size_t count = 0;

    assert_true(append_now(store, "approval 3 1 4102444800 code=3"));
    assert_true(append_now(store, "approval 2 1 4102444800"));
    assert_true(append_now(store, "approval 1 2 4102444800"));
    assert_true(append_now(store, "approval 5 1 1000"));
    assert_true(append_now(store, "approval 4 1 4102444800"));
    assert_true(append_now(store, "approval 2 3 0"));
    assert_true(store_approvals(store, approvals, 8, &count, &(struct error){ 0 }));
    assert_int_equal(count, COUNT(expected));
    for (size_t i = 0; i < COUNT(expected); i++)
        assert_int_equal(number_of(&approvals[i]), expected[i]);
    assert_true(store_approvals(store, approvals, 2, &count, &(struct error){ 0 }));
    assert_int_equal(count, 2);
    assert_int_equal(number_of(&approvals[1]), 1);
    store_close(store);
}

static void an_approval_guard_wants_state_and_version(void **state)
{
    struct store *store = open_place(*state);

    assert_true(append_now(store, "approval 1 1 4102444800"));
    assert_true(append_now(store, "approval 1 2 0"));
    assert_true(append_now(store, "approval 2 2 1000"));
    assert_true(holds(store, 1, APPROVAL_GRANTED, 2));
    assert_false(holds(store, 1, APPROVAL_GRANTED, 1));
    assert_false(holds(store, 1, APPROVAL_GRANTED, 3));
    assert_false(holds(store, 1, APPROVAL_PENDING, 2));
    assert_false(holds(store, 2, APPROVAL_GRANTED, 1));
    assert_false(holds(store, 3, APPROVAL_GRANTED, 0));
    store_close(store);
}

/* Two use it in one batch, and a third one afterwards. */
static void an_approval_is_used_once(void **state)
{
    struct store *store = open_place(*state);
    struct store_guard guard = { .kind = STORE_GUARD_APPROVAL,
                                 .approval = APPROVAL_GRANTED,
                                 .version = 1 };
    struct append *first = append_new("approval 1 4 0");
    struct append *second = append_new("approval 1 4 0");
    struct gate gate;

    lease_id_of(1, guard.lease_id);
    assert_true(append_now(store, "approval 1 2 4102444800"));
    append_guard(first, &guard);
    append_guard(second, &guard);
    gate_close(&gate, store);
    assert_true(append_submit(first, store));
    assert_true(append_submit(second, store));
    gate_open(&gate);
    assert_true(append_wait(first));
    assert_false(append_wait(second));
    assert_false(append_if(store, "approval 1 4 0", &guard));
    assert_true(append_now(store, "approval 1 2 0")); /* it is given back */
    assert_true(holds(store, 1, APPROVAL_GRANTED, 3));
    append_free(first);
    append_free(second);
    store_close(store);
    gate_release(&gate);
}

#ifdef STAGEPASS_TEST_CLOCK
static void let_it_expire(const struct place *place)
{
    struct store *store = open_place(place);
    char command[64];

    (void)snprintf(command, sizeof(command), "approval 1 2 %" PRId64 " digest=1 code=1",
                   clock_wall_s() + 1000);
    assert_true(append_now(store, command));
    clock_test_advance(900);
    assert_true(holds(store, 1, APPROVAL_GRANTED, 1));
    assert_int_equal(by_digest(store, 1), 1);
    clock_test_advance(100);
    assert_false(holds(store, 1, APPROVAL_GRANTED, 1));
    assert_int_equal(by_digest(store, 1), 0);
    (void)snprintf(command, sizeof(command), "approval 1 1 %" PRId64 " code=2",
                   clock_wall_s() + 1000);
    assert_true(append_now(store, command)); /* a new one of the same id */
    assert_int_equal(find(store, 1).version, 1);
    assert_int_equal(by_code(store, 1), 0);
    assert_int_equal(by_code(store, 2), 1);
    store_close(store);
    conformance->forget_rows(place);
    store = open_place(place);
    assert_int_equal(find(store, 1).version, 1);
    assert_int_equal(by_code(store, 1), 0);
    store_close(store);
}

static void an_approval_serves_until_it_expires(void **state)
{
    in_a_child(let_it_expire, *state);
}

/* What may go does within a second or two, once an entry has come behind it. */
static void wait_until_gone(struct store *store, unsigned number)
{
    int64_t deadline_ns = clock_monotonic_ns() + INT64_C(30000000000);

    assert_true(append_now(store, "nothing"));
    while (find(store, number).version != 0 && clock_monotonic_ns() < deadline_ns)
        (void)sched_yield();
    assert_int_equal(find(store, number).version, 0);
}

/* On a clock that is behind: a database's own has a say in what goes. */
static void tell_what_expired(const struct place *place)
{
    struct store *store = NULL;
    int64_t start_s = 0;
    char command[64];

    clock_test_step(-100000);
    start_s = clock_wall_s();
    store = open_place(place);
    for (int i = 1; i <= 2; i++) {
        (void)snprintf(command, sizeof(command), "approval %d 1 %" PRId64 " code=%d", i,
                       start_s + i * INT64_C(1000), i);
        assert_true(append_now(store, command));
    }
    clock_test_advance(2000 + APPROVALS_TOLD_S / 2);
    wait_until_gone(store, 1); /* whatever took it would have taken 2 */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(by_code(store, 2), 2);
        assert_int_equal(find(store, 2).state, APPROVAL_PENDING);
        assert_false(holds(store, 2, APPROVAL_PENDING, 1));
        store_close(store);
        store = open_place(place);
    }
    clock_test_advance(APPROVALS_TOLD_S / 2 + 1);
    wait_until_gone(store, 2);
    store_close(store);
}

static void one_that_has_expired_is_told_for_a_while(void **state)
{
    in_a_child(tell_what_expired, *state);
}
#endif

/* A proposal that opens as many as one can, from `first` on. */
static struct append *open_some(unsigned first)
{
    struct append *append = NULL;

    for (unsigned i = first; i < first + STORE_PROPOSAL_ENTRIES_MAX; i++) {
        char command[64];

        (void)snprintf(command, sizeof(command), "approval %u 1 4102444800 code=%u", i, i);
        if (append == NULL)
            append = append_new(command);
        else
            append_add(append, command);
    }
    return append;
}

/* As many as there may be, some at a time. */
static void open_all(struct store *store)
{
    struct append *appends[64];

    for (unsigned first = 1; first <= STORE_APPROVALS_MAX;) {
        for (size_t i = 0; i < COUNT(appends); i++, first += STORE_PROPOSAL_ENTRIES_MAX) {
            appends[i] = open_some(first);
            assert_true(append_submit(appends[i], store));
        }
        for (size_t i = 0; i < COUNT(appends); i++) {
            assert_true(append_wait(appends[i]));
            append_free(appends[i]);
        }
    }
}

static void no_more_approvals_are_kept_than_may_be(void **state)
{
    struct store *store = open_place(*state);
    struct append *append = append_new("approval 20000 1 4102444800");

    assert_true(append_now(store, "approval 30000 1 1000"));
    open_all(store);
    assert_true(append_submit(append, store));
    assert_false(append_wait(append));
    assert_int_equal(append_proposal(append)->error.code, ERROR_LEDGER);
    assert_string_equal(append_proposal(append)->error.cause, "as many approvals as there may be");
    append_free(append);
    assert_int_equal(find(store, 20000).version, 0);
    assert_int_equal(by_code(store, STORE_APPROVALS_MAX), STORE_APPROVALS_MAX);
    assert_true(append_now(store, "approval 7 2 4102444800 person=1"));
    assert_int_equal(find(store, 7).version, 2);
    store_close(store);
}

const struct CMUnitTest conformance_approvals[] = {
    CONFORMANCE_TEST(an_approval_keeps_what_its_entries_say),
    CONFORMANCE_TEST(an_approval_is_the_same_after_a_restart_and_from_its_entries),
    CONFORMANCE_TEST(a_person_counts_once_and_no_more_than_may_count),
    CONFORMANCE_TEST(what_opens_no_approval_changes_none),
    CONFORMANCE_TEST(an_approval_is_found_by_its_code_and_by_none),
    CONFORMANCE_TEST(of_one_digest_what_serves_longest_comes_first),
    CONFORMANCE_TEST(open_approvals_come_oldest_first),
    CONFORMANCE_TEST(an_approval_guard_wants_state_and_version),
    CONFORMANCE_TEST(an_approval_is_used_once),
#ifdef STAGEPASS_TEST_CLOCK
    CONFORMANCE_TEST(an_approval_serves_until_it_expires),
    CONFORMANCE_TEST(one_that_has_expired_is_told_for_a_while),
#endif
    CONFORMANCE_TEST(no_more_approvals_are_kept_than_may_be),
};
const size_t conformance_approvals_count = COUNT(conformance_approvals);
