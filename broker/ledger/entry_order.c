#include "ledger/entry_order.h"

#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "ledger/entry.h"
#include "ledger/entry_internal.h"

static bool check_time(struct entry_order *order, struct str time, struct error *error)
{
    int64_t time_ms = 0;

    /* Those of one batch have the same. */
    if (time.len == sizeof(order->time) && memcmp(time.data, order->time, time.len) == 0)
        return true;
    if (!time_text_parse(time, &time_ms))
        return error_set(error, ERROR_INVALID, "its time is malformed");
    if (time_ms < order->time_ms)
        return error_set(error, ERROR_INVALID, "its time is before that of the entry before it");
    order->time_ms = time_ms;
    if (time.len == sizeof(order->time))
        memcpy(order->time, time.data, time.len);
    return true;
}

bool entry_order_check(struct entry_order *order, struct str entry, struct error *error)
{
    JSON_OWNED json_t *parsed = NULL;
    struct str time = { 0 };

    if (store_entry_is_pruned(entry)) {
        order->pruned_count++;
        return order->time_ms == 0 ||
               error_set(error, ERROR_INVALID, "it was pruned, and one before it was not");
    }
    if (entry_text_check(entry, &time))
        return check_time(order, time, error);
    return entry_parse(entry, &parsed, error) && entry_check(parsed, error) &&
           (json_get_str(parsed, "time", &time) ||
            error_set(error, ERROR_INVALID, "its time is malformed")) &&
           check_time(order, time, error);
}
