#include "ending.h"

#include "base/error.h"
#include "base/log.h"
#include "base/metrics.h"
#include "exchange/ender.h"
#include "exchange/exchange.h"
#include "ledger/ledger.h"
#include "targets/target.h"

/* What is not ended by then is not ended by the next tries either. */
#define STUCK_S 900

static void log_ended(const struct store_lease *lease, enum entry_type type, const char *reason,
                      void *context)
{
    bool is_unknown = type == ENTRY_CREDENTIAL_UNKNOWN;
    struct log_line line;

    (void)context;
    if (type == ENTRY_LEASE_REVOKED)
        metric_add(METRIC_LEASES_SILENT, 1);
    if (is_unknown)
        metric_add(METRIC_MINTS_UNKNOWN, 1);
    log_begin(&line, is_unknown ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, entry_type_name(type));
    log_text(&line, "lease", lease->id);
    if (reason)
        log_text(&line, "reason", reason);
    log_end(&line);
}

static void log_revoked(const struct store_lease *lease, size_t done, size_t pending, void *context)
{
    struct log_line line;

    (void)context;
    log_begin(&line, LOG_LEVEL_INFO, "credential.revoked");
    log_text(&line, "lease", lease->id);
    log_int(&line, "credentials", (int64_t)done);
    log_int(&line, "pending", (int64_t)pending);
    log_end(&line);
}

static void log_not_revoked(const struct store_lease *lease, struct str grant, struct str target,
                            const struct error *why, void *context)
{
    struct log_line line;

    (void)context;
    log_begin(&line, LOG_LEVEL_WARN, "credential.revoke_failed");
    log_text(&line, "lease", lease->id);
    log_str(&line, "grant", grant);
    log_str(&line, "target", target);
    log_error(&line, why);
    log_end(&line);
}

static void log_failed(const struct store_lease *lease, const struct error *why, void *context)
{
    struct log_line line;

    (void)context;
    log_begin(&line, LOG_LEVEL_ERROR, "lease.end_failed");
    if (lease)
        log_text(&line, "lease", lease->id);
    log_error(&line, why);
    log_end(&line);
}

static void log_not_swept(struct str target, const struct error *why, void *context)
{
    struct log_line line;

    (void)context;
    log_begin(&line, LOG_LEVEL_WARN, "target.sweep_failed");
    log_str(&line, "target", target);
    log_error(&line, why);
    log_end(&line);
}

static void log_orphan(struct str target, struct str id, struct str lease, bool is_removed,
                       void *context)
{
    struct log_line line;

    (void)context;
    log_begin(&line, LOG_LEVEL_WARN, "orphan.found");
    log_str(&line, "target", target);
    log_str(&line, "id", id);
    log_str(&line, "lease", lease);
    log_text(&line, "removed", is_removed ? "true" : "false");
    log_end(&line);
}

bool ending_start(const struct exchange_service *service, struct ender **ender, struct error *error)
{
    static const struct ender_listener listener = {
        .ended = log_ended,
        .revoked = log_revoked,
        .not_revoked = log_not_revoked,
        .failed = log_failed,
        .not_swept = log_not_swept,
        .orphan = log_orphan,
    };

    for (size_t i = 0; i < target_kind_count; i++)
        if (target_kinds[i]->revoke)
            metric_add_revocations(target_kinds[i]->grant.name, true, 0);
    return ender_start(service, &listener, ender, error);
}

void ending_measure(const struct ledger *ledger, int64_t now_s)
{
    int64_t oldest_s = 0;
    size_t count = ledger_owed_count(ledger, &oldest_s);
    bool is_owing = count > 0 && oldest_s > 0 && oldest_s <= now_s;

    metric_set(METRIC_LEASES_OWING, (int64_t)count);
    metric_set(METRIC_LEASES_OWING_S, is_owing ? now_s - oldest_s : 0);
}

bool ending_degraded(const struct ledger *ledger, int64_t now_s, int64_t *since_s)
{
    return ledger_owed_count(ledger, since_s) > 0 && now_s - *since_s > STUCK_S;
}
