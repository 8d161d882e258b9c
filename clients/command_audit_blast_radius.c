#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "clients/blast.h"
#include "clients/command.h"
#include "clients/kept_policies.h"
#include "clients/ledger_filter.h"
#include "clients/ledger_source.h"
#include "clients/policy_source.h"
#include "clients/report.h"
#include "config/config.h"

#define LEASES_SHOWN_MAX 50
#define ADVICE_MAX 64 /* lines for credentials that live on */

struct values {
    struct policy_source_options source;
    struct ledger_source_options ledger;
    struct ledger_filter_options filter;
    const char *policies;
    size_t output;
};

static const struct option_row rows[] = {
    { .name = "policies",
      .kind = OPTION_TEXT,
      .value = "FOLDER",
      .help = "Where policies are kept by hash; else `policies` of the store",
      .offset = offsetof(struct values, policies) },
    OUTPUT_ROW(struct values, "How the result is printed; json has all of it"),
};

/* ---- text ---- */

static struct str member(const json_t *object, const char *name)
{
    return json_str(json_object_get(object, name));
}

static void print_named(const char *title, struct str text)
{
    if (text.len == 0)
        return;
    (void)fputs(title, stdout);
    print_clean(stdout, text);
}

static json_int_t count_of(const json_t *report, const char *name)
{
    return json_integer_value(json_object_get(json_object_get(report, "counts"), name));
}

static void print_list(const char *title, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        print_named(i == 0 ? title : ", ", json_str(json_array_get(list, i)));
}

static void print_credential(const json_t *credential)
{
    struct str grant = member(credential, "grant");

    (void)fputs("    ", stdout);
    print_clean(stdout, grant.len > 0 ? grant : STR("(stage token)"));
    print_named("  ", member(credential, "type"));
    print_named(" ", member(credential, "target"));
    print_named(" ", member(credential, "id"));
    if (json_object_get(credential, "revoked_at"))
        print_named("  revoked ", member(credential, "revoked_at"));
    else
        print_named(json_is_true(json_object_get(credential, "is_live")) ? "  STILL GOOD until "
                                                                         : "  ended ",
                    member(credential, "expires_at"));
    (void)putchar('\n');
}

static void print_lease(const json_t *lease)
{
    const json_t *credentials = json_object_get(lease, "credentials");

    print_named("  ", member(lease, "stage"));
    print_named("  lease ", member(lease, "lease"));
    print_named("  ", member(lease, "state"));
    print_named("\n    ", member(lease, "opened_at"));
    print_named("  ", member(lease, "repository"));
    print_named(" run ", member(lease, "run"));
    print_named(" at ", member(lease, "commit"));
    (void)putchar('\n');
    for (size_t i = 0; i < json_array_size(credentials); i++)
        print_credential(json_array_get(credentials, i));
    if (str_eq(member(lease, "state"), STR("unknown")) && json_array_size(credentials) == 0)
        (void)puts("    a target did not answer: what it may have made is not known");
}

static void print_reached(const json_t *report)
{
    const json_t *leases = json_object_get(report, "leases");
    json_int_t reached = count_of(report, "leases");
    json_int_t credentials = count_of(report, "credentials");
    size_t shown = json_array_size(leases);

    (void)printf("reached: %" JSON_INTEGER_FORMAT " %s, %" JSON_INTEGER_FORMAT
                 " %s, %" JSON_INTEGER_FORMAT " still good",
                 reached, report_word((uint64_t)reached, "lease", "leases"), credentials,
                 report_word((uint64_t)credentials, "credential", "credentials"),
                 count_of(report, "live_credentials"));
    print_named(", the last until ", member(report, "until"));
    (void)putchar('\n');
    shown = shown < LEASES_SHOWN_MAX ? shown : LEASES_SHOWN_MAX;
    /* The latest first: these are the ones that live. */
    for (size_t i = 0; i < shown; i++)
        print_lease(json_array_get(leases, json_array_size(leases) - 1 - i));
    if (count_of(report, "leases") > (json_int_t)shown)
        (void)printf("  and %" JSON_INTEGER_FORMAT " earlier ones\n",
                     count_of(report, "leases") - (json_int_t)shown);
}

