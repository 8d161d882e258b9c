/*
 * A table of what people sort and filter by. All cells are quoted, so that none begins another one.
 *
 * Source: RFC 4180
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/json.h"
#include "clients/escape.h"
#include "clients/export_form.h"
#include "clients/ledger_filter.h"

/* What stands in a column: a member, or a member of one; a list is joined by spaces. */
static const struct column {
    const char *title;
    const char *outer;
    const char *inner;
} columns[] = {
    { "time", "time", NULL },
    { "type", "type", NULL },
    { "decision", "decision", NULL },
    { "lease", "lease", NULL },
    { "lease_expires", "lease_expires", NULL },
    { "reason", "reason", NULL },
    { "failed", "failed", NULL },
    { "outcome", "outcome", NULL },
    { "pipeline", "pipeline", NULL },
    { "stage", "stage", NULL },
    { "kind", "kind", NULL },
    { "environment", "environment", NULL },
    { "tenant", "tenant", NULL },
    { "owner", "owner", NULL },
    { "issuer", "issuer", NULL },
    { "subject", "subject", NULL },
    { "repository", "ci", "repository" },
    { "repository_id", "ci", "repository_id" },
    { "run", "ci", "run" },
    { "attempt", "ci", "attempt" },
    { "commit", "ci", "commit" },
    { "ref", "ci", "ref" },
    { "workflow", "ci", "workflow" },
    { "actor", "ci", "actor" },
    { "address", "facts", "address" },
    { "proof_key", "facts", "jkt" },
    { "kid", "token", "kid" },
    { "grants", "credentials", "grant" },
    { "targets", "credentials", "target" },
    { "credential_types", "credentials", "type" },
    { "credential_ids", "credentials", "id" },
    { "policy", "policy", NULL },
    { "rule", "rule", NULL },
    { "count", "count", NULL },
    { "detail", "detail", NULL },
    { "broker", "broker", NULL },
};

static void head(struct buf *out)
{
    escape_csv_cell(STR("index"), out);
    for (size_t i = 0; i < COUNT(columns); i++) {
        buf_add_byte(out, ',');
        escape_csv_cell(str_from(columns[i].title), out);
    }
    buf_add_text(out, "\r\n");
}

static void write(const struct export_context *context, const struct ledger_found *found,
                  const json_t *entry, struct buf *out)
{
    (void)context;
    buf_printf(out, "\"%" PRIu64 "\"", found->item.index);
    for (size_t i = 0; i < COUNT(columns); i++) {
        const json_t *outer = json_object_get(entry, columns[i].outer);
        struct str text = json_is_array(outer)
                              ? export_list(outer, columns[i].inner, found->arena)
                              : export_text(entry, columns[i].outer, columns[i].inner);

        if (json_is_integer(outer))
            text = arena_printf(found->arena, "%" JSON_INTEGER_FORMAT, json_integer_value(outer));
        buf_add_byte(out, ',');
        escape_csv_cell(text, out);
    }
    buf_add_text(out, "\r\n");
}

const struct export_form export_csv = { "csv", head, write };
