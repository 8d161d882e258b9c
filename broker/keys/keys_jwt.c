#include <assert.h>
#include <string.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/json.h"
#include "keys/jwk.h"
#include "keys/keys.h"
#include "keys/keys_internal.h"

#define HEADER_MAX ((size_t)512)
#define HEADER_MEMBERS ((size_t)3)

/* As others limit the claims that they send us. */
static const struct json_limits limits = { KEYS_TOKEN_MAX, 32, 1000 };

/* Who signs, and what the header says of the key. */
struct signer {
    struct key *key;
    const char *kid;   /* NULL: nothing */
    const json_t *x5c; /* NULL: none */
};

static bool write_header(const struct signer *signer, const char *typ, struct buf *part,
                         struct error *error)
{
    buf_printf(part, "{\"alg\":\"%s\"", jose_algorithm_name(jwk_algorithm(signer->key->algorithm)));
    if (signer->kid != NULL)
        buf_printf(part, ",\"kid\":\"%s\"", signer->kid);
    buf_add_text(part, ",\"typ\":\"");
    buf_add_json_text(part, str_from(typ));
    buf_add_byte(part, '"');
    if (signer->x5c != NULL) {
        buf_add_text(part, ",\"x5c\":");
        buf_add_json(part, signer->x5c);
    }
    buf_add_byte(part, '}');
    return buf_is_ok(part) || error_set(error, ERROR_MEMORY, "a token's header");
}

/* The header and the claims, as they are signed. */
static bool write_signing_input(const struct signer *signer, const char *typ, const json_t *claims,
                                struct buf *out, struct error *error)
{
    OWNED(buf_release) struct buf part;

    buf_init(&part, KEYS_TOKEN_MAX);
    if (!write_header(signer, typ, &part, error))
        return false;
    buf_add_base64url(out, buf_str(&part));
    buf_add_byte(out, '.');
    buf_clear(&part);
    buf_add_json(&part, claims);
    if (!buf_is_ok(&part))
        return error_set(error, ERROR_LIMIT, "claims of more than %zu bytes", KEYS_TOKEN_MAX);
    buf_add_base64url(out, buf_str(&part));
    return true;
}

static bool sign_with(const struct signer *signer, const char *typ, const json_t *claims,
                      struct arena *arena, struct str *token, struct error *error)
{
    OWNED(buf_release) struct buf text;
    uint8_t signature[KEY_SIGNATURE_MAX];
    size_t signature_len = 0;

    buf_init(&text, KEYS_TOKEN_MAX);
    if (!write_signing_input(signer, typ, claims, &text, error))
        return false;
    if (buf_is_ok(&text) &&
        !key_sign(signer->key, buf_str(&text), signature, &signature_len, error))
        return false;
    if (buf_is_ok(&text)) {
        buf_add_byte(&text, '.');
        buf_add_base64url(&text, (struct str){ (const char *)signature, signature_len });
    }
    if (!buf_is_ok(&text))
        return error_set(error, ERROR_LIMIT, "a token of more than %zu bytes", KEYS_TOKEN_MAX);
    *token = arena_copy(arena, buf_str(&text));
    return token->data != NULL || error_set(error, ERROR_MEMORY, "a token");
}

bool keys_sign_jwt_by(struct key *key, const char *typ, const json_t *claims, struct arena *arena,
                      struct str *token, struct error *error)
{
    const struct signer signer = { key, NULL, NULL };

    assert(json_is_object(claims));
    return sign_with(&signer, typ, claims, arena, token, error);
}

bool keys_sign_jwt(struct keys *keys, const char *typ, const json_t *claims, struct arena *arena,
                   struct str *token, struct error *error)
{
    struct issuer_set *set = keys_take_issuer(keys);
    struct signer signer;
    bool is_signed;

    assert(json_is_object(claims));
    signer = (struct signer){ set->current->key, set->current->kid, NULL };
    is_signed = sign_with(&signer, typ, claims, arena, token, error);
    keys_give_issuer(keys, set);
    return is_signed;
}

bool keys_sign_jwt_with(struct keys *keys, const struct keys_jwt *jwt, struct arena *arena,
                        struct str *token, struct error *error)
{
    struct issuer_set *set = keys_take_issuer(keys);
    size_t index = issuer_algorithm_index(jwt->algorithm);
    const struct issuer_key *key = index < ISSUER_ALGORITHMS ? set->signers[index] : NULL;
    struct signer signer = { 0 };
    bool is_signed;

