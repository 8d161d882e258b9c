#pragma once

#include <stdbool.h>

#include "base/macros.h"
#include "base/str.h"

/** A member of an object: its name, and the text of its value. False ends the walk. */
typedef bool (*json_walk_member)(void *context, struct str name, struct str value);

/**
 * Walk over the members of a JSON object without building it: many times faster than that.
 *
 * False says nothing of the text but that it is not plain, or that `each` ended the walk. Plain is
 * what json_plain_write() gives: no white space, names ascending and not twice, in all objects;
 * printable ASCII without escapes; integers of at most 18 digits; at most 16 levels. All of the
 * text is looked at, so a walk that gives true has seen one whole object and nothing else.
 */
bool json_walk(struct str text, json_walk_member each, void *context) MUST_USE;

/** The same without the processor's vectors, as json_walk() is where there are none: for tests. */
bool json_walk_portable(struct str text, json_walk_member each, void *context) MUST_USE;
