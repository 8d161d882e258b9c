#include "erase.h"

#include <stdio.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "config/config.h"
#include "keys/keys.h"
#include "ledger/eraser.h"
#include "ledger/ledger.h"
#include "upstream/upstream.h"
#include "witnessing.h"

static struct str text_or_none(const char *text)
{
    return text ? str_from(text) : (struct str){ 0 };
}

/* Piece by piece, up to where the log went when it began: our own entries are not looked at. */
static bool erase_all(struct ledger *ledger, struct ledger_erasure *erasure,
                      struct erase_outcome *outcome, struct error *error)
{
    uint64_t end = 0;

    do {
        ledger_erase_now(ledger, erasure);
        if (!erasure->is_good) {
            *error = erasure->error;
            return false;
        }
        outcome->matched += erasure->matched;
        outcome->live += erasure->live;
        outcome->erased += erasure->erased;
        end = end == 0 ? erasure->size : end;
        erasure->from = erasure->next;
    } while (erasure->from < end);
    return true;
}

static bool erase(struct ledger *ledger, const struct erase_options *options,
                  struct erase_outcome *outcome, struct error *error)
{
    char user[32];
    JSON_OWNED json_t *actor = json_object();
    struct ledger_erasure erasure = { .person = text_or_none(options->person),
                                      .run = text_or_none(options->run),
                                      .lease = text_or_none(options->lease),
                                      .reason = text_or_none(options->reason),
                                      .issuer = STR("local"),
                                      .actor = actor,
                                      .is_dry = !options->is_meant };

    (void)snprintf(user, sizeof(user), "uid %u", (unsigned)getuid());
    if (!json_put(actor, "subject", json_string(user)))
        return error_set(error, ERROR_MEMORY, "no memory to erase");
    return erase_all(ledger, &erasure, outcome, error);
}

bool erase_offline(const struct erase_options *options, struct diagnostics *diagnostics,
                   struct erase_outcome *outcome, struct error *error)
{
    OWNED(config_unref) struct config *config = NULL;
    struct upstream *upstream = NULL;
    struct ledger *ledger = NULL;
    struct keys *keys = NULL;
    bool is_done = config_load(options->config, diagnostics, &config, error) &&
                   keys_open(&config->keys, clock_wall_s(), &keys, error) &&
                   upstream_start(&upstream, error) &&
                   witnessing_open(config, keys, upstream, false, &ledger, error) &&
                   erase(ledger, options, outcome, error);

    ledger_leave_witnesses(ledger);
    upstream_stop(upstream);
    ledger_close(ledger);
    keys_close(keys);
    return is_done;
}
