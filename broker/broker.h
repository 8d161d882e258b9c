#pragma once

#include <stdbool.h>

#include "base/macros.h"

struct diagnostics;
struct error;

/**
 * The broker as a whole: every room wired to its neighbours, started and stopped in order.
 *
 * Threads: start-up; afterwards only broker_run()'s thread
 */
struct broker;

/**
 * Read configuration and policy and say what is wrong with them; start nothing.
 *
 * Errors: ERROR_CONFIG (see diagnostics), ERROR_IO, ERROR_MEMORY
 */
bool broker_check(const char *config_path, struct diagnostics *diagnostics, struct error *error)
    MUST_USE;

/**
 * Start all of it: store, keys, issuers, policy, listeners. Nothing is left behind on failure.
 *
 * Errors: those of broker_check(); ERROR_IO (port, store lock), ERROR_INVALID (a store that does
 * not fit its checkpoint), ERROR_LEDGER
 */
bool broker_start(const char *config_path, struct diagnostics *diagnostics, struct broker **broker,
                  struct error *error) MUST_USE;

/**
 * Serve until SIGTERM or SIGINT; SIGHUP reloads. The signals must be blocked before any thread
 * starts: broker_block_signals().
 *
 * Errors: ERROR_LEDGER when the store fenced itself
 */
bool broker_run(struct broker *broker, struct error *error) MUST_USE;

/** Finish what is under way, stop, close. NULL is accepted. */
void broker_stop(struct broker *broker);

OWNED_POINTER(broker_stop, struct broker)

/** Block the signals that broker_run() waits for. */
void broker_block_signals(void);
