#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "base/workers.h"
#include "fixture.h"
#include "pg/server.h"
#include "targets/postgres_internal.h"
#include "tests/test.h"

/*
 * A target's roles at a real server, whose broker has the rights that README.md says, and no more.
 */

#define HOSTILE "or\"der's; --" /* a database's name */
#define ROLE(more) "{ database: stagepass, mode: role, roles: [app]" more " }"

struct world {
    struct fixture fixture; /* first */
    struct workers *workers;
    char dsn_file[128];
};

/** The server, with databases and roles; as cmocka's group set-up, before server_stop(). */
int world_start(void **state);

int world_make(void **state);
int world_clean(void **state);

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, world_make, world_clean)

/** Let the broker call what it may in a database. */
void allow_broker(const char *database);
/** Have the target log in as somebody else. */
void write_dsn(struct world *world, const char *user);
/** Configure and start the target anew. */
void configure(struct world *world, const char *more);

/** A statement must end with this SQLSTATE; "00000" where it is to work. */
void assert_state(PGconn *connection, const char *sql, const char *expected);
/** The server must have ended a session. */
void assert_over(PGconn *connection);

/** SQL of the superuser's, in which %s is the role; the one number that it gives. */
int64_t tell(const char *role, const char *sql);

/** Waits for a waker: ring(), with the bell. */
struct bell {
    pthread_mutex_t lock;
    pthread_cond_t rung;
    bool has_rung;
};

void ring(void *context);
void bell_init(struct bell *bell);
void bell_wait(struct bell *bell);

/** Mint by these fields, however often that is entered. */
bool make(struct world *world, const char *fields);
/** The same, which must work; the role's name. */
const char *made(struct world *world, const char *fields);
/** The same, of which nothing may be made, nor anybody say that it may have been. */
void assert_refused(struct world *world, const char *fields, const char *cause);

/** End what a record names. */
bool end(struct world *world, const json_t *record, struct error *error);
/** End what was made last, which must work. */
void assert_ended(struct world *world);
