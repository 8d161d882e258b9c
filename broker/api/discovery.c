#include <stdio.h>

#include "api/api_internal.h"
#include "base/json.h"
#include "keys/keys.h"

#define METADATA_CACHE STR("public, max-age=300")

/* Clouds take one or the other; a target may want keys that the issuer itself does not sign with.
 */
static json_t *algorithms(struct keys *keys)
{
    static const struct {
        enum key_algorithm algorithm;
        const char *name;
    } rows[] = { { KEY_ES256, "ES256" }, { KEY_RS256, "RS256" } };
    json_t *list = json_array();

    for (size_t i = 0; i < COUNT(rows); i++)
        if (keys_publishes(keys, rows[i].algorithm))
            (void)json_array_append_new(list,
                                        json_string(rows[i].name)); /* its length is looked at */
    return list;
}

/* Source: OpenID Connect Discovery 3, RFC 8414 2, RFC 9449 5.1, RFC 9396 10. */
static json_t *metadata(struct str issuer, struct keys *keys)
{
    char endpoint[2200];
    json_t *out =
        json_pack("{s:[s], s:[s], s:o, s:[s,s,s], s:[s], s:[s], s:[s], s:[s,s,s], s:[s]}", //
                  "response_types_supported", "id_token",                                  //
                  "subject_types_supported", "public",                                     //
                  "id_token_signing_alg_values_supported", algorithms(keys),               //
                  "grant_types_supported", "urn:ietf:params:oauth:grant-type:token-exchange",
                  "refresh_token", "urn:ietf:params:oauth:grant-type:device_code", //
                  "token_endpoint_auth_methods_supported", "none",                 //
                  "revocation_endpoint_auth_methods_supported", "none",
                  "introspection_endpoint_auth_methods_supported", "client_secret_basic",
                  "dpop_signing_alg_values_supported", "ES256", "EdDSA", "Ed25519", //
                  "authorization_details_types_supported", "stagepass_grant");
    static const struct {
        const char *member;
        const char *path;
    } endpoints[] = {
        { "issuer", "" },
        { "jwks_uri", "/jwks.json" },
        { "token_endpoint", "/token" },
        { "revocation_endpoint", "/revoke" },
        { "introspection_endpoint", "/introspect" },
        { "status_list_aggregation_endpoint", "/status" },
        /* Nothing is there; strict OpenID libraries want the member. */
        { "authorization_endpoint", "/authorize" },
    };

    for (size_t i = 0; i < COUNT(endpoints); i++) {
        (void)snprintf(endpoint, sizeof(endpoint), STR_FMT "%s", STR_ARG(issuer),
                       endpoints[i].path); /* an issuer URL has at most 2,048 bytes */
        if (!json_put(out, endpoints[i].member, json_string(endpoint))) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

enum progress discovery_get(struct http_request *request, void *context)
{
    const struct api *api = context;

    request->response.is_cacheable = true;
    http_add_header(request, "Cache-Control", METADATA_CACHE);
    return http_answer_json(request, 200, metadata(api->issuer, api->service->tools.keys));
}

enum progress jwks_get(struct http_request *request, void *context)
{
    const struct api *api = context;
    struct error error = { 0 };
    struct str json;

    if (!keys_jwks(api->service->tools.keys, request->arena, &json, &error))
        return http_answer_problem(request, &error);
    request->response.is_cacheable = true;
    http_add_header(request, "Cache-Control", METADATA_CACHE);
    return http_answer_text(request, 200, "application/jwk-set+json", json);
}
