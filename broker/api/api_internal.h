#pragma once

#include <jansson.h>

#include "api/api.h"
#include "base/error.h"
#include "base/progress.h"
#include "base/str.h"
#include "http/http.h"

struct exchange;
struct person;

/* token.c, revoke.c, introspect.c, heartbeat.c, receipts.c, discovery.c, log.c, console.c, me.c,
 * entries.c, search.c, inventory.c, policy.c, kept_policy.c, registry.c, reviews.c, blocks.c,
 * approvals.c, approval_ahead.c, approval_change.c, admin.c: the handlers of the route tables */

enum progress token_post(struct http_request *request, void *context);
enum progress revoke_post(struct http_request *request, void *context);
enum progress introspect_post(struct http_request *request, void *context);
enum progress heartbeat_post(struct http_request *request, void *context);
enum progress receipt_get(struct http_request *request, void *context);
enum progress registry_token_get(struct http_request *request, void *context);
enum progress registry_token_post(struct http_request *request, void *context);
enum progress discovery_get(struct http_request *request, void *context);
enum progress jwks_get(struct http_request *request, void *context);
enum progress checkpoint_get(struct http_request *request, void *context);
enum progress tile_get(struct http_request *request, void *context);
enum progress crl_get(struct http_request *request, void *context);
enum progress krl_get(struct http_request *request, void *context);
enum progress status_list_get(struct http_request *request, void *context);
enum progress status_lists_get(struct http_request *request, void *context);
enum progress resource_get(struct http_request *request, void *context);
enum progress console_get(struct http_request *request, void *context);
enum progress console_file_get(struct http_request *request, void *context);
enum progress console_without_slash_get(struct http_request *request, void *context);
enum progress me_get(struct http_request *request, void *context);
enum progress policy_get(struct http_request *request, void *context);
enum progress kept_policy_get(struct http_request *request, void *context);
enum progress inventory_get(struct http_request *request, void *context);
enum progress leases_get(struct http_request *request, void *context);
enum progress revocations_post(struct http_request *request, void *context);
enum progress review_post(struct http_request *request, void *context);
enum progress entries_get(struct http_request *request, void *context);
enum progress entry_get(struct http_request *request, void *context);
enum progress erasure_post(struct http_request *request, void *context);
enum progress blocks_get(struct http_request *request, void *context);
enum progress blocks_post(struct http_request *request, void *context);
enum progress block_delete(struct http_request *request, void *context);
enum progress approvals_get(struct http_request *request, void *context);
enum progress approvals_post(struct http_request *request, void *context);
enum progress approval_get(struct http_request *request, void *context);
enum progress approval_post(struct http_request *request, void *context);
enum progress bundle_get(struct http_request *request, void *context);
enum progress livez_get(struct http_request *request, void *context);
enum progress readyz_get(struct http_request *request, void *context);
enum progress metrics_get(struct http_request *request, void *context);
#ifdef STAGEPASS_TEST_CLOCK
enum progress clock_post(struct http_request *request, void *context);
#endif

/* entries.c */

/**
 * What is answered of an entry: its index, its text, and its private part, where there is one that
 * parses, or that it was erased. False without memory.
 */
bool entry_put_view(json_t *body, uint64_t index, struct str bytes, struct str private_part)
    MUST_USE;

/* budget.c */

/**
 * Spend one request of the budget of the sender's address: before anything of it is looked at, or
 * once it turned out to show nothing that we know, where what does is never to be held up. Where
 * it is spent the answer gets Retry-After. api_has_budget() only looks whether there is one.
 *
 * Errors: ERROR_BUSY
 */
bool api_spend_address(struct http_request *request, const struct api *api, struct error *error)
    MUST_USE;
bool api_has_budget(struct http_request *request, const struct api *api, struct error *error)
    MUST_USE;

/** Spend one that was only looked at: what came turned out to be no good. */
void api_charge_address(const struct http_request *request, const struct api *api);

/** Say after how many seconds to come again; 0: what is always said. */
void api_retry_after(struct http_request *request, int64_t seconds);

/* people.c */

/**
 * Put a person as `actor` into an entry: as digests, whose values go into its private part.
 *
 * Errors: ERROR_MEMORY
 */
bool people_put_actor(const struct person *person, json_t *entry, json_t *private_part,
                      struct error *error) MUST_USE;

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

/**
 * Answer the failure of a route that takes a lease's handle as bearer credential. A handle that is
 * nobody's (ERROR_UNAUTHORIZED) costs its address a request of its budget, and gets 429 where that
 * is spent; no other failure costs anything.
 */
enum progress handle_refuse(struct http_request *request, const struct api *api,
                            const struct error *why);