static void print_tried(const json_t *report)
{
    const json_t *tried = json_object_get(report, "tried");

    if (json_array_size(tried) > 0)
        (void)puts("\ntried, and was refused:");
    for (size_t i = 0; i < json_array_size(tried); i++) {
        const json_t *row = json_array_get(tried, i);
        struct str stage = member(row, "stage");

        (void)printf("  %6" JSON_INTEGER_FORMAT "  ",
                     json_integer_value(json_object_get(row, "count")));
        print_clean(stdout, stage.len > 0 ? stage : STR("(no stage)"));
        print_named("  ", member(row, "reason"));
        print_list(": ", json_object_get(row, "failed"));
        print_named("  last ", member(row, "last"));
        (void)fputs(str_eq(member(row, "reason"), STR("replay"))
                        ? "  A USED TOKEN CAME AGAIN: somebody has a copy\n"
                        : "\n",
                    stdout);
    }
}

static void print_grant(const json_t *grant)
{
    char life[DURATION_TEXT_MAX];

    duration_text(json_integer_value(json_object_get(grant, "ttl_s")), life);
    print_named("    ", member(grant, "grant"));
    print_named("  ", member(grant, "type"));
    print_named(" ", member(grant, "target"));
    (void)printf(" for %s", life);
    print_list(json_is_true(json_object_get(grant, "is_certain")) ? "  gives " : "  may give ",
               json_object_get(grant, "gives"));
    print_list("  as ", json_object_get(grant, "as"));
    (void)putchar('\n');
}

static void print_possible_stage(const json_t *report, const json_t *stage)
{
    const json_t *grants = json_object_get(stage, "grants");
    json_int_t opened = json_integer_value(json_object_get(stage, "opened_by"));
    json_int_t not_told = json_integer_value(json_object_get(stage, "not_told_of"));

    print_named("  ", member(stage, "stage"));
    print_named("  ", member(stage, "environment"));
    print_named("  owner ", member(stage, "owner"));
    print_named("  until ", member(stage, "until"));
    if (opened > 0)
        (void)printf("\n    OPEN to %" JSON_INTEGER_FORMAT
                     " of the recorded requests, as they were",
                     opened);
    else if (json_integer_value(json_object_get(report, "tried_with")) > 0)
        (void)printf("\n    open to none of the recorded requests, as they were");
    if (not_told > 0)
        (void)printf("; of %" JSON_INTEGER_FORMAT " it cannot be told", not_told);
    (void)putchar('\n');
    for (size_t i = 0; i < json_array_size(grants); i++)
        print_grant(json_array_get(grants, i));
}

static void print_possible(const json_t *report)
{
    const json_t *could = json_object_get(report, "could");
    const json_t *unknown = json_object_get(report, "not_known");

    (void)printf("\ncould have: %zu %s by the policies of that time\n", json_array_size(could),
                 report_word(json_array_size(could), "stage", "stages"));
    for (size_t i = 0; i < json_array_size(could); i++)
        print_possible_stage(report, json_array_get(could, i));
    print_named("  not known: ", member(report, "no_policies"));
    if (json_object_get(report, "no_policies"))
        (void)putchar('\n');
    for (size_t i = 0; i < json_array_size(unknown); i++) {
        print_named("  not known of ", member(json_array_get(unknown, i), "policy"));
        print_named(": ", member(json_array_get(unknown, i), "why"));
        (void)putchar('\n');
    }
}

/* ---- what ends it ---- */

/* Ids go into commands: only what no shell takes for anything else. */
static bool is_plain(struct str id)
{
    return id.len > 0 && str_is_made_of(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                            "0123456789-_.");
}

