#include "key_tending.h"

#include "base/log.h"
#include "base/metrics.h"
#include "keys/keys.h"

#define LOOK_EVERY_S 600

static void rotate_there(struct worker_job *job)
{
    struct key_tending *tending = (struct key_tending *)job;

    tending->error = (struct error){ 0 };
    tending->has_rotated = false;
    tending->is_good =
        keys_rotate(tending->keys, tending->now_s, &tending->has_rotated, &tending->error);
    tending->is_looked = true;
    tending->is_at_work = false;
}

static void start(struct key_tending *tending, int64_t now_s)
{
    struct error busy = { 0 };

    if (now_s - tending->looked_s < LOOK_EVERY_S)
        return;
    tending->job.run = rotate_there;
    tending->now_s = now_s;
    tending->is_at_work = true;
    if (workers_submit(tending->workers, &tending->job, &busy))
        tending->looked_s = now_s;
    else
        tending->is_at_work = false; /* in a second, then */
}

bool key_tending_rotate(struct key_tending *tending, int64_t now_s)
{
    struct log_line line;
    bool has_rotated;

    if (tending->is_at_work)
        return false;
    has_rotated = tending->is_looked && tending->has_rotated;
    if (tending->is_looked && !tending->is_good) {
        log_begin(&line, LOG_LEVEL_ERROR, "keys.rotation_failed");
        log_error(&line, &tending->error);
        log_end(&line);
    }
    tending->is_looked = false;
    start(tending, now_s);
    return has_rotated;
}

void key_tending_token(struct key_tending *tending)
{
    struct keys_health health;
    struct log_line line;
    bool is_lost;

    keys_tend_token(tending->keys, &health);
    metric_set(METRIC_KEYS_UNAVAILABLE_S, health.failing_s);
    is_lost = health.failing_s != 0;
    if (is_lost == tending->has_no_keys)
        return;
    tending->has_no_keys = is_lost;
    log_begin(&line, is_lost ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO,
              is_lost ? "keys.unavailable" : "keys.available");
    if (is_lost)
        log_text(&line, "cause", health.cause);
    log_end(&line);
}

bool key_tending_has_keys(const struct key_tending *tending)
{
    return !tending->has_no_keys;
}
