#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "exchange/ender.h"
#include "exchange/exchange.h"
#include "exchange/rules.h"
#include "ledger/help.h"
#include "targets/target.h"
#include "tests/test.h"

/*
 * A broker without the rest: a ledger, an ender, and targets that do what they are told. The clock
 * moves.
 */

#define DECISION "01J00000000000000000000000"
#define LIFE_S 600 /* of leases and credentials */
#define CALLS_MAX 4096

enum mode {
    MODE_GOOD,
    MODE_FAILS,
    MODE_HANGS, /* until it is let go */
};

/** By their place in `targets`. */
enum which_target {
    TARGET_DB,
    TARGET_OTHER,
    TARGET_PASSING, /* nothing is left of what has expired */
    TARGET_SWEPT,   /* what exists there is looked through */
    TARGET_LISTED,  /* ended by a list */
    TARGET_COUNT
};

extern struct target targets[TARGET_COUNT];
extern const struct target_kind fake_kind;

/** One that was to be ended at a target. */
struct call {
    char lease[ID_LEN + 1];
    char grant[32];
    char id[32];
    char secret[32]; /* of the handle; empty: there was none */
    char attempt[ID_LEN + 1];
};

/** What a target is told to do, and whom it lets wait. */
struct fake {
    enum mode mode;
    struct waker waiting[CALLS_MAX];
    size_t waiting_count;
};

/** What exists at the target that is swept: names of a lease and an id each. */
struct exists {
    char lease[ID_LEN + 1];
    char id[16];
};

/** What targets were asked, and what the ender told. `lock` guards all of it. */
struct seen {
    struct fake fakes[TARGET_COUNT];
    struct call calls[CALLS_MAX];
    size_t call_count;
    size_t ended_count;
    size_t revoked_count;
    size_t not_revoked_count;
    size_t failed_count;
    size_t orphan_count;
    size_t sweep_count;
    char last_cause[256];
    struct exists existing[64];
    size_t existing_count;
    _Atomic int64_t ahead_s; /* so far our clock is ahead of the store's */
};

extern struct seen seen;
extern pthread_mutex_t lock;

struct world {
    struct place place;
    struct ledger *ledger;
    struct arena *arena;
    struct rules rules;
    struct exchange_service service;
    struct ender *ender;
};

/** As cmocka's set-up and tear-down of each test. */
int world_make(void **state);
int world_clean(void **state);

#define WITH_ENDER(test) cmocka_unit_test_setup_teardown(test, world_make, world_clean)

void world_start(struct world *world);
void world_stop(struct world *world);
void start_ender(struct world *world);

void set_mode(enum which_target target, enum mode mode);
/** Whom it lets wait goes on, and it is good. */
void let_go(enum which_target target);

/** Wait until so many were counted; the clock goes on meanwhile where `step_s` is not 0. */
void wait_for(struct ender *ender, const size_t *what, size_t wanted, int64_t step_s);

/** A credential of a target, whose `id` is GRANT-id and whose handle's secret GRANT-secret. */
void add_credential(struct world *world, json_t *entry, json_t *part, unsigned number,
                    const char *grant, const char *target, const char *type);
json_t *new_entry(enum entry_type type, unsigned number);
/** The index that it got. */
uint64_t append_with(struct world *world, json_t *take_entry, json_t *take_part);
/** An entry of a lease with one credential, of a grant and kind that go by its target's name. */
uint64_t append_lease(struct world *world, enum entry_type type, unsigned number,
                      const char *target);

struct store_lease look_up(struct world *world, unsigned number);
void release(struct world *world, unsigned number);

/** An entry of the ledger; it lives as long as the world. */
json_t *entry_at(struct world *world, uint64_t index);
const char *text_of(const json_t *object, const char *name);
size_t list_len(const json_t *entry, const char *name);
