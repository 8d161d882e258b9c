#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "clients/command.h"
#include "clients/kept_policy.h"
#include "clients/ledger_source.h"
#include "clients/policy_markdown.h"
#include "clients/policy_source.h"
#include "clients/report.h"
#include "clients/simulation.h"
#include "config/config.h"
#include "ledger/query.h"
#include "policy/policy.h"

#define EXIT_FLIPS 6

enum form {
    FORM_TEXT,
    FORM_JSON,
    FORM_MARKDOWN,
};

struct values {
    struct policy_source_options source;
    struct ledger_source_options ledger;
    const char *since;
    size_t form;
};

static const struct values defaults = { .since = "30d" };

static const struct option_row rows[] = {
    { .name = "since",
      .kind = OPTION_TEXT,
      .value = "TIME",
      .help = "Requests of that time and later: 2026-11-22, or 90d before now; else 30d",
      .offset = offsetof(struct values, since) },
    { .name = "output",
      .kind = OPTION_CHOICE,
      .value = "text|json|markdown",
      .help = "How the result is printed; markdown is fit for a comment on a pull request",
      .offset = offsetof(struct values, form),
      .letter = 'o' },
};

static bool has_flips(const struct simulation *simulation)
{
    return simulation->flip_count > 0 || simulation->lost_count > 0;
}

static const char *const titles[] = {
    [FLIP_DENIED] = "Allowed then, denied now",
    [FLIP_ALLOWED] = "Denied then, allowed now",
    [FLIP_CHANGED] = "Allowed then and now, with something else",
};

/* ---- text ---- */

static void print_time(int64_t time_s)
{
    char text[TIME_TEXT_S_LEN + 1];

    time_text_s(time_s, text);
    (void)fputs(text, stdout);
}

static void print_field(const char *title, struct str text)
{
    if (text.len == 0)
        return;
    (void)printf("      %-9s ", title);
    print_clean(stdout, text);
    (void)putchar('\n');
}

static void print_flip(const struct flip *flip)
{
    size_t kept = flip->decision_count < SIMULATION_DECISIONS_MAX ? flip->decision_count
                                                                  : SIMULATION_DECISIONS_MAX;

    (void)fputs("  ", stdout);
    print_clean(stdout, flip->stage.len > 0 ? flip->stage : STR("(no stage)"));
    (void)printf(": %" PRId64 " request%s, last ", flip->count, flip->count == 1 ? "" : "s");
    print_time(flip->last_s);
    (void)putchar('\n');
    print_field("before", flip->before);
    print_field("now", flip->now);
    print_field("owner", flip->owner);
    (void)printf("      %-9s", "decisions");
    for (size_t i = 0; i < kept; i++) {
        (void)putchar(' ');
        print_clean(stdout, flip->decisions[i]);
    }
    (void)puts(flip->decision_count > kept ? " ..." : "");
}

static void print_flips(const struct simulation *simulation)
{
    for (size_t i = 0; i < simulation->flip_count; i++) {
        const struct flip *flip = &simulation->flips[i];

        if (i == 0 || flip[-1].kind != flip->kind)
            (void)printf("\n%s:\n", titles[flip->kind]);
        print_flip(flip);
    }
    if (simulation->lost_count > 0)
        (void)printf("\nand %" PRId64 " more, of too many kinds to list\n", simulation->lost_count);
}

static void print_doubts(const struct simulation *simulation)
{
    if (simulation->doubt_kinds > 0)
        (void)puts("\nCannot tell:");
    for (size_t i = 0; i < simulation->doubt_kinds; i++) {
        (void)printf("  %8" PRId64 "  ", simulation->doubts[i].count);
        print_clean(stdout, simulation->doubts[i].why);
        (void)putchar('\n');
    }
}

static void print_unused(const struct simulation *simulation)
{
    if (simulation->unused_count > 0)
        (void)puts("\nGrants of the new policy that nobody used:");
    for (size_t i = 0; i < simulation->unused_count; i++) {
        const struct unused_grant *unused = &simulation->unused[i];

        (void)fputs("  ", stdout);
        print_clean(stdout, unused->stage);
        (void)putchar(' ');
        print_clean(stdout, unused->grant);
        (void)fputs(unused->last_s > 0 ? ", last used " : ", never used", stdout);
        if (unused->last_s > 0)
            print_time(unused->last_s);
        if (unused->owner.len > 0) {
            (void)fputs(", ", stdout);
            print_clean(stdout, unused->owner);
        }
        (void)putchar('\n');
    }
}

