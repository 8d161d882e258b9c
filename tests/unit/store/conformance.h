#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "store/help.h"
#include "tests/test.h"

/*
 * What every store does, wherever it is: one set of tests, run against each backend.
 *
 * A test's state is a `struct place`, an empty one for each test.
 */
#define LOCATION_MAX 256

struct place {
    char location[LOCATION_MAX]; /* for store_open() and store_reader_open() */
};

/* What a backend brings. */
struct conformance {
    void (*make)(struct place *place); /* where no store is yet */
    void (*remove)(const struct place *place);
    void (*forget_rows)(const struct place *place); /* so that a start reads all entries again */
};

/** Run all of it: the number of tests that failed. */
int conformance_run(const struct conformance *conformance);

/** The one that runs. */
extern const struct conformance *conformance;

int conformance_make(void **state);
int conformance_clean(void **state);

#define CONFORMANCE_TEST(function)                                                                 \
    cmocka_unit_test_setup_teardown(function, conformance_make, conformance_clean)

extern const struct CMUnitTest conformance_appends[];
extern const size_t conformance_appends_count;
extern const struct CMUnitTest conformance_batches[];
extern const size_t conformance_batches_count;
extern const struct CMUnitTest conformance_rows[];
extern const size_t conformance_rows_count;
extern const struct CMUnitTest conformance_blocks[];
extern const size_t conformance_blocks_count;
extern const struct CMUnitTest conformance_approvals[];
extern const size_t conformance_approvals_count;
extern const struct CMUnitTest conformance_due[];
extern const size_t conformance_due_count;
extern const struct CMUnitTest conformance_leases[];
extern const size_t conformance_leases_count;
extern const struct CMUnitTest conformance_limits[];
extern const size_t conformance_limits_count;
extern const struct CMUnitTest conformance_reading[];
extern const size_t conformance_reading_count;

struct store *open_place(const struct place *place);
/** The same once more; the store that was open is closed. */
struct store *reopen(struct store *store, const struct place *place);

/** All-zero where there is none. */
struct store_lease lease_of(const struct store *store, unsigned number);

/** Append under a guard: whether it held. Where not it must be told which one failed. */
bool append_if(struct store *store, const char *command, const struct store_guard *guard);

/** In a process of its own, so that the clock is right again afterwards. */
void in_a_child(void (*run)(const struct place *place), const struct place *place);

/** Append "entry N" for N from `first` on, many at a time. */
void append_burst(struct store *store, unsigned first, unsigned count);

/* Holds the store's thread in a `done`, so that what is submitted meanwhile is one batch. */
struct gate {
    struct store_proposal proposal;
    struct append *entry;
    pthread_mutex_t lock;
};

void gate_close(struct gate *gate, struct store *store);
void gate_open(struct gate *gate);
/** Once the store is closed. */
void gate_release(struct gate *gate);
