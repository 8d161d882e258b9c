#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/progress.h"
#include "base/str.h"
#include "targets/remote_quiet.h"
#include "targets/targets_internal.h"
#include "upstream/upstream.h"

struct key;

#define GITHUB "GitHub"
#define GITHUB_REPOSITORIES_MAX 500
#define GITHUB_APPS_MAX 8
#define GITHUB_WANTS_MAX 64

/**
 * An app's installation. GitHub counts requests by it, those of its tokens, too.
 *
 * Threads: shared
 */
struct github_app {
    struct str app;
    struct str installation;
    struct str key_name; /* the app's private key */
    struct key *key;     /* NULL until the start */
    struct remote_quiet quiet;
    /* What it was asked for and has not, and until when: github_app.c. */
    _Atomic uint64_t wants[GITHUB_WANTS_MAX];
};

/**
 * An organization, and who may ask there: apps that take turns.
 *
 * Threads: shared
 */
struct github_settings {
    struct github_app *apps; /* none in a catalog */
    size_t app_count;
    struct str url;  /* of the API */
    struct str host; /* that git and gh know it by */
    struct upstream_peer peer;
    _Atomic unsigned turns;
};

/** Whose turn it is, of one mint. Threads: confined */
struct github_turn {
    unsigned first;
    unsigned tried;  /* a bit an app */
    uint64_t wanted; /* digest of what is asked for */
};

/** Begin a mint's turn, in which `body` is asked for. */
void github_turn_begin(struct github_settings *own, struct str body, struct github_turn *turn);

/**
 * The next app that may be asked, and was not in this turn: those last that had not what is wanted
 * a while ago. NULL: there is none.
 */
struct github_app *github_turn_next(struct github_settings *own, struct github_turn *turn,
                                    int64_t now_s);

/** That an app has not what is wanted: for ten minutes others are asked first. */
void github_app_lacks(struct github_app *app, const struct github_turn *turn, int64_t now_s);

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
