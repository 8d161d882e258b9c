#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"
#include "clients/answer.h"

struct buf;
struct error;

/** Variables that a lease adds at most. */
#define ENVIRONMENT_ADDED_MAX 96

/** A variable that a lease adds. Both texts are NUL-terminated besides; in the arena. */
struct environment_variable {
    struct str name;
    struct str value;
    bool is_secret;
};

/** What a lease adds to a command's environment. */
struct environment {
    struct arena *arena;
    struct environment_variable added[ENVIRONMENT_ADDED_MAX];
    size_t added_count;
    const char *const *hidden; /* that a command does not inherit; ended by NULL; NULL: none */
};

/**
 * Add a variable. Each name once: two grants that want the same one are refused, for neither may
 * silently win.
 *
 * Errors: ERROR_INVALID (taken; NUL or a line end in the value), ERROR_LIMIT, ERROR_MEMORY
 */
bool environment_add(struct environment *environment, struct str name, struct str value,
                     bool is_secret, struct error *error) MUST_USE;

/**
 * Add what an answer gives but for what needs a file or a process: STAGEPASS_LEASE,
 * STAGEPASS_STAGE, STAGEPASS_ACCESS_TOKEN, STAGEPASS_TOKEN_TYPE; a jwt grant's
 * STAGEPASS_<GRANT>_TOKEN, likewise of other grants of a token; and what tools of AWS, Google and
 * Azure, Vault, GitHub and GitLab read, where there is exactly one grant of the kind.
 *
 * Errors: as environment_add()
 */
bool environment_add_answer(struct environment *environment, const struct answer *answer,
                            struct error *error) MUST_USE;

/**
 * Have git ask for the token of a github grant, and of a gitlab grant, where it talks to their
 * hosts, by settings in the environment: behind those that are there, of which `inherited_count` is
 * the number or NULL. Of several grants of a kind none is taken; but a project access token of
 * GitLab goes before deploy tokens.
 *
 * Errors: as environment_add(); ERROR_INVALID (a host, the number)
 * Source: git-config(1), GIT_CONFIG_COUNT; gitcredentials(7)
 */
bool environment_add_git(struct environment *environment, const struct answer *answer,
                         const char *inherited_count, struct error *error) MUST_USE;

/** Add the path of a file as STAGEPASS_<GRANT>_<WHAT>. Errors: as environment_add() */
bool environment_add_path(struct environment *environment, struct str grant, const char *what,
                          const char *path, struct error *error) MUST_USE;
/** The credential of a type where there is exactly one, else NULL; how many there are. */
const struct credential *environment_only(const struct answer *answer, enum credential_type type,
                                          size_t *count);

/** What libpq reads, and would connect elsewhere by; ended by NULL. */
extern const char *const environment_of_libpq[];

/** Paths of what a postgres grant has in files; empty: it has none. */
struct postgres_files {
    struct str ca;
    struct str certificate;
    struct str key;
};

/**
 * Add a postgres grant's: PGHOST, PGPORT, PGDATABASE, PGUSER, and where there is something for them
 * PGPASSWORD, PGSSLMODE, PGSSLROOTCERT, PGSSLCERT and PGSSLKEY.
 *
 * Errors: as environment_add()
 */
bool environment_add_postgres(struct environment *environment, const struct credential *credential,
                              const struct postgres_files *files, struct error *error) MUST_USE;

/** Append a postgres grant as a section of libpq's service file, named after the grant. */
void environment_add_service(struct buf *buf, const struct credential *credential,
                             const struct postgres_files *files);

/** How many credentials of the answer are of a type. */
size_t environment_count(const struct answer *answer, enum credential_type type);

/**
 * All aws credentials as an AWS credentials file, a profile a grant, in the arena. On failure
 * `data` is NULL.
 */
struct str environment_aws_profiles(const struct answer *answer, struct arena *arena);

/**
 * The whole environment of a command: what we have, with the added variables instead of those of
 * the same name, and without what is hidden and STAGEPASS_ID_TOKEN, which served its purpose. NULL
 * without memory.
 */
char **environment_build(const struct environment *environment, char *const *inherited);
