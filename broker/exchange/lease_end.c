#include "exchange/lease_end.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "exchange/exchange_internal.h"

/* A lease changes a few times in its life; more often than this only if somebody makes it. */
#define TRIES_MAX 16

bool lease_end_is_due(const struct lease_ending *ending, const struct store_lease *lease,
                      int64_t now_s)
{
    bool is_over = lease->expires_s <= now_s;

    if (ending->type == ENTRY_LEASE_EXPIRED)
        return lease->state == LEASE_ISSUED && is_over;
    if (ending->type == ENTRY_CREDENTIAL_UNKNOWN)
        return lease->state == LEASE_REQUESTED &&
               (is_over || now_s - lease->opened_s >= LEASE_REQUESTED_MAX_S);
    if (ending->type == ENTRY_LEASE_RELEASED)
        return lease->state == LEASE_ISSUED && !is_over;
    return (lease->state == LEASE_REQUESTED || lease->state == LEASE_ISSUED ||
            lease->state == LEASE_UNKNOWN) &&
           !is_over;
}

static bool read_opened(struct ledger *ledger, const struct store_lease *lease, struct arena *arena,
                        json_t **opened, struct error *error)
{
    struct json_limits limits = { STORE_ENTRY_MAX, 32, 4096 };
    struct str text;

    return ledger_entry(ledger, lease->opened_index, arena, &text, error) &&
           json_parse_object(text, limits, opened, error);
}

static bool put_text(json_t *entry, const char *name, const char *value)
{
    return !value || json_put(entry, name, json_string(value));
}

static bool put_object(json_t *entry, const char *name, const json_t *object)
{
    return !object || json_put(entry, name, json_incref(json_iterable(object)));
}

static bool put_ending(const struct lease_ending *ending, const struct store_lease *lease,
                       json_t *entry)
{
    return json_put(entry, "decision", json_string(ending->decision)) &&
           json_put(entry, "lease", json_string(lease->id)) &&
           put_text(entry, "reason", ending->reason) &&
           put_text(entry, "outcome", ending->outcome) && put_text(entry, "block", ending->block) &&
           put_object(entry, "actor", ending->actor) && put_object(entry, "facts", ending->facts);
}

/* Who left a lease while its credentials were made said before what they would be. */
static bool copy_credentials(const json_t *opened, json_t *entry)
{
    json_t *credentials = json_object_get(opened, "credentials");

    return !credentials ||
           (json_put(entry, "credentials", json_incref(credentials)) &&
            json_put(entry, "detail", json_string("left before it had an outcome")));
}

/* NOLINTNEXTLINE(readability-function-size): what is ended, how, and two results */
bool lease_end_entry(struct ledger *ledger, const struct store_lease *lease,
                     const struct lease_ending *ending, struct arena *arena, json_t **entry,
                     struct store_guard *guard, struct error *error)
{
    JSON_OWNED json_t *opened = NULL;
    JSON_OWNED json_t *made = entry_new(ending->type, ledger_broker(ledger));

    *guard = (struct store_guard){
        .kind = STORE_GUARD_LEASE,
        .state = lease->state,
        .version = lease->version,
    };
    memcpy(guard->lease_id, lease->id, sizeof(guard->lease_id));
    if (!put_ending(ending, lease, made))
        return error_set(error, ERROR_MEMORY, "entry");
    if (!read_opened(ledger, lease, arena, &opened, error) ||
        !record_copy_opened(opened, made, error))
        return false;
    if (ending->type == ENTRY_CREDENTIAL_UNKNOWN && !copy_credentials(opened, made))
        return error_set(error, ERROR_MEMORY, "entry");
    *entry = TAKE(made);
    return true;
}

/* The append's entry is the caller's to free. */
static bool prepare(struct lease_end *end, json_t **entry, struct error *error)
{
    struct ledger_append *append = &end->append;

    if (end->tries++ == TRIES_MAX)
        return error_set(error, ERROR_LEDGER, "lease %s changes all the time", end->lease.id);
    *append = (struct ledger_append){ .waker = end->waker };
    if (!lease_end_entry(end->ledger, &end->lease, &end->ending, end->arena, entry,
                         &append->guards[0], error))
        return false;
    append->guard_count = 1;
    append->failed_guard = 1; /* none, until the store says so */
    append->entries[0] = *entry;
    append->private_parts[0] = end->ending.private_part;
    append->entry_count = 1;
    append->is_revocation = true;
    return true;
}

/*
 * What an append came to. `*is_done`: recorded, or there is nothing left to end; else somebody
 * changed the lease meanwhile, and it is to be tried again.
 */
static bool conclude(struct lease_end *end, bool *is_done, struct error *error)
{
    const struct ledger_append *append = &end->append;
    char id[ID_LEN + 1];

    *is_done = true;
    end->is_recorded = append->is_committed;
    if (append->is_committed)
        return true;
    if (append->failed_guard >= append->guard_count) {
        *error = append->error;
        return false;
    }
    memcpy(id, end->lease.id, sizeof(id));
    if (!ledger_lease_by_id(end->ledger, str_from(id), &end->lease, error)) {
        if (error->code != ERROR_NOT_FOUND)
            return false;
        *error = (struct error){ 0 };
        return true; /* it is over, and forgotten */
    }
    *is_done = !lease_end_is_due(&end->ending, &end->lease, clock_wall_s());
    return true;
}

static enum progress submit(struct lease_end *end, struct error *error)
{
    JSON_OWNED json_t *entry = NULL;

    if (!prepare(end, &entry, error) ||
        !ledger_submit(end->ledger, &end->append, end->arena, error))
        return PROGRESS_FAILED;
    end->is_submitted = true;
    return PROGRESS_WAIT;
}

enum progress lease_end_walk(struct lease_end *end, struct error *error)
{
    bool is_done = !lease_end_is_due(&end->ending, &end->lease, clock_wall_s());

    if (end->is_submitted && !conclude(end, &is_done, error))
        return PROGRESS_FAILED;
    end->is_submitted = false;
    return is_done ? PROGRESS_DONE : submit(end, error);
}
