#include "store/beats.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS (2 * BEATS_MAX)

bool beats_init(struct beats *beats)
{
    beats->count = 0;
    beats->rows = calloc(BEATS_MAX, sizeof(*beats->rows));
    beats->slots = calloc(SLOTS, sizeof(*beats->slots));
    return beats->rows != NULL && beats->slots != NULL &&
           pthread_mutex_init(&beats->lock, NULL) == 0;
}

void beats_release(struct beats *beats)
{
    if (beats->slots != NULL && beats->rows != NULL)
        (void)pthread_mutex_destroy(&beats->lock);
    free(beats->rows);
    free(beats->slots);
    *beats = (struct beats){ 0 };
}

/* FNV-1a; ids are our own, nobody chooses them. The slot that has the id, or where it would go. */
static size_t slot_of(const struct beats *beats, const char id[ID_LEN])
{
    uint32_t hash = 2166136261U;
    size_t slot = 0;

    for (size_t i = 0; i < ID_LEN; i++)
        hash = (hash ^ (uint8_t)id[i]) * 16777619U;
    slot = (hash ^ hash >> 15) % SLOTS;
    while (beats->slots[slot] != 0 &&
           memcmp(beats->rows[beats->slots[slot] - 1].id, id, ID_LEN) != 0)
        slot = (slot + 1) % SLOTS;
    return slot;
}

static bool add(struct beats *beats, const char id[ID_LEN], int64_t at_s)
{
    size_t slot = slot_of(beats, id);
    struct beat *beat = NULL;

    if (beats->slots[slot] == 0 && beats->count == BEATS_MAX)
        return false;
    if (beats->slots[slot] == 0) {
        beats->slots[slot] = (uint32_t)++beats->count;
        beats->rows[beats->count - 1].at_s = at_s;
        memmove(beats->rows[beats->count - 1].id, id, ID_LEN);
    }
    beat = &beats->rows[beats->slots[slot] - 1];
    if (beat->at_s < at_s)
        beat->at_s = at_s;
    return true;
}

bool beats_add(struct beats *beats, const char id[ID_LEN], int64_t at_s)
{
    bool is_added = false;

    (void)pthread_mutex_lock(&beats->lock);
    is_added = add(beats, id, at_s);
    (void)pthread_mutex_unlock(&beats->lock);
    return is_added;
}

/* Those that stay are put in anew: their places are others now. */
static size_t take(struct beats *beats, struct beat *taken, size_t max)
{
    size_t count = beats->count < max ? beats->count : max;
    size_t left = beats->count - count;

    if (count == 0)
        return 0;
    memcpy(taken, beats->rows, count * sizeof(*taken));
    memmove(beats->rows, beats->rows + count, left * sizeof(*beats->rows));
    memset(beats->slots, 0, SLOTS * sizeof(*beats->slots));
    beats->count = 0;
    for (size_t i = 0; i < left; i++)
        (void)add(beats, beats->rows[i].id, beats->rows[i].at_s); /* there is room */
    return count;
}

size_t beats_take(struct beats *beats, struct beat *taken, size_t max)
{
    size_t count = 0;

    (void)pthread_mutex_lock(&beats->lock);
    count = take(beats, taken, max);
    (void)pthread_mutex_unlock(&beats->lock);
    return count;
}
