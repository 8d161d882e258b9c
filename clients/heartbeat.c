#include "clients/heartbeat.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/error.h"
#include "clients/answer.h"
#include "clients/broker.h"
#include "clients/report.h"
#include "upstream/upstream.h"

#define BEAT_TIMEOUT_MS 8000
#define BEAT_BYTES_MAX ((size_t)4096)

/* One that did not get through is tried again this much sooner. */
#define HASTE 4

/* The next after `first_s`, then as often as it is due; 0: no more. */
static bool set_timer(const struct heartbeat *heartbeat, int64_t first_s)
{
    struct itimerspec when = {
        .it_value.tv_sec = first_s,
        .it_interval.tv_sec = first_s > 0 ? heartbeat->every_s : 0,
    };

    return timerfd_settime(heartbeat->timer, 0, &when, NULL) == 0;
}

bool heartbeat_start(struct heartbeat *heartbeat, const struct broker *broker,
                     const struct answer *answer, struct arena *arena, struct error *error)
{
    heartbeat->every_s = answer->heartbeat_s;
    if (heartbeat->every_s == 0)
        return true;
    heartbeat->broker = broker;
    heartbeat->lease = answer->lease;
    heartbeat->url = broker_path(broker, "/api/v1/leases/self/heartbeat", arena);
    heartbeat->bearer =
        arena_printf(arena, "Authorization: Bearer " STR_FMT, STR_ARG(answer->handle));
    if (!heartbeat->url.data || !heartbeat->bearer.data)
        return error_set(error, ERROR_MEMORY, "no memory for heartbeats");
    heartbeat->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    heartbeat->answered = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (heartbeat->timer < 0 || heartbeat->answered < 0 ||
        !set_timer(heartbeat, heartbeat->every_s))
        return error_set_errno(error, "no timer for heartbeats");
    return true;
}

/* On the upstream thread. */
static void keep(const struct upstream_response *response, void *context)
{
    struct heartbeat *heartbeat = context;
    uint64_t one = 1;

    atomic_store(&heartbeat->status, response->outcome == UPSTREAM_ANSWERED ? response->status : 0);
    if (write(heartbeat->answered, &one, sizeof(one)) < 0)
        return; /* the counter is never full: one answer at a time */
}

static void miss(struct heartbeat *heartbeat, const char *why)
{
    int64_t soon_s = heartbeat->every_s / HASTE;

    if (!heartbeat->is_missed)
        report_line("lease " STR_FMT ": a heartbeat does not get through: %s",
                    STR_ARG(heartbeat->lease), why);
    heartbeat->is_missed = true;
    (void)set_timer(heartbeat, soon_s > 0 ? soon_s : 1); /* else it comes when it is due */
}

void heartbeat_send(struct heartbeat *heartbeat)
{
    struct upstream_request request = {
        .method = "POST",
        .url = heartbeat->url.data,
        .headers = { heartbeat->bearer.data, "Accept: application/json" },
        .peer = heartbeat->broker->peer,
        .total_timeout_ms = BEAT_TIMEOUT_MS,
        .response_max_bytes = BEAT_BYTES_MAX,
        .done = keep,
        .context = heartbeat,
    };
    struct error error = { 0 };
    uint64_t expirations;

    if (read(heartbeat->timer, &expirations, sizeof(expirations)) < 0 || heartbeat->is_under_way)
        return;
    heartbeat->is_under_way = upstream_submit(heartbeat->broker->upstream, &request, &error);
    if (!heartbeat->is_under_way)
        miss(heartbeat, error.cause);
}

static bool says_ended(int status)
{
    return status == 404 || status == 401;
}

void heartbeat_take(struct heartbeat *heartbeat)
{
    uint64_t count;
    int status;

    if (read(heartbeat->answered, &count, sizeof(count)) < 0)
        return;
    heartbeat->is_under_way = false;
    status = atomic_load(&heartbeat->status);
    if (says_ended(status)) {
        heartbeat->has_ended = true;
        (void)set_timer(heartbeat, 0); /* a spare beat does no harm */
        report_line("lease " STR_FMT " has ended: it was revoked, or no heartbeat came in time; "
                    "its credentials end with it",
                    STR_ARG(heartbeat->lease));
    } else if (status != 200)
        miss(heartbeat, status == 0 ? "no answer" : "the broker refuses");
    else
        heartbeat->is_missed = false;
}

void heartbeat_release(struct heartbeat *heartbeat)
{
    if (heartbeat->timer >= 0)
        (void)close(heartbeat->timer); /* nobody waits any more */
    if (heartbeat->answered >= 0)
        (void)close(heartbeat->answered);
    heartbeat->timer = -1;
    heartbeat->answered = -1;
}