/* Whether the broker has the target end it when its lease ends. */
static bool ends_with_lease(const json_t *credential)
{
    struct str revoke = member(credential, "revoke");

    return str_eq(revoke, STR("now")) ||
           (str_eq(revoke, STR("name")) && str_eq(member(credential, "type"), STR("aws")));
}

static void print_ending_of_token(const json_t *credential)
{
    bool is_listed = str_eq(member(credential, "revoke"), STR("list"));

    print_named("  a token for ", member(credential, "audience"));
    (void)printf(": once the lease has ended, who %sasks the broker refuses it, others take it",
                 is_listed ? "looks at its status list or " : "");
    print_named(" until ", member(credential, "expires_at"));
    (void)putchar('\n');
}

/* What is left to do at the target of a credential, by its kind. */
static void print_ending(const json_t *lease, const json_t *credential)
{
    struct str type = member(credential, "type");
    struct str id = member(credential, "id");
    struct str lease_id = member(lease, "lease");

    if (ends_with_lease(credential)) {
        print_named("  ended at its target with the lease: ", type);
        print_named(" ", id);
        (void)putchar('\n');
    } else if (str_eq(type, STR("ssh")) && is_plain(id))
        (void)printf(
            "  on the hosts of its target, where they do not fetch the list: echo 'serial: " STR_FMT
            "' | ssh-keygen -k -u -f KRL -s CA.pub -\n"
            "    with RevokedKeys KRL in sshd_config; sessions that are open stay open\n",
            STR_ARG(id));
    else if (str_eq(type, STR("aws")) && is_plain(lease_id))
        (void)printf(
            "  in its account: aws iam put-role-policy --role-name ROLE --policy-name "
            "stagepass-" STR_FMT " --policy-document\n"
            "    '{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\",\"Action\":"
            "\"*\",\"Resource\":\"*\",\"Condition\":\n"
            "    {\"StringLike\":{\"aws:SourceIdentity\":\"" STR_FMT "*\"}}}]}'\n",
            STR_ARG(lease_id), STR_ARG(lease_id));
    else if (str_eq(type, STR("jwt")) || str_eq(type, STR("stage_token")))
        print_ending_of_token(credential);
    else {
        print_named("  see \"Revocation\" of ", type);
        print_named(" in broker/targets/README.md, for ", id);
        (void)putchar('\n');
    }
}

/* What the broker can still do about a lease. */
static void print_lease_ending(const json_t *lease)
{
    struct str id = member(lease, "lease");

    print_named("lease ", id);
    if (json_object_get(lease, "ended_at"))
        (void)puts("  has ended: `stagepass leases --stuck` says what its targets still owe");
    else if (is_plain(id))
        (void)printf("  stagepass revoke --lease " STR_FMT " --reason TEXT\n", STR_ARG(id));
    else
        (void)putchar('\n');
}

static void print_lease_endings(const json_t *lease, size_t *printed)
{
    const json_t *credentials = json_object_get(lease, "credentials");
    size_t start = *printed;

    for (size_t i = 0; i < json_array_size(credentials) && *printed < ADVICE_MAX; i++) {
        if (!json_is_true(json_object_get(json_array_get(credentials, i), "is_live")))
            continue;
        if (*printed == start)
            print_lease_ending(lease);
        print_ending(lease, json_array_get(credentials, i));
        (*printed)++;
    }
}

static void print_endings(const json_t *report, const struct ledger_query *query)
{
    const json_t *leases = json_object_get(report, "leases");
    size_t printed = 0;

    (void)puts(
        "\nwhat ends it:\n"
        "  close the door first: `stagepass block` with --commit, --proof-key, --address, --stage "
        "or --repository-id; with\n"
        "    --revoke it ends the leases that live, too. docs/incident.md has all steps in "
        "order");
    if (query->fields[LEDGER_FIELD_ISSUER].count > 0 || query->fields[LEDGER_FIELD_KID].count > 0)
        (void)puts("  a key of an issuer: take the issuer out of broker.yaml and reload it "
                   "(SIGHUP), until the issuer\n    publishes other keys");
    for (size_t i = json_array_size(leases); i > 0 && printed < ADVICE_MAX; i--)
        print_lease_endings(json_array_get(leases, i - 1), &printed);
    if ((json_int_t)printed < count_of(report, "live_credentials"))
        (void)printf("and so for the other %" JSON_INTEGER_FORMAT " that are still good\n",
                     count_of(report, "live_credentials") - (json_int_t)printed);
    if (count_of(report, "live_credentials") == 0)
        (void)puts("  no credential is still good: there is nothing left to end");
}

