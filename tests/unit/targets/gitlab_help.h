#pragma once

#include <sys/stat.h>

#include "remote.h"

/* What tests of the kind gitlab have in common: grants, names, a target. */

#define GRANT(scopes, level) "{ project: \"77\", scopes: " scopes ", access_level: " level " }"
#define DEPLOY(scopes) "{ project: \"77\", scopes: " scopes ", token: deploy }"

#define BROKER "eb1d14068a48" /* the first bytes of the digest of FIXTURE_ISSUER */
#define NAME "stagepass-" BROKER "-" FIXTURE_LEASE "-" GRANT_TAG
#define GRANT_TAG "6517c91fadae"
#define TITLE NAME " " FIXTURE_STAGE " 8123"
#define OWN_TOKEN "glpat-own"
#define MESSAGE(words) "{\"message\":\"" words "\"}"

/** Write the broker's own token into the file that the target below names. */
void gitlab_write_own_token(struct remote_fixture *fixture, const char *text, mode_t mode);

/** A target of the kind for a URL, with OWN_TOKEN in its file. */
void gitlab_configure(struct remote_fixture *fixture, const char *url);
