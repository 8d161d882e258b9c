#include "exchange/handles.h"

#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "keys/keys.h"

#define MEMBER "revocation"
#define CONTEXT_MAX 256

static const struct json_limits handle_limits = { TARGET_HANDLE_MAX, 16, 1000 };

/* So that what belongs to one credential opens for no other. */
static struct str context_of(struct buf *buf, struct str lease, struct str grant)
{
    buf_init(buf, CONTEXT_MAX);
    buf_add(buf, lease);
    buf_add_byte(buf, '/');
    buf_add(buf, grant);
    return buf_str(buf);
}

static size_t sealed_len(const json_t *list)
{
    size_t total = 0;

    for (size_t i = 0; i < json_array_size(list); i++)
        total += json_str(json_object_get(json_array_get(list, i), "sealed")).len;
    return total;
}

static bool seal(struct keys *keys, const struct mint *mint, struct buf *text, struct error *error)
{
    OWNED(buf_release) struct buf plain = { 0 };
    OWNED(buf_release) struct buf context = { 0 };
    OWNED(buf_release) struct buf sealed = { 0 };
    struct str named = context_of(&context, mint->lease, mint->grant);

    buf_init(&plain, TARGET_HANDLE_MAX);
    buf_init(&sealed, TARGET_HANDLE_MAX + KEYS_SEAL_OVERHEAD);
    buf_add_json(&plain, mint->handle);
    if (!buf_is_ok(&plain) || !buf_is_ok(&context))
        return error_set(error, ERROR_MINT, "grant '" STR_FMT "': a handle of more than %zu bytes",
                         STR_ARG(mint->grant), TARGET_HANDLE_MAX);
    if (!keys_seal(keys, buf_str(&plain), named, &sealed, error))
        return false;
    buf_init(text, HANDLES_MAX);
    buf_add_base64(text, buf_str(&sealed));
    return buf_is_ok(text) || error_set(error, ERROR_MEMORY, "handle");
}

bool handles_put(struct keys *keys, const struct mint *mint, json_t *private_part,
                 struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };
    json_t *list = json_object_get(private_part, MEMBER);
    json_t *item;

    if (!mint->handle)
        return true;
    if (!seal(keys, mint, &text, error))
        return false;
    if (sealed_len(list) + text.len > HANDLES_MAX)
        return error_set(error, ERROR_MINT, "handles of more than %zu bytes", HANDLES_MAX);
    if (!list && !json_put(private_part, MEMBER, list = json_array()))
        return error_set(error, ERROR_MEMORY, "handle");
    item = json_append_object(list);
    return (json_put(item, "grant", json_from_str(mint->grant)) &&
            json_put(item, "sealed", json_from_str(buf_str(&text)))) ||
           error_set(error, ERROR_MEMORY, "handle");
}

static bool unseal(struct keys *keys, struct str text, struct str context, json_t **handle,
                   struct error *error)
{
    OWNED(buf_release) struct buf sealed = { 0 };
    OWNED(buf_release) struct buf plain = { 0 };
    size_t len = 0;
    char *bytes;

    if (text.len > HANDLES_MAX)
        return error_set(error, ERROR_INVALID, "a handle that is too long");
    buf_init(&sealed, HANDLES_MAX);
    buf_init(&plain, TARGET_HANDLE_MAX);
    bytes = buf_extend(&sealed, text.len);
    if (!bytes)
        return error_set(error, ERROR_MEMORY, "handle");
    if (!base64_decode(text, (uint8_t *)bytes, &len))
        return error_set(error, ERROR_INVALID, "a handle that is not base64");
    return keys_unseal(keys, (struct str){ bytes, len }, context, &plain, error) &&
           json_parse_object(buf_str(&plain), handle_limits, handle, error);
}

bool handles_get(struct keys *keys, struct str lease, struct str grant, const json_t *private_part,
                 json_t **handle, struct error *error)
{
    const json_t *list = json_object_get(private_part, MEMBER);
    OWNED(buf_release) struct buf context = { 0 };
    struct str named = context_of(&context, lease, grant);

    *handle = NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);

        if (str_eq(json_str(json_object_get(item, "grant")), grant))
            return unseal(keys, json_str(json_object_get(item, "sealed")), named, handle, error);
    }
    return true;
}
