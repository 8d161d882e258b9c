#include <stdlib.h>

#include "base/yaml_internal.h"

#define CAPACITY_FIRST 64

/* The slot of a value, or the free one where it belongs. There always is a free one. */
static size_t slot_of(const struct yaml_places *places, const json_t *value)
{
    uint64_t hash = ((uint64_t)(uintptr_t)value >> 4) * UINT64_C(0x9E3779B97F4A7C15);
    size_t slot = (size_t)(hash >> 32) & (places->capacity - 1);

    while (places->slots[slot].value != NULL && places->slots[slot].value != value)
        slot = (slot + 1) & (places->capacity - 1);
    return slot;
}

static bool grow(struct yaml_places *places)
{
    struct yaml_places larger = { 0 };

    larger.capacity = places->capacity == 0 ? CAPACITY_FIRST : places->capacity * 2;
    larger.count = places->count;
    larger.slots = calloc(larger.capacity, sizeof(larger.slots[0]));
    if (larger.slots == NULL)
        return false;
    for (size_t i = 0; i < places->capacity; i++) {
        const struct yaml_place *place = &places->slots[i];

        if (place->value != NULL)
            larger.slots[slot_of(&larger, place->value)] = *place;
    }
    free(places->slots);
    *places = larger;
    return true;
}

bool yaml_places_put(struct yaml_places *places, struct yaml_place place)
{
    if (places->count >= places->capacity / 2 && !grow(places))
        return false;
    places->slots[slot_of(places, place.value)] = place;
    places->count++;
    return true;
}

const struct yaml_place *yaml_places_find(const struct yaml_places *places, const json_t *value)
{
    const struct yaml_place *place;

    if (places->capacity == 0 || value == NULL)
        return NULL;
    place = &places->slots[slot_of(places, value)];
    return place->value == NULL ? NULL : place;
}

void yaml_places_release(struct yaml_places *places)
{
    free(places->slots);
    *places = (struct yaml_places){ 0 };
}
