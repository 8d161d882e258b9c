#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"
#include "clients/broker.h"

struct error;
struct upstream;

/**
 * A broker that is asked as the person who logged in.
 *
 * Threads: confined
 */
struct broker_reader {
    struct upstream *upstream;
    struct broker broker;
    struct arena *arena; /* as long as the reader */
    const char *header;  /* who asks */
};

/** Whether that is where a broker would be. */
bool broker_reader_is_url(const char *text);

/**
 * Get ready. All-zero, and released however it ends.
 *
 * Errors: ERROR_USAGE (no such URL), ERROR_REFUSED (nobody logged in), ERROR_IO, ERROR_MEMORY
 */
bool broker_reader_open(struct broker_reader *reader, const char *url, const char *ca_file,
                        struct error *error) MUST_USE;
void broker_reader_release(struct broker_reader *reader);

OWNED_VALUE(broker_reader_release, struct broker_reader)

/**
 * GET a path with its query. One that is busy, or whose index is behind, is asked again for some
 * seconds.
 *
 * Errors: ERROR_REFUSED (the login is no good, or has no role for it), ERROR_USAGE (it does not
 * take the query), ERROR_NOT_FOUND, ERROR_LATER, ERROR_INVALID, and as fetch() Owns:   `*body` is
 * in `arena`
 */
bool broker_reader_get(struct broker_reader *reader, const char *path, struct arena *arena,
                       const json_t **body, struct error *error) MUST_USE;
