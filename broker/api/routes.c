#include "api/api.h"
#include "api/api_internal.h"
#include "base/macros.h"
#include "http/form.h"

/* clang-format off */
const struct http_route api_routes[] = {
    /* method  path                                       body_max_bytes  body            handle */
    { "POST", "/token",                                   FORM_BYTES_MAX, HTTP_BODY_FORM, token_post },
    { "POST", "/revoke",                                  FORM_BYTES_MAX, HTTP_BODY_FORM, revoke_post },
    { "GET",  "/.well-known/openid-configuration",        0,              HTTP_BODY_NONE, discovery_get },
    { "GET",  "/.well-known/oauth-authorization-server",  0,              HTTP_BODY_NONE, discovery_get },
    { "GET",  "/jwks.json",                               0,              HTTP_BODY_NONE, jwks_get },
    { "GET",  "/log/checkpoint",                          0,              HTTP_BODY_NONE, checkpoint_get },
    { "GET",  "/log/tile/*",                              0,              HTTP_BODY_NONE, tile_get },
    { "GET",  "/api/v1/receipts/*",                       0,              HTTP_BODY_NONE, receipt_get },
};

const struct http_route api_admin_routes[] = {
    { "GET",  "/livez",                                   0,              HTTP_BODY_NONE, livez_get },
    { "GET",  "/readyz",                                  0,              HTTP_BODY_NONE, readyz_get },
    { "GET",  "/metrics",                                 0,              HTTP_BODY_NONE, metrics_get },
#ifdef STAGEPASS_TEST_CLOCK
    { "POST", "/test/clock",                              1024,           HTTP_BODY_FORM, clock_post },
#endif
};
/* clang-format on */

const size_t api_route_count = COUNT(api_routes);
const size_t api_admin_route_count = COUNT(api_admin_routes);
