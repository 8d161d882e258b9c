#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

#define FORM_BYTES_MAX ((size_t)64 * 1024)
#define FORM_PARAMETERS_MAX 100

/** One decoded parameter. */
struct form_parameter {
    struct str name;
    struct str value;
};

/** A decoded form, in the order it came. */
struct form {
    struct form_parameter list[FORM_PARAMETERS_MAX];
    size_t count;
};

/**
 * Decode application/x-www-form-urlencoded strictly.
 *
 * `known` (ends with NULL) are the parameters that the endpoint reads. Refused: broken %-escapes,
 * what is not UTF-8, NUL, a repeated parameter other than `audience`, `resource` and `binding`, one
 * more than FORM_PARAMETERS_MAX, an unknown name that is a known one in another case or with "[]"
 * or "[n]" behind it. Other unknown parameters stay and are nobody's business. An empty value
 * counts as absent (RFC 6749 3.2), so it is dropped.
 *
 * Errors: ERROR_REQUEST, ERROR_BODY_TOO_LARGE, ERROR_MEMORY
 * Owns:   `form` points into `arena`
 * Source: security-rules.md 1.3
 */
bool form_parse(struct str body, const char *const *known, struct arena *arena, struct form *form,
                struct error *error) MUST_USE;

/**
 * Decode the query of a search, likewise strictly: here a name may come again, and one with an
 * empty value stays, so that whoever reads it can refuse it. Nothing is known: the reader refuses
 * what it does not know.
 *
 * Errors: ERROR_REQUEST, ERROR_MEMORY
 * Owns:   `form` points into `arena`
 */
bool form_parse_query(struct str query, struct arena *arena, struct form *form, struct error *error)
    MUST_USE;

/** The value of a parameter; false where it did not come. */
bool form_get(const struct form *form, const char *name, struct str *value);

/** How many parameters of that name came. */
size_t form_count(const struct form *form, const char *name);
