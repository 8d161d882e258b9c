#include <inttypes.h>

#include "base/error.h"
#include "identity/claims_internal.h"
#include "identity/profile.h"

#define STRING_MAX 1024
#define URL_MAX 2048
/* 9999-12-31T23:59:59Z: sums of such times and any leeway stay far inside int64_t. */
#define TIME_MAX_S INT64_C(253402300799)

bool claims_parse(struct str text, struct json_limits limits, const char *name, struct arena *arena,
                  json_t **claims, struct error *error)
{
    struct error why = { 0 };
    json_t *parsed = NULL;

    if (!json_parse_object(text, limits, &parsed, &why)) {
        if (why.code == ERROR_MEMORY)
            return error_set(error, ERROR_MEMORY, "no memory for the %s", name);
        return error_set(error, ERROR_TOKEN, "%s: %s", name, why.cause);
    }
    if (!json_keep(arena, parsed, error))
        return false;
    *claims = parsed;
    return true;
}

/* Text of every claim, known or not: it goes into policies, ledger entries and logs. */

static bool text_is_good(struct str text)
{
    bool is_url = str_starts_with(text, STR("https://")) || str_starts_with(text, STR("http://"));

    return text.len <= (is_url ? URL_MAX : STRING_MAX) && !str_has_control(text);
}

static bool texts_are_good(json_t *value);

static bool members_are_good(json_t *object)
{
    const char *name;
    json_t *member;

    json_object_foreach (object, name, member) {
        if (!text_is_good(str_from(name)) || !texts_are_good(member))
            return false;
    }
    return true;
}

/* The parser has limited the depth. */
static bool texts_are_good(json_t *value)
{
    if (json_is_string(value))
        return text_is_good(json_str(value));
    if (json_is_object(value))
        return members_are_good(value);
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!texts_are_good(json_array_get(value, i)))
            return false;
    return true;
}

/* Types. */

static bool are_strings(const json_t *value)
{
    if (json_is_string(value))
        return true;
    if (!json_is_array(value))
        return false;
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!json_is_string(json_array_get(value, i)))
            return false;
    return true;
}

static bool has_type(const json_t *value, enum claim_type type)
{
    switch (type) {
    case CLAIM_STRING:
        return json_is_string(value);
    case CLAIM_INTEGER:
        return json_is_integer(value);
    case CLAIM_BOOLEAN:
        return json_is_boolean(value);
    case CLAIM_STRINGS:
        return are_strings(value);
    }
    return false;
}

static bool check_types(const json_t *claims, const struct claim_table *table, struct error *error)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct claim *row = &table->rows[i];
        const json_t *value = json_object_get(claims, row->name);
        bool is_absent = value == NULL || json_is_null(value);

        if (is_absent && (row->flags & CLAIM_OPTIONAL) == 0)
            return error_set(error, ERROR_TOKEN, "%s is missing", row->name);
        if (!is_absent && !has_type(value, row->type))
            return error_set(error, ERROR_TOKEN, "%s has another type than its profile says",
                             row->name);
    }
    return true;
}

/* Registered claims. */

static bool take_time(json_t *claims, const char *name, int64_t *time_s, struct error *error)
{
    int64_t value = 0;

    if (!json_get_time(claims, name, &value))
        return error_set(error, ERROR_TOKEN, "%s is missing or no number", name);
    if (value < 0 || value > TIME_MAX_S)
        return error_set(error, ERROR_TOKEN, "%s is out of range", name);
    if (json_object_set_new(claims, name, json_integer(value)) != 0)
        return error_set(error, ERROR_MEMORY, "no memory for a claim");
    *time_s = value;
    return true;
}

static bool take_text(const json_t *claims, const char *name, struct str *text, struct error *error)
{
    if (!json_get_str(claims, name, text) || text->len == 0)
        return error_set(error, ERROR_TOKEN, "%s is missing, empty or no string", name);
    return true;
}

