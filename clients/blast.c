#include "clients/blast.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/time_text.h"
#include "clients/blast_internal.h"
#include "clients/joined.h"
#include "clients/recorded.h"
#include "ledger/entry.h"

bool blast_no_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "no memory for a blast radius");
}

/* ---- leases ---- */

/* What an entry makes of the lease that it names. */
static const struct state {
    const char *type;
    const char *state;
    bool is_end;
    bool has_credentials; /* that are there, or may be */
} states[] = {
    { "lease.requested", "requested", false, false },
    { "credential.issued", "issued", false, true },
    { "lease.renewed", "issued", false, true },
    { "credential.unknown", "unknown", false, true },
    { "credential.failed", "failed", true, false },
    { "lease.released", "released", true, false },
    { "lease.revoked", "revoked", true, false },
    { "lease.expired", "expired", true, false },
};

static const struct state *state_of(const json_t *entry)
{
    for (size_t i = 0; i < COUNT(states); i++)
        if (str_eq(json_str(json_object_get(entry, "type")), str_from(states[i].type)))
            return &states[i];
    return NULL;
}

static bool copy(json_t *to, const char *name, const json_t *from, const char *outer,
                 const char *inner)
{
    json_t *value = json_object_get(from, outer);

    if (inner)
        value = json_object_get(value, inner);
    return !value || json_put(to, name, json_incref(value));
}

