#include "exchange/granters.h"

#include <string.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "identity/identity.h"
#include "keys/keys.h"

#define GRANTERS_BYTES_MAX ((size_t)8 * 1024)

static const struct json_limits private_limits = { STORE_PRIVATE_MAX, 40, 8000 };
static const struct json_limits granters_limits = { GRANTERS_BYTES_MAX, 32, 2000 };

/* What is sealed for another approval, or for another use of this one, must not open as this. */
static bool write_context(struct buf *context, struct str approval, struct error *error)
{
    buf_init(context, 64);
    buf_add_text(context, GRANTERS_MEMBER " ");
    buf_add(context, approval);
    return buf_is_ok(context) || error_set(error, ERROR_MEMORY, "context");
}

static bool write_list(const json_t *before, json_t *claims, struct buf *plain, struct error *error)
{
    JSON_OWNED json_t *list = before ? json_copy(json_iterable(before)) : json_array();

    if (!list || (claims && json_array_append(list, claims) != 0))
        return error_set(error, ERROR_MEMORY, "who gave an approval");
    buf_init(plain, GRANTERS_BYTES_MAX);
    buf_add_json(plain, list);
    return buf_is_ok(plain) ||
           error_set(error, ERROR_LIMIT, "who gave an approval has more than %zu bytes of claims",
                     GRANTERS_BYTES_MAX);
}

bool granters_put(struct keys *keys, struct str approval, const json_t *before, json_t *claims,
                  json_t *private_part, struct error *error)
{
    OWNED(buf_release) struct buf context = { 0 };
    OWNED(buf_release) struct buf plain = { 0 };
    OWNED(buf_release) struct buf sealed = { 0 };
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&sealed, GRANTERS_BYTES_MAX + KEYS_SEAL_OVERHEAD);
    buf_init(&text, 2 * GRANTERS_BYTES_MAX);
    if (!write_list(before, claims, &plain, error) || !write_context(&context, approval, error) ||
        !keys_seal(keys, buf_str(&plain), buf_str(&context), &sealed, error))
        return false;
    buf_add_base64url(&text, buf_str(&sealed));
    return (buf_is_ok(&text) &&
            json_put(private_part, GRANTERS_MEMBER, json_from_str(buf_str(&text)))) ||
           error_set(error, ERROR_MEMORY, "who gave an approval");
}

/* The sealed bytes within a private part. */
static bool find(struct str private_part, struct buf *sealed, struct error *error)
{
    JSON_OWNED json_t *parsed = NULL;
    struct error ignored = { 0 };
    struct str text;
    size_t len;
    char *room;

    if (private_part.len == 0 ||
        !json_parse_object(private_part, private_limits, &parsed, &ignored) ||
        !json_get_str(parsed, GRANTERS_MEMBER, &text))
        return error_set(error, ERROR_NOT_FOUND, "nobody knows any more who gave the approval");
    buf_init(sealed, STORE_PRIVATE_MAX);
    room = buf_extend(sealed, BASE64_DECODED_MAX(text.len));
    if (!room)
        return error_set(error, ERROR_MEMORY, "who gave an approval");
    if (!base64url_decode(text, (uint8_t *)room, &len))
        return error_set(error, ERROR_INVALID, "who gave the approval is not base64url");
    buf_truncate(sealed, len);
    return true;
}

bool granters_open(struct keys *keys, struct str private_part, struct str approval,
                   struct arena *arena, const json_t **granters, struct error *error)
{
    OWNED(buf_release) struct buf context = { 0 };
    OWNED(buf_release) struct buf sealed = { 0 };
    OWNED(buf_release) struct buf plain = { 0 };
    struct error why = { 0 };
    json_t *list = NULL;

    buf_init(&plain, GRANTERS_BYTES_MAX);
    if (!find(private_part, &sealed, error) || !write_context(&context, approval, error) ||
        !keys_unseal(keys, buf_str(&sealed), buf_str(&context), &plain, error))
        return false;
    if (!json_parse(buf_str(&plain), granters_limits, &list, &why))
        return error_set(error, ERROR_INVALID, "who gave the approval: %s", why.cause);
    *granters = list;
    return json_keep(arena, list, error);
}

bool granters_name(const struct keys *keys, struct str approval,
                   const struct verified_token *person, uint8_t who[STORE_PERSON_LEN],
                   struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };
    uint8_t mac[SHA256_LEN];

    buf_init(&text, (size_t)8 * 1024);
    buf_add(&text, approval);
    buf_add_byte(&text, '\n');
    buf_add(&text, person->issuer->url);
    buf_add_byte(&text, '\n');
    buf_add(&text, person->subject);
    if (!buf_is_ok(&text))
        return error_set(error, ERROR_MEMORY, "person");
    keys_mac(keys, STR("approver"), buf_str(&text), mac);
    memcpy(who, mac, STORE_PERSON_LEN);
    return true;
}
