/*
 * Access tokens that we sign ourselves, for services that trust our key set.
 *
 * Source: RFC 9068 (profile), RFC 7800 3.1 and RFC 9449 6.1 (cnf.jkt),
 *         RFC 8705 3.1 (cnf.x5t#S256), draft-ietf-oauth-status-list-18 6.2 (status)
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/id.h"
#include "base/json.h"
#include "base/token_status.h"
#include "keys/keys.h"
#include "targets/targets_internal.h"

#define TYP "at+jwt"
#define AWS_CLAIMS STR("https://aws.amazon.com/")
#define CLAIMS_MAX 32
/* Of all claims together: with header, signature and status it is less than KEYS_TOKEN_MAX. */
#define CLAIMS_BYTES_MAX ((size_t)11 * 1024)
#define SCOPES_TEXT_MAX ((size_t)64 * 129)
/* RFC 6749 3.3: printable ASCII without space, '"' and '\'. */
#define SCOPE_CHARSET LETTERS_AND_DIGITS "!#$%&'()*+,-./:;<=>?@[]^_`{|}~"

static const struct text_limits audience_limits = { "audience", NULL, 1024, 1 };
static const struct text_limits scope_limits = { "scope", SCOPE_CHARSET, 128, 64 };
static const struct text_limits scope_text_limits = { "scope", SCOPE_CHARSET " ", SCOPES_TEXT_MAX,
                                                      1 };
static const struct text_limits name_limits = { "claims", NULL, 128, 1 };
static const struct text_limits value_limits = { "claims", NULL, 1024, 1 };

/* Claims that say who, for whom, how long or with what rights: ours alone to set. */
static const char *const reserved[] = {
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "cnf",
    "act",
    "azp",
    "acr",
    "amr",
    "client_id",
    "scope",
    "auth_time",
    "may_act",
    "roles",
    "groups",
    "lease",
    "stage",
    "status",
    "entitlements",
    "authorization_details",
};

struct jwt_grant {
    struct str audience;
    struct texts scopes;
    json_t *claims; /* NULL: none */
};

static bool is_reserved(struct str name)
{
    for (size_t i = 0; i < COUNT(reserved); i++)
        if (str_eq_ignore_case(name, str_from(reserved[i])))
            return true;
    return str_starts_with(name, AWS_CLAIMS);
}

/* Reading a grant. */

/* The tokens of a text, each between single spaces. */
static bool split_scopes(struct grant_reader *reader, const json_t *at, struct str text,
                         struct texts *out)
{
    struct str *list = arena_alloc_array(reader->arena, scope_limits.count, sizeof(*list));
    struct texts texts = { list, 0 };
    bool has_more = true;

    if (!list)
        return grant_fault(reader, at, "no memory for 'scope'");
    while (has_more) {
        struct str token;

        has_more = str_cut(text, ' ', &token, &text);
        if (token.len == 0 || token.len > scope_limits.bytes || texts_contain(&texts, token))
            return grant_fault(reader, at,
                               "'scope' is not a list of different words of at most "
                               "%zu bytes",
                               scope_limits.bytes);
        if (texts.count == scope_limits.count)
            return grant_fault(reader, at, "'scope' has more than %zu elements",
                               scope_limits.count);
        list[texts.count++] = token;
    }
    *out = texts;
    return true;
}

static bool read_scopes(struct grant_reader *reader, const json_t *fields, struct texts *scopes)
{
    const json_t *value = json_object_get(fields, "scope");
    struct str text;

    *scopes = (struct texts){ 0 };
    if (!value)
        return true;
    if (json_is_array(value))
        return grant_texts(reader, value, &scope_limits, scopes);
    return grant_text(reader, value, &scope_text_limits, &text) &&
           split_scopes(reader, value, text, scopes);
}

static bool check_claim(struct grant_reader *reader, struct str name, const json_t *value)
{
    struct str text;

    if (name.len == 0 || name.len > name_limits.bytes || str_has_control(name))
        return grant_fault(reader, value, "a claim's name has 1 to %zu printable bytes",
                           name_limits.bytes);
    if (is_reserved(name))
        return grant_fault(reader, value, "'" STR_FMT "' is a claim that policies cannot set",
                           STR_ARG(name));
    return grant_text(reader, value, &value_limits, &text);
}

static bool read_claims(struct grant_reader *reader, const json_t *fields, json_t **claims)
{
    json_t *map = json_object_get(fields, "claims");
    const char *name;
    json_t *value;

    *claims = map;
    if (!map)
        return true;
    if (!json_is_object(map) || json_object_size(map) > CLAIMS_MAX)
        return grant_fault(reader, map, "'claims' must be a map of at most %d texts", CLAIMS_MAX);
    json_object_foreach (map, name, value)
        if (!check_claim(reader, str_from(name), value))
            return false;
    return true;
}

