/*
 * Which of a target's apps is asked: in turns, so that what GitHub allows each of them is used by
 * all jobs alike.
 *
 * Whether an installation has a repository only GitHub knows. One that has not is asked last for
 * the next minutes, not never: what is remembered may be another question's.
 */
#include <string.h>

#include "base/digest.h"
#include "targets/github_internal.h"

#define LACKS_S 600
#define MARK_BITS 32

void github_turn_begin(struct github_settings *own, struct str body, struct github_turn *turn)
{
    uint8_t digest[SHA256_LEN];

    *turn = (struct github_turn){ .first = atomic_fetch_add(&own->turns, 1) };
    sha256(body, digest);
    memcpy(&turn->wanted, digest, sizeof(turn->wanted));
}

static _Atomic uint64_t *place_of(struct github_app *app, const struct github_turn *turn)
{
    return &app->wants[turn->wanted % GITHUB_WANTS_MAX];
}

/* Half of the digest, and behind it a time. */
static uint64_t mark_of(const struct github_turn *turn, int64_t until_s)
{
    return turn->wanted >> MARK_BITS << MARK_BITS | (uint32_t)until_s;
}

void github_app_lacks(struct github_app *app, const struct github_turn *turn, int64_t now_s)
{
    atomic_store(place_of(app, turn), mark_of(turn, now_s + LACKS_S));
}

static bool is_lacking(struct github_app *app, const struct github_turn *turn, int64_t now_s)
{
    uint64_t mark = atomic_load(place_of(app, turn));
    int64_t left_s = (int64_t)(uint32_t)mark - now_s;

    return mark >> MARK_BITS == turn->wanted >> MARK_BITS && left_s > 0 && left_s <= LACKS_S;
}

/* In its turn, if it is (`lacks`) or is not one that has not what is wanted. */
static struct github_app *find(struct github_settings *own, const struct github_turn *turn,
                               bool lacks, int64_t now_s)
{
    for (size_t i = 0; i < own->app_count; i++) {
        size_t at = (turn->first + i) % own->app_count;
        struct github_app *app = &own->apps[at];

        if ((turn->tried & (1U << at)) == 0 && remote_quiet_left_s(&app->quiet, now_s) == 0 &&
            is_lacking(app, turn, now_s) == lacks)
            return app;
    }
    return NULL;
}

struct github_app *github_turn_next(struct github_settings *own, struct github_turn *turn,
                                    int64_t now_s)
{
    struct github_app *app = find(own, turn, false, now_s);

    if (!app)
        app = find(own, turn, true, now_s);
    if (app)
        turn->tried |= 1U << (app - own->apps);
    return app;
}
