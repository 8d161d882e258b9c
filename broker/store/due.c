#include "store/due.h"

#include <string.h>

#define BITS 8
#define NONE UINT32_MAX

static int64_t bounded(int64_t time_s)
{
    if (time_s < 0)
        return 0;
    return time_s > DUE_TIME_MAX ? DUE_TIME_MAX : time_s;
}

static uint32_t part(int64_t time_s, unsigned level)
{
    return (uint32_t)(time_s >> (BITS * level)) & (DUE_SLOTS - 1);
}

/* The list of a time: on the level of the highest part in which it differs from now. */
static uint32_t list_of(const struct due *due, int64_t time_s)
{
    unsigned level = DUE_LEVELS - 1;

    if (time_s < due->now_s)
        time_s = due->now_s;
    while (level > 0 && part(time_s, level) == part(due->now_s, level))
        level--;
    return level * DUE_SLOTS + part(time_s, level);
}

static void mark_used(struct due *due, uint32_t list)
{
    due->used[list / 64] |= UINT64_C(1) << (list % 64);
}

static void mark_empty(struct due *due, uint32_t list)
{
    due->used[list / 64] &= ~(UINT64_C(1) << (list % 64));
}

void due_add(struct due *due, const struct due_rows *rows, uint32_t number)
{
    uint32_t list = list_of(due, bounded(rows->time_s(rows->rows, number)));
    uint32_t first = due->first[list];
    struct due_link *link = rows->link(rows->rows, number);

    if (first != 0)
        rows->link(rows->rows, first)->before = number;
    *link = (struct due_link){ .next = first, .before = DUE_LIST | list };
    due->first[list] = number;
    due->count++;
    mark_used(due, list);
}

void due_remove(struct due *due, const struct due_rows *rows, uint32_t number)
{
    struct due_link *link = rows->link(rows->rows, number);
    uint32_t list = link->before & ~DUE_LIST;

    if (link->before == 0)
        return;
    if (link->next != 0)
        rows->link(rows->rows, link->next)->before = link->before;
    if ((link->before & DUE_LIST) == 0)
        rows->link(rows->rows, link->before)->next = link->next;
    else {
        due->first[list] = link->next;
        if (link->next == 0)
            mark_empty(due, list);
    }
    *link = (struct due_link){ 0 };
    due->count--;
}

/* The first list of a level, from `from` on, that is not empty. */
static uint32_t next_used(const struct due *due, unsigned level, uint32_t from)
{
    for (uint32_t word = from / 64; word < DUE_SLOTS / 64; word++) {
        uint64_t bits = due->used[level * DUE_SLOTS / 64 + word];

        if (word == from / 64)
            bits &= UINT64_MAX << (from % 64);
        if (bits != 0)
            return word * 64 + (uint32_t)__builtin_ctzll(bits);
    }
    return NONE;
}

/* When the lists of a level begin that is looked at next, with all lower parts zero. */
static int64_t time_of(const struct due *due, unsigned level, uint32_t slot)
{
    int64_t above = due->now_s >> (BITS * (level + 1)) << (BITS * (level + 1));

    return above | (int64_t)slot << (BITS * level);
}

/*
 * The list that comes next, with the level it is on. A list of a higher level whose time has come
 * is what goes down first: its rows may be due before all others.
 */
static uint32_t next_list(const struct due *due, unsigned *level)
{
    for (*level = DUE_LEVELS - 1; *level > 0; (*level)--) {
        uint32_t slot = part(due->now_s, *level);

        if (next_used(due, *level, slot) == slot)
            return slot;
    }
    for (*level = 0; *level < DUE_LEVELS; (*level)++) {
        uint32_t slot = next_used(due, *level, part(due->now_s, *level));

        if (slot != NONE)
            return slot;
    }
    return NONE;
}

uint32_t due_take(struct due *due, const struct due_rows *rows, int64_t now_s, size_t *budget)
{
    now_s = bounded(now_s);
    for (; *budget > 0; (*budget)--) {
        unsigned level = 0;
        uint32_t slot = next_list(due, &level);
        int64_t at_s = slot == NONE ? INT64_MAX : time_of(due, level, slot);
        uint32_t number = 0;

        if (at_s > now_s) {
            due->now_s = now_s > due->now_s ? now_s : due->now_s;
            return 0;
        }
        due->now_s = at_s > due->now_s ? at_s : due->now_s;
        number = due->first[level * DUE_SLOTS + slot];
        due_remove(due, rows, number);
        if (level == 0) {
            (*budget)--;
            return number;
        }
        due_add(due, rows, number);
    }
    return 0;
}

void due_clear(struct due *due, int64_t now_s)
{
    memset(due, 0, sizeof(*due));
    due->now_s = bounded(now_s);
}
