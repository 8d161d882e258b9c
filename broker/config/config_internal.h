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

/** Read a path, which is relative to the folder of the file that it stands in; `*path` stays
 * untouched where the key is absent, and without memory. */
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

/** The folder of a file's path, with the '/' at its end. */
struct str config_folder_of(struct str path);

/** What is the broker's own in a map that a catalog may have too; of targets their kinds say it. */
struct config_own {
    const char *definition; /* the map's name in the JSON Schema */
    const char *const *keys;
};

extern const struct config_own config_own[];
extern const size_t config_own_count;

/** Report where others may write to a catalog: whoever can may say whose tokens count. */
bool config_catalog_check_file(struct arena *arena, const char *path,
                               struct diagnostics *diagnostics);

/** Report where a catalog is no map, or has keys that no file of ours has. */
void config_catalog_expect(const struct config_reader *reader, const json_t *root);

/** Report what a catalog, whose document the reader has, holds of the broker's own. */
void config_catalog_check(const struct config_reader *reader, const json_t *root);

/**
 * Join the catalog that the file names, if it names one, to the configuration's document. Mistakes
 * are reported; false where the two cannot be read as one.
 */
bool config_catalog_join(const struct config_reader *reader);

/**
 * Report where a row of `rows` lacks a key. Where there is a catalog, which may have meant the row,
 * the nearest name is told.
 */
bool config_require_in_row(const struct config_reader *reader, const json_t *rows, const char *name,
                           const char *key);

/** Read `store`: a folder, or a database and the folder of what is not in it. */
void config_read_store(const struct config_reader *reader, const json_t *root);

/** Read `keys`: a token's URI, or a map. Behind the store, which says where they are else. */
void config_read_keys(const struct config_reader *reader, const json_t *root);

/** Read `ledger:`; our own URL is known by then. */
void config_read_ledger(const struct config_reader *reader, const json_t *root);

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

/** Read `resource_servers:`. */
void config_read_resource_servers(const struct config_reader *reader, const json_t *root);

/** Read `streams:` of the map `ledger:`. */
void config_read_streams(const struct config_reader *reader, const json_t *ledger);

/** Read `targets:`. */
void config_read_targets(const struct config_reader *reader, const json_t *root);

/** Fill in the policy language's view of issuers and targets. */
void config_build_world(struct config *config);
