#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/progress.h"
#include "base/str.h"
#include "targets/remote_call.h"
#include "targets/stage_token.h"
#include "targets/target.h"
#include "targets/targets_internal.h"
#include "upstream/upstream.h"

/*
 * The parts of the kind kubernetes: kubernetes.c checks grants, kubernetes_login.c says who we are,
 * kubernetes_api.c asks.
 */

#define KUBERNETES_SERVER "the API server" /* for messages */

struct kubernetes_settings {
    struct arena *arena; /* the configuration's */
    struct str api;
    const char *token_file;    /* NULL: our own tokens say who we are */
    struct str login_audience; /* of these */
    enum stage_token_algorithm algorithm;
    struct str audience;     /* of grants that name none */
    struct texts namespaces; /* that a sweep looks through */
    struct str ca;           /* PEM; empty: the system's authorities */
    struct upstream_peer peer;
};

struct kubernetes_grant {
    struct str space;
    struct str account;
    struct str audience; /* empty: the target's */
};

bool kubernetes_read_fields(struct grant_reader *reader, const json_t *fields,
                            struct kubernetes_grant *grant) MUST_USE;

/** As whom the API server is asked. Threads: confined */
struct kubernetes_login {
    struct mint asking; /* what our token is made of, and its arena */
    struct stage_signing *signing;
    const char *line; /* the header; NULL: not known yet */
};

/**
 * Have its `line`. Waiting is as with stage_token_sign().
 *
 * Errors: those of stage_token_sign() and token_file_read()
 */
enum progress kubernetes_login(struct kubernetes_login *login, struct error *error) MUST_USE;

bool kubernetes_intend(struct mint *mint, struct error *error) MUST_USE;
enum progress kubernetes_mint(struct mint *mint, struct error *error);
enum progress kubernetes_revoke(struct revocation *revocation, struct error *error);
enum progress kubernetes_sweep(struct sweep *sweep, struct error *error);