static int print_text(const struct simulation *simulation, struct str proof)
{
    const int64_t *flipped = simulation->flipped_count;

    (void)printf("%" PRId64 " %s: %" PRId64 " the same, %" PRId64 " now denied, %" PRId64
                 " now allowed, %" PRId64 " changed, %" PRId64 " cannot be told\n",
                 simulation->request_count,
                 report_word((uint64_t)simulation->request_count, "request", "requests"),
                 simulation->same_count, flipped[FLIP_DENIED], flipped[FLIP_ALLOWED],
                 flipped[FLIP_CHANGED], simulation->doubt_count);
    if (simulation->other_count > 0)
        (void)printf("%" PRId64 " more were refused for something else than the policy\n",
                     simulation->other_count);
    if (simulation->skipped_count > 0)
        (void)printf("%" PRId64 " entries are not what a broker writes, and were skipped\n",
                     simulation->skipped_count);
    print_flips(simulation);
    print_doubts(simulation);
    print_unused(simulation);
    (void)putchar('\n');
    print_clean(stdout, proof);
    (void)putchar('\n');
    return report_finish();
}

/* ---- the other forms ---- */

static int print_json(const struct simulation *simulation, struct str proof)
{
    JSON_OWNED json_t *json = simulation_json(simulation);

    (void)proof;
    return json ? report_json(json) : report_failure(&(struct error){ .code = ERROR_MEMORY });
}

static int print_markdown(const struct simulation *simulation, struct str proof)
{
    OWNED(buf_release) struct buf text = { 0 };

    (void)proof;
    buf_init(&text, 2 * POLICY_MARKDOWN_MAX);
    policy_markdown_simulation(simulation, &text);
    if (!buf_is_ok(&text))
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    (void)fwrite(text.data, 1, text.len, stdout); /* report_finish() asks */
    return report_finish();
}

static int print(const struct simulation *simulation, size_t form, struct str proof)
{
    static int (*const printers[])(const struct simulation *, struct str) = {
        [FORM_TEXT] = print_text,
        [FORM_JSON] = print_json,
        [FORM_MARKDOWN] = print_markdown,
    };
    int failure = printers[form](simulation, proof);

    return failure == 0 && has_flips(simulation) ? EXIT_FLIPS : failure;
}

/* ---- the command ---- */

static bool simulate(const struct policy_source *source, const struct values *values,
                     struct ledger_source *ledger, struct simulation *simulation,
                     struct error *error)
{
    struct simulation_options options = {
        .ledger = ledger,
        .world = &source->config->world,
        .policy = source->policy,
    };
    int64_t since_ms = 0;

    if (!query_time(str_from(values->since), clock_wall_s() * 1000, &since_ms) || since_ms < 0)
        return error_set(error, ERROR_USAGE, "--since %s: a time such as 2026-11-22, or 90d",
                         values->since);
    options.since_s = since_ms / 1000;
    return simulation_run(&options, source->arena, simulation, error);
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(policy_source_release) struct policy_source source = { 0 };
    OWNED(ledger_source_close) struct ledger_source *ledger = NULL;
    const struct values *values = given;
    struct simulation simulation;
    struct error error = { 0 };
    bool is_loaded = policy_source_load_world(&source, &values->source, &error) &&
                     ledger_source_open(&values->ledger, &ledger, &error) &&
                     kept_policy_load_operand(&source, ledger, operands, &error);

    policy_source_report(&source);
    if (!is_loaded || !simulate(&source, values, ledger, &simulation, &error))
        return report_failure(&error);
    return print(&simulation, values->form, ledger_source_say_proof(ledger, source.arena));
}

const struct command command_policy_simulate = {
    .group = "policy",
    .name = "simulate",
    .operands = "[NEW|sha256:HASH]",
    .summary = "Decide recorded requests again by another policy, and show what flips",
    .description =
        "Takes each request that a ledger has recorded, with its claims, address and time, and\n"
        "decides it by the policy of the folder NEW (else the configured one, or sha256:HASH: one\n"
        "that the store keeps): what was allowed and is denied, or the other way round, what gets\n"
        "other grants or shorter lives, what cannot be told because it was erased or never\n"
        "recorded, and grants that nobody used. The ledger is a store's folder, a mirror, an\n"
        "export or a broker. Exit code 0 where nothing flips, 6 where something does.",
    .groups = { OPTION_GROUP(policy_source_option_rows, offsetof(struct values, source)),
                OPTION_GROUP(ledger_source_option_rows, offsetof(struct values, ledger)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .defaults = &defaults,
    .operands_max = 1,
    .run = run,
};
