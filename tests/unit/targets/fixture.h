#pragma once

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

/** The fields of a grant for the mint, from YAML. */
void fixture_fields(struct fixture *fixture, const char *yaml);

/** The details of the request for the mint, from JSON. */
void fixture_details(struct fixture *fixture, const char *json);

/** Drop what the last mint made, so that the fixture can mint again. */
void fixture_again(struct fixture *fixture);

/** A member below an object: fixture_text(mint.credential, "jwt", "token"); fails the test. */
struct str fixture_text(const json_t *object, const char *name, const char *member);
