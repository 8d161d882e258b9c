#pragma once

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

#include "base/macros.h"
#include "clients/paint.h"
#include "policy/explain.h"

/** Print what an explanation shows, for people: the verdict, what is given, the trees. */
void explanation_print(const struct explanation *explanation, const struct paint *paint,
                       FILE *file);

/** Print one tree; `margin` spaces stand before each line. */
void explanation_print_subject(const struct explain_subject *subject, bool is_short,
                               const struct paint *paint, int margin, FILE *file);

/** The same as JSON, a new reference; NULL without memory. */
json_t *explanation_json(const struct explanation *explanation) MUST_USE;
