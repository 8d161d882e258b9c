#include "claims.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/secret.h"
#include "identity/profile.h"
#include "platform.h"

#define UUID_BYTES ((size_t)16)
#define UUID_LEN 36
#define SUBJECT_MAX ((size_t)1024)

static bool read_file(const char *path, json_t **claims, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(2 * CLAIMS_FILE_MAX);
    struct str text;

    if (arena == NULL)
        return error_set(error, ERROR_MEMORY, "claims");
    return file_read(arena, path, CLAIMS_FILE_MAX, &text, error) &&
           (json_parse_object(text, JSON_LIMITS_REQUEST, claims, error) ||
            error_wrap(error, "%s", path));
}

bool claims_has_change(const struct claims_recipe *recipe, const char *name)
{
    for (size_t i = 0; i < recipe->change_count; i++)
        if (str_eq(recipe->changes[i].name, str_from(name)))
            return true;
    return false;
}

/* --- values --------------------------------------------------------------------------------- */

static json_t *integer_of(struct str text)
{
    int64_t value;

    return str_to_int64(text, &value) ? json_integer(value) : NULL;
}

static json_t *boolean_of(struct str text)
{
    if (str_eq(text, STR("true")))
        return json_true();
    return str_eq(text, STR("false")) ? json_false() : NULL;
}

static json_t *json_of(struct str text)
{
    return json_loadb(text.data, text.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
}

static json_t *object_of(struct str text)
{
    json_t *value = json_of(text);

    if (json_is_object(value))
        return value;
    json_decref(value);
    return NULL;
}

static json_t *objects_of(struct str text)
{
    json_t *value = json_of(text);

    if (json_is_array(value))
        return value;
    json_decref(value);
    return NULL;
}

static const struct {
    const char *what;
    json_t *(*read)(struct str text);
} types[] = {
    [CLAIM_STRING] = { "UTF-8 text", json_from_str },
    [CLAIM_INTEGER] = { "an integer", integer_of },
    [CLAIM_BOOLEAN] = { "true or false", boolean_of },
    [CLAIM_STRINGS] = { "UTF-8 text", json_from_str },
    [CLAIM_OBJECT] = { "a JSON object", object_of },
    [CLAIM_OBJECTS] = { "a JSON array", objects_of },
};

static bool set_value(const struct claims_recipe *recipe, const struct claims_change *change,
                      const char *name, json_t *claims, struct error *error)
{
    const struct claim *row = claim_find(&recipe->profile->claims, change->name);
    enum claim_type type = row == NULL ? CLAIM_STRING : row->type;
    json_t *value = types[type].read(change->value);

    if (value == NULL)
        return error_set(error, ERROR_USAGE, "claim '%s' is %s, not '" STR_FMT "'", name,
                         types[type].what, STR_ARG(change->value));
    return claim_put(claims, name, value) ||
           error_set(error, ERROR_USAGE, "claim '%s' cannot be set there", name);
}

static bool set_json(const struct claims_change *change, const char *name, json_t *claims,
                     struct error *error)
{
    json_t *value = json_of(change->value);

    if (value == NULL)
        return error_set(error, ERROR_USAGE, "claim '%s': '" STR_FMT "' is not JSON", name,
                         STR_ARG(change->value));
    return claim_put(claims, name, value) ||
           error_set(error, ERROR_USAGE, "claim '%s' cannot be set there", name);
}

/* What is within an object stays there as null, which is absent too. */
static bool unset(json_t *claims, const char *name)
{
    if (name[0] == '/')
        return claim_value(claims, name) == NULL || claim_put(claims, name, json_null());
    (void)json_object_del(claims, name); /* may be absent already */
    return true;
}

static bool apply(const struct claims_recipe *recipe, const struct claims_change *change,
                  json_t *claims, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(CLAIMS_FILE_MAX);
    const char *name = arena == NULL ? NULL : arena_copy(arena, change->name).data;

    if (name == NULL)
        return error_set(error, ERROR_MEMORY, "claims");
    if (!str_is_utf8(change->name))
        return error_set(error, ERROR_USAGE, "a claim's name is UTF-8 text");
    switch (change->kind) {
    case CLAIMS_SET:
        return set_value(recipe, change, name, claims, error);
    case CLAIMS_SET_JSON:
        return set_json(change, name, claims, error);
    case CLAIMS_UNSET:
        return unset(claims, name) || error_set(error, ERROR_MEMORY, "claims");
    }
    return false;
}

static bool apply_all(const struct claims_recipe *recipe, json_t *claims, struct error *error)
{
    for (size_t i = 0; i < recipe->change_count; i++)
        if (!apply(recipe, &recipe->changes[i], claims, error))
            return false;
    return true;
}

/* --- what the CI system fills in ---------------------------------------------------------------
 */

/* In a subject ':' separates, so in a value it is escaped, and nothing else is. */
static void add_subject_value(struct buf *subject, struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] == ':')
            buf_add_text(subject, "%3A");
        else
            buf_add(subject, str_slice(value, i, 1));
    }
}

