#include "clients/tool_format.h"

#include <time.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "clients/answer.h"

#define TYPE_JWT "urn:ietf:params:oauth:token-type:jwt"
#define MESSAGE_MAX 512
#define PASSWORD_MAX ((size_t)64 * 1024)
/* With the certificates of a cluster's authorities, where the kubeconfig hands them on. */
#define JSON_LIMITS_EXEC_INFO ((struct json_limits){ (size_t)256 * 1024, 16, 1000 })

/* The one credential of a type. */
static const struct credential *only(const struct answer *answer, enum credential_type type,
                                     const char *name, struct error *error)
{
    const struct credential *found = NULL;
    size_t count = 0;

    for (size_t i = 0; i < answer->credential_count; i++) {
        if (answer->credentials[i].type != type)
            continue;
        found = &answer->credentials[i];
        count++;
    }
    if (count == 1)
        return found;
    (void)error_set(error, ERROR_USAGE,
                    "expected one %s grant, the stage gave %zu: pick one with --grant", name,
                    count);
    return NULL;
}

static bool write_json(bool is_filled, const json_t *json, struct arena *arena, struct str *text,
                       struct error *error)
{
    *text = is_filled ? json_text(arena, json) : (struct str){ 0 };
    return text->data || error_set(error, ERROR_MEMORY, "no memory for the credential");
}

bool tool_format_aws(const struct answer *answer, struct arena *arena, struct str *text,
                     struct error *error)
{
    const struct credential *credential = only(answer, CREDENTIAL_AWS, "aws", error);
    JSON_OWNED json_t *json = json_object();

    if (!credential)
        return false;
    return write_json(
        json_put(json, "Version", json_integer(1)) &&
            json_put(json, "AccessKeyId", json_from_str(credential->access_key_id)) &&
            json_put(json, "SecretAccessKey", json_from_str(credential->secret_access_key)) &&
            json_put(json, "SessionToken", json_from_str(credential->session_token)) &&
            json_put(json, "Expiration", json_from_str(credential->expires_at)) &&
            (credential->account_id.len == 0 ||
             json_put(json, "AccountId", json_from_str(credential->account_id))),
        json, arena, text, error);
}

bool tool_format_gcp(const struct answer *answer, struct arena *arena, struct str *text,
                     struct error *error)
{
    const struct credential *credential = only(answer, CREDENTIAL_JWT, "jwt", error);
    JSON_OWNED json_t *json = json_object();

    if (!credential)
        return false;
    return write_json(json_put(json, "version", json_integer(1)) &&
                          json_put(json, "success", json_true()) &&
                          json_put(json, "token_type", json_string(TYPE_JWT)) &&
                          json_put(json, "id_token", json_from_str(credential->token)) &&
                          json_put(json, "expiration_time", json_integer(credential->expires_s)),
                      json, arena, text, error);
}

/* Where the broker said something, its words; else ours. Foreign text stays printable ASCII. */
static struct str clean(struct str words, struct arena *arena)
{
    char *text = arena_alloc(arena, MESSAGE_MAX + 1);
    size_t len = 0;

    for (size_t i = 0; text && i < words.len && len < MESSAGE_MAX; i++)
        text[len++] = words.data[i] >= ' ' && words.data[i] <= '~' ? words.data[i] : '?';
    return text ? (struct str){ text, len } : (struct str){ 0 };
}

static struct str explain(const struct refusal *refusal, const struct error *why,
                          struct arena *arena)
{
    struct str words = refusal->status != 0 && refusal->description.len > 0 ? refusal->description
                                                                            : str_from(why->cause);

    if (refusal->status != 0 && refusal->decision.len > 0)
        words = arena_printf(arena, STR_FMT " (decision " STR_FMT ")", STR_ARG(words),
                             STR_ARG(refusal->decision));
    return clean(words, arena);
}

struct str tool_format_gcp_failure(const struct refusal *refusal, const struct error *why,
                                   struct arena *arena)
{
    JSON_OWNED json_t *json = json_object();
    struct str code = refusal->status != 0 && refusal->code.len > 0
                          ? clean(refusal->code, arena)
                          : str_from(error_kind(why->code)->name);

    if (!json_put(json, "version", json_integer(1)) || !json_put(json, "success", json_false()) ||
        !json_put(json, "code", json_from_str(code)) ||
        !json_put(json, "message", json_from_str(explain(refusal, why, arena))))
        return (struct str){ 0 };
    return json_text(arena, json);
}

