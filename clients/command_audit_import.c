#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/error.h"
#include "clients/command.h"
#include "clients/ledger_source.h"
#include "clients/report.h"
#include "ledger/import.h"

struct values {
    struct ledger_source_options ledger;
    const char *to;
    const char *to_dsn;
};

static const struct option_row rows[] = {
    { .name = "to",
      .kind = OPTION_TEXT,
      .value = "FOLDER|URL",
      .help = "The new store: a folder, or postgresql://user@host/database without a password",
      .offset = offsetof(struct values, to) },
    { .name = "to-dsn",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .help = "Instead: a file of mode 0600 whose first line names the database, with its password",
      .offset = offsetof(struct values, to_dsn) },
};

struct importing {
    struct ledger_source *source;
    struct ledger_import *import;
    uint64_t private_count;
};

static bool is_url(const char *text)
{
    return strncmp(text, "postgresql://", 13) == 0 || strncmp(text, "postgres://", 11) == 0;
}

static bool check_target(const struct values *values, struct error *error)
{
    return (values->to != NULL) != (values->to_dsn != NULL) ||
           error_set(error, ERROR_USAGE, "it needs one of --to and --to-dsn: the new store");
}

/* A selection is no ledger. */
static bool check_source(struct importing *importing, struct error *error)
{
    const struct ledger_facts *facts = ledger_source_facts(importing->source);

    if (facts->kind == LEDGER_EXPORT && !facts->is_proven)
        return error_set(error, ERROR_USAGE,
                         "%s is a selection, or proves nothing: a whole ledger is imported",
                         facts->name);
    if (facts->has_private)
        ledger_source_want_private(importing->source);
    return true;
}

static bool open_target(const struct values *values, struct importing *importing,
                        struct error *error)
{
    const struct ledger_import_options options = {
        .store = values->to != NULL && !is_url(values->to) ? values->to : NULL,
        .database = values->to != NULL && is_url(values->to) ? values->to : NULL,
        .dsn_file = values->to_dsn,
    };

    return ledger_import_open(&options, &importing->import, error);
}

static bool add(const struct ledger_item *item, void *context, struct error *error)
{
    struct importing *importing = context;

    importing->private_count += item->private_part.len > 0;
    return ledger_import_add(importing->import, item->entry, item->private_part, error) ||
           error_wrap(error, "entry %" PRIu64, item->index);
}

/* What is signed must come out; of what is not there is nothing to compare with. */
static bool check_root(const struct ledger_facts *facts, uint64_t size,
                       const struct merkle_hash *root, struct error *error)
{
    if (facts->note.len == 0 || facts->signed_size != size || merkle_hash_eq(root, &facts->root))
        return true;
    return error_set(error, ERROR_INVALID,
                     "%s: its entries do not have the root of its checkpoint; the new store holds "
                     "what is there: remove it",
                     facts->name);
}

static void tell(const struct importing *importing, const struct merkle_hash *root)
{
    const struct ledger_facts *facts = ledger_source_facts(importing->source);
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, 64);
    buf_add_base64(&text, (struct str){ (const char *)root->bytes, MERKLE_HASH_LEN });
    (void)printf("%" PRIu64 " entries imported, root " STR_FMT "\n",
                 ledger_source_size(importing->source), STR_ARG(buf_str(&text)));
    if (facts->has_private)
        (void)printf("%" PRIu64 " of them with private parts\n", importing->private_count);
    else
        (void)printf("without private parts, which %s does not have: who a person is, and what is "
                     "kept until a lease ends\n",
                     facts->name);
}

static bool import_all(const struct values *values, struct importing *importing,
                       struct error *error)
{
    const struct ledger_facts *facts = NULL;
    struct merkle_hash root;
    struct ledger_walk walk = { .what = "importing", .each = add, .context = importing };

    if (!check_target(values, error) ||
        !ledger_source_open(&values->ledger, &importing->source, error) ||
        !check_source(importing, error) || !open_target(values, importing, error))
        return false;
    walk.to = ledger_source_size(importing->source);
    facts = ledger_source_facts(importing->source);
    if ((walk.to > 0 && !ledger_source_walk(importing->source, &walk, error)) ||
        !ledger_import_finish(importing->import, facts->note, facts->signed_size, &root, error) ||
        !check_root(facts, walk.to, &root, error))
        return false;
    tell(importing, &root);
    return true;
}

static int run(const void *given, const struct operands *operands)
{
    struct importing importing = { 0 };
    struct error error = { 0 };
    bool is_done = import_all(given, &importing, &error);

    (void)operands;
    ledger_import_close(importing.import);
    ledger_source_close(importing.source);
    return is_done ? report_finish() : report_failure(&error);
}

const struct command command_audit_import = {
    .group = "audit",
    .name = "import",
    .operands = "",
    .summary = "Write a whole ledger into a new store",
    .description =
        "Entries come as they are, from a store, a mirror, a complete export or a broker: the "
        "same\n"
        "root comes out, and is compared. The last checkpoint comes along, and the first start of "
        "a\n"
        "broker holds the store against it; it needs the ledger's key. Private parts come where\n"
        "they are to be had. The broker whose ledger it is must have stopped.",
    .groups = { OPTION_GROUP(ledger_source_option_rows, offsetof(struct values, ledger)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .run = run,
};
