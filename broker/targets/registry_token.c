#include "targets/registry_token.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/id.h"
#include "base/json.h"
#include "keys/keys.h"
#include "targets/registry_internal.h"
#include "targets/targets_internal.h"

#define TYP "JWT"
#define PASSWORD_TYP "registry+jwt"

_Static_assert(sizeof(((struct registry_token *)NULL)->jti) == ID_LEN + 1, "room for an id");

static json_t *registry_claims(const struct target_tools *tools, const struct registry_token *token)
{
    const struct registry_settings *own = token->target->settings;
    JSON_OWNED json_t *claims = json_object();
    bool is_good = json_put(claims, "iss", json_from_str(tools->issuer)) &&
                   json_put(claims, "sub", json_from_str(token->stage)) &&
                   json_put(claims, "aud", json_from_str(own->service)) &&
                   json_put(claims, "iat", json_integer(token->now_s)) &&
                   json_put(claims, "nbf", json_integer(token->now_s)) &&
                   json_put(claims, "exp", json_integer(token->expires_s)) &&
                   json_put(claims, "jti", json_string(token->jti)) &&
                   json_put(claims, "lease", json_from_str(token->lease)) &&
                   json_put(claims, "access", json_deep_copy(token->access));

    return is_good ? TAKE(claims) : NULL;
}

bool registry_token_sign(const struct target_tools *tools, struct registry_token *token,
                         struct arena *arena, struct error *error)
{
    const struct registry_settings *own = token->target->settings;
    JSON_OWNED json_t *claims = NULL;

    token->expires_s = token->now_s + REGISTRY_TOKEN_LIFE_S;
    if (token->expires_s > token->ends_s)
        token->expires_s = token->ends_s;
    if (!id_new(clock_wall_ms(), token->jti, error))
        return false;
    claims = registry_claims(tools, token);
    if (!claims)
        return error_set(error, ERROR_MEMORY, "no memory for a registry's token");
    return keys_sign_jwt_certified(&own->signer, TYP, claims, arena, &token->text, error);
}

/* ---- passwords ---- */

static struct str endpoint(const struct target_tools *tools, struct arena *arena)
{
    return arena_printf(arena, STR_FMT REGISTRY_TOKEN_PATH, STR_ARG(tools->issuer));
}

bool registry_password_sign(const struct mint *mint, const json_t *access, const char *jti,
                            struct str *text, struct error *error)
{
    const struct registry_settings *own = mint->target->settings;
    JSON_OWNED json_t *claims = json_object();
    bool is_good = json_put(claims, "iss", json_from_str(mint->tools->issuer)) &&
                   json_put(claims, "sub", json_from_str(mint->stage)) &&
                   json_put(claims, "aud", json_from_str(endpoint(mint->tools, mint->arena))) &&
                   json_put(claims, "iat", json_integer(mint->now_s)) &&
                   json_put(claims, "exp", json_integer(mint->now_s + mint->ttl_s)) &&
                   json_put(claims, "jti", json_string(jti)) &&
                   json_put(claims, "lease", json_from_str(mint->lease)) &&
                   json_put(claims, "target", json_from_str(mint->target->name)) &&
                   json_put(claims, "service", json_from_str(own->service)) &&
                   json_put(claims, "access", registry_access_written(access));

    if (!is_good)
        return error_set(error, ERROR_MEMORY, "no memory for a registry's password");
    return keys_sign_jwt(mint->tools->keys, PASSWORD_TYP, claims, mint->arena, text, error);
}

static bool read_claims(const struct target_tools *tools, struct arena *arena,
                        struct registry_password *password)
{
    struct texts *access = arena_alloc(arena, sizeof(*access));
    struct str audience;

    password->access = access;
    return access && json_get_str(password->claims, "aud", &audience) &&
           str_eq(audience, endpoint(tools, arena)) &&
           json_get_str(password->claims, "sub", &password->stage) &&
           json_get_str(password->claims, "lease", &password->lease) &&
           json_get_str(password->claims, "target", &password->target) &&
           json_get_str(password->claims, "service", &password->service) &&
           json_get_time(password->claims, "exp", &password->expires_s) &&
           grant_written(arena, json_object_get(password->claims, "access"), access);
}

bool registry_password_verify(const struct target_tools *tools, struct str text, int64_t now_s,
                              struct arena *arena, struct registry_password *password,
                              struct error *error)
{
    struct error why = { 0 };

    *password = (struct registry_password){ 0 };
    if (!keys_verify_own_jwt(tools->keys, text, PASSWORD_TYP, &password->claims, &why)) {
        if (why.code == ERROR_MEMORY || why.code == ERROR_CRYPTO)
            return error_set(error, why.code, "%s", why.cause);
        return error_set(error, ERROR_UNAUTHORIZED, "no password of ours: %s", why.cause);
    }
    return (read_claims(tools, arena, password) && password->expires_s > now_s) ||
           error_set(error, ERROR_UNAUTHORIZED, "a password of elsewhere, or one that expired");
}

void registry_password_release(struct registry_password *password)
{
    json_decref(password->claims);
    *password = (struct registry_password){ 0 };
}

bool registry_is_service(const struct target *target, struct str service)
{
    const struct registry_settings *own = target->settings;

    return target->kind == &target_registry && str_eq(own->service, service);
}
