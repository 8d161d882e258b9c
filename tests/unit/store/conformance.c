#include "store/conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* At least as many as there are. */
#define TESTS_MAX 200
#define SEGMENT_BYTES ((size_t)8192) /* of a folder: so small that segments change all the time */

const struct conformance *conformance;

int conformance_make(void **state)
{
    struct place *place = calloc(1, sizeof(*place));

    assert_non_null(place);
    conformance->make(place);
    *state = place;
    return 0;
}

int conformance_clean(void **state)
{
    conformance->remove(*state);
    free(*state);
    return 0;
}

struct store *open_place(const struct place *place)
{
    return open_location(place->location, SEGMENT_BYTES);
}

struct store *reopen(struct store *store, const struct place *place)
{
    store_close(store);
    return open_place(place);
}

struct store_lease lease_of(const struct store *store, unsigned number)
{
    struct store_lease lease = { 0 };
    char id[ID_LEN + 1];

    lease_id_of(number, id);
    return store_lease_by_id(store, str_from(id), &lease, &(struct error){ 0 })
               ? lease
               : (struct store_lease){ 0 };
}

void append_burst(struct store *store, unsigned first, unsigned count)
{
    struct append **appends = calloc(count, sizeof(struct append *));

    assert_non_null(appends);
    for (unsigned i = 0; i < count; i++) {
        char command[32];

        (void)snprintf(command, sizeof(command), "entry %u", first + i);
        appends[i] = append_new(command);
        assert_true(append_submit(appends[i], store));
    }
    for (unsigned i = 0; i < count; i++) {
        assert_true(append_wait(appends[i]));
        append_free(appends[i]);
    }
    free(appends);
}

bool append_if(struct store *store, const char *command, const struct store_guard *guard)
{
    struct append *append = append_new(command);
    bool is_committed;

    append_guard(append, guard);
    is_committed = append_submit(append, store) && append_wait(append);
    assert_int_equal(append_proposal(append)->failed_guard, is_committed ? 1 : 0);
    if (!is_committed)
        assert_int_equal(append_proposal(append)->error.code, ERROR_INVALID);
    append_free(append);
    return is_committed;
}

void in_a_child(void (*run)(const struct place *place), const struct place *place)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        /* or it would go on with the next test */
        (void)setenv("CMOCKA_TEST_ABORT", "1", 1); /* NOLINT(concurrency-mt-unsafe) */
        run(place);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void wait_at_gate(struct store_proposal *proposal, void *context)
{
    struct gate *gate = context;

    (void)proposal;
    (void)pthread_mutex_lock(&gate->lock);
    (void)pthread_mutex_unlock(&gate->lock);
}

void gate_close(struct gate *gate, struct store *store)
{
    struct error error = { 0 };

    gate->entry = append_new("gate");
    gate->proposal = *append_proposal(gate->entry);
    gate->proposal.done = wait_at_gate;
    gate->proposal.context = gate;
    (void)pthread_mutex_init(&gate->lock, NULL);
    (void)pthread_mutex_lock(&gate->lock);
    assert_true(store_submit(store, &gate->proposal, &error));
}

void gate_open(struct gate *gate)
{
    (void)pthread_mutex_unlock(&gate->lock);
}

void gate_release(struct gate *gate)
{
    append_free(gate->entry);
    (void)pthread_mutex_destroy(&gate->lock);
}

static void add_tests(struct CMUnitTest *all, size_t *all_count, const struct CMUnitTest *tests,
                      size_t count)
{
    assert_true(*all_count + count <= TESTS_MAX);
    memcpy(&all[*all_count], tests, count * sizeof(*tests));
    *all_count += count;
}

int conformance_run(const struct conformance *backend)
{
    struct CMUnitTest all[TESTS_MAX];
    size_t count = 0;

    conformance = backend;
    add_tests(all, &count, conformance_appends, conformance_appends_count);
    add_tests(all, &count, conformance_batches, conformance_batches_count);
    add_tests(all, &count, conformance_rows, conformance_rows_count);
    add_tests(all, &count, conformance_blocks, conformance_blocks_count);
    add_tests(all, &count, conformance_leases, conformance_leases_count);
    add_tests(all, &count, conformance_limits, conformance_limits_count);
    add_tests(all, &count, conformance_approvals, conformance_approvals_count);
    add_tests(all, &count, conformance_due, conformance_due_count);
    add_tests(all, &count, conformance_reading, conformance_reading_count);
    return _cmocka_run_group_tests("conformance", all, count, NULL, NULL);
}