/* What everybody wants to know of a lease, as the entry that opened it has it. */
static bool fill_lease(json_t *lease, const struct ledger_found *found, const json_t *entry)
{
    static const struct {
        const char *name;
        const char *outer;
        const char *inner;
    } rows[] = {
        { "lease", "lease", NULL },
        { "decision", "decision", NULL },
        { "stage", "stage", NULL },
        { "owner", "owner", NULL },
        { "environment", "environment", NULL },
        { "tenant", "tenant", NULL },
        { "issuer", "issuer", NULL },
        { "subject", "subject", NULL },
        { "opened_at", "time", NULL },
        { "expires_at", "lease_expires", NULL },
        { "policy", "policy", NULL },
        { "repository", "ci", "repository" },
        { "run", "ci", "run" },
        { "commit", "ci", "commit" },
        { "actor", "ci", "actor" },
        { "address", "facts", "address" },
        { "proof_key", "facts", "jkt" },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        if (!copy(lease, rows[i].name, entry, rows[i].outer, rows[i].inner))
            return false;
    return json_put(lease, "index", json_integer((json_int_t)found->item.index)) &&
           json_put(lease, "credentials", json_array());
}

static bool open_lease(struct blast *blast, const struct ledger_found *found, const json_t *entry,
                       struct error *error)
{
    struct str id = json_str(json_object_get(entry, "lease"));
    json_t *lease;

    if (json_object_getn(blast->by_lease, id.data, id.len))
        return true;
    blast->lease_count++;
    if (json_array_size(blast->leases) == BLAST_LEASES_MAX)
        return true;
    lease = json_object();
    return (json_array_append_new(blast->leases, lease) == 0 && fill_lease(lease, found, entry) &&
            json_object_setn(blast->by_lease, id.data, id.len, lease) == 0) ||
           blast_no_memory(error);
}

static bool is_ahead(const struct blast *blast, const json_t *time)
{
    int64_t time_ms;

    return time_text_parse(json_str(time), &time_ms) && time_ms > blast->options->now_s * 1000;
}

static bool put_credential(struct blast *blast, json_t *out, const json_t *from)
{
    const json_t *expires = json_object_get(from, "expires_at");
    struct str id = json_str(json_object_get(from, "id"));
    json_t *credential = json_deep_copy(from);

    return json_array_append_new(out, credential) == 0 &&
           (id.len == 0 ||
            json_object_setn(blast->by_credential, id.data, id.len, credential) == 0) &&
           json_put(credential, "is_live", json_boolean(!expires || is_ahead(blast, expires)));
}

/* What came of a mint after its lease had ended: that stays as it was. */
static bool is_late(const json_t *entry)
{
    return str_eq(json_str(json_object_get(entry, "type")), STR("credential.unknown")) &&
           str_eq(json_str(json_object_get(entry, "reason")), STR(ENTRY_REASON_LEASE_ENDED));
}

static bool put_state(struct blast *blast, json_t *lease, const json_t *entry)
{
    const struct state *state = state_of(entry);
    const json_t *list = json_object_get(entry, "credentials");

    if (!state)
        return true;
    for (size_t i = 0; state->has_credentials && i < json_array_size(list); i++)
        if (!put_credential(blast, json_object_get(lease, "credentials"), json_array_get(list, i)))
            return false;
    if (is_late(entry))
        return true;
    return json_put(lease, "state", json_string(state->state)) &&
           (!state->has_credentials || copy(lease, "expires_at", entry, "lease_expires", NULL)) &&
           (!state->is_end || copy(lease, "ended_at", entry, "time", NULL));
}

/* Of a lease that has ended, or a token that was revoked by itself. */
static bool end_credentials(const struct blast *blast, const json_t *entry)
{
    const json_t *list = json_object_get(entry, "credentials");

    for (size_t i = 0; i < json_array_size(list); i++) {
        struct str id = json_str(json_object_get(json_array_get(list, i), "id"));
        json_t *credential =
            id.len > 0 ? json_object_getn(blast->by_credential, id.data, id.len) : NULL;

        if (credential && !copy(credential, "revoked_at", entry, "time", NULL))
            return false;
    }
    return true;
}

/* ---- what was tried ---- */

static bool count_denial(struct blast *blast, const json_t *entry)
{
    struct str stage = json_str(json_object_get(entry, "stage"));
    struct str reason = json_str(json_object_get(entry, "reason"));
    struct str key =
        arena_printf(blast->arena, STR_FMT " " STR_FMT, STR_ARG(stage), STR_ARG(reason));
    json_t *tried = json_object_getn(blast->by_reason, key.data, key.len);
    json_int_t count = json_integer_value(json_object_get(entry, "count"));

    if (!tried) {
        tried = json_object();
        if (json_array_append_new(blast->tried, tried) != 0 ||
            json_object_setn(blast->by_reason, key.data, key.len, tried) != 0 ||
            !copy(tried, "stage", entry, "stage", NULL) ||
            !copy(tried, "reason", entry, "reason", NULL))
            return false;
    }
    count = json_integer_value(json_object_get(tried, "count")) + (count > 1 ? count : 1);
    return json_put(tried, "count", json_integer(count)) &&
           copy(tried, "last", entry, "time", NULL) &&
           copy(tried, "last_decision", entry, "decision", NULL) &&
           copy(tried, "failed", entry, "failed", NULL);
}

/* ---- what is concerned ---- */

static bool note(json_t *set, const json_t *entry, const char *member)
{
    struct str name = json_str(json_object_get(entry, member));

    return name.len == 0 || json_object_setn_new(set, name.data, name.len, json_true()) == 0;
}

/* The latest last; each once. */
static bool note_policy(struct blast *blast, const json_t *entry)
{
    json_t *policy = json_object_get(entry, "policy");

    if (!policy)
        return true;
    for (size_t i = 0; i < json_array_size(blast->policies); i++)
        if (json_equal(json_array_get(blast->policies, i), policy))
            (void)json_array_remove(blast->policies, i--);
    if (json_array_size(blast->policies) == BLAST_POLICIES_MAX)
        (void)json_array_remove(blast->policies, 0);
    return json_array_append(blast->policies, policy) == 0;
}

static bool take_decision(struct blast *blast, const struct ledger_found *found)
{
    struct blast_request *request = &blast->requests[blast->request_count % BLAST_REQUESTS_MAX];

    *request = (struct blast_request){ found->item.index };
    blast->request_count++;
    return note(blast->pipelines, found->entry, "pipeline") &&
           note(blast->issuers, found->entry, "issuer") && note_policy(blast, found->entry);
}

static bool is_type(const json_t *entry, const char *type)
{
    return str_eq(json_str(json_object_get(entry, "type")), str_from(type));
}

static bool look_at(const struct ledger_found *found, void *context, struct error *error)
{
    struct blast *blast = context;
    const struct state *state = state_of(found->entry);
    struct joined joined;

    if (!blast->has_any) {
        blast->has_any = true;
        blast->first_index = found->item.index;
    }
    if (recorded_is_decision(found->entry) && !take_decision(blast, found))
        return blast_no_memory(error);
    if (is_type(found->entry, "exchange.denied"))
        return count_denial(blast, found->entry) || blast_no_memory(error);
    if (!state || state->is_end || !json_object_get(found->entry, "lease"))
        return true;
    return joined_make(found->entry, found->private_part, found->arena, &joined, error) &&
           open_lease(blast, found, joined.entry, error);
}

/* ---- what became of leases ---- */

/* Entries that end a lease do not name all that the query asks for: these are looked at by lease.
 */
static bool look_at_end(const struct ledger_found *found, void *context, struct error *error)
{
    struct blast *blast = context;
    struct str id = json_str(json_object_get(found->entry, "lease"));
    json_t *lease = id.len > 0 ? json_object_getn(blast->by_lease, id.data, id.len) : NULL;

    if (is_type(found->entry, "credential.revoked") && !end_credentials(blast, found->entry))
        return blast_no_memory(error);
    return !lease || put_state(blast, lease, found->entry) || blast_no_memory(error);
}

static bool find_ends(struct blast *blast, struct error *error)
{
    struct ledger_query ends = { 0 };
    struct ledger_scan scan = {
        .query = &ends, .what = "following", .each = look_at_end, .context = blast
    };
    struct ledger_item item;
    const json_t *entry;

    if (json_array_size(blast->leases) == 0)
        return true;
    if (!ledger_source_get(blast->options->ledger, blast->first_index, &item, error) ||
        !ledger_item_parse(&item, blast->arena, &entry, error))
        return false;
    ends.since_ms = ledger_entry_time_ms(entry);
    return ledger_scan_run(blast->options->ledger, &scan, error);
}

/* ---- sums ---- */

static bool settle_credential(json_t *credential, const json_t *lease, json_int_t *live,
                              const char **until)
{
    const char *expires = json_string_value(json_object_get(credential, "expires_at"));
    bool is_live = json_is_true(json_object_get(credential, "is_live")) &&
                   !json_object_get(credential, "revoked_at") &&
                   !str_eq(json_str(json_object_get(lease, "state")), STR("failed"));

    if (!json_put(credential, "is_live", json_boolean(is_live)))
        return false;
    *live += is_live;
    /* All times are of one form: they sort as text. */
    if (is_live && expires && (!*until || str_compare(str_from(expires), str_from(*until)) > 0))
        *until = expires;
    return true;
}

/* A lease that nobody ended has ended by itself. */
static bool settle_lease(const struct blast *blast, json_t *lease)
{
    const char *state = json_string_value(json_object_get(lease, "state"));
    const json_t *expires = json_object_get(lease, "expires_at");

    if (!state)
        return json_put(lease, "state", json_string("not known"));
    if (str_eq(str_from(state), STR("issued")) && expires && !is_ahead(blast, expires))
        return json_put(lease, "state", json_string("expired"));
    return true;
}

static bool sum_up(struct blast *blast)
{
    json_int_t credentials = 0;
    json_int_t live = 0;
    const char *until = NULL;
    json_t *counts = json_object();

    for (size_t i = 0; i < json_array_size(blast->leases); i++) {
        json_t *lease = json_array_get(blast->leases, i);
        json_t *list = json_object_get(lease, "credentials");

        if (!settle_lease(blast, lease))
            return false;
        credentials += (json_int_t)json_array_size(list);
        for (size_t k = 0; k < json_array_size(list); k++)
            if (!settle_credential(json_array_get(list, k), lease, &live, &until))
                return false;
    }
    return json_put(blast->report, "counts", counts) &&
           json_put(counts, "leases", json_integer((json_int_t)blast->lease_count)) &&
           json_put(counts, "requests", json_integer((json_int_t)blast->request_count)) &&
           json_put(counts, "credentials", json_integer(credentials)) &&
           json_put(counts, "live_credentials", json_integer(live)) &&
           (!until || json_put(blast->report, "until", json_string(until)));
}

/* ---- all of it ---- */

static json_t *keep(struct blast *blast, const char *name, json_t *take_value)
{
    return json_put(blast->report, name, take_value) ? take_value : NULL;
}

static json_t *keep_apart(struct blast *blast, struct error *error)
{
    json_t *object = json_object();

    return object && json_keep(blast->arena, object, error) ? object : NULL;
}

static bool make(struct blast *blast, struct error *error)
{
    blast->leases = keep(blast, "leases", json_array());
    blast->tried = keep(blast, "tried", json_array());
    blast->policies = keep(blast, "policies", json_array());
    blast->by_lease = keep_apart(blast, error);
    blast->by_credential = keep_apart(blast, error);
    blast->by_reason = keep_apart(blast, error);
    blast->pipelines = keep_apart(blast, error);
    blast->issuers = keep_apart(blast, error);
    return (blast->leases && blast->tried && blast->policies && blast->by_lease &&
            blast->by_credential && blast->by_reason && blast->pipelines && blast->issuers) ||
           blast_no_memory(error);
}

bool blast_find(const struct blast_options *options, struct arena *arena, json_t **report,
                struct error *error)
{
    JSON_OWNED json_t *made = json_object();
    struct blast *blast = arena_alloc(arena, sizeof(*blast));
    struct ledger_scan scan = { .query = options->query,
                                .wants_private = ledger_source_facts(options->ledger)->has_private,
                                .what = "searching",
                                .each = look_at,
                                .context = blast };

    if (!blast || !made)
        return blast_no_memory(error);
    *blast = (struct blast){ .options = options, .arena = arena, .report = made };
    if (!make(blast, error) || !ledger_scan_run(options->ledger, &scan, error) ||
        !find_ends(blast, error))
        return false;
    ledger_scan_report(&scan);
    if (!sum_up(blast))
        return blast_no_memory(error);
    if (!blast_find_possible(blast, error))
        return false;
    *report = TAKE(made);
    return true;
}
