#include <stdio.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "clients/command.h"
#include "clients/policy_source.h"
#include "clients/report.h"
#include "policy/policy.h"

struct values {
    const char *config;
    size_t output;
};

static const struct values defaults = { .config = POLICY_CONFIG_DEFAULT };

static const struct option_row rows[] = {
    { .name = "config",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .environment = "STAGEPASS_CONFIG",
      .help = "broker.yaml, for its issuers and targets; else " POLICY_CONFIG_DEFAULT,
      .offset = offsetof(struct values, config) },
    { .name = "output",
      .kind = OPTION_CHOICE,
      .value = OUTPUT_NAMES,
      .help = "How the result is printed",
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

static bool put_diagnostic(json_t *list, const struct diagnostic *diagnostic)
{
    json_t *object = json_object();

    return object && json_array_append_new(list, object) == 0 &&
           json_put(object, "severity",
                    json_string(diagnostic->severity == DIAGNOSTIC_ERROR ? "error" : "warning")) &&
           json_put(object, "file", json_from_str(diagnostic->at.file)) &&
           json_put(object, "line", json_integer((json_int_t)diagnostic->at.line)) &&
           json_put(object, "column", json_integer((json_int_t)diagnostic->at.column)) &&
           json_put(object, "message", json_from_str(diagnostic->message)) &&
           (diagnostic->hint.len == 0 || json_put(object, "hint", json_from_str(diagnostic->hint)));
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

static int print_json(const struct policy_source *source, bool is_good)
{
    JSON_OWNED json_t *json = json_object();
    json_t *list = json_array();
    bool is_built = json_put(json, "diagnostics", list) &&
                    json_put(json, "good", json_boolean(is_good)) &&
                    (!is_good || put_good(json, source->policy));

    for (size_t i = 0; is_built && i < source->diagnostics.count; i++)
        is_built = put_diagnostic(list, &source->diagnostics.list[i]);
    return is_built ? report_json(json) : report_failure(&(struct error){ .code = ERROR_MEMORY });
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(policy_source_release) struct policy_source source = { 0 };
    const struct values *values = given;
    struct error error = { 0 };
    bool is_good = policy_source_load(&source, values->config, operands, &error);
    bool is_json = values->output == OUTPUT_JSON;
    int exit_code = 0;

    if (!is_json)
        policy_source_report(&source);
    if (is_json && (is_good || error.code == ERROR_CONFIG))
        exit_code = print_json(&source, is_good);
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
    .summary = "Check configuration and policy as the broker would load them",
    .description =
        "Reads broker.yaml for its issuers and targets, then every policy file under its policy\n"
        "directory, or under FOLDER. All mistakes are shown with file, line, column and the "
        "nearest\n"
        "name; exit code 2 where there is one.",
    .groups = { OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .defaults = &defaults,
    .operands_max = 1,
    .run = run,
};
