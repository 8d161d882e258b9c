#include "exchange/lanes.h"

#include <stdlib.h>
#include <string.h>

/* A name of a target is no longer; what is cut shares a lane. */
#define NAME_MAX_LEN 80

#define FULL_AGAIN_S 3

struct lane {
    char name[NAME_MAX_LEN];
    size_t name_len;
    unsigned active;
    unsigned waiting;
    unsigned failures; /* in a row */
    int64_t rests_until_ms;
    struct lane_place *first;
    struct lane_place **end;
};

struct lanes {
    struct lane *rows[LANES_MAX];
    size_t count;
};

struct lanes *lanes_new(void)
{
    return calloc(1, sizeof(struct lanes));
}

void lanes_free(struct lanes *lanes)
{
    for (size_t i = 0; lanes && i < lanes->count; i++)
        free(lanes->rows[i]);
    free(lanes);
}

static struct lane *add(struct lanes *lanes, struct str name)
{
    struct lane *lane;

    if (lanes->count == LANES_MAX)
        return lanes->rows[0];
    lane = calloc(1, sizeof(*lane));
    if (!lane)
        return NULL;
    memcpy(lane->name, name.data, name.len);
    lane->name_len = name.len;
    lane->end = &lane->first;
    lanes->rows[lanes->count++] = lane;
    return lane;
}

static struct lane *find(struct lanes *lanes, struct str target)
{
    struct str name = str_slice(target, 0, NAME_MAX_LEN);

    for (size_t i = 0; i < lanes->count; i++)
        if (str_eq((struct str){ lanes->rows[i]->name, lanes->rows[i]->name_len }, name))
            return lanes->rows[i];
    return add(lanes, name);
}

enum lane_entry lanes_enter(struct lanes *lanes, struct str target, int64_t now_ms,
                            struct lane_place *place, int64_t *again_s)
{
    struct lane *lane = find(lanes, target);

    *place = (struct lane_place){ .lane = lane };
    *again_s = FULL_AGAIN_S;
    if (lane && now_ms < lane->rests_until_ms)
        *again_s = (lane->rests_until_ms - now_ms) / 1000 + 1;
    if (!lane || now_ms < lane->rests_until_ms || lane->waiting == LANE_WAITING_MAX) {
        place->lane = NULL;
        return LANE_CLOSED;
    }
    if (lane->active < LANE_ACTIVE_MAX) {
        lane->active++;
        return LANE_ENTERED;
    }
    *lane->end = place;
    lane->end = &place->next;
    lane->waiting++;
    return LANE_WAITS;
}

bool lanes_is_free(struct lanes *lanes, struct str target, int64_t now_ms)
{
    const struct lane *lane = find(lanes, target);

    return lane && lane->active < LANE_ACTIVE_MAX && now_ms >= lane->rests_until_ms;
}

static struct lane_place *take_first(struct lane *lane)
{
    struct lane_place *place = lane->first;

    if (!place)
        return NULL;
    lane->first = place->next;
    if (!lane->first)
        lane->end = &lane->first;
    lane->waiting--;
    place->next = NULL;
    return place;
}

/* 1, 2, 4 seconds and so on. */
static int64_t rest_ms(const struct lane *lane)
{
    unsigned doublings = lane->failures - LANE_FAILURES_MAX;

    if (lane->failures < LANE_FAILURES_MAX)
        return 0;
    return doublings >= 5 ? LANE_REST_MAX_S * INT64_C(1000) : INT64_C(1000) << doublings;
}

struct lane_place *lanes_leave(struct lane_place *place, bool is_good, int64_t now_ms)
{
    struct lane *lane = place->lane;
    struct lane_place *next;

    place->lane = NULL;
    lane->failures = is_good ? 0 : lane->failures + 1;
    lane->rests_until_ms = now_ms + rest_ms(lane);
    next = take_first(lane);
    if (!next)
        lane->active--;
    return next;
}

struct lane_place *lanes_take_waiting(struct lanes *lanes)
{
    for (size_t i = 0; i < lanes->count; i++) {
        struct lane_place *place = take_first(lanes->rows[i]);

        if (place) {
            place->lane = NULL;
            return place;
        }
    }
    return NULL;
}
