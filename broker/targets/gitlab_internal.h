#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/progress.h"
#include "base/str.h"
#include "targets/remote_call.h"
#include "targets/remote_quiet.h"
#include "targets/target.h"
#include "targets/targets_internal.h"
#include "upstream/upstream.h"

/*
 * The parts of the kind gitlab: gitlab.c reads settings, gitlab_grant.c grants, gitlab_api.c asks,
 * gitlab_token.c makes tokens, gitlab_end.c ends and finds them.
 */

#define GITLAB "GitLab"
#define GITLAB_SCOPES_MAX 16
#define GITLAB_PROJECTS_MAX 100
#define GITLAB_OWN_TOKEN_MAX ((size_t)1024) /* of the broker's own */

/** Which token a grant is for. */
enum gitlab_token {
    GITLAB_PROJECT, /* a project access token: acts as a user of its own, ends on a date */
    GITLAB_DEPLOY,  /* a deploy token: repository, registries and packages only, ends at a time */
    GITLAB_GROUP,   /* a group access token: the same as a project's, in all projects of a group */
};

/**
 * A server, and what the broker is there.
 *
 * Threads: shared
 */
struct gitlab_settings {
    struct str url;         /* of the server; its API is below */
    struct str host;        /* that git and glab know it by */
    const char *token_file; /* the broker's own token; NULL in a catalog */
    struct str registry;    /* host of its container registry; empty: it has none */
    struct texts projects;  /* that a sweep looks through */
    struct texts groups;    /* likewise */
    struct upstream_peer peer;
    struct remote_quiet quiet;
};

struct gitlab_grant {
    enum gitlab_token token;
    struct str owner; /* the id of its project or group */
    struct texts scopes;
    int64_t access_level; /* as the API has it; 0 of a deploy token, which has none */
};

/** Read a grant's fields, at load or at a mint. */
bool gitlab_read_grant(struct grant_reader *reader, const json_t *fields,
                       struct gitlab_grant *grant) MUST_USE;

/** `gives` of the kind. */
bool gitlab_gives(const struct policy_grant_view *view, struct arena *arena,
                  struct policy_given *given);

/** "project", "deploy", "group": as grants, entries and answers have it; false: none of them. */
const char *gitlab_token_name(enum gitlab_token token);
bool gitlab_token_find(struct str name, enum gitlab_token *token) MUST_USE;

/** Whose such a token is, as the same have it: "project" or "group". */
const char *gitlab_owner(enum gitlab_token token);

/** Where tokens of an owner are: "/projects/77/access_tokens". `data` NULL: no memory. */
struct str gitlab_path(enum gitlab_token token, struct str owner, struct arena *arena);

/* ---- names ---- */

/** "stagepass-BROKER-": what all names of this broker begin with. */
struct str gitlab_name_start(struct str issuer, struct arena *arena);

/** What a token is found by, out of its name at GitLab. */
struct str gitlab_name_of(struct str title);

/** The lease in a name that begins with `start`; empty: it is none of ours. */
struct str gitlab_name_lease(struct str name, struct str start);

/* ---- asking ---- */

/** One request, and whom its answer wakes. */
struct gitlab_request {
    struct gitlab_settings *own;
    struct upstream *upstream;
    struct waker waker;
    struct arena *arena;
    int64_t now_s;
    const char *method;
    struct str path;           /* below the API; `data` NULL: no memory */
    const json_t *body;        /* NULL: none */
    size_t response_max_bytes; /* 0: 64 KiB */
};

/**
 * Ask, unless GitLab said that it is asked too much. The broker's own token is read for it.
 *
 * Errors: ERROR_MINT (not sent), ERROR_MEMORY; else as remote_call_send()
 */
bool gitlab_ask(const struct gitlab_request *request, struct remote_call **call,
                struct error *error) MUST_USE;

/**
 * Whether an answer came whole, and is not that we ask too much; what it says of that is kept.
 *
 * Errors: ERROR_MINT (not asked, or refused unread), ERROR_MINT_UNKNOWN (it may have happened)
 */
bool gitlab_is_answered(struct gitlab_settings *own, const struct remote_call *call, int64_t now_s,
                        struct error *error) MUST_USE;

/** What an error says, in whichever member it does; cut, in the arena; empty: nothing. */
struct str gitlab_words(const struct remote_call *call, const json_t *answer, struct arena *arena);

/** What to do about a status that says no. */
const char *gitlab_advice(int status);

/** A point in time as GitLab writes it, or a date: that is its midnight in UTC. */
bool gitlab_time_parse(struct str text, int64_t *wall_s) MUST_USE;

/* ---- lists ---- */

/** Pages of an owner's tokens of one kind, one after the other. */
struct gitlab_list {
    struct str owner;
    enum gitlab_token token;
    struct str search; /* what names hold, at least; empty: anything */
    unsigned page;     /* that was asked for at last; 0: none yet */
    struct remote_call *call;
};

/** Ask for the next page. Errors: as gitlab_ask() */
bool gitlab_list_ask(struct gitlab_list *list, struct gitlab_request *request, struct error *error)
    MUST_USE;

/**
 * Take the page that was asked for: a JSON list, in the arena. `*has_more` says that there may be
 * another one.
 *
 * Errors: ERROR_MINT, ERROR_MEMORY
 */
bool gitlab_list_take(const struct gitlab_list *list, const struct gitlab_request *request,
                      const json_t **items, bool *has_more, struct error *error) MUST_USE;

/** Whether that was the last page that is asked for. */
bool gitlab_list_is_over(const struct gitlab_list *list);

/** A token's number in a list or an answer, as text in the arena; empty: there is none. */
struct str gitlab_number(const json_t *item, const char *name, struct arena *arena);

/* ---- what the kind does ---- */

bool gitlab_intend(struct mint *mint, struct error *error) MUST_USE;
enum progress gitlab_mint(struct mint *mint, struct error *error);
enum progress gitlab_revoke(struct revocation *revocation, struct error *error);
enum progress gitlab_sweep(struct sweep *sweep, struct error *error);
