#include "clients/answer.h"

#include <string.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/id.h"
#include "base/json.h"
#include "base/time_text.h"

#define TOKEN_MAX_BYTES ((size_t)32 * 1024)
#define NAME_MAX_BYTES 40
#define PLACE_MAX_BYTES 1024 /* hosts of a cluster */
#define PEM_MAX_BYTES ((size_t)64 * 1024)
#define PEM_MORE " \n"
#define STAGE_MAX_BYTES 121
#define CODE_MAX_BYTES 128
#define INTERVAL_MAX_S 300
#define WAIT_MAX_S ((int64_t)7 * 24 * 3600)
#define SENTENCE_MAX_BYTES ((size_t)1024)

static const struct json_limits answer_limits = { ANSWER_BYTES_MAX, 16, 2000 };

/* Texts by what they may hold. */
struct text_rule {
    const char *name;
    size_t offset; /* of a struct str */
    size_t len_max;
    bool is_optional;
    const char *more; /* characters that it may hold besides those without space; NULL: none */
};

static bool is_printable(struct str text, const char *more)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if ((c <= 0x20 || c > 0x7e) && (c == '\0' || !more || !strchr(more, c)))
            return false;
    }
    return text.len > 0;
}

static bool read_text(const json_t *object, const struct text_rule *rule, void *out,
                      struct error *error)
{
    const json_t *value = json_object_get(object, rule->name);
    struct str text;

    if (!value && rule->is_optional)
        return true;
    text = json_str(value);
    if (!is_printable(text, rule->more))
        return error_set(error, ERROR_SYNTAX, "'%s' is not printable text", rule->name);
    if (text.len > rule->len_max)
        return error_set(error, ERROR_LIMIT, "'%s' has %zu bytes, at most %zu are taken",
                         rule->name, text.len, rule->len_max);
    memcpy((char *)out + rule->offset, &text, sizeof(text));
    return true;
}

static bool read_texts(const json_t *object, const struct text_rule *rules, size_t count, void *out,
                       struct error *error)
{
    for (size_t i = 0; i < count; i++)
        if (!read_text(object, &rules[i], out, error))
            return false;
    return true;
}

/* clang-format off */
static const struct text_rule handle_rule[] = {
    { "handle", offsetof(struct answer, handle), 128, false, NULL },
};

static const struct text_rule top_rules[] = {
    { "access_token", offsetof(struct answer, access_token), TOKEN_MAX_BYTES, false, NULL },
    { "token_type",   offsetof(struct answer, token_type),   32,              false, NULL },
    { "refresh_token", offsetof(struct answer, refresh_token), 512,           true, NULL },
};

static const struct text_rule lease_rules[] = {
    { "id",         offsetof(struct answer, lease),      64,              false, NULL },
    { "stage",      offsetof(struct answer, stage),      STAGE_MAX_BYTES, false, NULL },
    { "expires_at", offsetof(struct answer, expires_at), TIME_TEXT_MS_LEN, false, NULL },
};

static const struct text_rule credential_rules[] = {
    { "type",       offsetof(struct credential, type_name),  NAME_MAX_BYTES,   false, NULL },
    { "expires_at", offsetof(struct credential, expires_at), TIME_TEXT_MS_LEN, false, NULL },
};

static const struct text_rule jwt_rules[] = {
    { "token", offsetof(struct credential, token), TOKEN_MAX_BYTES, false, NULL },
};

static const struct text_rule ssh_rules[] = {
    { "certificate", offsetof(struct credential, token), TOKEN_MAX_BYTES, false, " " },
};

static const struct text_rule aws_rules[] = {
    { "access_key_id",     offsetof(struct credential, access_key_id),     128,             false, NULL },
    { "secret_access_key", offsetof(struct credential, secret_access_key), 256,             false, NULL },
    { "session_token",     offsetof(struct credential, session_token),     TOKEN_MAX_BYTES, false, NULL },
    { "region",            offsetof(struct credential, region),            64,              true,  NULL },
    { "account_id",        offsetof(struct credential, account_id),        32,              true,  NULL },
};

static const struct text_rule x509_rules[] = {
    { "certificate", offsetof(struct credential, certificate), PEM_MAX_BYTES, false, PEM_MORE },
    { "chain",       offsetof(struct credential, chain),       PEM_MAX_BYTES, true,  PEM_MORE },
    { "root",        offsetof(struct credential, root),        PEM_MAX_BYTES, true,  PEM_MORE },
};

