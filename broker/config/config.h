#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/diagnostic.h"
#include "base/digest.h"
#include "base/macros.h"
#include "base/str.h"
#include "identity/identity.h"
#include "identity/people.h"
#include "identity/resource_server.h"
#include "keys/keys.h"
#include "ledger/witness.h"
#include "policy/policy.h"
#include "stream/stream.h"
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
    int64_t threads;              /* 0: one a core */
    int64_t requests_per_address; /* a minute */
    int64_t requests_per_issuer;
};

/** Who signs and who cosigns the ledger's checkpoints. */
struct config_ledger {
    const struct str *keys; /* names, the first one is the log's usual key */
    size_t key_count;
    struct witness_options *witnesses;
    size_t witness_count;
    size_t quorum;                   /* at most witness_count */
    int64_t keep_s;                  /* entries that are older are pruned; 0: none ever is */
    struct witness_options *mirrors; /* name, url and peer */
    size_t mirror_count;
};

/**
 * A checked broker.yaml, or a catalog. Paths are absolute or relative to its folder, resolved.
 *
 * Threads: immutable after config_load(); reference-counted
 * Source:  design.md 3.3
 */
struct config {
    atomic_size_t reference_count; /* private */
    struct arena *arena;           /* of all that is in here */
    uint8_t sha256[SHA256_LEN];    /* of the text that it was read from, its catalog's too */
    bool is_catalog;               /* issuers, people, targets, policy_directory and world only */
    const char *catalog_file;      /* that broker.yaml names; NULL: none */
    struct str issuer;             /* our own URL, no trailing slash */
    struct str broker;             /* this broker's name in entries */
    struct config_listen listen;
    struct config_listen admin;
    const char *store;          /* the folder: of the ledger, or of what is not in the database */
    const char *store_url;      /* a database, without a password; NULL: none */
    const char *store_dsn_file; /* the same, with one; NULL: none */
    const char *issuers_folder; /* in the store: what is kept of issuers' keys */
    const char *people_folder;  /* the same of the people's provider, which may be an issuer too */
    struct keys_options keys;
    struct str origin;
    struct stream_options *streams;
    size_t stream_count;
    struct str streams_text;    /* as they are configured, to tell whether that changed */
    const char *streams_folder; /* in the store: how far each stream is */
    struct config_ledger ledger;
    struct config_limits limits;
    bool needs_dpop_nonce; /* `dpop: { nonce: required }` */
    const char *policy_directory;
    const char *policies_folder; /* in the store: policies are kept there by hash */
    const char *shadow;          /* a second policy folder, decided by besides; NULL: none */
    bool is_policy_watched;      /* a change of either folder is loaded without a signal */
    struct str help;
    struct issuer_options *issuers;
    size_t issuer_count;
    const struct people_options *people;      /* NULL: nobody audits, operates or approves here */
    struct resource_server *resource_servers; /* who may ask about our tokens */
    size_t resource_server_count;
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
 * Read, check and resolve broker.yaml, and the catalog that it names.
 *
 * Every mistake goes to `diagnostics` with file, line, column and the nearest name; any makes it
 * false.
 *
 * Errors: ERROR_CONFIG (see diagnostics), ERROR_IO (the cause names the file), ERROR_MEMORY
 */
bool config_load(const char *path, struct diagnostics *diagnostics, struct config **config,
                 struct error *error) MUST_USE;

/**
 * The same of a catalog alone: what policies are checked against where there is no broker. What is
 * not of the catalog is not there.
 *
 * Errors: ERROR_CONFIG (see diagnostics), ERROR_IO (the cause names the file), ERROR_MEMORY
 */
bool config_load_catalog(const char *path, struct diagnostics *diagnostics, struct config **config,
                         struct error *error) MUST_USE;

/** Whether the same keys and witnesses are meant. */
bool config_is_same_ledger(const struct config_ledger *a, const struct config_ledger *b);

struct config *config_ref(struct config *config);
void config_unref(struct config *config);

OWNED_POINTER(config_unref, struct config)
