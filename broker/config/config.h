#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/diagnostic.h"
#include "base/macros.h"
#include "base/str.h"
#include "identity/identity.h"
#include "identity/people.h"
#include "keys/keys.h"
#include "policy/policy.h"
#include "targets/target.h"

struct error;

/** Where a listener listens and by what certificate. */
struct config_listen {
    struct str address;
    uint16_t port;
    const char *certificate_file; /* NULL: plain HTTP, and then on loopback only */
    const char *key_file;
    const char *client_ca_file;
};

/** The numbers that an operator may set, in the unit of their names; defaults in config.c. */
struct config_limits {
    int64_t leeway_s;
    int64_t default_ttl_s;
    int64_t connections;
    int64_t threads; /* 0: one a core */
};

/**
 * A checked broker.yaml. Paths are absolute or relative to its folder, resolved.
 *
 * Threads: immutable after config_load()
 * Source:  design.md 3.3
 */
struct config {
    struct arena *arena; /* of all that is in here */
    struct str issuer;   /* our own URL, no trailing slash */
    struct str broker;   /* this broker's name in entries */
    struct config_listen listen;
    struct config_listen admin;
    const char *store;
    const char *issuers_folder; /* in the store: what is kept of issuers' keys */
    const char *people_folder;  /* the same of the people's provider, which may be an issuer too */
    struct keys_options keys;
    struct str origin;
    struct config_limits limits;
    bool needs_dpop_nonce; /* `dpop: { nonce: required }` */
    const char *policy_directory;
    struct str help;
    struct issuer_options *issuers;
    size_t issuer_count;
    const struct people_options *people; /* NULL: nobody audits, operates or approves here */
    struct target *targets;
    size_t target_count;

    /* the policy language's view of the above */
    struct policy_issuer *policy_issuers;
    struct policy_target *policy_targets;
    struct policy_world world;
    struct yaml_document *document; /* keeps what rows point into */
};

#define CONFIG_TARGETS_MAX 10000

/**
 * Read, check and resolve broker.yaml.
 *
 * Every mistake goes to `diagnostics` with file, line, column and the nearest name; any makes it
 * false.
 *
 * Errors: ERROR_CONFIG (see diagnostics), ERROR_IO (the cause names the file), ERROR_MEMORY
 */
bool config_load(const char *path, struct diagnostics *diagnostics, struct config **config,
                 struct error *error) MUST_USE;
void config_free(struct config *config);

OWNED_POINTER(config_free, struct config)
