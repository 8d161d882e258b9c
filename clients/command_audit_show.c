#include <inttypes.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "base/id.h"
#include "base/json.h"
#include "clients/command.h"
#include "clients/joined.h"
#include "clients/ledger_filter.h"
#include "clients/ledger_source.h"
#include "clients/paint.h"
#include "clients/receipt.h"
#include "clients/report.h"
#include "ledger/entry.h"

#define ARENA_MAX ((size_t)16 * 1024 * 1024)
#define FOUND_MAX 64 /* entries of one lease */

struct values {
    struct ledger_source_options ledger;
    const char *receipt;
    bool has_digests;
    size_t output;
};

static const struct option_row rows[] = {
    { .name = "receipt",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .help = "Also write the entry's receipt there, for `audit verify --against`: of one entry",
      .offset = offsetof(struct values, receipt) },
    { .name = "digests",
      .kind = OPTION_FLAG,
      .help = "Leave personal values as the digests that stand in the entry",
      .offset = offsetof(struct values, has_digests) },
    OUTPUT_ROW(struct values,
               "json: a list, with each entry's leaf hash, and its text as it was hashed"),
};

/* What is shown of one entry. In the arena of the showing. */
struct shown {
    uint64_t index;
    bool is_erased;
    struct str text; /* as it was hashed */
    struct joined joined;
    struct merkle_hash leaf;
};

struct showing {
    const struct values *values;
    struct ledger_source *source;
    struct arena *arena;
    struct str id; /* of a lease or decision; empty: an index was given */
    struct shown list[FOUND_MAX];
    size_t count;
    bool is_cut; /* there are more */
};

/* ---- finding ---- */

static bool add(struct showing *showing, uint64_t index, struct error *error)
{
    struct shown *shown = &showing->list[showing->count];
    struct ledger_item item;
    const json_t *entry;

    if (!(showing->values->has_digests
              ? ledger_source_get(showing->source, index, &item, error)
              : ledger_source_get_with_private(showing->source, index, &item, error)) ||
        !ledger_item_parse(&item, showing->arena, &entry, error))
        return false;
    *shown = (struct shown){ .index = index,
                             .text = arena_copy(showing->arena, item.entry),
                             .leaf = entry_leaf(item.entry) };
    if (!shown->text.data)
        return error_set(error, ERROR_MEMORY, "no memory for an entry");
    shown->is_erased = item.private_part.data && item.private_part.len == 0;
    showing->count++;
    return joined_make(entry, ledger_item_private(&item, showing->arena), showing->arena,
                       &shown->joined, error);
}

/* A token of the lease that was revoked alone stands in an entry that is not the lease's. */
static bool names_token_of(const json_t *entry, struct str lease)
{
    const json_t *credentials = json_object_get(entry, "credentials");

    for (size_t i = 0; i < json_array_size(credentials); i++)
        if (str_eq(json_str(json_object_get(json_array_get(credentials, i), "lease")), lease))
            return true;
    return false;
}

static bool is_of(const struct ledger_found *found, struct str id)
{
    return str_eq(json_str(json_object_get(found->entry, "lease")), id) ||
           str_eq(json_str(json_object_get(found->entry, "decision")), id) ||
           names_token_of(found->entry, id);
}

static bool look_at(const struct ledger_found *found, void *context, struct error *error)
{
    struct showing *showing = context;

    if (!is_of(found, showing->id))
        return true;
    if (showing->count == FOUND_MAX) {
        showing->is_cut = true;
        return false;
    }
    return add(showing, found->item.index, error);
}

static bool find_by_id(struct showing *showing, struct error *error)
{
    struct ledger_scan scan = { .what = "searching", .each = look_at, .context = showing };

    if (!ledger_scan_run(showing->source, &scan, error))
        return false;
    ledger_scan_report(&scan);
    return showing->count > 0 ||
           error_set(error, ERROR_NOT_FOUND, "no entry of lease or decision " STR_FMT " in %s",
                     STR_ARG(showing->id), ledger_source_facts(showing->source)->name);
}

static bool find(struct showing *showing, const char *operand, struct error *error)
{
    struct str text = str_from(operand);
    int64_t index = 0;

    if (str_is_made_of(text, "0123456789") && text.len > 0 && text.len < ID_LEN) {
        if (!str_to_int64(text, &index))
            return error_set(error, ERROR_USAGE, "'%s' is no index", operand);
        return add(showing, (uint64_t)index, error);
    }
    if (!id_is_valid(text))
        return error_set(error, ERROR_USAGE,
                         "expected an entry's index, or the id of a lease or a decision (%d "
                         "characters)",
                         ID_LEN);
    showing->id = text;
    return find_by_id(showing, error);
}

/* ---- the receipt ---- */

