#include "exchange/owed.h"

#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/time_text.h"
#include "exchange/handles.h"
#include "ledger/entry.h"
#include "ledger/ledger.h"

/* An entry and its private part, and what is made of them. */
#define ENTRY_BYTES_MAX ((size_t)1024 * 1024)

/* What is being read. */
struct reading {
    struct ledger *ledger;
    struct keys *keys;
    const struct store_lease *lease;
    struct arena *arena;
    struct owed_list *list;
    struct owed **end;
    const json_t *pending; /* which of them are left; NULL: all */
};

static bool read_entry(const struct reading *reading, uint64_t index, struct arena *arena,
                       json_t **entry, struct str *private_part, struct error *error)
{
    struct str text;

    return ledger_entry_with_private(reading->ledger, index, arena, &text, private_part, error) &&
           entry_parse(text, entry, error) && json_keep(arena, *entry, error);
}

static bool is_pending(const struct reading *reading, uint64_t index, struct str grant)
{
    if (json_array_size(reading->pending) > OWED_PENDING_MAX)
        return true;
    for (size_t i = 0; i < json_array_size(reading->pending); i++) {
        const json_t *item = json_array_get(reading->pending, i);
        json_int_t of = json_integer_value(json_object_get(item, "index"));

        if (of >= 0 && (uint64_t)of == index &&
            str_eq(json_str(json_object_get(item, "grant")), grant))
            return true;
    }
    return reading->pending == NULL;
}

static int64_t expiry_of(const json_t *record)
{
    int64_t wall_ms = 0;

    return time_text_parse(json_str(json_object_get(record, "expires_at")), &wall_ms)
               ? wall_ms / 1000
               : 0;
}

static bool add(struct reading *reading, uint64_t index, const json_t *entry, size_t place,
                const json_t *private_part, struct error *error)
{
    const json_t *record = json_array_get(json_object_get(entry, "credentials"), place);
    struct owed *owed = arena_alloc(reading->arena, sizeof(*owed));
    struct error sealed = { 0 };

    if (!owed)
        return error_set(error, ERROR_MEMORY, "what a lease owes");
    if (reading->list->count++ == OWED_MAX)
        return error_set(error, ERROR_LIMIT, "lease %s owes more than %d credentials",
                         reading->lease->id, OWED_MAX);
    if (!json_keep(reading->arena, json_incref(json_iterable(record)), error))
        return false;
    *reading->end = owed;
    reading->end = &owed->next;
    *owed = (struct owed){
        .index = index,
        .place = place,
        .record = record,
        .grant = json_str(json_object_get(record, "grant")),
        .type = json_str(json_object_get(record, "type")),
        .target = json_str(json_object_get(record, "target")),
        .expires_s = expiry_of(record),
    };
    owed->is_sealed = !handles_get(reading->keys, (struct str){ reading->lease->id, ID_LEN },
                                   owed->grant, private_part, &owed->handle, &sealed);
    return !owed->handle || json_keep(reading->arena, owed->handle, error);
}

static bool add_all(struct reading *reading, uint64_t index, const json_t *entry,
                    struct str private_text, struct error *error)
{
    JSON_OWNED json_t *private_part = entry_parse_private(private_text);
    const json_t *list = json_object_get(entry, "credentials");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *record = json_array_get(list, i);

        if (json_object_get(record, "revoke") &&
            is_pending(reading, index, json_str(json_object_get(record, "grant"))) &&
            !add(reading, index, entry, i, private_part, error))
            return false;
    }
    return true;
}

/* Of one entry, which is forgotten again: a lease of many renewals has many. `*index`: of the one
 * before it, or the same. */
static bool read_one(struct reading *reading, struct arena *arena, uint64_t *index,
                     struct error *error)
{
    json_t *entry = NULL;
    struct str private_text = { 0 };
    const json_t *before;

    if (!read_entry(reading, *index, arena, &entry, &private_text, error) ||
        !add_all(reading, *index, entry, private_text, error))
        return false;
    before = json_object_get(entry, "renews");
    if (!before)
        return true;
    if (json_integer_value(before) < 0 || (uint64_t)json_integer_value(before) >= *index)
        return error_set(error, ERROR_INVALID, "an entry that renews what comes after it");
    *index = (uint64_t)json_integer_value(before);
    return true;
}

/* From the latest that names credentials back to where the lease was opened. */
static bool read_back(struct reading *reading, struct error *error)
{
    uint64_t index = reading->lease->credentials_index;
    uint64_t before = index;
    bool is_read;

    do {
        struct arena *arena = arena_new(ENTRY_BYTES_MAX);

        index = before;
        is_read = arena ? read_one(reading, arena, &before, error)
                        : error_set(error, ERROR_MEMORY, "what a lease owes");
        arena_free(arena);
    } while (is_read && before != index);
    return is_read;
}

static bool read_pending(struct reading *reading, struct error *error)
{
    uint64_t index = reading->lease->latest_index;
    json_t *entry = NULL;
    struct str ignored;

    if (!read_entry(reading, index, reading->arena, &entry, &ignored, error))
        return false;
    reading->pending = json_object_get(entry, "pending");
    return true;
}

bool owed_read(struct ledger *ledger, struct keys *keys, const struct store_lease *lease,
               struct arena *arena, struct owed_list *list, struct error *error)
{
    struct reading reading = {
        .ledger = ledger,
        .keys = keys,
        .lease = lease,
        .arena = arena,
        .list = list,
        .end = &list->first,
    };
    json_t *opened = NULL;
    struct str ignored;

    *list = (struct owed_list){ 0 };
    if (!read_entry(&reading, lease->opened_index, arena, &opened, &ignored, error) ||
        !read_pending(&reading, error))
        return false;
    list->opened = opened;
    list->stage = json_str(json_object_get(opened, "stage"));
    return read_back(&reading, error);
}

bool owed_put_pending(json_t *pending, const struct owed *owed)
{
    json_t *item;

    if (json_array_size(pending) > OWED_PENDING_MAX)
        return true;
    item = json_append_object(pending);
    return json_put(item, "index", json_integer((json_int_t)owed->index)) &&
           json_put(item, "grant", json_from_str(owed->grant)) &&
           json_put(item, "type", json_from_str(owed->type)) &&
           json_put_text(item, "target", owed->target);
}
