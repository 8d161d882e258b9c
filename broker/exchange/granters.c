#include "exchange/granters.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "exchange/sealed_member.h"
#include "identity/identity.h"
#include "keys/keys.h"
#include "ledger/entry.h"

#define GRANTERS_BYTES_MAX ((size_t)8 * 1024)

static const struct sealed_member member = {
    .name = GRANTERS_MEMBER,
    .what = "who gave an approval",
    .max = GRANTERS_BYTES_MAX,
    .limits = { GRANTERS_BYTES_MAX, 32, 2000 },
};

bool granters_put(struct keys *keys, struct str approval, json_t *claims, json_t *private_part,
                  struct error *error)
{
    JSON_OWNED json_t *list = json_array();

    if (json_array_append(list, claims) != 0)
        return error_set(error, ERROR_MEMORY, "who gave an approval");
    return sealed_member_put(&member, keys, approval, list, private_part, error);
}

bool granters_put_before(json_t *entry, int64_t granted)
{
    return granted < 0 || json_put(entry, "granted_before", json_integer(granted));
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

/* ---- from entry to entry ---- */

/* An entry and its private part, and what is made of them. */
#define ENTRY_BYTES_MAX ((size_t)1024 * 1024)

/* Each who gave it, and once that it was given back. */
#define HOPS_MAX (STORE_APPROVERS_MAX + 1)

/* What is being read. */
struct reading {
    struct ledger *ledger;
    struct keys *keys;
    struct str approval;
    struct arena *arena;
    json_t *list;
    struct granters *granters;
};

static bool read_entry(const struct reading *reading, int64_t index, struct arena *arena,
                       json_t **entry, struct str *private_part, struct error *error)
{
    struct str text;

    return ledger_entry_with_private(reading->ledger, (uint64_t)index, arena, &text, private_part,
                                     error) &&
           entry_parse(text, entry, error) && json_keep(arena, *entry, error);
}

static bool add(const struct reading *reading, struct str private_part, struct error *error)
{
    const json_t *some = NULL;

    if (!granters_open(reading->keys, private_part, reading->approval, reading->arena, &some,
                       error))
        return false;
    return json_array_extend(reading->list, json_iterable(some)) == 0 ||
           error_set(error, ERROR_MEMORY, "who gave an approval");
}

/*
 * `*index`: of the entry before this one, or the same. What an approval was given back by has none
 * of its own; one of an older broker has all of them, and names none before it.
 */
static bool read_one(struct reading *reading, struct arena *arena, int64_t *index,
                     struct error *error)
{
    json_t *entry = NULL;
    struct str private_part = { 0 };
    const json_t *before;

    if (!read_entry(reading, *index, arena, &entry, &private_part, error))
        return false;
    if (!str_eq(json_str(json_object_get(entry, "approval")), reading->approval))
        return error_set(error, ERROR_INVALID, "an entry of another approval");
    before = json_object_get(entry, "granted_before");
    if (!before || str_eq(json_str(json_object_get(entry, "type")), STR("approval.granted"))) {
        if (reading->granters->entry < 0)
            reading->granters->entry = *index;
        if (!add(reading, private_part, error))
            return false;
    }
    if (!before)
        return true;
    if (json_integer_value(before) < 0 || json_integer_value(before) >= *index)
        return error_set(error, ERROR_INVALID, "a grant before what comes after it");
    *index = json_integer_value(before);
    return true;
}

static bool read_back(struct reading *reading, int64_t index, struct error *error)
{
    for (size_t i = 0; i < HOPS_MAX; i++) {
        struct arena *arena = arena_new(ENTRY_BYTES_MAX);
        int64_t before = index;
        bool is_read = arena ? read_one(reading, arena, &before, error)
                             : error_set(error, ERROR_MEMORY, "who gave an approval");

        arena_free(arena);
        if (!is_read || before == index)
            return is_read;
        index = before;
    }
    return error_set(error, ERROR_INVALID, "more grants than people are asked");
}

bool granters_read(struct ledger *ledger, struct keys *keys, const struct store_approval *row,
                   struct arena *arena, struct granters *granters, struct error *error)
{
    struct reading reading = {
        .ledger = ledger,
        .keys = keys,
        .approval = str_from(row->id),
        .arena = arena,
        .list = json_array(),
        .granters = granters,
    };

    *granters = (struct granters){ .entry = -1 };
    if (!json_keep(arena, reading.list, error) ||
        !read_back(&reading, (int64_t)row->latest_index, error))
        return false;
    granters->list = reading.list;
    return true;
}

bool granters_failed(const struct error *why)
{
    return why->code == ERROR_LEDGER || why->code == ERROR_MEMORY || why->code == ERROR_IO;
}

/* ---- telling them apart ---- */

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
