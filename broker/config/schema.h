#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/macros.h"

struct error;

/**
 * The JSON Schema of broker.yaml, or of a catalog: schema/config.schema.json, with what the
 * parser's tables say (profiles, kinds of targets, what is the broker's own) put into it.
 *
 * Errors: ERROR_MEMORY
 * Owns:   `*out` is the caller's (json_decref)
 */
bool config_schema_broker(json_t **out, struct error *error) MUST_USE;
bool config_schema_catalog(json_t **out, struct error *error) MUST_USE;