static bool write_receipt(const struct showing *showing, struct error *error)
{
    OWNED(buf_release) struct buf proof = { 0 };
    OWNED(buf_release) struct buf text = { 0 };
    JSON_OWNED json_t *json = json_object();

    if (showing->count != 1)
        return error_set(error, ERROR_USAGE,
                         "--receipt is of one entry, and these are %zu: give its index",
                         showing->count);
    buf_init(&proof, RECEIPT_BYTES_MAX);
    buf_init(&text, 2 * RECEIPT_BYTES_MAX);
    if (!ledger_source_prove(showing->source, showing->list[0].index, &proof, error))
        return false;
    if (!json_put(json, "entry", json_from_str(showing->list[0].text)) ||
        !json_put(json, "proof", json_from_str(buf_str(&proof))))
        return error_set(error, ERROR_MEMORY, "no memory for a receipt");
    buf_add_json(&text, json);
    buf_add_byte(&text, '\n');
    if (!buf_is_ok(&text))
        return error_set(error, ERROR_MEMORY, "no memory for a receipt");
    return file_replace(showing->values->receipt, buf_str(&text), 0644, error);
}

/* ---- printing ---- */

static struct str leaf_text(const struct shown *shown, struct arena *arena)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, 64);
    buf_add_base64(&text, (struct str){ (const char *)shown->leaf.bytes, MERKLE_HASH_LEN });
    return arena_copy(arena, buf_str(&text));
}

static void print_one(const struct showing *showing, const struct shown *shown)
{
    const struct joined *joined = &shown->joined;

    (void)printf("entry %" PRIu64 ", leaf " STR_FMT "\n", shown->index,
                 STR_ARG(leaf_text(shown, showing->arena)));
    (void)print_clean_json(stdout, joined->entry); /* report_finish() asks once for all */
    if (joined->disclosed_count > 0)
        (void)printf("%zu personal values are joined in: the entry itself has their digests\n",
                     joined->disclosed_count);
    if (joined->hidden_count > joined->false_count && !showing->values->has_digests)
        (void)printf("%zu personal values %s\n", joined->hidden_count - joined->false_count,
                     shown->is_erased ? "were erased" : "are not to be had here");
    if (joined->false_count > 0)
        (void)printf("%zu PRIVATE VALUES ARE FALSE: they are not what the digests stand for\n",
                     joined->false_count);
}

static int print_text(const struct showing *showing)
{
    for (size_t i = 0; i < showing->count; i++) {
        if (i > 0)
            (void)putchar('\n');
        print_one(showing, &showing->list[i]);
    }
    if (showing->is_cut)
        (void)printf("\nand more: these are the first %d\n", FOUND_MAX);
    print_clean(stdout, ledger_source_say_proof(showing->source, showing->arena));
    (void)putchar('\n');
    return report_finish();
}

static bool put_one(const struct showing *showing, const struct shown *shown, json_t *list)
{
    json_t *object = json_object();

    return json_array_append_new(list, object) == 0 &&
           json_put(object, "index", json_integer((json_int_t)shown->index)) &&
           json_put(object, "leaf_hash", json_from_str(leaf_text(shown, showing->arena))) &&
           json_put(object, "hashed", json_from_str(shown->text)) &&
           json_put(object, "entry", json_incref(json_iterable(shown->joined.entry))) &&
           json_put(object, "disclosed", json_integer((json_int_t)shown->joined.disclosed_count)) &&
           json_put(object, "hidden", json_integer((json_int_t)shown->joined.hidden_count)) &&
           json_put(object, "false", json_integer((json_int_t)shown->joined.false_count));
}

static int print_json(const struct showing *showing)
{
    JSON_OWNED json_t *json = json_object();
    json_t *list = json_array();
    bool is_put = json_put(json, "entries", list);

    for (size_t i = 0; is_put && i < showing->count; i++)
        is_put = put_one(showing, &showing->list[i], list);
    if (!is_put || !json_put(json, "ledger", ledger_source_json(showing->source)) ||
        !json_put(json, "is_cut", json_boolean(showing->is_cut)))
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    return report_json(json);
}

/* ---- the command ---- */

static int run(const void *given, const struct operands *operands)
{
    OWNED(ledger_source_close) struct ledger_source *source = NULL;
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    const struct values *values = given;
    struct showing showing = { .values = values, .arena = arena };
    struct error error = { 0 };
    int failure;

    if (!arena)
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    if (!ledger_source_open(&values->ledger, &source, &error))
        return report_failure(&error);
    showing.source = source;
    if (!find(&showing, operands->items[0], &error) ||
        (values->receipt && !write_receipt(&showing, &error)))
        return report_failure(&error);
    failure = values->output == OUTPUT_JSON ? print_json(&showing) : print_text(&showing);
    for (size_t i = 0; failure == 0 && i < showing.count; i++)
        if (showing.list[i].joined.false_count > 0)
            failure = error_kind(ERROR_INVALID)->exit_code;
    return failure;
}

const struct command command_audit_show = {
    .group = "audit",
    .name = "show",
    .operands = "INDEX|LEASE|DECISION",
    .summary = "Show an entry, or all of a lease or a decision",
    .description =
        "Shows entries in full, with the personal values that their digests stand for where they\n"
        "are to be had; each is held against its digest. --receipt writes what proves an entry to\n"
        "anybody: `stagepass audit verify --against FILE` takes it. Exit code 1 where a private\n"
        "value was changed.",
    .groups = { OPTION_GROUP(ledger_source_option_rows, offsetof(struct values, ledger)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
