#pragma once

#include <stddef.h>
#include <stdint.h>

/**
 * A timing wheel: rows by the second at which something is to be done about them.
 *
 * Five levels of 256 lists: of the first each is one second, of the next 256 seconds, and so on, up
 * to times of 40 bits. A row stands where its time first differs from the wheel's, and moves down
 * as that comes nearer, so that adding, removing and taking cost the same however many there are.
 * Nothing is ever searched for.
 *
 * Rows are numbers from 1 on, below DUE_LIST. Their links are in the rows themselves. All-zero is a
 * valid empty wheel.
 *
 * Threads: confined
 */
#define DUE_LEVELS 5
#define DUE_SLOTS 256
#define DUE_TIME_MAX ((INT64_C(1) << (8 * DUE_LEVELS)) - 1)

/** Set in `before` of the first of a list: the rest is the number of the list. */
#define DUE_LIST 0x80000000U

/** All-zero where the row is not in the wheel. */
struct due_link {
    uint32_t next;   /* 0: it is the last */
    uint32_t before; /* a row, or DUE_LIST and a list */
};

struct due {
    int64_t now_s; /* what is due then was given out, but for what came since */
    size_t count;
    uint32_t first[DUE_LEVELS * DUE_SLOTS];
    uint64_t used[DUE_LEVELS * DUE_SLOTS / 64]; /* a bit a list that is not empty */
};

/** Where rows have their links and times. A time changes only while the row is not in the wheel. */
struct due_rows {
    void *rows;
    struct due_link *(*link)(void *rows, uint32_t number);
    int64_t (*time_s)(const void *rows, uint32_t number);
};

/** Add a row that is not in it; one of the past is due at once. */
void due_add(struct due *due, const struct due_rows *rows, uint32_t number);

/** Remove a row, if it is in it. */
void due_remove(struct due *due, const struct due_rows *rows, uint32_t number);

/**
 * Take out a row that is due at `now_s`, those of earlier seconds first; 0: there is none (any
 * more). Each row that is looked at takes one off `*budget`; where nothing is left of it the answer
 * is 0 too.
 */
uint32_t due_take(struct due *due, const struct due_rows *rows, int64_t now_s, size_t *budget);

/** Forget all rows, whatever their links say, and begin at another time. */
void due_clear(struct due *due, int64_t now_s);