static const struct text_rule gcp_rules[] = {
    { "access_token",    offsetof(struct credential, token),           TOKEN_MAX_BYTES, false, NULL },
    { "service_account", offsetof(struct credential, service_account), 256,             true,  NULL },
    { "project",         offsetof(struct credential, project),         128,             true,  NULL },
};

static const struct text_rule azure_rules[] = {
    { "access_token", offsetof(struct credential, token),     TOKEN_MAX_BYTES, false, NULL },
    { "client_id",    offsetof(struct credential, client_id), 64,              false, NULL },
    { "tenant_id",    offsetof(struct credential, tenant_id), 64,              false, NULL },
};

static const struct text_rule vault_rules[] = {
    { "token",     offsetof(struct credential, token),   TOKEN_MAX_BYTES, false, NULL },
    { "address",   offsetof(struct credential, address), PLACE_MAX_BYTES, false, NULL },
    { "namespace", offsetof(struct credential, space),   PLACE_MAX_BYTES, true,  NULL },
};

static const struct text_rule kubernetes_rules[] = {
    { "token",     offsetof(struct credential, token),   TOKEN_MAX_BYTES, false, NULL },
    { "server",    offsetof(struct credential, address), PLACE_MAX_BYTES, false, NULL },
    { "namespace", offsetof(struct credential, space),   63,              false, NULL },
    { "ca",        offsetof(struct credential, ca),      PEM_MAX_BYTES,   true,  PEM_MORE },
};

static const struct text_rule github_rules[] = {
    { "token", offsetof(struct credential, token), TOKEN_MAX_BYTES, false, NULL },
    { "host",  offsetof(struct credential, host),  PLACE_MAX_BYTES, false, NULL },
};

static const struct text_rule gitlab_rules[] = {
    { "token",      offsetof(struct credential, token),      TOKEN_MAX_BYTES, false, NULL },
    { "token_kind", offsetof(struct credential, token_kind), 16,              false, NULL },
    { "username",   offsetof(struct credential, user),       255,             false, NULL },
    { "host",       offsetof(struct credential, host),       PLACE_MAX_BYTES, false, NULL },
    { "registry",   offsetof(struct credential, registry),   256,             true,  NULL },
};

static const struct text_rule postgres_rules[] = {
    { "host",     offsetof(struct credential, host),     PLACE_MAX_BYTES, false, NULL },
    { "port",     offsetof(struct credential, port),     PLACE_MAX_BYTES, false, NULL },
    { "database", offsetof(struct credential, database), 63,              false, NULL },
    { "user",     offsetof(struct credential, user),     63,              false, NULL },
    { "password", offsetof(struct credential, password), 128,             true,  NULL },
    { "certificate", offsetof(struct credential, certificate), PEM_MAX_BYTES, true, PEM_MORE },
    { "chain",    offsetof(struct credential, chain),    PEM_MAX_BYTES,   true,  PEM_MORE },
    { "sslmode",  offsetof(struct credential, sslmode),  16,              true,  NULL },
    { "ca",       offsetof(struct credential, ca),       PEM_MAX_BYTES,   true,  PEM_MORE },
};

static const struct text_rule registry_rules[] = {
    { "host",     offsetof(struct credential, host),     256,             false, NULL },
    { "username", offsetof(struct credential, user),     64,              false, NULL },
    { "password", offsetof(struct credential, password), TOKEN_MAX_BYTES, false, NULL },
    { "token",    offsetof(struct credential, token),    TOKEN_MAX_BYTES, false, NULL },
};

static const struct {
    const char *name;
    enum credential_type type;
    const struct text_rule *rules;
    size_t rule_count;
} types[] = {
    { "jwt", CREDENTIAL_JWT, jwt_rules, COUNT(jwt_rules) },
    { "aws", CREDENTIAL_AWS, aws_rules, COUNT(aws_rules) },
    { "ssh", CREDENTIAL_SSH, ssh_rules, COUNT(ssh_rules) },
    { "x509", CREDENTIAL_X509, x509_rules, COUNT(x509_rules) },
    { "gcp", CREDENTIAL_GCP, gcp_rules, COUNT(gcp_rules) },
    { "azure", CREDENTIAL_AZURE, azure_rules, COUNT(azure_rules) },
    { "kubernetes", CREDENTIAL_KUBERNETES, kubernetes_rules, COUNT(kubernetes_rules) },
    { "vault", CREDENTIAL_VAULT, vault_rules, COUNT(vault_rules) },
    { "github", CREDENTIAL_GITHUB, github_rules, COUNT(github_rules) },
    { "gitlab", CREDENTIAL_GITLAB, gitlab_rules, COUNT(gitlab_rules) },
    { "postgres", CREDENTIAL_POSTGRES, postgres_rules, COUNT(postgres_rules) },
    { "registry", CREDENTIAL_REGISTRY, registry_rules, COUNT(registry_rules) },
};
/* clang-format on */

