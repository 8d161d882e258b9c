#pragma once

#include <pthread.h>

#include "fixture.h"
#include "peer.h"
#include "targets/target.h"

/**
 * A fixture whose mints may wait: upstream and workers run, and a waker is waited for.
 *
 * Threads: confined, but the waker
 */
struct remote_fixture {
    struct fixture base;
    struct peer_log log; /* what the peer was asked at last */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    int wakes; /* guarded by lock */
};

void remote_init(struct remote_fixture *fixture);
void remote_release(struct remote_fixture *fixture);

/** Enter a mint of the fixture's target, and again behind each wake, until it waits no more. */
enum progress remote_mint(struct remote_fixture *fixture);

/** The same against a peer that answers so; `configure` sets the target up for its URL. */
enum progress remote_mint_from(struct remote_fixture *fixture,
                               void (*configure)(struct remote_fixture *fixture, const char *url),
                               const struct peer_script *scripts, size_t count);

/** The same of a revocation, and of a look. */
enum progress remote_revoke(struct remote_fixture *fixture, struct revocation *revocation);
enum progress remote_sweep(struct remote_fixture *fixture, struct sweep *sweep);

/** A field of the form that was sent with a request, decoded; fails the test where it is not there.
 */
const char *remote_form_field(struct remote_fixture *fixture, size_t request, const char *name);

/** Whether the form has the field at all. */
bool remote_form_has(const struct remote_fixture *fixture, size_t request, const char *name);

/** The claims of a token of ours, whose signature and algorithm are looked at; in the arena. */
const json_t *remote_claims(struct remote_fixture *fixture, const char *token, const char *alg);
