#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/progress.h"
#include "base/str.h"
#include "targets/targets_internal.h"
#include "upstream/upstream.h"

struct key;

#define GITHUB "GitHub"
#define GITHUB_REPOSITORIES_MAX 500

/**
 * An app's installation.
 *
 * Threads: shared
 */
struct github_settings {
    struct str installation;
    struct str app;
    struct str url;      /* of the API */
    struct str host;     /* that git and gh know it by */
    struct str key_name; /* the app's private key */
    struct key *key;     /* NULL until the start */
    struct upstream_peer peer;
    _Atomic int64_t quiet_until_s; /* it said that we ask too much */
};

struct github_grant {
    struct texts repositories; /* ids */
    const json_t *permissions; /* name: level */
};

/** Read a grant's fields, at load or at a mint. */
bool github_read_grant(struct grant_reader *reader, const json_t *fields,
                       struct github_grant *grant) MUST_USE;

/** Whether a level of a permission is no more than was asked for. */
bool github_allows(const json_t *wanted, const char *name, struct str level);

/** `gives` of the kind. */
bool github_gives(const struct policy_grant_view *view, struct arena *arena,
                  struct policy_given *given);

/** `mint` and `revoke` of the kind. */
enum progress github_mint(struct mint *mint, struct error *error);
enum progress github_revoke(struct revocation *revocation, struct error *error);
