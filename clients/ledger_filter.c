#include "clients/ledger_filter.h"

#include <inttypes.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "clients/report.h"
#include "ledger/entry.h"

#define ENTRY_ARENA_MAX ((size_t)4 * 1024 * 1024)

#define ROW(field, word, shown, text)                                                              \
    {                                                                                              \
        .name = (word), .kind = OPTION_LIST, .value = (shown), .help = (text),                     \
        .offset = offsetof(struct ledger_filter_options, fields) +                                 \
                  LEDGER_FIELD_##field * sizeof(struct option_list)                                \
    }

const struct option_row ledger_filter_option_rows[] = {
    { .name = "since",
      .kind = OPTION_TEXT,
      .value = "TIME",
      .help = "Entries of that time and later: 2026-11-22T10:00:00Z, 2026-11-22, or 90d before now",
      .offset = offsetof(struct ledger_filter_options, since) },
    { .name = "until",
      .kind = OPTION_TEXT,
      .value = "TIME",
      .help = "Entries before that time",
      .offset = offsetof(struct ledger_filter_options, until) },
    { .name = "text",
      .kind = OPTION_TEXT,
      .value = "TEXT",
      .help = "With this in any text of theirs, whatever its case",
      .offset = offsetof(struct ledger_filter_options, text) },
    ROW(TYPE, "type", "TYPE", "Such entries: credential.issued ...; may be repeated, as all below"),
    ROW(PIPELINE, "pipeline", "NAME", "Of a pipeline"),
    ROW(STAGE, "stage", "STAGE", "Of a stage, as PIPELINE:STAGE"),
    ROW(TENANT, "tenant", "NAME", "Of a tenant"),
    ROW(OWNER, "owner", "NAME", "Of the pipelines of an owner"),
    ROW(GRANT, "grant", "NAME", "With a grant of that name"),
    ROW(TARGET, "target", "NAME", "For a target"),
    ROW(ENVIRONMENT, "environment", "NAME", "Of stages of an environment"),
    ROW(ISSUER, "issuer", "NAME", "Of an issuer"),
    ROW(SUBJECT, "subject", "SUB", "Of the token's sub"),
    ROW(REPOSITORY, "repository", "NAME|ID", "Of a repository"),
    ROW(RUN, "run", "ID", "Of the CI system's run"),
    ROW(COMMIT, "commit", "HASH", "Of a commit"),
    ROW(ACTOR, "actor", "NAME|ID", "Started by, or acted for by; needs private parts"),
    ROW(ADDRESS, "address", "IP|NETWORK", "From an address or a range; needs private parts"),
    ROW(DECISION, "decision", "ID", "Of a decision"),
    ROW(LEASE, "lease", "ID", "Of a lease"),
    ROW(CREDENTIAL, "credential", "ID",
        "With a credential of that public id: jti, serial, access key id"),
    ROW(REASON, "reason", "WORD", "Refused, or failed, because of that"),
    ROW(POLICY, "policy", "sha256:HEX", "Decided by a policy"),
    ROW(KID, "kid", "KID", "Of a token signed with that key"),
    ROW(PROOF_KEY, "proof-key", "THUMBPRINT", "With a proof of that key or certificate"),
};
_Static_assert(COUNT(ledger_filter_option_rows) == LEDGER_FILTER_OPTION_COUNT,
               "as many as LEDGER_FILTER_OPTION_COUNT says");

/* ---- reading ---- */

bool ledger_filter_add(struct ledger_query *query, const char *name, const char *value,
                       int64_t now_ms, struct error *error)
{
    struct error why = { 0 };

    return query_add_value(query, str_from(name), str_from(value), now_ms, &why) ||
           error_set(error, ERROR_USAGE, "--%s: %s", name, why.cause);
}

bool ledger_filter_read(const struct ledger_filter_options *options, int64_t now_ms,
                        struct ledger_query *query, struct error *error)
{
    *query = (struct ledger_query){ 0 };
    if ((options->since && !ledger_filter_add(query, "since", options->since, now_ms, error)) ||
        (options->until && !ledger_filter_add(query, "until", options->until, now_ms, error)) ||
        (options->text && !ledger_filter_add(query, "text", options->text, now_ms, error)))
        return false;
    for (size_t i = 0; i < LEDGER_FIELD_COUNT; i++)
        for (size_t k = 0; k < options->fields[i].count; k++)
            if (!ledger_filter_add(query, query_field((enum ledger_field)i)->name,
                                   options->fields[i].items[k], now_ms, error))
                return false;
    return true;
}

/* ---- looking through ---- */

struct scanning {
    struct ledger_source *source;
    struct ledger_scan *scan;
    struct ledger_query open; /* what can be told without private parts */
    bool asks_private;        /* of each entry that fits in that */
    bool asks_subject;        /* which is behind a digest in some entries, see put_subject() */
};

/* Digests are in the entry itself: they can be asked for anywhere. */
static bool asks_value(const struct ledger_query *query, enum ledger_field field)
{
    const struct query_values *values = &query->fields[field];

    for (size_t i = 0; i < values->count; i++)
        if (!entry_is_digest(values->values[i]))
            return true;
    return false;
}

