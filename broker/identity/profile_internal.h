#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/macros.h"
#include "identity/profile.h"

/* The platforms, a file each; profile.c has the table. */
extern const struct profile profile_github;
extern const struct profile profile_generic;

/** A `ci` fact that is a claim as it stands. */
struct profile_copy {
    const char *fact;
    const char *claim;
};

/** Copy claims that are strings; what is absent, empty or of another type becomes null. */
bool profile_copy_texts(const json_t *claims, const struct profile_copy *rows, size_t count,
                        json_t *ci) MUST_USE;