static int print_text(const json_t *report, const struct ledger_query *query, struct str proof)
{
    print_reached(report);
    print_tried(report);
    print_possible(report);
    print_endings(report, query);
    (void)putchar('\n');
    print_clean(stdout, proof);
    (void)putchar('\n');
    return report_finish();
}

/* ---- the command ---- */

/* Without a configuration policies cannot be loaded: what was reached is known all the same. */
static bool load_world(struct policy_source *source, const struct policy_source_options *options,
                       struct blast_options *asked, struct error *error)
{
    struct error why = { 0 };

    if (policy_source_load_world(source, options, &why)) {
        asked->world = &source->config->world;
        return true;
    }
    asked->no_world = "policies are loaded with a configuration: --config or --catalog names it";
    if (!options->config && !options->catalog && source->arena)
        return true;
    policy_source_report(source);
    *error = why;
    return false;
}

static bool find(const struct values *values, struct policy_source *source,
                 struct blast_options *asked, struct ledger_query *query, json_t **report,
                 struct error *error)
{
    if (!ledger_filter_read(&values->filter, clock_wall_s() * 1000, query, error))
        return false;
    if (query_is_open(query) && query->since_ms == 0 && query->until_ms == 0)
        return error_set(
            error, ERROR_USAGE,
            "of what? --repository, --stage, --commit, --kid, --lease, --since ... say "
            "it");
    if (!load_world(source, &values->source, asked, error) ||
        !ledger_source_open(&values->ledger, &asked->ledger, error))
        return false;
    asked->query = query;
    asked->now_s = clock_wall_s();
    asked->policies->source = source;
    asked->policies->folder =
        values->policies ? values->policies : ledger_source_facts(asked->ledger)->policies;
    return blast_find(asked, source->arena, report, error);
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(policy_source_release) struct policy_source source = { 0 };
    JSON_OWNED json_t *report = NULL;
    const struct values *values = given;
    struct kept_policies policies = { 0 };
    struct blast_options asked = { .policies = &policies };
    struct ledger_query query;
    struct error error = { 0 };
    bool is_found = find(values, &source, &asked, &query, &report, &error);
    int failure;

    (void)operands;
    if (!is_found)
        failure = report_failure(&error);
    else if (values->output == OUTPUT_JSON)
        failure = json_put(report, "ledger", ledger_source_json(asked.ledger))
                      ? report_json(report)
                      : report_failure(&(struct error){ .code = ERROR_MEMORY });
    else
        failure = print_text(report, &query, ledger_source_say_proof(asked.ledger, source.arena));
    kept_policies_release(&policies);
    ledger_source_close(asked.ledger);
    return failure;
}

const struct command command_audit_blast_radius = {
    .group = "audit",
    .name = "blast-radius",
    .operands = "",
    .summary = "What a stolen token or credential reached, or could have",
    .description =
        "Of all that fits the filter: which leases were opened and what of them still works, "
        "until\n"
        "when; what was tried and refused; which stages the policies of that time open to the\n"
        "pipelines concerned, and whether a recorded request would have opened them as it was; "
        "and\n"
        "what ends it. With --issuer or --kid all pipelines of the issuer are concerned: who has\n"
        "its key can be any job.",
    .groups = { OPTION_GROUP(ledger_filter_option_rows, offsetof(struct values, filter)),
                OPTION_GROUP(ledger_source_option_rows, offsetof(struct values, ledger)),
                OPTION_GROUP(policy_source_option_rows, offsetof(struct values, source)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .run = run,
};
