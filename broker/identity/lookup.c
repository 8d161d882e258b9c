#include <stdint.h>
#include <stdlib.h>

#include "identity/lookup_internal.h"

struct lookup_slot {
    struct str text;
    size_t position;
    bool is_taken;
};

/* FNV-1a */
static uint64_t hash(struct str text)
{
    uint64_t value = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < text.len; i++)
        value = (value ^ (uint8_t)text.data[i]) * UINT64_C(1099511628211);
    return value;
}

/* Where the text is, or the free slot where it would be: there is always one. */
static struct lookup_slot *probe(const struct lookup *lookup, struct str text)
{
    size_t at = (size_t)hash(text) & (lookup->slot_count - 1);

    while (lookup->slots[at].is_taken && !str_eq(lookup->slots[at].text, text))
        at = (at + 1) & (lookup->slot_count - 1);
    return &lookup->slots[at];
}

bool lookup_init(struct lookup *lookup, size_t max_count)
{
    size_t slot_count = 2;

    while (slot_count < 2 * max_count)
        slot_count *= 2;
    lookup->slots = calloc(slot_count, sizeof(*lookup->slots));
    lookup->slot_count = slot_count;
    return lookup->slots != NULL;
}

void lookup_release(struct lookup *lookup)
{
    free(lookup->slots);
    *lookup = (struct lookup){ 0 };
}

bool lookup_add(struct lookup *lookup, struct str text, size_t position)
{
    struct lookup_slot *slot = probe(lookup, text);

    if (slot->is_taken)
        return false;
    *slot = (struct lookup_slot){ text, position, true };
    return true;
}

bool lookup_find(const struct lookup *lookup, struct str text, size_t *position)
{
    const struct lookup_slot *slot = probe(lookup, text);

    if (!slot->is_taken)
        return false;
    *position = slot->position;
    return true;
}
