#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macros.h"

struct error;

/**
 * Keep secrets inside: no core dumps, PR_SET_DUMPABLE 0, jansson's memory wiped before it is freed.
 *
 * Unlike the broker's secret_harden_process() this leaves a way back for the commands that we
 * start: NO_NEW_PRIVS is inherited and would break sudo in them, so it is not set; of RLIMIT_CORE
 * only the soft limit is lowered, and process_start() restores it in the child.
 *
 * Threads: start-up, before jansson's first use
 */
bool process_harden(struct error *error) MUST_USE;

/**
 * Block the signals that end or steer a job (INT TERM HUP QUIT USR1 USR2) and CHLD, and read them
 * from a descriptor instead. `*signals` is that descriptor; it is not inherited. For the rest of
 * the program's life.
 *
 * Threads: start-up, before other threads
 */
bool process_catch_signals(int *signals, struct error *error) MUST_USE;

/** The signal that is to end us and was not looked at yet, or 0; waits for at most `timeout_ms`. */
int process_ending_signal(int signals, int timeout_ms);

/** What a program is started as. */
enum process_role {
    PROCESS_COMMAND, /* in our process group: the terminal's keys reach it as if we were not there
                      */
    PROCESS_SERVICE, /* in a session of its own, without standard input, output and error */
};

/**
 * Whether there is such a program to run, by its path or in our PATH.
 *
 * Errors: those of errno; `*exit_code` is then what process_start() would give
 */
bool process_find(const char *program, int *exit_code, struct error *error) MUST_USE;

/**
 * Start a program: `argv[0]` is looked up in the PATH of `environment`.
 *
 * It gets the signal mask and the core limit that we were started with. `*exit_code` is set where
 * it could not be started: 127 not found, 126 anything else.
 */
bool process_start(enum process_role role, char *const argv[], char **environment, pid_t *child,
                   int *exit_code, struct error *error) MUST_USE;

#define PROCESS_WATCHES_MAX 8

/**
 * What process_wait() looks at besides its child: `is_readable` is called whenever `descriptor` is;
 * it reads from it, or changes it.
 */
struct process_watch {
    const int *descriptor; /* -1 there: nothing */
    void (*is_readable)(void *context);
    void *context;
};

/**
 * Wait for the child's end, with at most PROCESS_WATCHES_MAX watches, and give its exit code, 128 +
 * n where signal n ended it.
 *
 * Signals that we get are passed on, but for those of the terminal's keys: the child, in the same
 * process group, has got these itself.
 */
int process_wait(pid_t child, int signals, const struct process_watch *watches, size_t count);

/** Wait until `descriptor` is readable, at most `timeout_ms`; whether it is. */
bool process_is_readable(int descriptor, int timeout_ms);
