#include "api/api.h"
#include "api/api_internal.h"
#include "base/macros.h"
#include "http/form.h"
#include "identity/people.h"

/* Who may come in; the handlers look at tenants and owners. */
#define PEOPLE PERSON_VERIFIED
#define READERS (PERSON_AUDITOR | PERSON_READER)
#define AUDITORS PERSON_AUDITOR
#define OPERATORS PERSON_OPERATOR
#define APPROVAL_READERS (PERSON_AUDITOR | PERSON_OPERATOR | PERSON_APPROVER | PERSON_READER)
#define POLICY_READERS (PERSON_AUDITOR | PERSON_OPERATOR | PERSON_READER)

/* clang-format off */
const struct http_route api_routes[] = {
    /* method  path                                       body_max_bytes  body            roles         handle */
    { "POST", "/token",                                   FORM_BYTES_MAX, HTTP_BODY_FORM, 0,            token_post },
    { "POST", "/revoke",                                  FORM_BYTES_MAX, HTTP_BODY_FORM, 0,            revoke_post },
    { "POST", "/introspect",                              FORM_BYTES_MAX, HTTP_BODY_FORM, 0,            introspect_post },
    { "GET",  "/registry/token",                          0,              HTTP_BODY_QUERY, 0,           registry_token_get },
    { "POST", "/registry/token",                          FORM_BYTES_MAX, HTTP_BODY_FORM, 0,            registry_token_post },
    { "GET",  "/.well-known/openid-configuration",        0,              HTTP_BODY_NONE, 0,            discovery_get },
    { "GET",  "/.well-known/oauth-authorization-server",  0,              HTTP_BODY_NONE, 0,            discovery_get },
    { "GET",  "/jwks.json",                               0,              HTTP_BODY_NONE, 0,            jwks_get },
    { "GET",  "/.well-known/oauth-protected-resource",    0,              HTTP_BODY_NONE, 0,            resource_get },
    { "GET",  "/log/checkpoint",                          0,              HTTP_BODY_NONE, 0,            checkpoint_get },
    { "GET",  "/log/tile/entries/*",                      0,              HTTP_BODY_NONE, AUDITORS,     bundle_get },
    { "GET",  "/log/tile/*",                              0,              HTTP_BODY_NONE, 0,            tile_get },
    { "GET",  "/crl/*",                                   0,              HTTP_BODY_NONE, 0,            crl_get },
    { "GET",  "/krl/*",                                   0,              HTTP_BODY_NONE, 0,            krl_get },
    { "GET",  "/status",                                  0,              HTTP_BODY_NONE, 0,            status_lists_get },
    { "GET",  "/status/*",                                0,              HTTP_BODY_NONE, 0,            status_list_get },
    { "GET",  "/console",                                 0,              HTTP_BODY_NONE, 0,            console_without_slash_get },
    { "GET",  "/console/",                                0,              HTTP_BODY_QUERY, 0,           console_get },
    { "GET",  "/console/*",                               0,              HTTP_BODY_NONE, 0,            console_file_get },
    { "GET",  "/api/v1/receipts/*",                       0,              HTTP_BODY_NONE, 0,            receipt_get },
    { "POST", "/api/v1/leases/self/heartbeat",            0,              HTTP_BODY_NONE, 0,            heartbeat_post },
    { "GET",  "/api/v1/me",                               0,              HTTP_BODY_NONE, PEOPLE,       me_get },
    { "GET",  "/api/v1/policy",                           0,              HTTP_BODY_QUERY, POLICY_READERS, policy_get },
    { "GET",  "/api/v1/policy/*",                         0,              HTTP_BODY_QUERY, AUDITORS,    kept_policy_get },
    { "GET",  "/api/v1/inventory",                        0,              HTTP_BODY_QUERY, READERS,     inventory_get },
    { "POST", "/api/v1/reviews",                          4096,           HTTP_BODY_FORM, AUDITORS,     review_post },
    { "GET",  "/api/v1/blocks",                           0,              HTTP_BODY_NONE, AUDITORS | OPERATORS, blocks_get },
    { "POST", "/api/v1/blocks",                           FORM_BYTES_MAX, HTTP_BODY_FORM, OPERATORS,    blocks_post },
    { "DELETE", "/api/v1/blocks/*",                       0,              HTTP_BODY_QUERY, OPERATORS,   block_delete },
    { "GET",  "/api/v1/leases",                           0,              HTTP_BODY_QUERY, READERS | OPERATORS, leases_get },
    { "POST", "/api/v1/revocations",                      FORM_BYTES_MAX, HTTP_BODY_FORM, OPERATORS,    revocations_post },
    { "GET",  "/api/v1/approvals",                        0,              HTTP_BODY_NONE, APPROVAL_READERS, approvals_get },
    { "POST", "/api/v1/approvals",                        FORM_BYTES_MAX, HTTP_BODY_FORM, PEOPLE,       approvals_post },
    { "GET",  "/api/v1/approvals/*",                      0,              HTTP_BODY_NONE, APPROVAL_READERS, approval_get },
    { "POST", "/api/v1/approvals/*",                      FORM_BYTES_MAX, HTTP_BODY_FORM, PEOPLE,       approval_post },
    { "GET",  "/api/v1/ledger/entries",                   0,              HTTP_BODY_QUERY, READERS,     entries_get },
    { "POST", "/api/v1/ledger/erasures",                  FORM_BYTES_MAX, HTTP_BODY_FORM, OPERATORS,    erasure_post },
    { "GET",  "/api/v1/ledger/entries/*",                 0,              HTTP_BODY_NONE, READERS,      entry_get },
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
