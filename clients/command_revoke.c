#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "clients/command.h"
#include "clients/lease_words.h"
#include "clients/report.h"

struct values {
    struct broker_options broker;
    struct lease_words words;
    const char *reason;
    bool is_dry;
    bool is_sure;
    size_t output;
};

static const struct option_row rows[] = {
    REASON_ROW(struct values),
    { .name = "dry-run",
      .kind = OPTION_FLAG,
      .help = "End nothing: show which leases would end",
      .offset = offsetof(struct values, is_dry) },
    { .name = "yes",
      .kind = OPTION_FLAG,
      .help = "Do not show them first, and do not ask",
      .offset = offsetof(struct values, is_sure) },
    OUTPUT_ROW(struct values, "How the result is printed"),
};

static bool check(const struct values *values, struct error *error)
{
    if (lease_words_are_open(&values->words))
        return error_set(error, ERROR_USAGE,
                         "which leases? Say --stage, --repository, --since ...: --help has all");
    if (!values->is_dry && (!values->reason || values->reason[0] == '\0'))
        return error_set(error, ERROR_USAGE, "revoking needs a --reason");
    if (!values->is_dry && !values->is_sure && !isatty(STDIN_FILENO))
        return error_set(error, ERROR_USAGE,
                         "nobody is there to be asked: look with --dry-run, then say --yes");
    return true;
}

static void print_found(const json_t *leases)
{
    const json_t *lease = NULL;
    size_t i = 0;

    json_array_foreach (leases, i, lease)
        lease_print(lease);
    (void)printf(
        "%zu %s\n", json_array_size(leases),
        report_word(json_array_size(leases), "lease lives and fits", "leases live and fit"));
    (void)fflush(stdout);
}

static bool is_agreed(void)
{
    char line[16] = "";

    (void)fputs("End them? Type yes: ", stderr);
    return fgets(line, sizeof(line), stdin) && str_eq(str_trim(str_from(line)), STR("yes"));
}

static bool find(const struct values *values, struct lease_revocation *found, struct error *error)
{
    *found = (struct lease_revocation){
        .broker = &values->broker,
        .words = values->words,
        .is_dry = true,
    };
    return lease_revocation_run(found, error);
}

/* Whether it is to be done, after those that would end were shown. */
static bool ask_first(const struct values *values, bool *is_to_be_done, struct error *error)
{
    struct lease_revocation found;
    bool is_found = find(values, &found, error);

    if (is_found)
        print_found(found.leases);
    *is_to_be_done = is_found && json_array_size(found.leases) > 0 && is_agreed();
    json_decref(found.leases);
    return is_found;
}

static int show(const struct values *values)
{
    struct lease_revocation found;
    struct error error = { 0 };
    JSON_OWNED json_t *leases = NULL;
    bool is_found = find(values, &found, &error);

    leases = found.leases;
    if (!is_found)
        return report_failure(&error);
    if (values->output == OUTPUT_JSON)
        return report_json(leases);
    print_found(leases);
    (void)puts("nothing was ended: without --dry-run they are");
    return report_finish();
}

static int end_all(const struct values *values)
{
    struct lease_revocation revocation = {
        .broker = &values->broker,
        .words = values->words,
        .reason = values->reason,
    };
    struct error error = { 0 };
    bool is_done = lease_revocation_run(&revocation, &error);
    JSON_OWNED json_t *leases = revocation.leases;

    if (!is_done)
        return report_failure(&error);
    if (values->output == OUTPUT_JSON)
        return report_json(leases);
    (void)printf("%zu %s ended; what is to be ended at targets is on its way: "
                 "'stagepass leases --stuck' says what is left\n",
                 revocation.ended, report_word(revocation.ended, "lease has", "leases have"));
    return report_finish();
}

static int run(const void *given, const struct operands *operands)
{
    const struct values *values = given;
    struct error error = { 0 };
    bool is_to_be_done = true;

    (void)operands;
    if (!check(values, &error))
        return report_failure(&error);
    if (values->is_dry)
        return show(values);
    if (!values->is_sure && !ask_first(values, &is_to_be_done, &error))
        return report_failure(&error);
    if (is_to_be_done)
        return end_all(values);
    (void)puts("nothing was ended");
    return report_finish();
}

const struct command command_revoke = {
    .name = "revoke",
    .operands = "",
    .summary = "End leases before their time",
    .description =
        "Ends all live leases that fit all options: each by an entry `lease.revoked` with who and\n"
        "why, at once on every broker of the ledger. Their credentials are then ended at their\n"
        "targets, as far as those can (broker/targets/README.md says what revoking means where);\n"
        "what cannot be reached is tried again until it is done. It shows them first, and asks.\n"
        "Nothing hinders a job from asking again: 'stagepass block' does, and with --revoke both.\n"
        "Takes the role operator, of the tenants of the leases.",
    .groups = { OPTION_GROUP(broker_option_rows, offsetof(struct values, broker)),
                OPTION_GROUP(lease_word_rows, offsetof(struct values, words)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .run = run,
};
