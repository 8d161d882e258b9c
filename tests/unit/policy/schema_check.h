#pragma once

#include <stdbool.h>

#include <jansson.h>

struct yaml_document;

/** A value of a YAML document held against a JSON Schema, as an editor does it. */
struct schema_check {
    const json_t *root; /* the schema whose `$defs` are meant */
    const struct yaml_document *document;
};

/**
 * Whether the value fits. What stands plain in YAML and reads as a number or a boolean is one. It
 * knows the keywords that the schemas here use: another one fails the test.
 */
bool schema_fits(const struct schema_check *check, const json_t *schema, const json_t *value);

/** The schema of `$defs` that has a name; fails the test where there is none. */
const json_t *schema_definition(const json_t *root, const char *name);
