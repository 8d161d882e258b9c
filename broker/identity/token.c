#include "identity/token.h"

#include "base/base64.h"
#include "base/error.h"
#include "base/json.h"
#include "identity/claims_internal.h"
#include "identity/identity.h"
#include "keys/verifier.h"

#define KID_MAX 256

static const struct json_limits header_limits = { TOKEN_MAX, 8, 100 };

/* Critical extensions, detached payloads, encryption, compression, nesting: none is for us. */
static const char *const refused_members[] = { "crit", "b64", "enc", "zip", "cty" };

/* Exactly three segments, none empty. */
static bool split(struct str token, struct str segments[3], struct error *error)
{
    struct str rest = token;
    bool has_two_dots;

    if (token.len > TOKEN_MAX)
        return error_set(error, ERROR_TOKEN, "the token is longer than %zu bytes", TOKEN_MAX);
    has_two_dots =
        str_cut(rest, '.', &segments[0], &rest) && str_cut(rest, '.', &segments[1], &segments[2]);
    if (!has_two_dots || str_find(segments[2], '.') != segments[2].len)
        return error_set(error, ERROR_TOKEN, "the token does not have three segments");
    for (size_t i = 0; i < 3; i++)
        if (segments[i].len == 0)
            return error_set(error, ERROR_TOKEN, "a segment is empty");
    return true;
}

static bool decode(struct str segment, const char *name, struct arena *arena, struct str *bytes,
                   struct error *error)
{
    uint8_t *decoded = arena_alloc(arena, BASE64_DECODED_MAX(segment.len));
    size_t len = 0;

    if (decoded == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a token");
    if (!base64url_decode(segment, decoded, &len))
        return error_set(error, ERROR_TOKEN, "the %s is not strict base64url", name);
    *bytes = (struct str){ (const char *)decoded, len };
    return true;
}

static bool check_type(const json_t *header, const char *typ, struct error *error)
{
    const json_t *value = json_object_get(header, "typ");

    if (value == NULL && typ == NULL)
        return true;
    if (!json_is_string(value))
        return error_set(error, ERROR_TOKEN, "typ is missing or no string");
    if (typ != NULL ? str_eq(json_str(value), str_from(typ))
                    : str_eq_ignore_case(json_str(value), STR("JWT")))
        return true;
    return error_set(error, ERROR_TOKEN, "typ is not %s", typ != NULL ? typ : "JWT");
}

static bool read_algorithm(const json_t *header, unsigned *algorithm, struct error *error)
{
    struct str name;

    if (!json_get_str(header, "alg", &name))
        return error_set(error, ERROR_TOKEN, "alg is missing or no string");
    *algorithm = jose_algorithm_from(name);
    if (*algorithm == 0)
        return error_set(error, ERROR_TOKEN, "alg is none that we verify");
    return true;
}

static bool read_kid(const json_t *header, struct token_envelope *envelope, struct error *error)
{
    const json_t *value = json_object_get(header, "kid");

    if (value == NULL)
        return true;
    if (!json_is_string(value) || json_string_length(value) > KID_MAX)
        return error_set(error, ERROR_TOKEN, "kid is no string of at most %d bytes", KID_MAX);
    envelope->kid = json_str(value);
    envelope->has_kid = true;
    return true;
}

static bool read_header(struct str text, const char *typ, struct arena *arena,
                        struct token_envelope *envelope, struct error *error)
{
    json_t *header = NULL;

    if (!claims_parse(text, header_limits, "header", arena, &header, error))
        return false;
    for (size_t i = 0; i < COUNT(refused_members); i++)
        if (json_object_get(header, refused_members[i]) != NULL)
            return error_set(error, ERROR_TOKEN, "the header has %s", refused_members[i]);
    envelope->header = header;
    return check_type(header, typ, error) && read_algorithm(header, &envelope->algorithm, error) &&
           read_kid(header, envelope, error);
}

bool token_open(struct str token, const char *typ, struct arena *arena,
                struct token_envelope *envelope, struct error *error)
{
    struct token_envelope opened = { 0 };
    struct str segments[3] = { 0 };
    struct str header = { 0 };

    if (!split(token, segments, error))
        return false;
    if (!decode(segments[0], "header", arena, &header, error) ||
        !decode(segments[1], "payload", arena, &opened.payload, error) ||
        !decode(segments[2], "signature", arena, &opened.signature, error))
        return false;
    if (!read_header(header, typ, arena, &opened, error))
        return false;
    opened.signing_input = str_slice(token, 0, segments[0].len + 1 + segments[1].len);
    *envelope = opened;
    return true;
}

bool token_peek(const struct token_envelope *envelope, struct arena *arena, const json_t **claims,
                struct error *error)
{
    json_t *parsed = NULL;

    if (!claims_parse(envelope->payload, CLAIMS_LIMITS, "payload", arena, &parsed, error))
        return false;
    *claims = parsed;
    return true;
}
