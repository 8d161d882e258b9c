#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "policy/policy_loader.h"

/*
 * The zones of a load are a table that threads share without a lock: a slot that is taken stays as
 * it is until the load ends. Two threads may both read a zone's file; one of them gets it in.
 */

static size_t first_slot(struct str name)
{
    uint32_t hash = 2166136261U; /* FNV-1a */

    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (uint8_t)name.data[i]) * 16777619U;
    return hash % POLICY_ZONES_MAX;
}

/* A zone of that name, or NULL; `*slot` is where it is or belongs: POLICY_ZONES_MAX in a full one.
 */
static struct time_zone *look_up(struct policy_zones *zones, struct str name, size_t *slot)
{
    size_t first = first_slot(name);

    for (size_t i = 0; i < POLICY_ZONES_MAX; i++) {
        struct time_zone *zone;

        *slot = (first + i) % POLICY_ZONES_MAX;
        zone = atomic_load(&zones->slots[*slot]);
        if (zone == NULL || str_eq(time_zone_name(zone), name))
            return zone;
    }
    *slot = POLICY_ZONES_MAX;
    return NULL;
}

/* Keep a zone where there is room; another thread may have come first, with the same or another. */
static void keep(struct policy_zones *zones, struct time_zone *zone)
{
    struct time_zone *nobody = NULL;
    size_t slot;

    while (look_up(zones, time_zone_name(zone), &slot) == NULL && slot < POLICY_ZONES_MAX) {
        if (atomic_compare_exchange_strong(&zones->slots[slot], &nobody, time_zone_ref(zone)))
            return;
        time_zone_unref(zone);
        nobody = NULL;
    }
}

bool policy_zones_find(struct policy_zones *zones, struct str name, struct time_zone **out,
                       struct error *error)
{
    size_t slot;
    struct time_zone *zone = look_up(zones, name, &slot);

    if (zone != NULL) {
        *out = time_zone_ref(zone);
        return true;
    }
    if (!time_zone_load(zones->folder, name, out, error))
        return false;
    keep(zones, *out);
    return true;
}

void policy_zones_release(struct policy_zones *zones)
{
    for (size_t i = 0; i < POLICY_ZONES_MAX; i++)
        time_zone_unref(atomic_load(&zones->slots[i]));
}

/* ---- of a unit ---- */

static void forget_zone(void *zone)
{
    time_zone_unref(zone);
}

/* Hand a zone over to the unit at hand. */
static const struct time_zone *own(struct policy_loader *loader, struct time_zone *zone)
{
    struct policy_unit *unit = loader->unit;
    size_t count = unit->zone_count;

    if (!arena_defer(loader->arena, forget_zone, zone)) {
        loader->is_out_of_memory = true;
        return NULL;
    }
    if ((count & (count - 1)) == 0) { /* full: 1, 3, 5, 9, ... have room */
        const struct time_zone **larger =
            policy_loader_alloc(loader, count * 2 + 1, sizeof(const struct time_zone *));

        if (larger == NULL)
            return NULL;
        if (count > 0)
            memcpy(larger, unit->zones, count * sizeof(const struct time_zone *));
        unit->zones = larger;
    }
    unit->zones[unit->zone_count++] = zone;
    return zone;
}

/* Report a zone that is not to be had. */
static void complain(const struct policy_loader *loader, const json_t *at, struct str name,
                     const struct error *failure)
{
    struct arena *arena = loader->reader.diagnostics->arena;
    const char *folder = loader->definitions->zones->folder;
    struct str shown = str_slice(name, 0, TIME_ZONE_NAME_MAX);
    struct str hint = { 0 };

    if (!time_zone_nearest(folder, name, arena, &hint))
        hint =
            arena_printf(arena, "there are no time zones in %s: install Debian's tzdata", folder);
    else if (hint.len > 0)
        hint = arena_printf(arena, "did you mean '" STR_FMT "'?", STR_ARG(hint));
    else
        hint = STR("zones are named as in the IANA database: Europe/Berlin, America/New_York, UTC");
    if (failure->code == ERROR_IO || failure->code == ERROR_SYNTAX)
        (void)yaml_complain_hint(&loader->reader, at, hint, "there is no time zone '" STR_FMT "'",
                                 STR_ARG(shown));
    else
        (void)yaml_complain(&loader->reader, at, "the time zone '" STR_FMT "' is broken: %s",
                            STR_ARG(shown), failure->cause);
}

const struct time_zone *policy_loader_zone(struct policy_loader *loader, const json_t *at,
                                           struct str name)
{
    const struct policy_unit *unit = loader->unit;
    struct time_zone *zone = NULL;
    struct error failure = { 0 };

    for (size_t i = 0; i < unit->zone_count; i++)
        if (str_eq(time_zone_name(unit->zones[i]), name))
            return unit->zones[i];
    if (policy_zones_find(loader->definitions->zones, name, &zone, &failure))
        return own(loader, zone);
    if (failure.code == ERROR_MEMORY)
        loader->is_out_of_memory = true;
    else
        complain(loader, at, name, &failure);
    return NULL;
}

bool policy_zones_are_fresh(struct policy_zones *zones, const struct policy_unit *unit)
{
    for (size_t i = 0; i < unit->zone_count; i++) {
        OWNED(time_zone_unref) struct time_zone *now = NULL;
        struct error failure = { 0 };

        if (!policy_zones_find(zones, time_zone_name(unit->zones[i]), &now, &failure) ||
            !time_zone_is_same(now, unit->zones[i]))
            return false;
    }
    return true;
}
