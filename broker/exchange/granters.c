#include "exchange/granters.h"

#include <string.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "exchange/sealed_member.h"
#include "identity/identity.h"
#include "keys/keys.h"

#define GRANTERS_BYTES_MAX ((size_t)8 * 1024)

static const struct sealed_member member = {
    .name = GRANTERS_MEMBER,
    .what = "who gave an approval",
    .max = GRANTERS_BYTES_MAX,
    .limits = { GRANTERS_BYTES_MAX, 32, 2000 },
};

bool granters_put(struct keys *keys, struct str approval, const json_t *before, json_t *claims,
                  json_t *private_part, struct error *error)
{
    JSON_OWNED json_t *list = before ? json_copy(json_iterable(before)) : json_array();

    if (!list || (claims && json_array_append(list, claims) != 0))
        return error_set(error, ERROR_MEMORY, "who gave an approval");
    return sealed_member_put(&member, keys, approval, list, private_part, error);
}

bool granters_open(struct keys *keys, struct str private_part, struct str approval,
                   struct arena *arena, const json_t **granters, struct error *error)
{
    json_t *list = NULL;

    if (!sealed_member_open(&member, keys, private_part, approval, arena, &list, error))
        return false;
    *granters = list;
    return true;
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
