#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/secret.h"
#include "identity/watch_internal.h"

#define SLOTS ((size_t)2 * WATCH_MAX) /* a power of two, so that a probe soon finds a free one */

struct watch {
    atomic_uint references;
    uint64_t seed; /* names come from tokens: nobody outside can choose where they fall */
    atomic_size_t count;
    atomic_bool was_full;
    _Atomic uint64_t slots[SLOTS]; /* 0: free */
};

struct watch *watch_new(void)
{
    struct watch *watch = calloc(1, sizeof(*watch));
    struct error error = { 0 };

    if (watch == NULL || !secret_random((uint8_t *)&watch->seed, sizeof(watch->seed), &error)) {
        free(watch);
        return NULL;
    }
    atomic_init(&watch->references, 1);
    return watch;
}

struct watch *watch_ref(struct watch *watch)
{
    atomic_fetch_add(&watch->references, 1);
    return watch;
}

void watch_unref(struct watch *watch)
{
    if (watch != NULL && atomic_fetch_sub(&watch->references, 1) == 1)
        free(watch);
}

/* FNV-1a, begun at the seed; the end of a part counts too. */
static uint64_t add_byte(uint64_t value, uint8_t byte)
{
    return (value ^ byte) * UINT64_C(1099511628211);
}

static uint64_t hash(uint64_t seed, const struct str *parts, size_t count)
{
    uint64_t value = seed;

    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < parts[i].len; k++)
            value = add_byte(value, (uint8_t)parts[i].data[k]);
        value = add_byte(value, 0);
    }
    value ^= value >> 32;
    return value != 0 ? value : 1;
}

/* Room is taken before a slot is, so that there is always a free one and every probe ends. */
static bool take_room(struct watch *watch)
{
    if (atomic_fetch_add(&watch->count, 1) < WATCH_MAX)
        return true;
    atomic_fetch_sub(&watch->count, 1);
    return false;
}

enum watch_sight watch_note(struct watch *watch, const struct str *parts, size_t count)
{
    uint64_t value = hash(watch->seed, parts, count);
    size_t at = (size_t)value & (SLOTS - 1);
    uint64_t there;

    while ((there = atomic_load_explicit(&watch->slots[at], memory_order_relaxed)) != value) {
        if (there != 0) {
            at = (at + 1) & (SLOTS - 1);
            continue;
        }
        if (!take_room(watch))
            return atomic_exchange(&watch->was_full, true) ? WATCH_SEEN : WATCH_FULL;
        if (atomic_compare_exchange_strong(&watch->slots[at], &there, value))
            return WATCH_NEW;
        atomic_fetch_sub(&watch->count, 1); /* another was quicker: look at what it put there */
    }
    return WATCH_SEEN;
}
