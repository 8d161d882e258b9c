#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "clients/ledger_source.h"
#include "clients/recorded.h"

#define ID_MAX 64

/* What is looked for, and what was found. */
struct finding {
    struct str decision;
    struct arena *arena;
    const json_t *entry;
    uint64_t index;
};

static bool holds(struct str bytes, struct str text)
{
    for (size_t i = 0; i + text.len <= bytes.len; i++)
        if (memcmp(bytes.data + i, text.data, text.len) == 0)
            return true;
    return false;
}

/* Whether an entry is the one; few are even parsed. */
static bool look_at(const struct ledger_item *item, void *context, struct error *error)
{
    struct finding *finding = context;
    struct error ignored = { 0 };
    const json_t *entry = NULL;

    (void)error;
    if (!holds(item->entry, finding->decision) ||
        !ledger_item_parse(item, finding->arena, &entry, &ignored) ||
        !recorded_is_decision(entry) ||
        !str_eq(json_str(json_object_get(entry, "decision")), finding->decision))
        return true;
    finding->entry = entry;
    finding->index = item->index;
    return false;
}

bool recorded_find(struct ledger_source *ledger, struct str decision, struct arena *arena,
                   const json_t **entry, const json_t **private_part, struct error *error)
{
    struct finding finding = { .decision = decision, .arena = arena };
    const struct ledger_walk all = {
        .to = UINT64_MAX, .what = "searching", .each = look_at, .context = &finding
    };
    struct ledger_item item;

    if (decision.len == 0 || decision.len > ID_MAX)
        return error_set(error, ERROR_USAGE, "that is no decision's id");
    if (!ledger_source_walk(ledger, &all, error))
        return false;
    if (!finding.entry)
        return error_set(error, ERROR_NOT_FOUND, "no request of decision " STR_FMT " in %s",
                         STR_ARG(decision), ledger_source_facts(ledger)->name);
    ledger_source_want_private(ledger);
    if (!ledger_source_get(ledger, finding.index, &item, error))
        return false;
    *entry = finding.entry;
    *private_part = ledger_item_private(&item, arena);
    return true;
}
