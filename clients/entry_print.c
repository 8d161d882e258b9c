#include "clients/entry_print.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "clients/ledger_source.h"
#include "clients/report.h"
#include "store/store.h"

static const struct json_limits entry_limits = { (size_t)64 * 1024, 32, 4096 };

/* What a line says of an entry, besides index, time and type; in this order. */
static const char *const columns[] = { "stage", "issuer", "lease", "reason", "code", "outcome" };

/* Names that a list holds, or that are members of what it holds; a stage's own token has none. */
static void print_names(const char *title, const json_t *list, const char *member)
{
    const char *separator = "=";

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        struct str name = json_str(member ? json_object_get(item, member) : item);

        if (name.len == 0)
            continue;
        (void)printf("%s%s", separator[0] == '=' ? title : "", separator);
        print_clean(stdout, name);
        separator = ",";
    }
}

/* What a shadow policy would have decided. */
static void print_shadow(const json_t *shadow)
{
    struct str outcome = json_str(json_object_get(shadow, "outcome"));

    if (outcome.len == 0)
        return;
    (void)fputs(" shadow=", stdout);
    print_clean(stdout, outcome);
    print_names(" shadow_failed", json_object_get(shadow, "failed"), NULL);
    print_names(" shadow_grants", json_object_get(shadow, "grants"), NULL);
}

void entry_print_line(const struct ledger_item *item)
{
    struct error error = { 0 };
    JSON_OWNED json_t *entry = NULL;

    (void)printf("%8" PRIu64 "  ", item->index);
    if (store_entry_is_pruned(item->entry)) {
        (void)puts("pruned");
        return;
    }
    if (!json_parse_object(item->entry, entry_limits, &entry, &error)) {
        (void)printf("does not parse: %s\n", error.cause);
        return;
    }
    print_clean(stdout, json_str(json_object_get(entry, "time")));
    (void)fputs("  ", stdout);
    print_clean(stdout, json_str(json_object_get(entry, "type")));
    for (size_t i = 0; i < COUNT(columns); i++) {
        struct str text = json_str(json_object_get(entry, columns[i]));

        if (text.len == 0)
            continue;
        (void)printf(" %s=", columns[i]);
        print_clean(stdout, text);
    }
    print_names(" failed", json_object_get(entry, "failed"), NULL);
    print_names(" grants", json_object_get(entry, "credentials"), "grant");
    print_shadow(json_object_get(entry, "shadow"));
    (void)putchar('\n');
}

/* A folder can be anybody's: a terminal gets its text cleaned, and a file its bytes. */
static void print_bytes(struct str json)
{
    if (!isatty(STDOUT_FILENO))
        (void)fwrite(json.data, 1, json.len, stdout); /* report_finish() asks once for all */
    else if (!print_clean_json_text(stdout, json))
        (void)fputs("null", stdout);
}

void entry_print_json(const struct ledger_item *item)
{
    if (store_entry_is_pruned(item->entry)) {
        (void)printf("{\"index\":%" PRIu64 ",\"pruned\":true}\n", item->index);
        return;
    }
    (void)printf("{\"index\":%" PRIu64 ",\"entry\":", item->index);
    print_bytes(item->entry);
    if (item->private_part.len > 0) {
        (void)fputs(",\"private\":", stdout);
        print_bytes(item->private_part);
    } else if (item->private_part.data) {
        (void)fputs(",\"erased\":true", stdout);
    }
    (void)fputs("}\n", stdout);
}
