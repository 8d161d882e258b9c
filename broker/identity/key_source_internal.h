#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/progress.h"
#include "identity/identity.h"
#include "identity/key_set_internal.h"
#include "identity/token.h"

struct error;
struct key_location;
struct upstream;

/**
 * The key set of one issuer, kept fresh: the snapshot in force, when it was fetched, who waits.
 *
 * A set lives as long as its issuer says, 30 s to 10 min. Its use in the last fifth of that starts
 * a refresh behind the back of those that use it. Once it is over, the next one to ask waits for a
 * fetch; where that fails the old set serves for another hour at most. A key that it does not have
 * is asked for at most every 10 s. A set that was kept over a restart serves as one whose life is
 * over: only once a fetch has failed, and only as long as it would have.
 *
 * Owns:    copies of what it needs of the configuration, so that it can outlive a reload
 * Threads: shared; reference-counted
 * Source:  security-rules.md 3.4
 */
struct key_source;

/**
 * Make one; with `jwks_file` its set is read now and stays, else what was kept of it in `folder`
 * (NULL: nothing is kept) is read.
 *
 * Errors: ERROR_CONFIG, ERROR_MEMORY
 */
bool key_source_new(const struct issuer_options *issuer, unsigned algorithms,
                    struct upstream *upstream, const char *folder, struct key_source **source,
                    struct error *error) MUST_USE;
struct key_source *key_source_ref(struct key_source *source);
void key_source_unref(struct key_source *source);

OWNED_POINTER(key_source_unref, struct key_source)

/** Whether it would fetch from the same place in the same way; never where the set is a file. */
bool key_source_fits(const struct key_source *source, const struct issuer_options *issuer,
                     unsigned algorithms, const struct upstream *upstream);

/** A key with the set that it belongs to, which the holder gives back with key_set_unref(). */
struct key_pick {
    struct key_set *set;
    struct verifier *verifier;
};

/**
 * Find a token's key. Who has waited once already gets an answer, never PROGRESS_WAIT again.
 *
 * Errors: ERROR_TOKEN (no such key), ERROR_KEYS_UNAVAILABLE, ERROR_MEMORY
 */
enum progress key_source_find(struct key_source *source, const struct token_envelope *envelope,
                              bool has_waited, struct waker waker, struct key_pick *pick,
                              struct error *error);

/** Forget a waker; true when it was there. */
bool key_source_forget(struct key_source *source, const void *waker_context);

/** Whether the last fetch failed. */
bool key_source_is_failing(struct key_source *source);

/** For how long fetches have failed; -1 where the last one did not. */
int64_t key_source_failing_s(struct key_source *source);

/**
 * Tell what changed in the keys of the issuer of that name, and keep the set for the next start;
 * true where there was something to do. Blocks: for one thread at a time, and no HTTP thread.
 */
bool key_source_tend(struct key_source *source, struct str name,
                     const struct identity_listener *listener);

/** How long a set lives of which its issuer says this: 30 s to 10 min; -1 is nothing. */
int64_t key_source_lifetime_s(int64_t max_age_s);

/** Where its keys are to be had, as long as the source is there. */
const struct key_location *key_source_location(const struct key_source *source);
