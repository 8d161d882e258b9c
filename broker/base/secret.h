#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"

struct error;

/**
 * Key material or a credential: no print helper takes it.
 *
 * Its memory is its own pages' (locked, kept out of core dumps) and is wiped on release. Copies
 * that libraries make are beyond it.
 *
 * Threads: confined
 */
struct secret {
    uint8_t *data;
    size_t len;
    size_t mapped_bytes; /* private */
};

#define SECRET_MAX ((size_t)1024 * 1024)

/**
 * Room for `len` bytes (<= SECRET_MAX), zeroed.
 *
 * Errors: ERROR_LIMIT, ERROR_MEMORY (also where RLIMIT_MEMLOCK lets no more memory be locked)
 */
bool secret_init(struct secret *secret, size_t len, struct error *error) MUST_USE;
void secret_release(struct secret *secret);

OWNED_VALUE(secret_release, struct secret)

bool secret_init_copy(struct secret *secret, struct str bytes, struct error *error) MUST_USE;

/** Constant-time in the content; lengths may be learnt. */
bool secret_eq(struct str a, struct str b);

/** Random bytes of the private generator (RAND_priv_bytes). */
bool secret_random(uint8_t *out, size_t len, struct error *error) MUST_USE;

/** Overwrite in a way that the compiler keeps. */
void secret_wipe(void *data, size_t len);

/**
 * Harden the process: no core dumps, PR_SET_DUMPABLE 0, NO_NEW_PRIVS; jansson's memory is wiped
 * before it is freed. That memory stays malloc()'s, so that a library may free() what jansson gave
 * it.
 *
 * Threads: start-up, before jansson's first use
 */
bool secret_harden_process(struct error *error) MUST_USE;

/**
 * Read a file that holds a secret: regular, not a symlink's surprise (opened once, checked by
 * descriptor), at most `max_bytes`, mode without any right for others, and group rights only to
 * read and only for the process's own group (0400, 0600, 0440, 0640). Group root counts as our own:
 * systemd's credentials have it, with an access list for the service's user.
 *
 * Errors: ERROR_IO (cannot read), ERROR_LIMIT, ERROR_CONFIG (mode; the cause says the chmod to run)
 */
bool secret_read_file(struct secret *secret, const char *path, size_t max_bytes,
                      struct error *error) MUST_USE;
