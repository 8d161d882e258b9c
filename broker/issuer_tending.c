#include "issuer_tending.h"

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "exchange/rules.h"
#include "identity/identity.h"
#include "ledger/ledger.h"

static bool record_keys_changed(const struct identity_keys_change *change, void *context)
{
    struct ledger *ledger = context;
    JSON_OWNED json_t *entry = entry_new(ENTRY_ISSUER_KEYS_CHANGED, ledger_broker(ledger));
    struct error error = { 0 };
    struct log_line line;
    bool is_recorded = false;

    if (json_put(entry, "issuer", json_from_str(change->issuer)) &&
        json_put(entry, "added", json_incref(json_iterable(change->added))) &&
        json_put(entry, "removed", json_incref(json_iterable(change->removed))))
        is_recorded = ledger_record(ledger, entry, &error);
    else
        (void)error_set(&error, ERROR_MEMORY, "no memory for an entry");
    log_begin(&line, is_recorded ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
              is_recorded ? "issuer.keys_changed" : "ledger.append_failed");
    log_str(&line, "issuer", change->issuer);
    log_int(&line, "added", (int64_t)json_array_size(change->added));
    log_int(&line, "removed", (int64_t)json_array_size(change->removed));
    if (!is_recorded)
        log_error(&line, &error);
    log_end(&line);
    return is_recorded;
}

static void log_not_kept(struct str issuer, const struct error *why, void *context)
{
    struct log_line line;

    (void)context;
    log_begin(&line, LOG_LEVEL_WARN, "issuer.keys_not_kept");
    log_str(&line, "issuer", issuer);
    log_error(&line, why);
    log_end(&line);
}

void issuers_tend(struct rules_table *table, struct ledger *ledger)
{
    const struct identity_listener listener = { record_keys_changed, log_not_kept, ledger };
    struct rules *rules = rules_get(table);

    identity_tend(rules->identity, &listener);
    if (rules->people_identity)
        identity_tend(rules->people_identity, &listener);
    rules_put(table, rules);
}
