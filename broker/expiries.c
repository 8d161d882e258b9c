#include "expiries.h"

#include "base/macros.h"
#include "base/metrics.h"
#include "exchange/rules.h"
#include "http/http.h"
#include "policy/dates.h"

#define LOOK_EVERY_S 600

static const enum metric metrics[POLICY_DATE_KINDS] = {
    [POLICY_DATE_REVIEW] = METRIC_EXPIRES_REVIEW,
    [POLICY_DATE_UNTIL] = METRIC_EXPIRES_STAGE,
    [POLICY_DATE_GRANT] = METRIC_EXPIRES_GRANT,
    [POLICY_DATE_EXCEPTION] = METRIC_EXPIRES_EXCEPTION,
};

void expiries_measure(struct expiries *expiries, struct rules_table *rules,
                      struct http_server *server, int64_t now_s)
{
    struct rules *current = rules_get(rules);
    int64_t first_s[POLICY_DATE_KINDS];

    if (current->policy != expiries->policy || now_s >= expiries->looked_s + LOOK_EVERY_S ||
        now_s < expiries->looked_s) {
        expiries->policy = current->policy;
        expiries->looked_s = now_s;
        policy_first_dates(current->policy, now_s, first_s);
        for (size_t i = 0; i < COUNT(metrics); i++)
            metric_set(metrics[i], first_s[i]);
        metric_set(METRIC_EXPIRES_CERTIFICATE, http_certificate_end_s(server));
    }
    rules_put(rules, current);
}