/* The default form; the first that fits: environment, pull request, ref. */
static json_t *subject_of(const json_t *claims)
{
    OWNED(buf_release) struct buf subject;
    struct str environment = json_str(json_object_get(claims, "environment"));

    buf_init(&subject, SUBJECT_MAX);
    buf_add_text(&subject, "repo:");
    add_subject_value(&subject, json_str(json_object_get(claims, "repository")));
    if (environment.len > 0) {
        buf_add_text(&subject, ":environment:");
        add_subject_value(&subject, environment);
    } else if (str_eq(json_str(json_object_get(claims, "event_name")), STR("pull_request"))) {
        buf_add_text(&subject, ":pull_request");
    } else {
        buf_add_text(&subject, ":ref:");
        add_subject_value(&subject, json_str(json_object_get(claims, "ref")));
    }
    return buf_is_ok(&subject) ? json_from_str(buf_str(&subject)) : NULL;
}

static bool fill_subject(const struct claims_recipe *recipe, json_t *claims)
{
    static const char *const parts[] = { "repository", "environment", "event_name", "ref" };
    bool is_true = json_object_get(claims, "sub") != NULL;

    if (json_object_get(claims, "repository") == NULL)
        return true;
    for (size_t i = 0; i < COUNT(parts); i++)
        is_true = is_true && !claims_has_change(recipe, parts[i]);
    return is_true || json_put(claims, "sub", subject_of(claims));
}

static bool fill_not_before(const struct platform *platform, int64_t issued_s, json_t *claims)
{
    int64_t from_s;

    if (platform->not_before_s == PLATFORM_NO_NOT_BEFORE)
        return true;
    if (__builtin_sub_overflow(issued_s, platform->not_before_s, &from_s))
        from_s = INT64_MIN;
    return json_put(claims, "nbf", json_integer(from_s));
}

static bool fill_times(const struct claims_recipe *recipe, int64_t now_s, json_t *claims)
{
    const struct platform *platform = platform_find(recipe->profile);
    int64_t lifetime_s = recipe->lifetime_s != 0 ? recipe->lifetime_s : platform->lifetime_s;
    int64_t issued_s = now_s;
    int64_t expires_s;

    if (claims_has_change(recipe, "iat") && !json_get_time(claims, "iat", &issued_s))
        issued_s = now_s;
    if (__builtin_add_overflow(issued_s, lifetime_s, &expires_s))
        expires_s = INT64_MAX;
    return json_put(claims, "iat", json_integer(issued_s)) &&
           fill_not_before(platform, issued_s, claims) &&
           json_put(claims, "exp", json_integer(expires_s));
}

static bool fill_audience(const struct claims_recipe *recipe, json_t *claims)
{
    return json_put(claims, "aud",
                    platform_audience_of(platform_find(recipe->profile), recipe->audience, claims));
}

static bool fill_jti(const struct claims_recipe *recipe, json_t *claims, struct error *error)
{
    return !platform_has_jti(recipe->profile) || claims_renew_jti(claims, error);
}

/* Values are computed from changed claims, and yield to changes: so these are applied twice. */
static bool fill(const struct claims_recipe *recipe, int64_t now_s, json_t *claims,
                 struct error *error)
{
    if (!apply_all(recipe, claims, error))
        return false;
    if (!fill_subject(recipe, claims) || !json_put(claims, "iss", json_from_str(recipe->issuer)) ||
        !fill_audience(recipe, claims) || !fill_times(recipe, now_s, claims))
        return error_set(error, ERROR_SYNTAX,
                         "issuer, audience and subject must be UTF-8 of at most %zu bytes",
                         SUBJECT_MAX);
    return fill_jti(recipe, claims, error) && apply_all(recipe, claims, error);
}

bool claims_build(const struct claims_recipe *recipe, int64_t now_s, json_t **claims,
                  struct error *error)
{
    JSON_OWNED json_t *built = NULL;

    if (recipe->file != NULL) {
        if (!read_file(recipe->file, &built, error))
            return false;
    } else {
        built = json_object();
    }
    if (built == NULL)
        return error_set(error, ERROR_MEMORY, "claims");
    if (!fill(recipe, now_s, built, error))
        return false;
    *claims = TAKE(built);
    return true;
}

/* Source: RFC 9562 5.4 */
bool claims_renew_jti(json_t *claims, struct error *error)
{
    uint8_t bytes[UUID_BYTES];
    char text[UUID_LEN + 1];
    size_t len = 0;

    if (!secret_random(bytes, sizeof(bytes), error))
        return false;
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bool has_dash = i == 4 || i == 6 || i == 8 || i == 10;

        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%02x", has_dash ? "-" : "",
                                bytes[i]);
    }
    return json_put(claims, "jti", json_string(text)) || error_set(error, ERROR_MEMORY, "claims");
}