    assert(json_is_object(jwt->claims));
    if (key != NULL)
        signer = (struct signer){ key->key, key->kid, NULL };
    is_signed = key != NULL ? sign_with(&signer, jwt->typ, jwt->claims, arena, token, error)
                            : error_set(error, ERROR_CONFIG, "no such key signs tokens");
    keys_give_issuer(keys, set);
    return is_signed;
}

bool keys_sign_jwt_certified(const struct keys_certified *certified, const char *typ,
                             const json_t *claims, struct arena *arena, struct str *token,
                             struct error *error)
{
    const struct signer signer = {
        .key = certified->key,
        .kid = json_string_value(json_object_get(certified->jwk, "kid")),
        .x5c = json_object_get(certified->jwk, "x5c"),
    };

    assert(json_is_object(claims) && signer.kid != NULL && signer.x5c != NULL);
    return sign_with(&signer, typ, claims, arena, token, error);
}

struct token_parts {
    struct str signing_input;
    struct str header;
    struct str payload;
    struct str signature;
};

/* Exactly three parts, each with something in it. */
static bool split_token(struct str token, struct token_parts *parts)
{
    struct str rest;

    if (!str_cut(token, '.', &parts->header, &rest) ||
        !str_cut(rest, '.', &parts->payload, &parts->signature))
        return false;
    parts->signing_input = str_slice(token, 0, parts->header.len + 1 + parts->payload.len);
    return parts->header.len > 0 && parts->payload.len > 0 && parts->signature.len > 0;
}

static bool decode_object(struct str text, json_t **object, struct error *error)
{
    uint8_t bytes[BASE64_DECODED_MAX(KEYS_TOKEN_MAX)];
    size_t len;

    if (!base64url_decode(text, bytes, &len))
        return error_set(error, ERROR_SYNTAX, "a token part that is not base64url");
    return json_parse_object((struct str){ (const char *)bytes, len }, limits, object, error);
}

/* The key that the header names, where the header is one that we write. */
static const struct issuer_key *key_of_header(const struct issuer_set *set, struct str header,
                                              const char *expected_typ, struct error *error)
{
    JSON_OWNED json_t *object = NULL;
    const struct issuer_key *key = NULL;
    struct str alg = { 0 };
    struct str kid = { 0 };
    struct str typ = { 0 };

    if (header.len > HEADER_MAX) {
        (void)error_set(error, ERROR_LIMIT, "a token header of %zu bytes", header.len);
        return NULL;
    }
    if (!decode_object(header, &object, error))
        return NULL;
    if (json_object_size(object) == HEADER_MEMBERS && json_get_str(object, "alg", &alg) &&
        json_get_str(object, "kid", &kid) && json_get_str(object, "typ", &typ) &&
        str_eq(typ, str_from(expected_typ)))
        key = issuer_find(set, kid);
    if (key != NULL &&
        str_eq(alg, str_from(jose_algorithm_name(jwk_algorithm(key->key->algorithm)))))
        return key;
    (void)error_set(error, ERROR_INVALID, "a token header that is not of ours");
    return NULL;
}

static bool verify_parts(const struct issuer_set *set, const struct token_parts *parts,
                         const char *typ, struct error *error)
{
    const struct issuer_key *key = key_of_header(set, parts->header, typ, error);
    uint8_t signature[BASE64_DECODED_MAX(KEYS_TOKEN_MAX)];
    size_t len;

    if (key == NULL)
        return false;
    if (!base64url_decode(parts->signature, signature, &len))
        return error_set(error, ERROR_SYNTAX, "a signature that is not base64url");
    return verifier_check(key->verifier, jwk_algorithm(key->key->algorithm), parts->signing_input,
                          (struct str){ (const char *)signature, len }, error);
}

bool keys_verify_own_jwt(struct keys *keys, struct str token, const char *typ, json_t **claims,
                         struct error *error)
{
    struct issuer_set *set;
    struct token_parts parts;
    bool is_ours;

    if (token.len > KEYS_TOKEN_MAX)
        return error_set(error, ERROR_LIMIT, "a token of %zu bytes", token.len);
    if (!split_token(token, &parts))
        return error_set(error, ERROR_SYNTAX, "a token that has not three parts");
    set = keys_take_issuer(keys);
    is_ours = verify_parts(set, &parts, typ, error);
    keys_give_issuer(keys, set);
    return is_ours && decode_object(parts.payload, claims, error);
}
