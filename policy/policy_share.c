#include "base/json.h"
#include "policy/policy_loader.h"

/*
 * What grants of many files say alike is kept once. Values that have come twice stand in a table
 * that threads share without a lock: a slot that is taken stays as it is until the load ends, and
 * values never change. What comes once only would fill the table, so a hash has to be seen before
 * its value gets in; two values of one hash cost a slot and nothing else.
 */

#define PROBES 8

/* FNV-1a */
static uint64_t hash_bytes(uint64_t hash, struct str bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ (uint8_t)bytes.data[i]) * UINT64_C(0x100000001B3);
    return hash;
}

/* Of texts, lists and maps of such, as deep as a file may be. Order counts. */
static uint64_t hash_value(uint64_t hash, const json_t *value)
{
    const char *key;
    json_t *member;

    hash = hash_bytes(hash, json_is_string(value) ? STR("s") : STR("("));
    hash = hash_bytes(hash, json_str(value));
    for (size_t i = 0; i < json_array_size(value); i++)
        hash = hash_value(hash, json_array_get(value, i));
    json_object_foreach (json_iterable(value), key, member) {
        hash = hash_value(hash_bytes(hash, str_from(key)), member);
    }
    return hash_bytes(hash, STR(")"));
}

static size_t slot_of(uint64_t hash, size_t probe)
{
    return (size_t)((hash >> 16) + probe) % POLICY_SHARED_MAX;
}

/* The same value, where another grant has it: a new reference; else NULL. */
static json_t *find(struct policy_sharing *sharing, uint64_t hash, const json_t *value)
{
    for (size_t i = 0; i < PROBES; i++) {
        json_t *other = atomic_load(&sharing->slots[slot_of(hash, i)]);

        if (other == NULL)
            return NULL;
        if (json_equal(other, value))
            return json_incref(other);
    }
    return NULL;
}

/* Let others find a value from its second time on, where there is room. */
static void publish(struct policy_sharing *sharing, uint64_t hash, json_t *value)
{
    _Atomic(uint64_t) *seen = &sharing->seen[hash % POLICY_SEEN_MAX];

    if (atomic_exchange(seen, hash) != hash)
        return;
    for (size_t i = 0; i < PROBES; i++) {
        json_t *nobody = NULL;

        if (atomic_compare_exchange_strong(&sharing->slots[slot_of(hash, i)], &nobody,
                                           json_incref(value)))
            return;
        json_decref(value);
    }
}

static json_t *share(struct policy_sharing *sharing, const json_t *value);

static json_t *share_list(struct policy_sharing *sharing, const json_t *list, bool *is_changed)
{
    JSON_OWNED json_t *copy = json_array();

    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *item = share(sharing, json_array_get(list, i));

        *is_changed |= item != json_array_get(list, i);
        if (json_array_append_new(copy, item) != 0)
            return NULL;
    }
    return TAKE(copy);
}

static json_t *share_map(struct policy_sharing *sharing, const json_t *map, bool *is_changed)
{
    JSON_OWNED json_t *copy = json_object();
    const char *key;
    json_t *member;

    json_object_foreach (json_iterable(map), key, member) {
        json_t *value = share(sharing, member);

        *is_changed |= value != member;
        if (json_object_set_new(copy, key, value) != 0)
            return NULL;
    }
    return TAKE(copy);
}

/* A list or map whose parts are shared: itself where none of them is another one's. */
static json_t *share_parts(struct policy_sharing *sharing, const json_t *value)
{
    bool is_changed = false;
    JSON_OWNED json_t *copy = json_is_array(value) ? share_list(sharing, value, &is_changed)
                                                   : share_map(sharing, value, &is_changed);

    if (copy == NULL || is_changed)
        return TAKE(copy);
    return json_incref(json_iterable(value));
}

/* A new reference to the same value, perhaps another one's; NULL without memory. */
static json_t *share(struct policy_sharing *sharing, const json_t *value)
{
    uint64_t hash = hash_value(UINT64_C(0xCBF29CE484222325), value);
    json_t *shared = find(sharing, hash, value);

    if (shared != NULL)
        return shared;
    shared =
        json_is_string(value) ? json_incref(json_iterable(value)) : share_parts(sharing, value);
    if (shared != NULL)
        publish(sharing, hash, shared);
    return shared;
}

const json_t *policy_loader_share(struct policy_loader *loader, const json_t *value)
{
    struct policy_sharing *sharing = loader->definitions->sharing;
    struct error error = { 0 };
    json_t *shared;

    if (sharing == NULL)
        return policy_loader_keep(loader, value);
    shared = share(sharing, value);
    if (shared != NULL && json_keep(loader->arena, shared, &error))
        return shared;
    loader->is_out_of_memory = true;
    return NULL;
}

void policy_sharing_release(struct policy_sharing *sharing)
{
    for (size_t i = 0; sharing != NULL && i < POLICY_SHARED_MAX; i++)
        json_decref(atomic_load(&sharing->slots[i]));
}
