#include "exchange/sealed_member.h"

#include "base/arena.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/error.h"
#include "keys/keys.h"
#include "ledger/ledger.h"

static const struct json_limits private_limits = { STORE_PRIVATE_MAX, 40, 8000 };

static bool write_context(const struct sealed_member *member, struct str id, struct buf *context,
                          struct error *error)
{
    buf_init(context, 64);
    buf_printf(context, "%s ", member->name);
    buf_add(context, id);
    return buf_is_ok(context) || error_set(error, ERROR_MEMORY, "context");
}

static bool refuse_size(const struct sealed_member *member, struct error *error)
{
    return error_set(error, ERROR_LIMIT, "%s: more than %zu bytes", member->what, member->max);
}

bool sealed_member_put(const struct sealed_member *member, struct keys *keys, struct str id,
                       const json_t *value, json_t *private_part, struct error *error)
{
    OWNED(buf_release) struct buf context = { 0 };
    OWNED(buf_release) struct buf plain = { 0 };
    OWNED(buf_release) struct buf sealed = { 0 };
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&plain, member->max);
    buf_add_json(&plain, value);
    if (!buf_is_ok(&plain))
        return refuse_size(member, error);
    buf_init(&sealed, member->max + KEYS_SEAL_OVERHEAD);
    if (!write_context(member, id, &context, error) ||
        !keys_seal(keys, buf_str(&plain), buf_str(&context), &sealed, error))
        return false;
    buf_init(&text, STORE_PRIVATE_MAX);
    buf_add_base64url(&text, buf_str(&sealed));
    if (!buf_is_ok(&text))
        return refuse_size(member, error);
    return json_put(private_part, member->name, json_from_str(buf_str(&text))) ||
           error_set(error, ERROR_MEMORY, "%s", member->what);
}

/* The sealed bytes within a private part. */
static bool find(const struct sealed_member *member, struct str private_part, struct buf *sealed,
                 struct error *error)
{
    JSON_OWNED json_t *parsed = NULL;
    struct error ignored = { 0 };
    struct str text;
    size_t len;
    char *room;

    if (private_part.len == 0 ||
        !json_parse_object(private_part, private_limits, &parsed, &ignored) ||
        !json_get_str(parsed, member->name, &text))
        return error_set(error, ERROR_NOT_FOUND, "%s: erased, or not kept", member->what);
    buf_init(sealed, STORE_PRIVATE_MAX);
    room = buf_extend(sealed, BASE64_DECODED_MAX(text.len));
    if (!room)
        return error_set(error, ERROR_MEMORY, "%s", member->what);
    if (!base64url_decode(text, (uint8_t *)room, &len))
        return error_set(error, ERROR_INVALID, "%s: not base64url", member->what);
    buf_truncate(sealed, len);
    return true;
}

/* NOLINTNEXTLINE(readability-function-size): what is sealed, by whom, and of whom */
bool sealed_member_open(const struct sealed_member *member, struct keys *keys,
                        struct str private_part, struct str id, struct arena *arena, json_t **value,
                        struct error *error)
{
    OWNED(buf_release) struct buf context = { 0 };
    OWNED(buf_release) struct buf sealed = { 0 };
    OWNED(buf_release) struct buf plain = { 0 };
    struct error why = { 0 };

    buf_init(&plain, member->max);
    if (!find(member, private_part, &sealed, error) ||
        !write_context(member, id, &context, error) ||
        !keys_unseal(keys, buf_str(&sealed), buf_str(&context), &plain, error))
        return false;
    if (!json_parse(buf_str(&plain), member->limits, value, &why))
        return error_set(error, ERROR_INVALID, "%s: %s", member->what, why.cause);
    return json_keep(arena, *value, error);
}
