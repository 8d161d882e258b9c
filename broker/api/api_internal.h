#pragma once

#include "api/api.h"
#include "base/error.h"
#include "base/progress.h"
#include "base/str.h"
#include "http/http.h"

struct exchange;

/* token.c, revoke.c, receipts.c, discovery.c, log.c, me.c, entries.c, admin.c: the handlers of the
 * route tables */

enum progress token_post(struct http_request *request, void *context);
enum progress revoke_post(struct http_request *request, void *context);
enum progress receipt_get(struct http_request *request, void *context);
enum progress discovery_get(struct http_request *request, void *context);
enum progress jwks_get(struct http_request *request, void *context);
enum progress checkpoint_get(struct http_request *request, void *context);
enum progress tile_get(struct http_request *request, void *context);
enum progress resource_get(struct http_request *request, void *context);
enum progress me_get(struct http_request *request, void *context);
enum progress entry_get(struct http_request *request, void *context);
enum progress bundle_get(struct http_request *request, void *context);
enum progress livez_get(struct http_request *request, void *context);
enum progress readyz_get(struct http_request *request, void *context);
enum progress metrics_get(struct http_request *request, void *context);
#ifdef STAGEPASS_TEST_CLOCK
enum progress clock_post(struct http_request *request, void *context);
#endif

/* people.c */

/** Answer who may not: 401 or 403 with its challenge; the cause is for the log only. */
enum progress people_refuse(struct http_request *request, const struct error *why);

/* oauth.c */

/**
 * Answer with an OAuth error body (RFC 6749 5.2). `decision_id` may be empty; `exchange` (or NULL)
 * adds what an identified caller may know: the failed conditions, the owner, where help is.
 */
enum progress oauth_answer_error(struct http_request *request, const struct error *error,
                                 struct str decision_id, const struct exchange *exchange);

/** The bearer credential of the Authorization header; ERROR_UNAUTHORIZED where there is none. */
bool bearer_get(const struct http_request *request, struct str *token, struct error *error)
    MUST_USE;
