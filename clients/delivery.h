#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/macros.h"
#include "clients/environment.h"
#include "clients/ssh_agent.h"
#include "clients/work_folder.h"

struct answer;
struct error;
struct ssh_key;

/**
 * Credentials where a command finds them: its environment, an ssh-agent, an AWS credentials file.
 *
 * All-zero is none. Released, nothing of it is left.
 *
 * Threads: confined
 */
struct delivery {
    struct environment environment;
    struct work_folder folder;
    struct ssh_agent agent;
};

/**
 * Deliver all credentials of an answer. Secrets are masked in GitHub's log before they go anywhere.
 *
 * The ssh key goes to the agent over its socket, with the time at which it is to be forgotten; of
 * the grants' kinds that this client does not know it says so.
 *
 * Errors: ERROR_INVALID, ERROR_IO, ERROR_REFUSED (the agent), ERROR_MEMORY
 */
bool delivery_init(struct delivery *delivery, const struct answer *answer,
                   const struct ssh_key *key, int64_t now_s, struct arena *arena,
                   struct error *error) MUST_USE;
void delivery_release(struct delivery *delivery);

OWNED_VALUE(delivery_release, struct delivery)
