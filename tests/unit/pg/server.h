#pragma once

#include <stdint.h>

/* A PostgreSQL server of this test's own; it ends with the test, however that ends. */

#define SERVER_URL_MAX 256

/** Start it; as cmocka's group set-up. */
int server_start(void **state);
int server_stop(void **state);

/** A URL of its database `stagepass`. */
const char *server_url(void);

/** A session of any of its users, none of whom needs a password; libpq's, PQfinish() ends it. */
struct pg_conn *server_log_in(const char *user, const char *database);

/** Have psql run a file, as the superuser; it must work. */
void server_run_file(const char *database, const char *file);

/** Run SQL in a database; it must work. */
void server_sql(const char *database, const char *sql);

/** The same; the one number that it gives, 0 where it gives none. */
int64_t server_ask(const char *database, const char *sql);

/** The one number that a query of the database `stagepass` gives. */
int64_t server_number(const char *sql);
