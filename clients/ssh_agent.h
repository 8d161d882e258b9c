#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

/**
 * OpenSSH's ssh-agent as our child, listening on a socket in a folder of ours. All-zero is none.
 *
 * Threads: confined
 */
struct ssh_agent {
    pid_t process;
    const char *socket; /* path; in the arena */
};

/**
 * Start it and wait until it listens.
 *
 * Errors: ERROR_IO (no ssh-agent, it does not start), ERROR_MEMORY
 */
bool ssh_agent_start(struct ssh_agent *agent, const char *folder, struct arena *arena,
                     struct error *error) MUST_USE;

/** End it; its keys end with it. */
void ssh_agent_stop(struct ssh_agent *agent);

OWNED_VALUE(ssh_agent_stop, struct ssh_agent)

/**
 * Send one message (without its length) and expect the agent's success.
 *
 * Errors: ERROR_IO, ERROR_REFUSED (the agent does not take it)
 */
bool ssh_agent_send(const struct ssh_agent *agent, struct str message, struct error *error)
    MUST_USE;
