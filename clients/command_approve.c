#include <stdio.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/id.h"
#include "base/json.h"
#include "clients/approval_print.h"
#include "clients/binding.h"
#include "clients/command.h"
#include "clients/operator.h"
#include "clients/report.h"

#define ARENA_MAX ((size_t)16 * 1024 * 1024)
#define FORM_MAX ((size_t)16 * 1024)

struct values {
    struct broker_options broker;
    const char *reason;
    const char *stage;
    const char *commit;
    const char *workflow_commit;
    struct option_list bindings;
    const char *digest;
    bool is_break_glass;
    bool is_dry;
    size_t output;
};

static const struct option_row rows[] = {
    REASON_ROW(struct values),
    { .name = "digest",
      .kind = OPTION_TEXT,
      .value = "sha256:HEX",
      .help = "Approve only what has this digest; else what is shown now",
      .offset = offsetof(struct values, digest) },
    { .name = "break-glass",
      .kind = OPTION_FLAG,
      .help = "As an operator: alone, however many people are asked, and through freezes",
      .offset = offsetof(struct values, is_break_glass) },
    { .name = "stage",
      .kind = OPTION_TEXT,
      .value = "PIPELINE:STAGE",
      .help = "Before anybody asks: what the stage gives",
      .offset = offsetof(struct values, stage) },
    { .name = "commit",
      .kind = OPTION_TEXT,
      .value = "HASH",
      .help = "... to runs of this commit",
      .offset = offsetof(struct values, commit) },
    { .name = "workflow-commit",
      .kind = OPTION_TEXT,
      .value = "HASH",
      .help = "... whose workflow is of this one; else of the same, or the issuer says none",
      .offset = offsetof(struct values, workflow_commit) },
    { .name = "binding",
      .kind = OPTION_LIST,
      .value = "NAME=FILE",
      .help = "... with this binding; may be repeated",
      .offset = offsetof(struct values, bindings) },
    { .name = "dry-run",
      .kind = OPTION_FLAG,
      .help = "Approve nothing: show what it would be",
      .offset = offsetof(struct values, is_dry) },
    OUTPUT_ROW(struct values, "How it is printed"),
};

#define TAKES "the group that is asked, or with --break-glass the role operator"

static bool check(const struct values *values, const struct operands *operands, struct error *error)
{
    bool is_ahead =
        values->stage || values->commit || values->workflow_commit || values->bindings.count > 0;

    if (!values->is_dry && (!values->reason || values->reason[0] == '\0'))
        return error_set(error, ERROR_USAGE, "an approval needs a --reason");
    if (operands->count == 1 && is_ahead)
        return error_set(error, ERROR_USAGE,
                         "an ID says all: --stage and what goes with it are for before one asks");
    if (operands->count == 1)
        return id_is_valid(str_from(operands->items[0])) ||
               error_set(error, ERROR_USAGE,
                         "that is no approval's id: 'stagepass approvals' lists them");
    return (values->stage && values->commit) ||
           error_set(error, ERROR_USAGE, "what? Say an ID, or --stage and --commit");
}

/* ---- what was asked ---- */

static bool look(const struct values *values, const char *id, struct arena *arena,
                 const json_t **approval, struct error *error)
{
    struct operator_request request = { .method = "GET",
                                        .takes = TAKES,
                                        .what = "seeing an approval" };

    request.path = arena_printf(arena, "/api/v1/approvals/%s", id).data;
    if (!request.path)
        return error_set(error, ERROR_MEMORY, "no memory");
    return operator_ask(&values->broker, &request, arena, approval, error);
}

static void add_common(const struct values *values, struct str digest, struct buf *form)
{
    buf_add_text(form, "digest=");
    buf_add_percent(form, digest);
    buf_add_text(form, "&reason=");
    buf_add_percent(form, str_from(values->reason));
    if (values->is_break_glass)
        buf_add_text(form, "&break_glass=true");
}

static bool grant(const struct values *values, const char *id, struct str digest,
                  struct arena *arena, const json_t **answer, struct error *error)
{
    OWNED(buf_release) struct buf form = { 0 };
    struct operator_request request = { .method = "POST", .takes = TAKES, .what = "approving" };

    buf_init(&form, FORM_MAX);
    add_common(values, digest, &form);
    request.path = arena_printf(arena, "/api/v1/approvals/%s/grant", id).data;
    if (!buf_is_ok(&form) || !request.path)
        return error_set(error, ERROR_LIMIT, "what is said is too long");
    request.form = buf_str(&form);
    return operator_ask(&values->broker, &request, arena, answer, error);
}

/* ---- before anybody asks ---- */

