#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/digest.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

/**
 * What `credentials --output aws-credential-process` answered last, for the same question of the
 * same job.
 *
 * AWS SDKs ask on every use of a credential that ends within 15 minutes, and each answer would be a
 * lease of its own. The file is in a folder of mode 0700 of ours, its name a digest of job and
 * question; it is locked while it is open, so that of several at once one asks the broker and the
 * others get its answer.
 *
 * All-zero but for `file` (-1) is none: then nothing is kept.
 *
 * Threads: confined
 * Source:  reference of cloud targets 1.10
 */
struct aws_cache {
    const char *path; /* in the arena */
    int file;
};

/** By what the lease of a cached answer is renewed; secret. */
struct aws_renewal {
    struct str token; /* empty: it is not */
    struct str key;   /* as proof_key_write() has it; empty: the lease is bound to none */
};

/** A cached answer with less life than this is not given again. */
#define AWS_CACHE_LEFT_MIN_S 60

/**
 * Open it in XDG_RUNTIME_DIR, else in RUNNER_TEMP; one in which others could replace it is passed
 * over (work_folder_is_safe()). Where neither is there nothing is kept: true.
 *
 * Errors: ERROR_IO (folder or file are not ours alone), ERROR_MEMORY; it is to be closed then, too
 */
bool aws_cache_open(struct aws_cache *cache, const uint8_t question[SHA256_LEN],
                    struct arena *arena, struct error *error) MUST_USE;
void aws_cache_close(struct aws_cache *cache);

OWNED_VALUE(aws_cache_close, struct aws_cache)

/** The kept answer, where it still lives long enough; false without one. */
bool aws_cache_get(const struct aws_cache *cache, int64_t now_s, struct arena *arena,
                   struct str *answer) MUST_USE;

/** What the lease of the kept answer is renewed by, however long that lives; false without one. */
bool aws_cache_get_renewal(const struct aws_cache *cache, struct arena *arena,
                           struct aws_renewal *renewal) MUST_USE;

/** Keep an answer, of one line, and by what it is renewed. Errors: ERROR_IO, ERROR_LIMIT */
bool aws_cache_put(const struct aws_cache *cache, struct str answer,
                   const struct aws_renewal *renewal, struct error *error) MUST_USE;
