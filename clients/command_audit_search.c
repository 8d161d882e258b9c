#include <inttypes.h>
#include <stdio.h>

#include "base/error.h"
#include "clients/command.h"
#include "clients/entry_print.h"
#include "clients/ledger_filter.h"
#include "clients/ledger_find.h"
#include "clients/ledger_source.h"
#include "clients/report.h"

#define LIMIT_MAX 100000

struct values {
    struct ledger_source_options ledger;
    struct ledger_filter_options filter;
    int64_t limit;
    bool reads_all;
    size_t output;
};

static const struct values defaults = { .limit = 100 };

static const struct option_row rows[] = {
    { .name = "limit",
      .kind = OPTION_COUNT,
      .value = "N",
      .help = "How many at most, the newest first; else 100",
      .offset = offsetof(struct values, limit),
      .letter = 'n' },
    { .name = "scan",
      .kind = OPTION_FLAG,
      .help = "Read every entry, and not a store's index: that could have been made to hide some",
      .offset = offsetof(struct values, reads_all) },
    OUTPUT_ROW(struct values,
               "json: an object a line, with index and the entry's bytes as they were hashed"),
};

static bool print(const struct ledger_item *item, void *context, struct error *error)
{
    const struct values *values = context;

    (void)error;
    (values->output == OUTPUT_JSON ? entry_print_json : entry_print_line)(item);
    return true;
}

/* On standard error: what was found is read by others, too. */
static void tell_how(const struct ledger_find *find)
{
    static const char *const how[] = {
        [FOUND_BY_INDEX] = "by the store's index: --scan reads each one",
        [FOUND_BY_READING] = "each one read",
        [FOUND_BY_BROKER] = "by the broker",
    };

    (void)fflush(stdout); /* report_finish() tells */
    report_line("%zu found among %" PRIu64 " entries, %s%s", find->count, find->size,
                how[find->found_by],
                find->has_more ? "; older ones may fit, too: --limit, or --until" : "");
}

static int run(const void *given, const struct operands *operands)
{
    const struct values *values = given;
    union {
        const struct values *values;
        void *context;
    } shared = { .values = values };
    struct ledger_find find = {
        .source = &values->ledger,
        .filter = &values->filter,
        .limit = (size_t)values->limit,
        .reads_all = values->reads_all,
        .each = print,
        .context = shared.context,
    };
    struct error error = { 0 };

    (void)operands;
    if (values->limit < 1 || values->limit > LIMIT_MAX)
        (void)error_set(&error, ERROR_USAGE, "--limit: 1 to %d", LIMIT_MAX);
    else if (ledger_find_run(&find, &error)) {
        tell_how(&find);
        return report_finish();
    }
    (void)fflush(stdout); /* what was found before it failed; the failure is told */
    return report_failure(&error);
}

const struct command command_audit_search = {
    .group = "audit",
    .name = "search",
    .operands = "",
    .summary = "Find ledger entries by what they say",
    .description =
        "Of a pipeline, a lease, a run, a commit, a person, an address, a credential ...: all "
        "that\n"
        "is given must fit; an option that is given again is an alternative. From new to old.\n"
        "A store's index makes it quick; what that has not seen yet is read. A mirror or an "
        "export\n"
        "is read as a whole. A broker is asked as the person who logged in ('stagepass login').",
    .groups = { OPTION_GROUP(ledger_source_option_rows, offsetof(struct values, ledger)),
                OPTION_GROUP(ledger_filter_option_rows, offsetof(struct values, filter)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .defaults = &defaults,
    .run = run,
};
