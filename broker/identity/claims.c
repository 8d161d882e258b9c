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

static bool check_type(const struct claim *row, const char *name, const json_t *value,
                       struct error *error)
{
    if (!json_is_null(value) && !claim_has_type(value, row->type))
        return error_set(error, ERROR_TOKEN, "%s has another type than its profile says", name);
    return true;
}

/* All claims that a row of CLAIM_PREFIX is of, and no row by itself. */
static bool check_open_types(const json_t *claims, const struct claim_table *table,
                             const struct claim *row, struct error *error)
{
    const struct str prefix = str_from(row->name);
    const char *name;
    json_t *value;

    json_object_foreach (json_iterable(claims), name, value) {
        if (str_starts_with(str_from(name), prefix) && claim_find(table, str_from(name)) == row &&
            !check_type(row, name, value, error))
            return false;
    }
    return true;
}

static bool check_row(const json_t *claims, const struct claim_table *table,
                      const struct claim *row, struct error *error)
{
    const json_t *value;

    if ((row->flags & CLAIM_PREFIX) != 0)
        return check_open_types(claims, table, row, error);
    value = claim_value(claims, row->name);
    if (value != NULL && !check_type(row, row->name, value, error))
        return false;
    if (value != NULL && !json_is_null(value))
        return true;
    return (row->flags & CLAIM_OPTIONAL) != 0 ||
           error_set(error, ERROR_TOKEN, "%s is missing", row->name);
}

static bool check_types(const json_t *claims, const struct claim_table *table, struct error *error)
{
    for (size_t i = 0; i < table->count; i++)
        if (!check_row(claims, table, &table->rows[i], error))
            return false;
    return true;
}

static bool check_agreement(const json_t *claims, const struct profile *profile,
                            struct error *error)
{
    const char *flaw = profile->find_flaw == NULL ? NULL : profile->find_flaw(claims);

    return flaw == NULL || error_set(error, ERROR_TOKEN, "%s", flaw);
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

    if (!claim_has_type(audience, CLAIM_STRINGS) ||
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

    if (!claim_has_type(value, type))
        return false;
    switch (type) {
    case CLAIM_STRING:
    case CLAIM_STRINGS:
        return has_element(value, wanted);
    case CLAIM_INTEGER:
        return str_to_int64(wanted, &number) && json_integer_value(value) == number;
    case CLAIM_BOOLEAN:
        return str_eq(wanted, json_is_true(value) ? STR("true") : STR("false"));
    case CLAIM_OBJECT:
    case CLAIM_OBJECTS:
        break;
    }
    return false;
}

const char *claims_only_missed(const json_t *claims, const struct issuer_options *issuer)
{
    const char *name;
    json_t *wanted;

    json_object_foreach (json_iterable(issuer->only), name, wanted) {
        const struct claim *row = claim_find(&issuer->claims, str_from(name));

        if (row == NULL || !is_wanted(claim_value(claims, name), row->type, json_str(wanted)))
            return name;
    }
    return NULL;
}

static bool check_only(const json_t *claims, const struct issuer_options *issuer,
                       struct error *error)
{
    const char *missed = claims_only_missed(claims, issuer);

    return missed == NULL || error_set(error, ERROR_TOKEN, "%s is not what `only` says", missed);
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
    case CLAIM_OBJECT:
    case CLAIM_OBJECTS:
        break;
    }
    return false;
}

bool claims_check_only(const struct issuer_options *issuer, struct error *error)
{
    bool has_id = false;
    const char *name;
    json_t *wanted;

    json_object_foreach (json_iterable(issuer->only), name, wanted) {
        const struct claim *row = claim_find(&issuer->claims, str_from(name));

        if (row == NULL)
            return error_set(error, ERROR_CONFIG, "only: a claim that this issuer does not have");
        if (!json_is_string(wanted) || !is_of_type(json_str(wanted), row->type))
            return error_set(error, ERROR_CONFIG, "only: the value of %s does not fit its type",
                             name);
        has_id = has_id || (row->flags & (CLAIM_OWNER_ID | CLAIM_ID)) != 0;
    }
    if (profile_is_shared(issuer->profile, issuer->url) && !has_id)
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

    if (str_eq(audience, ours) ||
        (audience.len > 0 && str_eq(audience, rules->issuer->other_audience)))
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

/* What a platform adds to each token's audiences, asked or not. */
static bool is_added(const struct profile *profile, struct str audience)
{
    return profile->added_audience != NULL &&
           str_starts_with(audience, str_from(profile->added_audience));
}

/*
 * Every audience must be ours: a token that others take as well can be theirs to replay. What the
 * platform adds is passed over, where ours is there too.
 */
static bool check_audience(const json_t *claims, const struct claims_rules *rules,
                           bool *is_key_bound, struct error *error)
{
    const json_t *audience = json_object_get(claims, "aud");
    size_t count = json_is_array(audience) ? json_array_size(audience) : 1;
    size_t our_count = 0;

    for (size_t i = 0; i < count; i++) {
        struct str one = json_str(json_is_array(audience) ? json_array_get(audience, i) : audience);

        if (is_our_audience(one, rules, is_key_bound))
            our_count++;
        else if (!is_added(rules->issuer->profile, one))
            return error_set(error, ERROR_TOKEN_AUDIENCE, "an audience is not ours");
    }
    if (our_count == 0)
        return error_set(error, ERROR_TOKEN_AUDIENCE, "an audience is not ours");
    return true;
}

/* ---- the holder ---- */

static bool is_held(const char *name, const json_t *value, const struct identity_input *input)
{
    const char *key = NULL;

    if (str_eq(str_from(name), STR("jkt")))
        key = input->thumbprint;
    else if (str_eq(str_from(name), STR("x5t#S256")))
        key = input->certificate;
    return key != NULL && key[0] != '\0' && json_is_string(value) &&
           str_eq(json_str(value), str_from(key));
}

bool claims_check_holder(const json_t *claims, const struct identity_input *input,
                         struct error *error)
{
    const json_t *confirmation = json_object_get(claims, "cnf");
    const char *name;
    json_t *value;

    if (confirmation == NULL || json_is_null(confirmation))
        return true;
    if (json_object_size(confirmation) == 0)
        return error_set(error, ERROR_TOKEN, "cnf is no object, or empty");
    json_object_foreach (json_iterable(confirmation), name, value)
        if (!is_held(name, value, input))
            return error_set(error, ERROR_TOKEN, "cnf names a key that did not come with it");
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
        !check_agreement(claims, issuer->profile, error) || !check_only(claims, issuer, error))
        return false;
    if (!check_window(rules, &found, error) ||
        !check_audience(claims, rules, &found.is_key_bound, error))
        return false;
    *facts = found;
    return true;
}

bool claims_check_kept(json_t *claims, const struct issuer_options *issuer,
                       struct claims_facts *facts, struct error *error)
{
    struct claims_facts found = { 0 };

    if (!take_time(claims, "exp", &found.expires_s, error) ||
        !take_time(claims, "iat", &found.issued_s, error) ||
        !take_text(claims, "sub", &found.subject, error) ||
        !check_types(claims, &issuer->claims, error) ||
        !check_agreement(claims, issuer->profile, error) || !check_only(claims, issuer, error))
        return false;
    *facts = found;
    return true;
}
