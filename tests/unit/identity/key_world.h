#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/progress.h"
#include "identity/identity.h"
#include "tests/unit/identity/ci_issuer.h"
#include "tests/unit/identity/signer.h"

/* An issuer on loopback and a broker's view of it, for tests of key sets. Failures abort the test.
 */

#define NOW 1790000000
#define AUDIENCE "https://broker.example"
#define HEADER_A "{\"alg\":\"EdDSA\",\"kid\":\"a\"}"
#define HEADER_B "{\"alg\":\"EdDSA\",\"kid\":\"b\"}"
#define DEADLINE_S 20

/** Two keys of an issuer and a set of each: between key_world_set_up() and key_world_tear_down().
 */
extern struct signer *key_a;
extern struct signer *key_b;
extern char *jwks_a;
extern char *jwks_b;

int key_world_set_up(void **state);
int key_world_tear_down(void **state);

/** An issuer with a broker's view of it. */
struct world {
    struct ci_issuer *ci;
    struct upstream *upstream;
    struct identity *identity;
    struct issuer_options issuer;
    const char *folder; /* where keys are kept; NULL: nowhere */
};

struct issuer_options issuer_at(const char *name, const char *url);
struct identity *identity_of(const struct issuer_options *issuers, size_t count,
                             struct upstream *upstream, const struct identity *previous);
void world_open(struct world *world);
/** As after a restart: another identity, which knows only what was kept in the folder. */
void world_restart(struct world *world);
void world_close(struct world *world);
char *token_of(const struct signer *signer, const char *header, const char *issuer);

/** One verification, with the wait for its keys. */
struct attempt {
    struct arena *arena;
    char *token;
    void *state;
    struct verified_token verified;
    struct error error;
    unsigned entered; /* times that identity_verify() was called */

    pthread_mutex_t lock;
    pthread_cond_t woken;
    unsigned wake_count; /* guarded by lock */
};

void attempt_open(struct attempt *attempt, char *take_token);
void attempt_close(struct attempt *attempt);
enum progress enter(struct attempt *attempt, struct identity *identity);
bool is_woken(struct attempt *attempt, unsigned count);
/** Enter until it does not wait any more; a second wait would be a mistake. */
enum progress finish(struct attempt *attempt, struct identity *identity);

/** Verify a token of this key; ERROR_NONE where it is good. `*entered` is 2 where it waited. */
enum error_code verify_counting(struct world *world, const struct signer *signer,
                                const char *header, unsigned *entered);
enum error_code verify(struct world *world, const struct signer *signer, const char *header);
enum error_code verify_a(struct world *world);

/** Wait for something that another thread brings about. */
void await(unsigned (*count)(struct ci_issuer *ci), struct ci_issuer *ci, unsigned expected);
void await_degraded(const struct identity *identity, bool expected);
