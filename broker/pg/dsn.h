#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"

struct error;

#define PG_DSN_MAX ((size_t)4096)
#define PG_KEYWORDS_MAX 80

/** Whether a location is a PostgreSQL URL rather than a folder. */
bool pg_dsn_is_url(const char *location);

/**
 * Whether libpq could connect by this text, a URL or keywords and values, and whether it may.
 *
 * It must name a host, or the folder of the server's socket. A password in it is refused unless it
 * came from a file. What leaves the machine is encrypted and the server's name is checked:
 * `sslmode` is verify-full where it says nothing, and may only be that or verify-ca.
 *
 * Errors: ERROR_CONFIG; the cause quotes nothing of the text
 * Source: PostgreSQL 15, "Database Connection Control Functions"
 */
bool pg_dsn_check(const char *dsn, bool is_from_file, struct error *error) MUST_USE;

/** Where the database is: one of them. Strings are owned. */
struct pg_place {
    char *url;
    char *dsn_file; /* read at each connection, so that a password can change */
};

bool pg_place_init(struct pg_place *place, const char *url, const char *dsn_file) MUST_USE;
void pg_place_release(struct pg_place *place);

struct _PQconninfoOption; /* libpq's */

/** What libpq is told: all-zero is empty. Borrows from `options`. */
struct pg_dsn {
    struct _PQconninfoOption *options;
    const char *keywords[PG_KEYWORDS_MAX];
    const char *values[PG_KEYWORDS_MAX];
    size_t count;
};

/** Read and check a place, add what we want besides. Errors: ERROR_CONFIG, ERROR_IO, ERROR_LIMIT */
bool pg_dsn_init(struct pg_dsn *dsn, const struct pg_place *place, struct error *error) MUST_USE;
/** The same of a file alone. */
bool pg_dsn_init_file(struct pg_dsn *dsn, const char *path, struct error *error) MUST_USE;
void pg_dsn_release(struct pg_dsn *dsn);

OWNED_VALUE(pg_dsn_release, struct pg_dsn)

/**
 * Whether all of a list of hosts, "a,b", are this machine: folders of sockets, localhost, loopback
 * addresses.
 */
bool pg_hosts_are_here(const char *hosts);

/** Say another value besides, which counts more. It is borrowed. */
void pg_dsn_set(struct pg_dsn *dsn, const char *keyword, const char *value);

/** What is told of a keyword in the end, or NULL. */
const char *pg_dsn_value(const struct pg_dsn *dsn, const char *keyword);