static bool take_token_id(const json_t *claims, enum profile_replay replay, struct str *token_id,
                          struct error *error)
{
    if (replay != PROFILE_REPLAY_JTI && json_object_get(claims, "jti") == NULL)
        return true;
    return take_text(claims, "jti", token_id, error);
}

/* One audience or a list of at least one; which they are is looked at last. */
static bool check_audience_shape(const json_t *claims, struct error *error)
{
    const json_t *audience = json_object_get(claims, "aud");

    if (audience == NULL || !are_strings(audience) ||
        (json_is_array(audience) && json_array_size(audience) == 0))
        return error_set(error, ERROR_TOKEN, "aud is missing, empty or no string");
    return true;
}

/* Times that no honest token of this issuer has, whenever it is shown. */
static bool check_times(json_t *claims, const struct claims_rules *rules,
                        const struct claims_facts *facts, struct error *error)
{
    int64_t not_before_s = 0;

    if (facts->expires_s <= facts->issued_s)
        return error_set(error, ERROR_TOKEN, "exp is not after iat");
    if (facts->expires_s - facts->issued_s > rules->max_lifetime_s)
        return error_set(error, ERROR_TOKEN, "lifetime of %" PRId64 " s, at most %" PRId64,
                         facts->expires_s - facts->issued_s, rules->max_lifetime_s);
    if (facts->issued_s > rules->now_s + rules->leeway_s)
        return error_set(error, ERROR_TOKEN, "iat is %" PRId64 " s ahead",
                         facts->issued_s - rules->now_s);
    if (json_object_get(claims, "nbf") == NULL)
        return true;
    if (!take_time(claims, "nbf", &not_before_s, error))
        return false;
    if (not_before_s > rules->now_s + rules->leeway_s)
        return error_set(error, ERROR_TOKEN, "nbf is %" PRId64 " s ahead",
                         not_before_s - rules->now_s);
    return true;
}

/* `only` */

static bool has_element(const json_t *value, struct str wanted)
{
    if (json_is_string(value))
        return str_eq(json_str(value), wanted);
    for (size_t i = 0; i < json_array_size(value); i++)
        if (str_eq(json_str(json_array_get(value, i)), wanted))
            return true;
    return false;
}

/* The claim has its row's type by now, or is absent. */
static bool is_wanted(const json_t *value, enum claim_type type, struct str wanted)
{
    int64_t number = 0;

    if (value == NULL || !has_type(value, type))
        return false;
    switch (type) {
    case CLAIM_STRING:
    case CLAIM_STRINGS:
        return has_element(value, wanted);
    case CLAIM_INTEGER:
        return str_to_int64(wanted, &number) && json_integer_value(value) == number;
    case CLAIM_BOOLEAN:
        return str_eq(wanted, json_is_true(value) ? STR("true") : STR("false"));
    }
    return false;
}

static bool check_only(const json_t *claims, const struct issuer_options *issuer,
                       struct error *error)
{
    for (size_t i = 0; i < issuer->claims.count; i++) {
        const struct claim *row = &issuer->claims.rows[i];
        const json_t *wanted = json_object_get(issuer->only, row->name);

        if (wanted != NULL &&
            !is_wanted(json_object_get(claims, row->name), row->type, json_str(wanted)))
            return error_set(error, ERROR_TOKEN, "%s is not what `only` says", row->name);
    }
    return true;
}

static bool is_of_type(struct str text, enum claim_type type)
{
    int64_t number = 0;

    switch (type) {
    case CLAIM_STRING:
    case CLAIM_STRINGS:
        return text.len > 0;
    case CLAIM_INTEGER:
        return str_to_int64(text, &number);
    case CLAIM_BOOLEAN:
        return str_eq(text, STR("true")) || str_eq(text, STR("false"));
    }
    return false;
}