/* For what is behind a digest in all entries. */
static bool asks_personal(const struct ledger_query *query)
{
    return asks_value(query, LEDGER_FIELD_ACTOR) || asks_value(query, LEDGER_FIELD_ADDRESS);
}

bool ledger_filter_check(const struct ledger_query *query, const struct ledger_source *source,
                         struct error *error)
{
    const struct ledger_facts *facts = ledger_source_facts(source);

    return !asks_personal(query) || facts->has_private ||
           error_set(error, ERROR_USAGE,
                     "%s has no private parts: nothing can be found there by --actor or --address",
                     facts->name);
}

static bool hides_subject(const struct scanning *scanning, const json_t *entry)
{
    return scanning->asks_subject && entry_is_digest(json_str(json_object_get(entry, "subject")));
}

static bool has_private(const struct scanning *scanning)
{
    return ledger_source_facts(scanning->source)->has_private;
}

/* The entry once more, with its private part: of a broker that is a request of its own. */
static bool join_private(struct scanning *scanning, struct ledger_found *found, struct error *error)
{
    if (!scanning->asks_private &&
        !(hides_subject(scanning, found->entry) && has_private(scanning)))
        return true;
    if (!ledger_source_get_with_private(scanning->source, found->item.index, &found->item, error))
        return false;
    found->private_part = ledger_item_private(&found->item, found->arena);
    return true;
}

static bool look_at(struct scanning *scanning, struct ledger_found *found, struct error *error)
{
    struct ledger_scan *scan = scanning->scan;
    struct error why = { 0 };

    if (store_entry_is_pruned(found->item.entry)) {
        scan->pruned_count++;
        return true;
    }
    if (!ledger_item_parse(&found->item, found->arena, &found->entry, &why)) {
        scan->skipped_count++;
        return why.code == ERROR_INVALID || error_set(error, why.code, "%s", why.cause);
    }
    if (!query_matches(&scanning->open, found->entry, NULL))
        return true;
    if (!join_private(scanning, found, error))
        return false;
    if (scan->query && !query_matches(scan->query, found->entry, found->private_part)) {
        if (hides_subject(scanning, found->entry) && !has_private(scanning))
            scan->hidden_count++;
        return true;
    }
    if (!scan->wants_private)
        found->private_part = NULL;
    return scan->each(found, scan->context, error);
}

static bool look_at_item(const struct ledger_item *item, void *context, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(ENTRY_ARENA_MAX);
    struct ledger_found found = { .item = *item, .arena = arena };
    const struct scanning *scanning = context;
    struct merkle_hash leaf;

    if (scanning->scan->frontier) {
        leaf = entry_leaf(item->entry);
        merkle_frontier_add(scanning->scan->frontier, &leaf);
    }
    if (!arena)
        return error_set(error, ERROR_MEMORY, "no memory for an entry");
    return look_at(context, &found, error);
}

static bool find_bounds(struct ledger_source *source, const struct ledger_query *query,
                        struct ledger_walk *walk, struct error *error)
{
    uint64_t start = 0;
    uint64_t end;

    if (query->since_ms > 0 && !ledger_source_find_time(source, query->since_ms, &start, error))
        return false;
    if (start > walk->from)
        walk->from = start;
    if (query->until_ms == 0)
        return true;
    if (!ledger_source_find_time(source, query->until_ms, &end, error))
        return false;
    if (end < walk->to)
        walk->to = end;
    return true;
}

bool ledger_scan_run(struct ledger_source *source, struct ledger_scan *scan, struct error *error)
{
    struct scanning scanning = { .source = source, .scan = scan };
    struct ledger_walk walk = { .from = scan->from,
                                .to = scan->to > 0 ? scan->to : UINT64_MAX,
                                .what = scan->what,
                                .each = look_at_item,
                                .context = &scanning };

    scan->skipped_count = 0;
    scan->pruned_count = 0;
    scan->hidden_count = 0;
    scanning.asks_private = scan->wants_private;
    if (scan->query) {
        scanning.open = *scan->query;
        scanning.open.text = STR("");
        for (size_t i = 0; i < LEDGER_FIELD_COUNT; i++)
            if (query_field((enum ledger_field)i)->is_personal)
                scanning.open.fields[i].count = 0;
        scanning.asks_subject = asks_value(scan->query, LEDGER_FIELD_SUBJECT);
        scanning.asks_private =
            scan->wants_private || asks_personal(scan->query) || scan->query->text.len > 0;
        if (!ledger_filter_check(scan->query, source, error) ||
            (!scan->frontier && !find_bounds(source, scan->query, &walk, error)))
            return false;
    }
    return ledger_source_walk(source, &walk, error);
}

void ledger_scan_report(const struct ledger_scan *scan)
{
    if (scan->pruned_count > 0)
        report_line("%" PRIu64 " entries were pruned: nobody can tell any more what they said",
                    scan->pruned_count);
    if (scan->hidden_count > 0)
        report_line("%" PRIu64 " %s subject behind a digest: only where private parts are can "
                    "be told whose it is",
                    scan->hidden_count,
                    report_word(scan->hidden_count, "entry that else fits has its",
                                "entries that else fit have their"));
    if (scan->skipped_count > 0)
        report_line("%" PRIu64
                    " entries are not what a broker writes, and were skipped: `stagepass "
                    "audit verify` says more",
                    scan->skipped_count);
}
