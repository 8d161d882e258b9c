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

/** Remove what claim_value() reads; false where there is nothing. */
bool claim_drop(json_t *claims, const char *name);

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

/** What a copied claim may be besides text, and what its absence says of the fact. */
enum claim_form {
    CLAIM_FORM_UNKNOWN, /* absence says nothing: the fact is null */
    CLAIM_FORM_NONE,    /* absence says that there is none: the fact is left out */
    CLAIM_FORM_NUMBER,  /* as CLAIM_FORM_UNKNOWN; an integer becomes text */
};

/** A `ci` fact that is a claim as it stands: a text. */
struct claim_copy {
    const char *fact;  /* without "ci." */
    const char *claim; /* a name as of a row: maybe a pointer */
    enum claim_form form;
};

struct claim_copies {
    const struct claim_copy *rows;
    size_t count;
};

/** A list of names as it stands in a row, ended by NULL. */
#define CLAIM_NAMES(...)                                                                           \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

/** A `ci` fact that follows from a claim's value; a boolean's is "true" or "false". */
struct claim_word {
    const char *claim; /* a name as of a row */
    const char *word;
    const char *fact; /* without "ci." */
    const char *value;
};

struct claim_words {
    const struct claim_word *rows;
    size_t count;
};

/**
 * Set what rows say of a token's claims, in `ci`; `facts` has the facts' types. Where no row of a
 * fact has the claim's value it stays as it is. False without memory.
 */
bool claim_words_put(const struct claim_words *words, const struct claim_table *facts,
                     const json_t *claims, json_t *ci) MUST_USE;

/**
 * Set the facts that are copied, in `ci`; a claim that is no text, nor a number where one may be,
 * makes its fact null. False without memory.
 */
bool claim_copies_put(const struct claim_copies *copies, const json_t *claims, json_t *ci) MUST_USE;

/**
 * A condition that says less than its author thinks: what to warn of in a stage's `identity` and
 * `when`.
 */
struct claim_lint {
    const char *rule;          /* its stable name: "github-environment-without-ref" */
    const char *const *claims; /* that a condition is on, "ci.*" too; a name that ends with '/' or
                                  ':' is of all that start so. Ended by NULL */
    const char *has; /* only where a value or pattern of it has this within; NULL: always */
    /* Harmless where the stage has a condition on one of these as well; ended by NULL. NULL: it
     * never is. */
    const char *const *unless;
    bool is_of_production; /* only in stages whose environment is production */
    const char *message;   /* behind "'ref' ": why it is too little */
    const char *hint;
};

struct claim_lints {
    const struct claim_lint *rows;
    size_t count;
};