static bool read_grant(struct grant_reader *reader, const json_t *fields, struct jwt_grant *grant)
{
    const json_t *audience = json_object_get(fields, "audience");

    if (!audience)
        return grant_fault(reader, fields, "a jwt grant needs an 'audience'");
    return grant_text(reader, audience, &audience_limits, &grant->audience) &&
           read_scopes(reader, fields, &grant->scopes) &&
           read_claims(reader, fields, &grant->claims);
}

static void check(const struct yaml_reader *yaml, const struct policy_grant_view *view)
{
    OWNED(arena_free) struct arena *arena = arena_new(GRANT_MEMORY_MAX);
    struct grant_reader reader = { .arena = arena, .has_open_holes = true };
    struct jwt_grant grant = { 0 };

    if (!arena)
        (void)yaml_complain(yaml, view->fields, "no memory to check a grant");
    else if (!read_grant(&reader, view->fields, &grant))
        grant_report(yaml, view->fields, &reader);
}

/* The words of `scope`, as they are written. */
static bool written_scopes(struct arena *arena, const json_t *fields, struct texts *scopes)
{
    const json_t *value = json_object_get(fields, "scope");
    struct grant_reader reader = { .arena = arena, .has_open_holes = true };

    if (!json_is_string(value))
        return grant_written(arena, value, scopes);
    return split_scopes(&reader, value, json_str(value), scopes);
}

/*
 * The audience; and the audience with each scope, behind a space. So an audience can be forbidden
 * as a whole, or one of its scopes. Its subject is the stage itself, which no other stage has:
 * there is no principal to share.
 */
static bool gives(const struct policy_grant_view *view, struct arena *arena,
                  struct policy_given *given)
{
    struct str audience = json_str(json_object_get(view->fields, "audience"));
    struct texts scopes = { 0 };

    if (!written_scopes(arena, view->fields, &scopes))
        return false;
    given->names = arena_alloc_array(arena, scopes.count + 1, sizeof(*given->names));
    if (given->names == NULL)
        return false;
    given->names[given->name_count++] = audience;
    for (size_t i = 0; i < scopes.count; i++) {
        struct str name =
            arena_printf(arena, STR_FMT " " STR_FMT, STR_ARG(audience), STR_ARG(scopes.list[i]));

        if (name.data == NULL)
            return false;
        given->names[given->name_count++] = name;
    }
    return true;
}

/* Minting. */

/* Whether every word of `asked` is one of the grant's. */
static bool check_subset(const struct texts *granted, struct str asked, struct error *error)
{
    bool has_more = true;

    while (has_more) {
        struct str word;

        has_more = str_cut(asked, ' ', &word, &asked);
        if (!texts_contain(granted, word))
            return error_set(error, ERROR_SCOPE, "a scope that the grant does not have");
    }
    return true;
}

static bool has_word(struct str words, struct str word)
{
    bool has_more = true;

    while (has_more) {
        struct str next;

        has_more = str_cut(words, ' ', &next, &words);
        if (str_eq(next, word))
            return true;
    }
    return false;
}

/* The grant's own words, in its order, that were asked for: nothing of the request is copied. */
static bool narrow(const struct mint *mint, const struct texts *granted, struct str *scope,
                   struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, SCOPES_TEXT_MAX);
    if (mint->scope.len > 0 && !check_subset(granted, mint->scope, error))
        return false;
    for (size_t i = 0; i < granted->count; i++) {
        if (mint->scope.len > 0 && !has_word(mint->scope, granted->list[i]))
            continue;
        if (text.len > 0)
            buf_add_byte(&text, ' ');
        buf_add(&text, granted->list[i]);
    }
    *scope = arena_copy(mint->arena, buf_str(&text));
    if (!buf_is_ok(&text) || !scope->data)
        return error_set(error, ERROR_MEMORY, "no memory for a scope");
    return true;
}

/* Whoever uses the token must hold all of these. */
static json_t *confirmation_new(const struct mint *mint)
{
    JSON_OWNED json_t *keys = json_object();

    if (mint->thumbprint && !json_put(keys, "jkt", json_string(mint->thumbprint)))
        return NULL;
    if (mint->certificate && !json_put(keys, "x5t#S256", json_string(mint->certificate)))
        return NULL;
    return TAKE(keys);
}

/* The policy's claims first: ours replace whatever has their names. */
static json_t *claims_new(const struct mint *mint, const struct jwt_grant *grant, struct str scope,
                          const char *jti)
{
    JSON_OWNED json_t *claims = grant->claims ? json_copy(grant->claims) : json_object();
    bool is_good = json_put(claims, "iss", json_from_str(mint->tools->issuer)) &&
                   json_put(claims, "sub", json_from_str(mint->stage)) &&
                   json_put(claims, "client_id", json_from_str(mint->stage)) &&
                   json_put(claims, "aud", json_from_str(grant->audience)) &&
                   json_put(claims, "iat", json_integer(mint->now_s)) &&
                   json_put(claims, "nbf", json_integer(mint->now_s)) &&
                   json_put(claims, "exp", json_integer(mint->now_s + mint->ttl_s)) &&
                   json_put(claims, "jti", json_string(jti)) &&
                   json_put(claims, "lease", json_from_str(mint->lease));

    if (is_good && scope.len > 0)
        is_good = json_put(claims, "scope", json_from_str(scope));
    if (is_good && (mint->thumbprint || mint->certificate))
        is_good = json_put(claims, "cnf", confirmation_new(mint));
    if (is_good && mint->actor_subject.len > 0) /* RFC 8693 4.1 */
        is_good = json_put(claims, "act",
                           json_pack("{s:o, s:o}", "iss", json_from_str(mint->actor_issuer), "sub",
                                     json_from_str(mint->actor_subject)));
    return is_good ? TAKE(claims) : NULL;
}

