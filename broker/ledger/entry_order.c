#include "ledger/entry_order.h"

#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "ledger/entry.h"
#include "ledger/entry_internal.h"

static bool take_time(struct entry_form *form, struct str time, struct error *error)
{
    /* Those of one batch have the same. */
    if (time.len == sizeof(form->time) && memcmp(time.data, form->time, time.len) == 0)
        return true;
    if (!time_text_parse(time, &form->time_ms))
        return error_set(error, ERROR_INVALID, "its time is malformed");
    memset(form->time, 0, sizeof(form->time));
    if (time.len == sizeof(form->time))
        memcpy(form->time, time.data, time.len);
    return true;
}

bool entry_form_check(struct str entry, struct entry_form *form, struct error *error)
{
    JSON_OWNED json_t *parsed = NULL;
    struct str time = { 0 };

    form->is_pruned = store_entry_is_pruned(entry);
    if (form->is_pruned)
        return true;
    if (entry_text_check(entry, &time))
        return take_time(form, time, error);
    return entry_parse(entry, &parsed, error) && entry_check(parsed, error) &&
           (json_get_str(parsed, "time", &time) ||
            error_set(error, ERROR_INVALID, "its time is malformed")) &&
           take_time(form, time, error);
}

bool entry_order_add(struct entry_order *order, const struct entry_form *form, struct error *error)
{
    if (form->is_pruned) {
        order->pruned_count++;
        return order->time_ms == 0 ||
               error_set(error, ERROR_INVALID, "it was pruned, and one before it was not");
    }
    if (form->time_ms < order->time_ms)
        return error_set(error, ERROR_INVALID, "its time is before that of the entry before it");
    order->time_ms = form->time_ms;
    return true;
}

bool entry_order_check(struct entry_order *order, struct str entry, struct error *error)
{
    return entry_form_check(entry, &order->form, error) &&
           entry_order_add(order, &order->form, error);
}
