#pragma once

/*
 * A connection of libpq's that is not made.
 *
 * libpq writes a server's notices to standard error until it is told otherwise, and what can be
 * told is a connection that was started: what a server says at login comes before. So one is
 * started while none can be made, told, and only then made. For that connect() is this room's, by
 * the name: a symbol of the program goes before libc's.
 */

/** From here to pg_rehearsal_end() every connect() of this thread fails with ECONNREFUSED. */
void pg_rehearsal_begin(void);
void pg_rehearsal_end(void);
