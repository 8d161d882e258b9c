#include "clients/answer.h"

#include <string.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/id.h"
#include "base/json.h"
#include "base/time_text.h"

#define TOKEN_MAX_BYTES ((size_t)32 * 1024)
#define NAME_MAX_BYTES 40
#define STAGE_MAX_BYTES 121
#define SENTENCE_MAX_BYTES ((size_t)1024)

static const struct json_limits answer_limits = { ANSWER_BYTES_MAX, 16, 2000 };

/* Texts by what they may hold. */
struct text_rule {
    const char *name;
    size_t offset; /* of a struct str */
    size_t len_max;
    bool is_optional;
    bool may_hold_spaces;
};

static bool is_printable(struct str text, bool may_hold_spaces)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (c < 0x20 || c > 0x7e || (c == ' ' && !may_hold_spaces))
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
    if (!is_printable(text, rule->may_hold_spaces))
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
    { "handle", offsetof(struct answer, handle), 128, false, false },
};

static const struct text_rule top_rules[] = {
    { "access_token", offsetof(struct answer, access_token), TOKEN_MAX_BYTES, false, false },
    { "token_type",   offsetof(struct answer, token_type),   32,              false, false },
};

static const struct text_rule lease_rules[] = {
    { "id",         offsetof(struct answer, lease),      64,              false, false },
    { "stage",      offsetof(struct answer, stage),      STAGE_MAX_BYTES, false, false },
    { "expires_at", offsetof(struct answer, expires_at), TIME_TEXT_MS_LEN, false, false },
};

static const struct text_rule credential_rules[] = {
    { "type",       offsetof(struct credential, type_name),  NAME_MAX_BYTES,   false, false },
    { "expires_at", offsetof(struct credential, expires_at), TIME_TEXT_MS_LEN, false, false },
};

static const struct text_rule jwt_rules[] = {
    { "token", offsetof(struct credential, token), TOKEN_MAX_BYTES, false, false },
};

static const struct text_rule ssh_rules[] = {
    { "certificate", offsetof(struct credential, token), TOKEN_MAX_BYTES, false, true },
};

static const struct text_rule aws_rules[] = {
    { "access_key_id",     offsetof(struct credential, access_key_id),     128,             false, false },
    { "secret_access_key", offsetof(struct credential, secret_access_key), 256,             false, false },
    { "session_token",     offsetof(struct credential, session_token),     TOKEN_MAX_BYTES, false, false },
    { "region",            offsetof(struct credential, region),            64,              true,  false },
    { "account_id",        offsetof(struct credential, account_id),        32,              true,  false },
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

static bool read_members(const json_t *json, struct answer *answer, struct error *error)
{
    const json_t *lease = json_object_get(json, "lease");

    /* The handle first: whatever else is amiss, the lease can then be released. */
    return read_texts(lease, handle_rule, COUNT(handle_rule), answer, error) &&
           read_texts(lease, lease_rules, COUNT(lease_rules), answer, error) &&
           check_lease_id(answer->lease, error) &&
           read_texts(json, top_rules, COUNT(top_rules), answer, error) &&
           read_credentials(json_object_get(json, "credentials"), answer, error) &&
           read_ledger(json_object_get(json, "ledger"), answer, error);
}

bool answer_read(struct str body, struct arena *arena, struct answer *answer, struct error *error)
{
    json_t *json;

    *answer = (struct answer){ 0 };
    if (!json_parse_object(body, answer_limits, &json, error) || !json_keep(arena, json, error))
        return error_wrap(error, "the broker's answer");
    answer->json = json;
    return read_members(json, answer, error) || error_wrap(error, "the broker's answer");
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
    refusal->failed_count =
        read_names(json_object_get(json, "failed"), refusal->failed, ANSWER_NAMES_MAX);
    refusal->grants_needing_keys_count =
        read_names(json_object_get(json, "grants_needing_keys"), refusal->grants_needing_keys,
                   ANSWER_CREDENTIALS_MAX);
}
