/* Source: "CEF and syslog" of the formats' descriptions: escapes differ in header and extension. */
#include <inttypes.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/utf8.h"
#include "clients/export_form.h"
#include "clients/ledger_filter.h"
#include "clients/ledger_source.h"
#include "ledger/entry.h"

#define VALUE_MAX ((size_t)1023) /* bytes: some receivers cut there */

/* Of entries' types, what a receiver sorts by. */
static const struct type {
    const char *name;
    const char *act;
    const char *outcome;
    int severity;
} types[] = {
    { "credential.issued", "issue", "success", 3 },
    { "lease.requested", "request", "pending", 2 },
    { "exchange.denied", "issue", "failure", 5 },
    { "approval.requested", "request", "pending", 3 },
    { "approval.granted", "approve", "success", 4 },
    { "approval.rejected", "approve", "failure", 4 },
    { "approval.refused", "approve", "failure", 6 },
    { "credential.failed", "issue", "failure", 5 },
    { "credential.unknown", "issue", "unknown", 7 },
    { "credential.revoked", "revoke", "success", 4 },
    { "renewal.requested", "renew", "pending", 2 },
    { "renewal.failed", "renew", "failure", 5 },
    { "lease.renewed", "renew", "success", 2 },
    { "lease.released", "release", "success", 1 },
    { "exchange.observed", "observe", "success", 1 },
    { "policy.activated", "change", "success", 5 },
    { "keys.rotated", "change", "success", 4 },
    { "issuer.keys_changed", "change", "success", 4 },
    { "broker.started", "start", "success", 3 },
    { "admin.read", "read", "success", 2 },
    { "admin.erased", "erase", "success", 4 },
    { "admin.pruned", "prune", "success", 2 },
    { "admin.reviewed", "review", "success", 3 },
    { "admin.blocked", "block", "success", 5 },
    { "admin.unblocked", "unblock", "success", 5 },
};

static const struct type other = { "", "other", "success", 3 };

static const struct type *type_of(const json_t *entry)
{
    for (size_t i = 0; i < COUNT(types); i++)
        if (str_eq(json_str(json_object_get(entry, "type")), str_from(types[i].name)))
            return &types[i];
    return &other;
}

/* One character of a value; `special` are those that get a backslash. */
static void add_character(struct buf *out, struct str bytes, uint32_t character,
                          const char *special)
{
    if (character == '\n' || character == '\r') {
        buf_add_text(out, character == '\n' ? "\\n" : "\\r");
        return;
    }
    if (!utf8_is_plain(character)) {
        buf_add_byte(out, ' ');
        return;
    }
    if (bytes.len == 1 && str_is_made_of(bytes, special))
        buf_add_byte(out, '\\');
    buf_add(out, bytes);
}

static void add_escaped(struct buf *out, struct str text, const char *special)
{
    size_t start = out->len;

    while (text.len > 0 && out->len - start < VALUE_MAX - 4) {
        struct str rest = text;
        uint32_t character = 0;

        if (!utf8_take(&rest, &character))
            rest = str_slice(text, 1, text.len); /* and it is a blank */
        add_character(out, str_slice(text, 0, text.len - rest.len), character, special);
        text = rest;
    }
}

static void add_field(struct buf *out, const char *key, struct str value)
{
    if (value.len == 0)
        return;
    buf_printf(out, " %s=", key);
    add_escaped(out, value, "\\=");
}

static void add_labelled(struct buf *out, const char *key, const char *label, struct str value)
{
    if (value.len == 0)
        return;
    buf_printf(out, " %sLabel=%s", key, label);
    add_field(out, key, value);
}

static void add_header(const struct export_context *context, const struct ledger_found *found,
                       const json_t *entry, const struct type *type, struct buf *out)
{
    struct str reason = json_str(json_object_get(entry, "reason"));
    int severity = str_eq(reason, STR("replay")) ? 8 : type->severity;

    buf_add_text(out, "CEF:0|Stagepass|stagepass|");
    add_escaped(out, str_from(context->version), "\\|");
    buf_add_byte(out, '|');
    add_escaped(out, json_str(json_object_get(entry, "type")), "\\|");
    buf_add_byte(out, '|');
    add_escaped(out, export_type_words(entry, found->arena), "\\|");
    buf_printf(out, "|%d|", severity);
}

static struct str leaf(const struct export_context *context, const struct ledger_found *found)
{
    return arena_printf(found->arena, STR_FMT "#%" PRIu64, STR_ARG(context->origin),
                        found->item.index);
}

/* Digests of personal values are of no use to a receiver. */
static struct str disclosed(struct str value)
{
    return entry_is_digest(value) ? STR("") : value;
}

static void write(const struct export_context *context, const struct ledger_found *found,
                  const json_t *entry, struct buf *out)
{
    const struct type *type = type_of(entry);
    struct str lease = json_str(json_object_get(entry, "lease"));
    const json_t *credentials = json_object_get(entry, "credentials");

    add_header(context, found, entry, type, out);
    buf_printf(out, "rt=%" PRId64, ledger_entry_time_ms(entry));
    add_field(out, "src", disclosed(export_text(entry, "facts", "address")));
    add_field(out, "suser", json_str(json_object_get(entry, "subject")));
    add_field(out, "suid", disclosed(export_text(entry, "ci", "actor_id")));
    add_field(out, "act", str_from(type->act));
    add_field(out, "outcome", str_from(type->outcome));
    add_field(out, "reason", json_str(json_object_get(entry, "reason")));
    add_field(out, "externalId",
              lease.len > 0 ? lease : json_str(json_object_get(entry, "decision")));
    add_field(out, "cat", json_str(json_object_get(entry, "kind")));
    add_field(out, "deviceExternalId", json_str(json_object_get(entry, "broker")));
    add_labelled(out, "cs1", "stage", json_str(json_object_get(entry, "stage")));
    add_labelled(out, "cs2", "credentialId", export_list(credentials, "id", found->arena));
    add_labelled(out, "cs3", "leaf", leaf(context, found));
    add_labelled(out, "cs4", "policy", json_str(json_object_get(entry, "policy")));
    add_labelled(out, "cs5", "run",
                 arena_printf(found->arena, STR_FMT "%s" STR_FMT,
                              STR_ARG(export_text(entry, "ci", "repository")),
                              export_text(entry, "ci", "run").len > 0 ? "#" : "",
                              STR_ARG(export_text(entry, "ci", "run"))));
    add_labelled(out, "cs6", "owner", json_str(json_object_get(entry, "owner")));
    add_field(out, "msg", export_list(json_object_get(entry, "failed"), NULL, found->arena));
    buf_add_byte(out, '\n');
}

const struct export_form export_cef = { "cef", NULL, write };
