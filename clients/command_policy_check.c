#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "clients/command.h"
#include "clients/mistakes.h"
#include "clients/policy_source.h"
#include "clients/report.h"
#include "config/jobs.h"
#include "policy/analyse.h"
#include "policy/policy.h"

/* The choices of --output. */
enum check_output {
    CHECK_TEXT,
    CHECK_JSON,
    CHECK_SARIF,
};

struct values {
    struct policy_source_options source;
    bool is_strict;
    struct option_list ignored;
    size_t output;
};

static const struct option_row rows[] = {
    { .name = "strict",
      .kind = OPTION_FLAG,
      .help = "Warnings are mistakes, too: exit code 2",
      .offset = offsetof(struct values, is_strict) },
    { .name = "ignore",
      .kind = OPTION_LIST,
      .value = "RULE",
      .help = "Say nothing of this rule's warnings; may be repeated",
      .offset = offsetof(struct values, ignored) },
    { .name = "output",
      .kind = OPTION_CHOICE,
      .value = "text|json|sarif",
      .help = "How the result is printed; SARIF is what code hosts and editors read",
      .offset = offsetof(struct values, output),
      .letter = 'o' },
};

static void add_hash(const struct policy *policy, struct buf *out)
{
    buf_add_text(out, "sha256:");
    buf_add_hex(out, (struct str){ (const char *)policy_sha256(policy), SHA256_LEN });
}

static int print_text(const struct policy_source *source)
{
    OWNED(buf_release) struct buf hash = { 0 };
    size_t pipelines = policy_pipeline_count(source->policy);
    size_t stages = policy_stage_count(source->policy);

    buf_init(&hash, 128);
    add_hash(source->policy, &hash);
    (void)printf("good: %zu pipeline%s, %zu stage%s in %s\npolicy " STR_FMT "\n", pipelines,
                 pipelines == 1 ? "" : "s", stages, stages == 1 ? "" : "s", source->folder,
                 STR_ARG(buf_str(&hash)));
    return report_finish();
}

static bool put_good(json_t *json, const struct policy *policy)
{
    OWNED(buf_release) struct buf hash = { 0 };

    buf_init(&hash, 128);
    add_hash(policy, &hash);
    return json_put(json, "pipelines", json_integer((json_int_t)policy_pipeline_count(policy))) &&
           json_put(json, "stages", json_integer((json_int_t)policy_stage_count(policy))) &&
           json_put(json, "policy", json_from_str(buf_str(&hash)));
}

static json_t *make_json(const struct policy_source *source, bool is_good)
{
    JSON_OWNED json_t *json = json_object();

    if (json_put(json, "diagnostics", mistakes_json(&source->diagnostics)) &&
        json_put(json, "not_shown", json_integer((json_int_t)source->diagnostics.dropped_count)) &&
        json_put(json, "good", json_boolean(is_good)) &&
        (!is_good || put_good(json, source->policy)))
        return TAKE(json);
    return NULL;
}

/* What there is to say of files that were read, for programs. */
static int print_json(const struct policy_source *source, size_t output, const struct error *error)
{
    bool is_good = error->code == ERROR_NONE;
    JSON_OWNED json_t *json =
        output == CHECK_SARIF
            ? mistakes_sarif(&source->diagnostics, error_kind(error->code)->exit_code)
            : make_json(source, is_good);

    return json ? report_json(json) : report_failure(&(struct error){ .code = ERROR_MEMORY });
}

/* Take out warnings of rules that are ignored; what is left keeps its order. */
static void ignore(struct diagnostics *diagnostics, const struct option_list *rules)
{
    size_t kept = 0;

    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct diagnostic *entry = &diagnostics->list[i];
        bool is_ignored = false;

        for (size_t k = 0; entry->rule && k < rules->count; k++)
            is_ignored |= strcmp(entry->rule, rules->items[k]) == 0;
        if (!is_ignored || entry->severity == DIAGNOSTIC_ERROR)
            diagnostics->list[kept++] = *entry;
    }
    diagnostics->count = kept;
}

/* Load, and look for what is wrong besides. */
static bool check(struct policy_source *source, const struct values *values,
                  const struct operands *operands, struct error *error)
{
    struct policy_analysis_options options = { .diagnostics = &source->diagnostics,
                                               .now_s = clock_wall_s(),
                                               .ignored = values->ignored.items,
                                               .ignored_count = values->ignored.count,
                                               .run_jobs = jobs_run };
    size_t warning_count;
    bool is_loaded = policy_source_load(source, &values->source, operands, error);

    ignore(&source->diagnostics, &values->ignored);
    options.policy = source->policy;
    if (!is_loaded || !policy_analyse(&options, error))
        return false;
    warning_count = source->diagnostics.count + source->diagnostics.dropped_count;
    if (!values->is_strict || warning_count == 0)
        return true;
    return error_set(error, ERROR_CONFIG, "%zu warning%s, and --strict", warning_count,
                     warning_count == 1 ? "" : "s");
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(policy_source_release) struct policy_source source = { 0 };
    const struct values *values = given;
    struct error error = { 0 };
    bool is_good = check(&source, values, operands, &error);
    bool is_text = values->output == CHECK_TEXT;
    int exit_code = 0;

    if (is_text)
        policy_source_report(&source);
    if (!is_text && (is_good || error.code == ERROR_CONFIG))
        exit_code = print_json(&source, values->output, &error);
    else if (is_good)
        exit_code = print_text(&source);
    if (is_good)
        return exit_code;
    return report_failure(&error);
}

const struct command command_policy_check = {
    .group = "policy",
    .name = "check",
    .operands = "[FOLDER]",
    .summary = "Check issuers, targets and policy as a broker would load them",
    .description =
        "Reads a catalog or broker.yaml for its issuers and targets, then every policy file under "
        "its\n"
        "policy directory, or under FOLDER. All mistakes are shown with file, line, column and the "
        "nearest\n"
        "name; exit code 2 where there is one. Warnings are of what is allowed, but says less than "
        "it\n"
        "seems to: stages that overlap or that no token reaches, conditions that are too weak.",
    .groups = { OPTION_GROUP(policy_source_option_rows, offsetof(struct values, source)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .operands_max = 1,
    .run = run,
};
