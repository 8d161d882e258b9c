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
 * Its memory is its own pages' (locked, kept out of core dumps) and is wiped on release. Copies that
 * libraries make are beyond it.
 */
struct secret {
    uint8_t *data;
    size_t len;
    size_t mapped_bytes; /* private */
};

/** Room for `len` bytes (<= 1 MiB), zeroed. */
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
 * Harden the process: no core dumps, PR_SET_DUMPABLE 0, NO_NEW_PRIVS; jansson's allocator wipes.
 *
 * Threads: start-up
 */
bool secret_harden_process(struct error *error) MUST_USE;

/**
 * Read a file that holds a secret: regular, not a symlink's surprise (opened once, checked by
 * descriptor), at most `max_bytes`, mode without any right for others, and group rights only to
 * read and only for the process's own group (0400, 0600, 0440, 0640).
 *
 * Errors: ERROR_IO (cannot read), ERROR_CONFIG (mode; the cause says the chmod to run)
 */
bool secret_read_file(struct secret *secret, const char *path, size_t max_bytes,
                      struct error *error) MUST_USE;
