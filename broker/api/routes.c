#include "api/api.h"
#include "api/api_internal.h"
#include "base/macros.h"
#include "http/form.h"
#include "identity/people.h"

/* Who may come in; the handlers look at tenants and owners. */
#define PEOPLE PERSON_VERIFIED
#define READERS (PERSON_AUDITOR | PERSON_READER)
#define AUDITORS PERSON_AUDITOR

/* clang-format off */
const struct http_route api_routes[] = {
    /* method  path                                       body_max_bytes  body            roles         handle */
    { "POST", "/token",                                   FORM_BYTES_MAX, HTTP_BODY_FORM, 0,            token_post },
    { "POST", "/revoke",                                  FORM_BYTES_MAX, HTTP_BODY_FORM, 0,            revoke_post },
    { "GET",  "/.well-known/openid-configuration",        0,              HTTP_BODY_NONE, 0,            discovery_get },
    { "GET",  "/.well-known/oauth-authorization-server",  0,              HTTP_BODY_NONE, 0,            discovery_get },
    { "GET",  "/jwks.json",                               0,              HTTP_BODY_NONE, 0,            jwks_get },
    { "GET",  "/.well-known/oauth-protected-resource",    0,              HTTP_BODY_NONE, 0,            resource_get },
    { "GET",  "/log/checkpoint",                          0,              HTTP_BODY_NONE, 0,            checkpoint_get },
    { "GET",  "/log/tile/entries/*",                      0,              HTTP_BODY_NONE, AUDITORS,     bundle_get },
    { "GET",  "/log/tile/*",                              0,              HTTP_BODY_NONE, 0,            tile_get },
    { "GET",  "/api/v1/receipts/*",                       0,              HTTP_BODY_NONE, 0,            receipt_get },
    { "GET",  "/api/v1/me",                               0,              HTTP_BODY_NONE, PEOPLE,       me_get },
    { "GET",  "/api/v1/entries/*",                        0,              HTTP_BODY_NONE, READERS,      entry_get },
};

const struct http_route api_admin_routes[] = {
    { "GET",  "/livez",                                   0,              HTTP_BODY_NONE, 0,            livez_get },
    { "GET",  "/readyz",                                  0,              HTTP_BODY_NONE, 0,            readyz_get },
    { "GET",  "/metrics",                                 0,              HTTP_BODY_NONE, 0,            metrics_get },
#ifdef STAGEPASS_TEST_CLOCK
    { "POST", "/test/clock",                              1024,           HTTP_BODY_FORM, 0,            clock_post },
#endif
};
/* clang-format on */

const size_t api_route_count = COUNT(api_routes);
const size_t api_admin_route_count = COUNT(api_admin_routes);
