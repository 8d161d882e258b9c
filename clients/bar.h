#pragma once

#include <stdbool.h>
#include <stddef.h>

/**
 * A bar on standard error that shows how far something long is: on a terminal only, and only where
 * there is enough to do. It is gone when it ends.
 *
 * Threads: confined
 */
struct bar {
    const char *what; /* "comparing" */
    size_t total_min; /* less than that to do shows nothing */
    bool is_open;     /* something is on the terminal */
    int percent;      /* that is shown */
};

/** Show that `done` of `total` are done: what policy loading and comparing call. */
void bar_show(size_t done, size_t total, void *bar);

/** Take it away. */
void bar_end(struct bar *bar);
