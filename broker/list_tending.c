#include "list_tending.h"

#include "base/error.h"
#include "base/log.h"
#include "base/metrics.h"
#include "exchange/lists.h"

void list_tending_tend(struct list_tending *tending, struct lists *lists, struct rules_table *rules,
                       struct ledger *ledger, int64_t now_s)
{
    struct error error = { 0 };
    struct log_line line;
    bool is_made = false;
    bool is_good = lists_tend(lists, rules, ledger, now_s, &is_made, &error);

    metric_set(METRIC_LISTED, (int64_t)lists_count(lists));
    metric_set(METRIC_TOKENS_LISTED, (int64_t)lists_token_count(lists));
    if (is_good && !is_made)
        return;
    if (tending->is_failing == !is_good)
        return;
    tending->is_failing = !is_good;
    log_begin(&line, is_good ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
              is_good ? "lists.made" : "lists.failed");
    log_int(&line, "revoked", (int64_t)lists_count(lists));
    log_int(&line, "tokens", (int64_t)lists_token_count(lists));
    log_int(&line, "left_out", (int64_t)lists_left_out(lists));
    if (!is_good)
        log_error(&line, &error);
    log_end(&line);
}
