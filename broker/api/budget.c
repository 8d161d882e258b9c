#include "base/budget.h"

#include "api/api_internal.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "exchange/rules.h"

static int64_t per_minute(const struct api *api)
{
    struct rules *rules = rules_get(api->service->rules);
    int64_t count = rules->requests_per_address;

    rules_put(api->service->rules, rules);
    return count;
}

static bool look(struct http_request *request, const struct api *api,
                 bool (*budget)(struct budgets *budgets, uint64_t key, int64_t per_minute,
                                int64_t now_ms, int64_t *wait_s),
                 struct error *error)
{
    int64_t wait_s = 0;

    if (budget(api->service->addresses, budget_address_key(&request->peer), per_minute(api),
               clock_monotonic_ms(), &wait_s))
        return true;
    metric_add(METRIC_OVER_BUDGET_ADDRESS, 1);
    api_retry_after(request, wait_s);
    return error_set(error, ERROR_BUSY, "the budget of the address is spent");
}

bool api_spend_address(struct http_request *request, const struct api *api, struct error *error)
{
    return look(request, api, budget_spend, error);
}

bool api_has_budget(struct http_request *request, const struct api *api, struct error *error)
{
    return look(request, api, budget_has, error);
}

void api_charge_address(const struct http_request *request, const struct api *api)
{
    int64_t ignored = 0;

    if (!budget_spend(api->service->addresses, budget_address_key(&request->peer), per_minute(api),
                      clock_monotonic_ms(), &ignored))
        metric_add(METRIC_OVER_BUDGET_ADDRESS, 1);
}

void api_retry_after(struct http_request *request, int64_t seconds)
{
    struct str text = STR("");

    if (seconds > 0)
        text = arena_printf(request->arena, "%lld", (long long)seconds);
    if (text.len > 0)
        http_add_header(request, "Retry-After", text);
}
