#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/** How a claim's value is written in JSON. */
enum claim_type {
    CLAIM_STRING,
    CLAIM_INTEGER,
    CLAIM_BOOLEAN,
    CLAIM_STRINGS, /* one string, or an array of strings */
};

/** What is known of a claim besides its type. */
enum claim_flag {
    CLAIM_ID = 1 << 0,       /* names one thing for ever: a repository id */
    CLAIM_OWNER_ID = 1 << 1, /* names an organisation for ever */
    CLAIM_CAN_BE_RENAMED = 1 << 2,
    CLAIM_SET_BY_USER = 1 << 3, /* whoever starts the job can choose it */
    CLAIM_OPTIONAL = 1 << 4,
    CLAIM_PERSONAL = 1 << 5, /* says something of a person: digests in the ledger */
};

/** A row of a profile's claims, or of the `ci.*` facts. */
struct claim {
    const char *name;
    enum claim_type type;
    unsigned flags;
};

/** The claims of an issuer: its profile's rows and those that the configuration adds. */
struct claim_table {
    const struct claim *rows;
    size_t count;
};

/** The row of a name, or NULL. */
const struct claim *claim_find(const struct claim_table *table, struct str name);
