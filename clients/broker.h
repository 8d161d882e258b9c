#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"
#include "clients/fetch.h"
#include "clients/options.h"

struct error;

/** Options of commands that talk to a broker and to nobody else. All-zero is none given. */
struct broker_options {
    const char *url;
    const char *ca_file;
};

/** Their rows, for OPTION_GROUP, whose offset is that of the struct. */
#define BROKER_OPTION_COUNT 2
extern const struct option_row broker_option_rows[BROKER_OPTION_COUNT];

/** The broker as a client sees it. Borrows from the arena that it was made in. */
struct broker {
    struct upstream *upstream;
    struct upstream_peer peer;
    struct str url; /* without '/' at its end */
};

/** How a job's task ended, for stages that come `after`. */
enum broker_outcome {
    BROKER_UNSAID,
    BROKER_SUCCESS,
    BROKER_FAILURE,
};

/**
 * Say where the broker is: `url` is https, or http on loopback.
 *
 * Errors: ERROR_USAGE (none given, not such a URL), ERROR_MEMORY
 */
bool broker_init(struct broker *broker, const char *url, const char *ca_file,
                 struct upstream *upstream, struct arena *arena, struct error *error) MUST_USE;

/** The URL of a path of the broker's, NUL-terminated; `data` is NULL without memory. */
struct str broker_path(const struct broker *broker, const char *path, struct arena *arena);

/** A POST of a form. */
struct broker_post {
    const char *path;
    struct str form;
    const char *header;  /* "Name: value", or NULL */
    unsigned timeout_ms; /* for all of it */
};

/** Send it. Errors: as fetch() */
bool broker_send(const struct broker *broker, const struct broker_post *post, struct arena *arena,
                 struct fetch_answer *answer, struct error *error) MUST_USE;

/**
 * Give a lease back by its handle. Tried a few times where the broker does not answer: what is not
 * released lives on until it expires.
 *
 * Errors: as fetch(); ERROR_LATER, ERROR_IO (the broker does not take it)
 * Source: RFC 7009 2.1; design.md 3.2
 */
bool broker_release(const struct broker *broker, struct str handle, enum broker_outcome outcome,
                    struct arena *arena, struct error *error) MUST_USE;
