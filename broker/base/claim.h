#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/str.h"

/** How a claim's value is written in JSON. */
enum claim_type {
    CLAIM_STRING,
    CLAIM_INTEGER,
    CLAIM_BOOLEAN,
    CLAIM_STRINGS, /* one string, or an array of strings */
    CLAIM_OBJECT,  /* its members have rows of their own, or are for pointers */
    CLAIM_OBJECTS, /* an array of objects */
};

/** What is known of a claim besides its type. */
enum claim_flag {
    CLAIM_ID = 1 << 0,       /* names one thing for ever: a repository id */
    CLAIM_OWNER_ID = 1 << 1, /* names an organisation for ever */
    CLAIM_CAN_BE_RENAMED = 1 << 2,
    CLAIM_SET_BY_USER = 1 << 3, /* whoever starts the job can choose it */
    CLAIM_OPTIONAL = 1 << 4,
    CLAIM_PERSONAL = 1 << 5, /* says something of a person: digests in the ledger */
    CLAIM_PREFIX = 1 << 6,   /* the row is of every claim whose name starts so, and goes on */
};

/** A row of a profile's claims, or of the `ci.*` facts. */
struct claim {
    const char *name; /* one that starts with '/' is a JSON Pointer into the claims */
    enum claim_type type;
    unsigned flags;
};

/** The claims of an issuer: its profile's rows and those that the configuration adds. */
struct claim_table {
    const struct claim *rows;
    size_t count;
};

/** The row of a name, or NULL; one that is exactly so before one of CLAIM_PREFIX. */
const struct claim *claim_find(const struct claim_table *table, struct str name);

/**
 * The value under a row's name, NULL where it is absent: a member, or what a JSON Pointer leads to.
 *
 * A pointer goes through objects only, and leads nowhere where it is malformed.
 *
 * Source: RFC 6901 4
 */
const json_t *claim_value(const json_t *claims, const char *name);

/** Whether a name is a member's, or a well-formed pointer whose parts are not empty. */
bool claim_name_is_good(struct str name);

/**
 * Set what claim_value() reads, with the objects on the way; a NULL value or a failed set makes it
 * false, and so does a pointer through what is no object. The value's reference is always taken.
 */
bool claim_put(json_t *claims, const char *name, json_t *take_value) MUST_USE;

/** The longest part of a pointer, bytes. */
#define CLAIM_POINTER_MAX 256

/** Whether a value has the type. */
bool claim_has_type(const json_t *value, enum claim_type type);

/**
 * A state in which a job runs what its repository's owners did not write, or may be steered by
 * somebody else: refused unless a stage names it by its exact value.
 */
struct claim_danger {
    const char *claim;      /* NULL: no claim says so, only the fact */
    const char *value;      /* the claim's; a boolean as "true" */
    const char *fact;       /* "ci.debug": what says the same for every issuer; NULL: no fact */
    const char *fact_value; /* the fact's; a boolean as "true" */
    const char *harmless;   /* "ci.fork": where it is false there is no danger; NULL: always one */
};

struct claim_dangers {
    const struct claim_danger *rows;
    size_t count;
};

/**
 * The rows that hold for a token's claims or facts; `found` has room for all of them. `ci` NULL:
 * there are no facts.
 */
size_t claim_dangers_find(const struct claim_dangers *dangers, const json_t *claims,
                          const json_t *ci, const struct claim_danger **found);