/* As Python's datetime prints the local time, which is what az does. */
static json_t *local_time(int64_t wall_s)
{
    char text[40];
    time_t time = (time_t)wall_s;
    struct tm parts;

    if (!localtime_r(&time, &parts) ||
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S.000000", &parts) == 0)
        return NULL;
    return json_string(text);
}

bool tool_format_az(const struct answer *answer, struct arena *arena, struct str *text,
                    struct error *error)
{
    const struct credential *credential = only(answer, CREDENTIAL_AZURE, "azure", error);
    JSON_OWNED json_t *json = json_object();

    if (!credential)
        return false;
    return write_json(json_put(json, "accessToken", json_from_str(credential->token)) &&
                          json_put(json, "expiresOn", local_time(credential->expires_s)) &&
                          json_put(json, "expires_on", json_integer(credential->expires_s)) &&
                          json_put(json, "tenant", json_from_str(credential->tenant_id)) &&
                          json_put(json, "tokenType", json_string("Bearer")),
                      json, arena, text, error);
}

/* What a registry is asked with. */
struct registry_login {
    struct str host;
    struct str user;
    struct str password;
};

/* Of a gitlab grant the token is the password; false: it is for no registry. */
static bool login_of(const struct credential *credential, struct registry_login *login)
{
    bool is_gitlab = credential->type == CREDENTIAL_GITLAB && credential->registry.len > 0;

    *login = (struct registry_login){
        .host = is_gitlab ? credential->registry : credential->host,
        .user = credential->user,
        .password = is_gitlab ? credential->token : credential->password,
    };
    return is_gitlab || credential->type == CREDENTIAL_REGISTRY;
}

bool tool_format_has_registries(const struct answer *answer)
{
    struct registry_login ignored;

    for (size_t i = 0; i < answer->credential_count; i++)
        if (login_of(&answer->credentials[i], &ignored))
            return true;
    return false;
}

static json_t *basic(const struct registry_login *login)
{
    OWNED(buf_release) struct buf plain = { 0 };
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&plain, PASSWORD_MAX);
    buf_init(&text, BASE64_ENCODED_MAX(PASSWORD_MAX));
    buf_printf(&plain, STR_FMT ":" STR_FMT, STR_ARG(login->user), STR_ARG(login->password));
    buf_add_base64(&text, buf_str(&plain));
    return buf_is_ok(&plain) && buf_is_ok(&text) ? json_from_str(buf_str(&text)) : NULL;
}

static bool put_registry(json_t *hosts, const struct registry_login *login, struct error *error)
{
    json_t *host = json_object();

    if (json_object_getn(hosts, login->host.data, login->host.len)) {
        json_decref(host);
        return error_set(error, ERROR_USAGE,
                         "two grants are for the registry " STR_FMT ": pick one with --grant",
                         STR_ARG(login->host));
    }
    return (json_object_setn_new(hosts, login->host.data, login->host.len, host) == 0 &&
            json_put(host, "auth", basic(login))) ||
           error_set(error, ERROR_MEMORY, "no memory for a registry's password");
}

bool tool_format_registries(const struct answer *answer, struct arena *arena, struct str *text,
                            struct error *error)
{
    JSON_OWNED json_t *json = json_object();
    json_t *hosts = json_object();
    struct registry_login login;

    if (!json_put(json, "auths", hosts))
        return error_set(error, ERROR_MEMORY, "no memory for registries");
    for (size_t i = 0; i < answer->credential_count; i++)
        if (login_of(&answer->credentials[i], &login) && !put_registry(hosts, &login, error))
            return false;
    return write_json(true, json, arena, text, error);
}

/* The one of the answer that is for a registry. */
static bool only_login(const struct answer *answer, struct registry_login *login,
                       struct error *error)
{
    struct registry_login other;
    size_t count = 0;

    for (size_t i = 0; i < answer->credential_count; i++) {
        if (!login_of(&answer->credentials[i], &other))
            continue;
        *login = other;
        count++;
    }
    return count == 1 || error_set(error, ERROR_USAGE,
                                   "expected one grant for a registry, the stage gave %zu: pick "
                                   "one with --grant",
                                   count);
}

bool tool_format_docker(const struct answer *answer, struct arena *arena, struct str *text,
                        struct error *error)
{
    struct registry_login login = { 0 };
    JSON_OWNED json_t *json = json_object();

    if (!only_login(answer, &login, error))
        return false;
    return write_json(json_put(json, "ServerURL", json_from_str(login.host)) &&
                          json_put(json, "Username", json_from_str(login.user)) &&
                          json_put(json, "Secret", json_from_str(login.password)),
                      json, arena, text, error);
}

#define EXEC_API "client.authentication.k8s.io/"

/* What kubectl asked for. The two versions of an answer differ in their name only. */
static bool read_version(const char *asked, struct arena *arena, struct str *version,
                         struct error *error)
{
    json_t *info = NULL;

    *version = STR(EXEC_API "v1");
    if (!asked || asked[0] == '\0')
        return true;
    if (!json_parse_object(str_from(asked), JSON_LIMITS_EXEC_INFO, &info, error) ||
        !json_keep(arena, info, error))
        return error_wrap(error, "KUBERNETES_EXEC_INFO");
    *version = json_str(json_object_get(info, "apiVersion"));
    if (str_eq(*version, STR(EXEC_API "v1")) || str_eq(*version, STR(EXEC_API "v1beta1")))
        return true;
    return error_set(error, ERROR_USAGE,
                     "kubectl asks for another version than " EXEC_API "v1 or v1beta1: set "
                     "'apiVersion' of 'exec' in the kubeconfig");
}

bool tool_format_kubectl(const struct answer *answer, const char *asked, struct arena *arena,
                         struct str *text, struct error *error)
{
    const struct credential *credential = only(answer, CREDENTIAL_KUBERNETES, "kubernetes", error);
    JSON_OWNED json_t *json = json_object();
    json_t *status = json_object();
    struct str version;
    bool is_filled = json_put(json, "status", status);

    if (!credential || !read_version(asked, arena, &version, error))
        return false;
    return write_json(
        is_filled && json_put(json, "apiVersion", json_from_str(version)) &&
            json_put(json, "kind", json_string("ExecCredential")) &&
            json_put(status, "expirationTimestamp", json_from_str(credential->expires_at)) &&
            json_put(status, "token", json_from_str(credential->token)),
        json, arena, text, error);
}
