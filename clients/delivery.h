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
struct tls_key;

/** The keys that were made for a lease; one that was not needed is all-zero. */
struct delivery_keys {
    const struct ssh_key *ssh;
    const struct tls_key *tls;
};

/**
 * Credentials where a command finds them: its environment, an ssh-agent, an AWS credentials file,
 * files of certificates.
 *
 * All-zero is none. Released, nothing of it is left.
 *
 * Threads: confined
 */
struct delivery {
    struct environment environment;
    struct work_folder folder;
    struct ssh_agent agent;
    bool is_renewed; /* tokens are in files, too: those can be replaced */
};

/**
 * Deliver all credentials of an answer. Secrets are masked in GitHub's log before they go anywhere.
 *
 * The ssh key goes to the agent over its socket, with the time at which it is to be forgotten.
 * Certificates, and the key that they are of, are files in the work folder; so are tokens, besides,
 * where the lease is renewed: STAGEPASS_<GRANT>_TOKEN_FILE, STAGEPASS_ACCESS_TOKEN_FILE. Of
 * the grants' kinds that this client does not know it says so.
 *
 * Errors: ERROR_INVALID, ERROR_IO, ERROR_REFUSED (the agent), ERROR_MEMORY
 */
bool delivery_init(struct delivery *delivery, const struct answer *answer,
                   const struct delivery_keys *keys, int64_t now_s, struct arena *arena,
                   struct error *error) MUST_USE;

/**
 * Deliver what a renewal gave in the place of what was delivered: files are replaced as a whole,
 * and the agent gets the new certificate. The command's environment stays what it was.
 *
 * Errors: as delivery_init()
 */
bool delivery_renew(const struct delivery *delivery, const struct answer *answer,
                    const struct delivery_keys *keys, int64_t now_s, struct arena *arena,
                    struct error *error) MUST_USE;
void delivery_release(struct delivery *delivery);

OWNED_VALUE(delivery_release, struct delivery)
