#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * How much libpq may receive.
 *
 * It keeps a message until all of it is there, of any length that the server says, and one call
 * of it reads as long as bytes come. It has no limit for that and no way to see the bytes. So its
 * own recv() is this room's, by the name: a symbol of the program goes before libc's.
 */

/** What may still come, of an answer. Threads: confined */
struct pg_intake {
    size_t left;
    size_t taken; /* since the session began */
    bool is_over; /* more came than may */
};

/**
 * From here to pg_intake_end() what this thread receives counts, of whatever socket. Once too much
 * came, nothing more does: receiving fails with EMSGSIZE.
 */
void pg_intake_begin(struct pg_intake *intake);
void pg_intake_end(void);
