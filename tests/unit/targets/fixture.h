#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/network.h"
#include "base/str.h"
#include "keys/keys.h"
#include "targets/target.h"

#define FIXTURE_NOW_S ((int64_t)1800000000) /* 2027-01-15T08:00:00Z */
#define FIXTURE_ISSUER "https://broker.acme.example"
#define FIXTURE_STAGE "acme/payments:deploy-prod"
#define FIXTURE_LEASE "01JD0000000000000000000000"

/**
 * Keys in a folder of their own, a target, and a mint that is ready but for its fields.
 *
 * Threads: confined
 */
struct fixture {
    char *folder;
    struct keys *keys;
    struct arena *arena;
    struct target_tools tools;
    struct target target;
    struct mint mint;
    struct error error;
    struct address address; /* of the request: 192.0.2.7 */
    uint8_t token_sha256[SHA256_LEN];
};

void fixture_init(struct fixture *fixture);
void fixture_release(struct fixture *fixture);

/**
 * Read a target of a kind from YAML, `{region: ...}`; NULL, or the first message. The fixture's
 * mint is then for this target.
 */
const char *fixture_configure(struct fixture *fixture, const char *kind, const char *yaml);

/** Check a grant's fields, written as YAML, at load; NULL, or the first message. */
const char *fixture_check(struct fixture *fixture, const char *kind, const char *yaml);

/** The same of a grant of another `ttl` than 15 minutes. */
const char *fixture_check_life(struct fixture *fixture, const char *kind, const char *yaml,
                               int64_t ttl_s);

/** A grant's fields as YAML, and the first message of their check; NULL: they are good. */
struct fixture_case {
    const char *fields;
    const char *message;
};

/** Check many grants of a kind at load; the message may stand anywhere in what is said. */
void fixture_check_all(struct fixture *fixture, const char *kind, const struct fixture_case *cases,
                       size_t count);

/**
 * The same of one grant whose fields hold `%s`, for which stand `least` items, and one more: the
 * former is good, the latter not. Items are numbered copies of `item`, which may hold `%zu`.
 */
void fixture_check_limit(struct fixture *fixture, const char *kind, const char *fields,
                         const char *item, size_t most);

/** What a grant gives: "names as principals in account", each a list; "everything" in front. */
const char *fixture_gives(struct fixture *fixture, const char *kind, const char *fields,
                          const struct policy_target *target);

/** Whether, without memory, a kind says that it cannot say what a grant gives. */
bool fixture_gives_nothing_without_memory(struct fixture *fixture, const char *kind,
                                          const char *fields);

/** The fields of a grant for the mint, from YAML. */
void fixture_fields(struct fixture *fixture, const char *yaml);

/** The details of the request for the mint, from JSON. */
void fixture_details(struct fixture *fixture, const char *json);

/** Drop what the last mint made, so that the fixture can mint again. */
void fixture_again(struct fixture *fixture);

/** A member below an object: fixture_text(mint.credential, "jwt", "token"); fails the test. */
struct str fixture_text(const json_t *object, const char *name, const char *member);