bool claims_check_only(const struct issuer_options *issuer, struct error *error)
{
    size_t known_count = 0;
    bool has_owner = false;

    for (size_t i = 0; i < issuer->claims.count; i++) {
        const struct claim *row = &issuer->claims.rows[i];
        const json_t *wanted = json_object_get(issuer->only, row->name);

        if (wanted == NULL)
            continue;
        if (!json_is_string(wanted) || !is_of_type(json_str(wanted), row->type))
            return error_set(error, ERROR_CONFIG, "only: the value of %s does not fit its type",
                             row->name);
        known_count++;
        has_owner = has_owner || (row->flags & CLAIM_OWNER_ID) != 0;
    }
    if (known_count != json_object_size(issuer->only))
        return error_set(error, ERROR_CONFIG, "only: a claim that this issuer does not have");
    if (issuer->profile->is_shared && !has_owner)
        return error_set(error, ERROR_CONFIG,
                         "this issuer serves many organisations: `only` must name an owner's id");
    return true;
}

/* What a bearer is told: the token verified and is one of those we speak with. */

static bool check_window(const struct claims_rules *rules, const struct claims_facts *facts,
                         struct error *error)
{
    if (rules->now_s >= facts->expires_s + rules->leeway_s)
        return error_set(error, ERROR_TOKEN_EXPIRED, "expired %" PRId64 " s ago",
                         rules->now_s - facts->expires_s);
    if (rules->now_s - facts->issued_s > rules->max_age_s + rules->leeway_s)
        return error_set(error, ERROR_TOKEN_TOO_OLD, "issued %" PRId64 " s ago, at most %" PRId64,
                         rules->now_s - facts->issued_s, rules->max_age_s);
    return true;
}

/* Ours, or ours for one key alone, whose holder must be the one who shows it. */
static bool is_our_audience(struct str audience, const struct claims_rules *rules,
                            bool *is_key_bound)
{
    struct str ours = rules->issuer->audience;
    struct str key = STR(IDENTITY_KEY_AUDIENCE);
    struct str rest;

    if (str_eq(audience, ours))
        return true;
    if (!str_starts_with(audience, ours))
        return false;
    rest = str_slice(audience, ours.len, audience.len);
    if (rules->thumbprint.len == 0 || !str_starts_with(rest, key) ||
        !str_eq(str_slice(rest, key.len, rest.len), rules->thumbprint))
        return false;
    *is_key_bound = true;
    return true;
}

/* Every audience must be ours: a token that others take as well can be theirs to replay. */
static bool check_audience(const json_t *claims, const struct claims_rules *rules,
                           bool *is_key_bound, struct error *error)
{
    const json_t *audience = json_object_get(claims, "aud");
    bool is_ours =
        !json_is_string(audience) || is_our_audience(json_str(audience), rules, is_key_bound);

    for (size_t i = 0; is_ours && i < json_array_size(audience); i++)
        is_ours = is_our_audience(json_str(json_array_get(audience, i)), rules, is_key_bound);
    if (!is_ours)
        return error_set(error, ERROR_TOKEN_AUDIENCE, "an audience is not ours");
    return true;
}

bool claims_check(json_t *claims, const struct claims_rules *rules, struct claims_facts *facts,
                  struct error *error)
{
    const struct issuer_options *issuer = rules->issuer;
    struct claims_facts found = { 0 };

    if (!texts_are_good(claims))
        return error_set(error, ERROR_TOKEN, "a text is too long or holds a control character");
    if (!take_time(claims, "exp", &found.expires_s, error) ||
        !take_time(claims, "iat", &found.issued_s, error) ||
        !check_times(claims, rules, &found, error) ||
        !take_text(claims, "sub", &found.subject, error) ||
        !take_token_id(claims, issuer->profile->replay, &found.token_id, error) ||
        !check_audience_shape(claims, error) || !check_types(claims, &issuer->claims, error) ||
        !check_only(claims, issuer, error))
        return false;
    if (!check_window(rules, &found, error) ||
        !check_audience(claims, rules, &found.is_key_bound, error))
        return false;
    *facts = found;
    return true;
}