/* What is signed once its entry is durable. In the mint's arena. */
struct unsigned_token {
    json_t *claims;
    struct str scope;
};

/* The whole token must fit, with a status: nothing may fail by that once it is recorded. */
static bool check_size(const struct mint *mint, const json_t *claims, struct error *error)
{
    const struct token_status longest = { TOKEN_STATUS_LIST_MAX, UINT16_MAX };
    JSON_OWNED json_t *status = token_status_claim(&longest, mint->tools->issuer);
    OWNED(buf_release) struct buf text = { 0 };

    if (!status)
        return error_set(error, ERROR_MEMORY, "no memory for a token's status");
    buf_init(&text, CLAIMS_BYTES_MAX);
    buf_add_json(&text, claims);
    buf_add_json(&text, status);
    return buf_is_ok(&text) ||
           error_set(error, ERROR_LIMIT, "claims of more than %zu bytes", CLAIMS_BYTES_MAX);
}

static bool put_record(struct mint *mint, const struct jwt_grant *grant, const char *jti)
{
    mint->record = json_object();
    mint->expires_s = mint->now_s + mint->ttl_s;
    return json_put(mint->record, "id", json_string(jti)) &&
           json_put(mint->record, "audience", json_from_str(grant->audience));
}

static bool make_token(struct mint *mint, struct error *error)
{
    struct grant_reader reader = { .arena = mint->arena };
    struct unsigned_token *made = arena_alloc(mint->arena, sizeof(*made));
    struct jwt_grant grant = { 0 };
    char jti[ID_LEN + 1];

    if (!made)
        return error_set(error, ERROR_MEMORY, "no memory for a token");
    if (!read_grant(&reader, mint->fields, &grant))
        return grant_error(&reader, error);
    if (!narrow(mint, &grant.scopes, &made->scope, error) || !id_new(clock_wall_ms(), jti, error))
        return false;
    made->claims = claims_new(mint, &grant, made->scope, jti);
    if (!made->claims || !json_keep(mint->arena, made->claims, error))
        return error_set(error, ERROR_MEMORY, "no memory for a token's claims");
    mint->state = made;
    return check_size(mint, made->claims, error) &&
           (put_record(mint, &grant, jti) || error_set(error, ERROR_MEMORY, "a token's record"));
}

static bool put_credential(struct mint *mint, struct str scope, struct str token)
{
    json_t *jwt = json_object();

    mint->credential = json_object();
    return json_put(mint->credential, "jwt", jwt) && json_put(jwt, "token", json_from_str(token)) &&
           json_put_text(jwt, "scope", scope);
}

static bool sign_token(struct mint *mint, struct error *error)
{
    struct unsigned_token *made = mint->state;
    struct str token;

    if (mint->status &&
        !json_put(made->claims, "status", token_status_claim(mint->status, mint->tools->issuer)))
        return error_set(error, ERROR_MEMORY, "no memory for a token's status");
    if (!keys_sign_jwt(mint->tools->keys, TYP, made->claims, mint->arena, &token, error))
        return false;
    return put_credential(mint, made->scope, token) ||
           error_set(error, ERROR_MEMORY, "no memory for a token");
}

static enum progress jwt_sign(struct mint *mint, struct error *error)
{
    return mint_sign(mint, sign_token, error);
}

static enum progress jwt_mint(struct mint *mint, struct error *error)
{
    return make_token(mint, error) ? PROGRESS_DONE : PROGRESS_FAILED;
}

static const char *const fields[] = { "audience", "scope", "claims", NULL };
static const char *const fields_with_holes[] = { "claims", NULL };
static const char *const fields_told[] = { "audience", "scope", NULL };

const struct target_kind target_jwt = {
    .grant = {
        .name = "jwt",
        .fields = fields,
        .ttl_min_s = 1,
        .ttl_max_s = (int64_t)12 * 3600,
        .check = check,
        .fields_with_holes = fields_with_holes,
        .matching = POLICY_MATCHING_GLOB,
        .gives = gives,
        .revocation = POLICY_REVOKED_BY_LIST,
        .fields_told = fields_told,
    },
    .is_local = true,
    .mint = jwt_mint,
    .sign = jwt_sign,
    .revoke = target_revoke_by_list,
    .is_gone_by_expiry = true,
};