static bool add_ahead(const struct values *values, struct buf *form, struct error *error)
{
    buf_add_text(form, "stage=");
    buf_add_percent(form, str_from(values->stage));
    buf_add_text(form, "&commit=");
    buf_add_percent(form, str_from(values->commit));
    if (values->workflow_commit) {
        buf_add_text(form, "&workflow_commit=");
        buf_add_percent(form, str_from(values->workflow_commit));
    }
    for (size_t i = 0; i < values->bindings.count; i++) {
        OWNED(buf_release) struct buf text = { 0 };

        buf_init(&text, 256);
        if (!binding_write(values->bindings.items[i], &text, error))
            return false;
        buf_add_text(form, "&binding=");
        buf_add_percent(form, buf_str(&text));
    }
    return true;
}

/* With a digest it is given, without one it is shown. */
static bool ask_ahead(const struct values *values, struct str digest, struct arena *arena,
                      const json_t **answer, struct error *error)
{
    OWNED(buf_release) struct buf form = { 0 };
    struct operator_request request = {
        .method = "POST", .path = "/api/v1/approvals", .takes = TAKES, .what = "approving"
    };

    buf_init(&form, FORM_MAX);
    if (!add_ahead(values, &form, error))
        return false;
    buf_add_text(&form, "&");
    if (digest.len > 0)
        add_common(values, digest, &form);
    else
        buf_add_text(&form,
                     values->is_break_glass ? "dry_run=true&break_glass=true" : "dry_run=true");
    if (!buf_is_ok(&form))
        return error_set(error, ERROR_LIMIT, "what is said is too long");
    request.form = buf_str(&form);
    return operator_ask(&values->broker, &request, arena, answer, error);
}

/* ---- both ---- */

static bool show(const struct values *values, const char *id, struct arena *arena,
                 const json_t **approval, struct error *error)
{
    return id ? look(values, id, arena, approval, error)
              : ask_ahead(values, STR(""), arena, approval, error);
}

static bool give(const struct values *values, const char *id, const json_t *approval,
                 struct arena *arena, const json_t **answer, struct error *error)
{
    struct str shown = json_str(json_object_get(approval, "digest"));

    if (values->digest && !str_eq(str_from(values->digest), shown))
        return error_set(error, ERROR_REFUSED, "what is asked has the digest " STR_FMT,
                         STR_ARG(shown));
    if (shown.len == 0)
        return error_set(error, ERROR_SYNTAX, "the broker's answer has no digest");
    return id ? grant(values, id, shown, arena, answer, error)
              : ask_ahead(values, shown, arena, answer, error);
}

static void print_given(const json_t *answer)
{
    json_int_t left = json_integer_value(json_object_get(answer, "left"));

    (void)fputs("\napproval ", stdout);
    print_clean(stdout, json_str(json_object_get(answer, "id")));
    if (left > 0)
        (void)printf(": granted by you, %" JSON_INTEGER_FORMAT " more to go, until ", left);
    else
        (void)fputs(" is granted, and serves once, until ", stdout);
    print_clean(stdout, json_str(json_object_get(answer, "until")));
    (void)printf("; entry %" JSON_INTEGER_FORMAT "\n",
                 json_integer_value(json_object_get(answer, "entry")));
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    const char *id = operands->count > 0 ? operands->items[0] : NULL;
    const struct values *values = given;
    const json_t *approval = NULL;
    const json_t *answer = NULL;
    struct error error = { 0 };

    if (!arena)
        (void)error_set(&error, ERROR_MEMORY, "no memory");
    if (!arena || !check(values, operands, &error) || !show(values, id, arena, &approval, &error))
        return report_failure(&error);
    if (values->output != OUTPUT_JSON)
        approval_print(approval);
    if (!values->is_dry && !give(values, id, approval, arena, &answer, &error))
        return report_failure(&error);
    if (values->output == OUTPUT_JSON)
        return report_json(values->is_dry ? approval : answer);
    if (!values->is_dry)
        print_given(answer);
    return report_finish();
}

const struct command command_approve = {
    .name = "approve",
    .operands = "[ID]",
    .summary = "Let a job have what it asks people for",
    .description =
        "Prints what is asked, and approves exactly that: of what is printed the digest goes\n"
        "along. With --stage and --commit it is given before anybody asks: for all grants of the\n"
        "stage, to the first run of that commit that wants them. An approval serves once, and "
        "only\n"
        "what has its digest: stage, commit, workflow commit, grants, bindings and rule. Nobody\n"
        "approves what they started themselves. It is an entry, `approval.granted`.\n"
        "\n"
        "With --break-glass an operator approves alone, and through a freeze. It is told in the\n"
        "log, counted, and listed for follow-up in `stagepass audit review`.",
    .groups = { OPTION_GROUP(broker_option_rows, offsetof(struct values, broker)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .operands_min = 0,
    .operands_max = 1,
    .run = run,
};