static bool read_time(struct str text, int64_t *wall_s, struct error *error)
{
    int64_t wall_ms;

    if (!time_text_parse(text, &wall_ms))
        return error_set(error, ERROR_SYNTAX, "'expires_at' is no time");
    *wall_s = wall_ms / 1000;
    return true;
}

static bool read_typed(const json_t *object, struct credential *credential, struct error *error)
{
    credential->type = CREDENTIAL_OTHER;
    for (size_t i = 0; i < COUNT(types); i++) {
        if (!str_eq(str_from(types[i].name), credential->type_name))
            continue;
        credential->type = types[i].type;
        return read_texts(json_object_get(object, types[i].name), types[i].rules,
                          types[i].rule_count, credential, error);
    }
    return true;
}

static bool is_grant_name(struct str name)
{
    return name.len >= 1 && name.len <= NAME_MAX_BYTES &&
           str_is_made_of(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
}

static bool read_credential(const char *name, const json_t *object, struct answer *answer,
                            struct error *error)
{
    struct credential *credential;

    if (answer->credential_count == ANSWER_CREDENTIALS_MAX)
        return error_set(error, ERROR_LIMIT, "more than %d credentials", ANSWER_CREDENTIALS_MAX);
    credential = &answer->credentials[answer->credential_count++];
    credential->grant = str_from(name);
    if (!is_grant_name(credential->grant))
        return error_set(error, ERROR_SYNTAX, "a grant's name is not [a-z0-9_-]{1,40}");
    if (!read_texts(object, credential_rules, COUNT(credential_rules), credential, error) ||
        !read_time(credential->expires_at, &credential->expires_s, error) ||
        !read_typed(object, credential, error))
        return error_wrap(error, "credential '%s'", name);
    return true;
}

static bool read_credentials(const json_t *credentials, struct answer *answer, struct error *error)
{
    const char *name;
    json_t *value;

    if (!json_is_object(credentials))
        return error_set(error, ERROR_SYNTAX, "'credentials' is no object");
    json_object_foreach (json_iterable(credentials), name, value)
        if (!read_credential(name, value, answer, error))
            return false;
    return true;
}

static bool read_ledger(const json_t *ledger, struct answer *answer, struct error *error)
{
    const json_t *index = json_object_get(ledger, "index");
    struct str hash = json_str(json_object_get(ledger, "leaf_hash"));
    uint8_t bytes[BASE64_DECODED_MAX(44)];
    size_t len;

    if (!json_is_integer(index) || json_integer_value(index) < 0)
        return error_set(error, ERROR_SYNTAX, "'ledger.index' is no index");
    if (hash.len != 44 || !base64_decode(hash, bytes, &len) || len != SHA256_LEN)
        return error_set(error, ERROR_SYNTAX, "'ledger.leaf_hash' is no SHA-256");
    answer->ledger_index = (uint64_t)json_integer_value(index);
    memcpy(answer->leaf_hash, bytes, SHA256_LEN);
    return true;
}

/* It becomes part of a URL and of names. */
static bool check_lease_id(struct str lease, struct error *error)
{
    return id_is_valid(lease) || error_set(error, ERROR_SYNTAX, "'lease.id' is no ULID");
}

#define HEARTBEAT_MAX_S 86400

static bool read_heartbeat(const json_t *lease, struct answer *answer, struct error *error)
{
    const json_t *heartbeat = json_object_get(lease, "heartbeat_s");

    if (!heartbeat)
        return true;
    answer->heartbeat_s = json_integer_value(heartbeat);
    return (answer->heartbeat_s > 0 && answer->heartbeat_s <= HEARTBEAT_MAX_S) ||
           error_set(error, ERROR_SYNTAX, "'lease.heartbeat_s' is no number of seconds");
}

static bool read_members(const json_t *json, struct answer *answer, struct error *error)
{
    const json_t *lease = json_object_get(json, "lease");

    return read_texts(lease, lease_rules, COUNT(lease_rules), answer, error) &&
           check_lease_id(answer->lease, error) && read_heartbeat(lease, answer, error) &&
           read_time(answer->expires_at, &answer->expires_s, error) &&
           read_texts(json, top_rules, COUNT(top_rules), answer, error) &&
           read_credentials(json_object_get(json, "credentials"), answer, error) &&
           read_ledger(json_object_get(json, "ledger"), answer, error);
}

static bool parse(struct str body, struct arena *arena, struct answer *answer, struct error *error)
{
    json_t *json;

    *answer = (struct answer){ 0 };
    if (!json_parse_object(body, answer_limits, &json, error) || !json_keep(arena, json, error))
        return false;
    answer->json = json;
    return true;
}

/* The handle first: whatever else is amiss, the lease can then be released. */
static bool read_handle(struct answer *answer, struct error *error)
{
    return read_texts(json_object_get(answer->json, "lease"), handle_rule, COUNT(handle_rule),
                      answer, error);
}

bool answer_read(struct str body, struct arena *arena, struct answer *answer, struct error *error)
{
    return (parse(body, arena, answer, error) && read_handle(answer, error) &&
            read_members(answer->json, answer, error)) ||
           error_wrap(error, "the broker's answer");
}

bool answer_read_renewal(struct str body, struct arena *arena, struct answer *answer,
                         struct error *error)
{
    return (parse(body, arena, answer, error) && read_members(answer->json, answer, error)) ||
           error_wrap(error, "the broker's answer");
}

static size_t read_names(const json_t *list, struct str *names, size_t max)
{
    size_t count = 0;

    for (size_t i = 0; i < json_array_size(list) && count < max; i++) {
        struct str name = json_str(json_array_get(list, i));

        if (name.len > 0)
            names[count++] = str_slice(name, 0, SENTENCE_MAX_BYTES);
    }
    return count;
}

/* An id becomes part of what people are told to type, a code part of a request. */
static void read_approval(const json_t *object, struct refusal *refusal)
{
    struct str id = json_str(json_object_get(object, "id"));
    struct str code = json_str(json_object_get(object, "code"));
    json_int_t interval_s = json_integer_value(json_object_get(object, "interval"));
    json_int_t wait_s = json_integer_value(json_object_get(object, "expires_in"));

    if (!id_is_valid(id) || !is_printable(code, false) || code.len > CODE_MAX_BYTES ||
        interval_s < 1 || interval_s > INTERVAL_MAX_S || wait_s < 1 || wait_s > WAIT_MAX_S)
        return;
    refusal->approval = id;
    refusal->approval_code = code;
    refusal->approval_interval_s = interval_s;
    refusal->approval_wait_s = wait_s;
}

void refusal_read(int status, struct str body, struct arena *arena, struct refusal *refusal)
{
    static const struct {
        const char *name;
        size_t offset;
    } members[] = {
        { "error", offsetof(struct refusal, code) },
        { "error_description", offsetof(struct refusal, description) },
        { "reason", offsetof(struct refusal, reason) },
        { "decision_id", offsetof(struct refusal, decision) },
        { "owner", offsetof(struct refusal, owner) },
        { "help", offsetof(struct refusal, help) },
    };
    struct error ignored = { 0 };
    json_t *json;

    *refusal = (struct refusal){ .status = status };
    if (!json_parse_object(body, answer_limits, &json, &ignored) ||
        !json_keep(arena, json, &ignored))
        return;
    for (size_t i = 0; i < COUNT(members); i++) {
        struct str text =
            str_slice(json_str(json_object_get(json, members[i].name)), 0, SENTENCE_MAX_BYTES);

        memcpy((char *)refusal + members[i].offset, &text, sizeof(text));
    }
    read_approval(json_object_get(json, "approval"), refusal);
    refusal->failed_count =
        read_names(json_object_get(json, "failed"), refusal->failed, ANSWER_NAMES_MAX);
    refusal->grants_needing_keys_count =
        read_names(json_object_get(json, "grants_needing_keys"), refusal->grants_needing_keys,
                   ANSWER_CREDENTIALS_MAX);
    refusal->grants_needing_csrs_count =
        read_names(json_object_get(json, "grants_needing_csrs"), refusal->grants_needing_csrs,
                   ANSWER_CREDENTIALS_MAX);
}
