#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/str.h"
#include "base/yaml.h"
#include "config/config.h"

/** What every part of the file is read with. */
struct config_reader {
    struct config *config;
    struct yaml_reader yaml;
    struct str file;
};

/** A path of the file, relative to its folder; NULL without memory. */
const char *config_path(const struct config_reader *reader, struct str path);

/** Read a path; `*path` stays untouched where the key is absent. */
bool config_get_path(const struct config_reader *reader, const json_t *map, const char *key,
                     const char **path);

/** Whether it is [a-z0-9-]{1,40}. */
bool config_is_name(struct str text);

/**
 * The value must be a map of `names` (ends with NULL). Those of `later` are words of the contract
 * that this version does not know how to obey: refused, with that said.
 */
bool config_expect_map(const struct config_reader *reader, const json_t *map,
                       const char *const *names, const char *const *later);

/** Read `issuers:`. */
void config_read_issuers(const struct config_reader *reader, const json_t *root);

/** Read `algorithms` of an issuer, whose profile is known; without the key they are the profile's.
 */
void config_read_algorithms(const struct config_reader *reader, const json_t *map,
                            struct issuer_options *issuer);

/** Read `ca`, `jwks`, `key_hosts` and `allow_networks` of an issuer. */
void config_read_fetching(const struct config_reader *reader, const json_t *map,
                          struct issuer_options *issuer);

/** Read `people:`; the issuers of runs are known by then. */
void config_read_people(const struct config_reader *reader, const json_t *root);

/** Read `targets:`. */
void config_read_targets(const struct config_reader *reader, const json_t *root);

/** Fill in the policy language's view of issuers and targets. */
void config_build_world(struct config *config);
