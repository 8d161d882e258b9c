#include "targets/remote_quiet.h"

#include "targets/remote_call.h"

int64_t remote_quiet_left_s(struct remote_quiet *quiet, int64_t now_s)
{
    int64_t left_s = atomic_load(&quiet->until_s) - now_s;

    return left_s > 0 && left_s <= REMOTE_QUIET_MAX_S ? left_s : 0;
}

static int64_t wait_after(const struct remote_call *call, bool is_refused, int64_t now_s)
{
    int64_t reset_s = call->rate_reset_s > now_s ? call->rate_reset_s - now_s : 0;

    if (!is_refused)
        return call->rate_remaining == 0 ? reset_s : 0;
    if (call->retry_after_s > 0)
        return call->retry_after_s;
    return reset_s > 0 && call->rate_remaining <= 0 ? reset_s : REMOTE_QUIET_S;
}

int64_t remote_quiet_heed(struct remote_quiet *quiet, const struct remote_call *call,
                          bool is_refused, int64_t now_s)
{
    int64_t wait_s = wait_after(call, is_refused, now_s);

    if (wait_s > REMOTE_QUIET_MAX_S)
        wait_s = REMOTE_QUIET_MAX_S;
    if (wait_s > 0)
        atomic_store(&quiet->until_s, now_s + wait_s);
    return wait_s;
}
